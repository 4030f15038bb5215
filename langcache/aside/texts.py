"""Compares texts without regard to case and spacing."""

from __future__ import annotations

import unicodedata

__all__ = ["folded"]


def folded(text: str) -> str:
    """A text without its case, its spacing and the form of its Unicode, to compare it with another."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
