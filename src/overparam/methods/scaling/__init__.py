"""Laws that tell you before you train."""
