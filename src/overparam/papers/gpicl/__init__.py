"""General-Purpose In-Context Learning by Meta-Learning Transformers."""
