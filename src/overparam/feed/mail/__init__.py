"""Subscriptions, digests and how they are sent."""
