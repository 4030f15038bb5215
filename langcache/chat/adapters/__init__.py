"""Adapters: one module for each framework, which is imported when it is used."""
