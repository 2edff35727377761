"""The Universality Lens: Why Even Highly Over-Parametrized Models Learn Well."""
