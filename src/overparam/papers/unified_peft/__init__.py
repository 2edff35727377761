"""Towards a Unified View of Parameter-Efficient Transfer Learning."""
