"""The import path where the established client has its class."""

from __future__ import annotations

from .sync import LangCache

__all__ = ["LangCache"]
