"""Scalable Neural Network Kernels."""
