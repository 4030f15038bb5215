"""What is stored and asked when caches are compared, and the vectors of it, which all of them are given.

An entry's prompt ends with ``entry N`` and a question with ``query N``: row N of ``entries.npy`` or of
``queries.npy``. Reading them takes the standard library only, since each environment imports this.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path

import texts

__all__ = ["DIMENSIONS", "QUESTIONS", "THRESHOLD", "expected", "prompt", "question", "read", "response"]

DIMENSIONS = 256
QUESTIONS = 500
"""Every other one is near the entry of its number, with a cosine of .96; the others are to find nothing."""

THRESHOLD = 0.9

_FILES = {"entry": "entries.npy", "query": "queries.npy"}


def prompt(number: int) -> str:
    """The prompt of an entry."""
    return f"What should a customer do about entry {number}"


def question(number: int) -> str:
    """A question: one that is to hit, if its number is even."""
    return f"What should a customer do about query {number}"


def response(number: int) -> str:
    """The response of an entry."""
    return f"{number} {texts.RESPONSE}"


def expected(number: int) -> str | None:
    """The right answer to a question."""
    return None if number % 2 else response(number)


def read(folder: Path) -> Callable[[str], bytes]:
    """A function that gives the vector of a text: float32, as bytes. The files are mapped, not read."""
    rows: dict[str, tuple[mmap.mmap, int]] = {}
    for kind, name in _FILES.items():
        with (folder / name).open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        rows[kind] = (mapped, 10 + int.from_bytes(mapped[8:10], "little"))  # where numpy's header ends
    size = 4 * DIMENSIONS

    def vector(text: str) -> bytes:
        _, kind, number = text.rsplit(" ", 2)
        mapped, begin = rows[kind]
        at = begin + size * int(number)
        return mapped[at : at + size]

    return vector
