"""Using Degeneracy in the Loss Landscape for Mechanistic Interpretability."""
