"""Benign Overfitting and Grokking in ReLU Networks for XOR Cluster Data."""
