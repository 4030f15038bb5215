"""LangCache."""
