"""Fantastic Generalization Measures are Nowhere to be Found."""
