"""Feature Learning in Infinite-Width Neural Networks."""
