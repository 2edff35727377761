"""A paper pack outside overparam, found by its entry point: the tests run it."""
