"""Truncated backpropagation through time, and all that it takes to do it well."""
