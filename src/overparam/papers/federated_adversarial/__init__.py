"""Federated Adversarial Learning: A Framework with Convergence Analysis."""
