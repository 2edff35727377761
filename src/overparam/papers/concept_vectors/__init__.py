"""Intrinsic Evaluation of Unlearning Using Parametric Knowledge Traces."""
