"""Texts that may be templates are found only by the same text."""

from __future__ import annotations

from typing import Any

from ..models import SearchStrategy

__all__ = ["set_strategies"]

_LONGEST_QUESTION = 200
_EXACT = (SearchStrategy.EXACT,)


def set_strategies(options: dict[str, Any], text: str) -> None:
    """Have a text that may be more than the question be found only by the same text.

    That is one of several lines or of more than 200 characters, such as a template with what was found about
    the question. Two questions in one template are nearly the same text, which no comparison of meanings
    tells apart. Strategies that ``options`` names stay.
    """
    if len(text) > _LONGEST_QUESTION or len(text.splitlines()) > 1:
        options.setdefault("search_strategies", _EXACT)
