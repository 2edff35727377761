"""Ways to train, on plain PyTorch."""
