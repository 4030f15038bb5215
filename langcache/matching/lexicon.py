"""English words that say the same, and words of which two different ones never say the same."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .guard.opposites import stem

__all__ = ["contrasts", "meaning"]


def _lines(name: str) -> list[str]:
    return Path(__file__).with_name(name).read_text("ascii").splitlines()


def _apart(lines: Iterable[str]) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for number, line in enumerate(lines):
        for at, side in enumerate(line.split("/")):
            for word in side.split():
                found.setdefault(stem(word), []).append((number, at))
    return found


_NONE: frozenset[str] = frozenset()
_MEANING: dict[str, set[str]] = {}
for _words in map(str.split, _lines("synonyms.txt")):
    for _word in _words:
        _MEANING.setdefault(stem(_word), set()).add(_words[0])
_SIDES = _apart(_lines("contrasts.txt"))


def meaning(one: str, other: str) -> bool:
    """Whether two stems say the same."""
    return one == other or not _MEANING.get(one, _NONE).isdisjoint(_MEANING.get(other, _NONE))


def contrasts(one: str, other: str) -> bool:
    """Whether two stems exclude each other."""
    there = dict(_SIDES.get(other, ()))
    return any(there.get(number, at) != at for number, at in _SIDES.get(one, ()))
