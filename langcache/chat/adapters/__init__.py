"""Adapters: one module for each framework, which is imported when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._lazy import lazy_names

if TYPE_CHECKING:
    from .asking import AdapterOptions

__all__ = ["AdapterOptions"]

if not TYPE_CHECKING:  # so that type checkers still report wrong names
    __getattr__ = lazy_names(__name__, {"AdapterOptions": "asking"})
