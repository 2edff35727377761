"""Transformers as Support Vector Machines."""
