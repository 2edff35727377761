"""UNEM: UNrolled Generalized EM for Transductive Few-Shot Learning."""
