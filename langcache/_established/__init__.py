"""Compatibility with the established client: its module paths, and errors that correct wrong names."""
