"""Weight Compander: A Simple Weight Reparameterization for Regularization."""
