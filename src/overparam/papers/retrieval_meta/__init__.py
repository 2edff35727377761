"""Retrieval-Augmented Meta Learning for Low-Resource Text Classification."""
