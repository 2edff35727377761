"""The command line: one module a command group, words and layout only."""
