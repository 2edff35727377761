"""On the Generalization Mystery in Deep Learning."""
