"""Mind The Gap: Deep Learning Doesn't Learn Deeply."""
