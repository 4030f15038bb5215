"""Lists of words and phrases, as they are written in files of this folder and in code."""

from __future__ import annotations

from pathlib import Path

__all__ = ["lines_of", "words_of"]


def lines_of(file: str) -> list[str]:
    """The lines of a file of this folder, without blank ones and those that begin with ``#``."""
    text = (Path(__file__).parent / file).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def words_of(text: str) -> frozenset[str]:
    """The words of a list that is written as one text."""
    return frozenset(text.split())
