"""What a trained network has memorised, how sharp it is, what it knows."""
