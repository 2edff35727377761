"""Closed forms and exact simulators."""
