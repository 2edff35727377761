"""Empirical Analysis of the Hessian of Over-Parametrized Neural Networks."""
