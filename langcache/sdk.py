"""The import path that the established client uses for its class."""

from __future__ import annotations

from .sync import LangCache

__all__ = ["LangCache"]
