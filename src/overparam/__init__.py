"""Daily Papers that you can run: methods, claims and evidence of over-parameterised learning."""

__version__ = "0.1.0"
