"""Methods of the papers, for use in your own code. They need torch, NumPy and SciPy only."""
