"""The Daily Papers page: pages, API, live runs."""
