"""A Layered Self-Supervised Knowledge Distillation Framework for Efficient Multimodal Learning on the Edge."""
