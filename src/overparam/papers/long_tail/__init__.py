"""Does Learning Require Memorization? A Short Tale about a Long Tail."""
