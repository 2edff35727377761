"""Predictable Scale: Part I, Step Law."""
