"""The pages, a module for each part of the site; each has its `routes`."""
