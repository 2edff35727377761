"""Sharpness-Aware Training for Free."""
