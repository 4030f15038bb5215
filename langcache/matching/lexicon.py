"""English words that say the same, and terms of which two different ones never say the same.

The lists are in ``same.txt`` and ``apart.txt`` beside this file, which say what belongs in them. Each is read
once, by `load` or when it is first needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise

from .guard.opposites import stem
from .guard.words import NUMBERS
from .lists import lines_of

__all__ = ["contrasting", "contrasts", "groups_in", "load", "meaning", "synonym_in", "terms_in"]

_Places = tuple[tuple[int, int], ...]
"""The groups that a term is in, and its side in each, by number."""
_Groups = dict[str, _Places]
"""The places of each term. The stems of a term of several words are joined by hyphens."""


def load() -> None:
    """Read the lists, which takes some 15 ms."""
    _same()
    _beginnings()


def meaning(one: str, other: str) -> bool:
    """Whether two stems say the same."""
    if one == other:
        return True
    return synonym_in([other], one) is not None


def synonym_in(others: Iterable[str], word: str) -> str | None:
    """The first of some stems that says the same as another one; None if none does."""
    known = _same()
    if word not in known:
        return None
    ours = known[word]
    for other in others:
        if other in known and not known[other].isdisjoint(ours):
            return other
    return None


def contrasts(one: str, other: str) -> bool:
    """Whether two stems, or terms that `terms_in` finds, exclude each other."""
    return contrasting([one], [other]) > 0


def contrasting(ours: Iterable[str], theirs: Iterable[str]) -> int:
    """How many of some stems or terms exclude one of some others; the lesser count of both directions."""
    known = _apart()
    here = [known[word] for word in ours if word in known]
    there = [known[word] for word in theirs if word in known] if here else []
    return min(_excluding(here, there), _excluding(there, here)) if there else 0


def _excluding(ours: Iterable[_Places], theirs: Iterable[_Places]) -> int:
    sides: dict[int, set[int]] = {}
    for places in theirs:
        for group, side in places:
            sides.setdefault(group, set()).add(side)
    return sum(any(group in sides and sides[group] != {side} for group, side in places) for places in ours)


def terms_in(stems: Sequence[str]) -> frozenset[str]:
    """The terms of two or three words in ``apart.txt`` that the stems of a text's words have in them."""
    begun = _beginnings()
    starts = [at for at, (one, two) in enumerate(pairwise(stems)) if one in begun and two in begun[one]]
    if not starts:
        return frozenset()
    terms = ("-".join(stems[at : at + count]) for at in starts for count in (2, 3))
    return frozenset(term for term in terms if term in _apart())


def groups_in(file: str) -> Iterator[list[list[str]]]:
    """The groups of one of the two lists: the terms of each side, as they are written."""
    for line in "\n".join(lines_of(file)).replace(",\n ", ",").splitlines():
        yield [side.split() for side in line.split(",")]


@cache
def _same() -> dict[str, frozenset[tuple[int, int]]]:
    return {term: frozenset(places) for term, places in _placed("same.txt").items()}


@cache
def _apart() -> _Groups:
    return _placed("apart.txt")


@cache
def _beginnings() -> dict[str, set[str]]:
    """The first words of the terms of several words, each with the words that come second."""
    found: dict[str, set[str]] = {}
    for term in _apart():
        if "-" in term:
            one, two, *_ = term.split("-")
            found.setdefault(one, set()).add(two)
    return found


def _placed(file: str) -> _Groups:
    found: _Groups = {}
    for group, sides in enumerate(groups_in(file)):
        for side, terms in enumerate(sides):
            place = ((group, side),)
            for term in map(_stems, terms):
                found[term] = found[term] + place if term in found else place
    return found


def _stems(term: str) -> str:
    if "-" not in term:
        return stem(term)
    return "-".join(stem(NUMBERS.get(word, word)) for word in term.split("-"))
