"""Pre-training under infinite compute."""
