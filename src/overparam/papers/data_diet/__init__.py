"""Deep Learning on a Data Diet: Finding Important Examples Early in Training."""
