"""Tuning of solvers and hyper-parameters."""
