"""The client's last word on a hit: `verifier`, which compares the texts of a question and of an entry."""

from __future__ import annotations

from ..models import CacheEntry
from .features import compared, lexical
from .score import REPEATED, is_repeated, is_verifiable, likelihood

__all__ = ["are_equal", "confidence", "verifier"]

_LEAST = 0.5


def verifier(question: str, entry: CacheEntry) -> bool:
    """Whether an entry may answer a question, for ``accept=verifier``, which is the default.

    It weighs what the question and the entry's prompt have in common and what only one of them has: words,
    synonyms and opposites, numbers, names, negations, symbols. It needs no model, knows English, and takes
    about 0.3 ms; texts that are equal but for case and spacing take nothing. Greetings, politeness and slips
    of the keyboard make no difference. It does not look at ``entry.similarity``, which stands for something
    else with each service, and accepts what it can't judge: texts of more than some 20 words each, and other
    languages.
    """
    sure = confidence(question, entry)
    return sure is None or sure >= _LEAST


def confidence(question: str, entry: CacheEntry) -> float | None:
    """How likely an entry answers a question, 0 to 1, from the two texts; None if they can't be judged.

    `verifier` accepts 0.5 and more, and what can't be judged. It is 1 for texts that are equal but for case
    and spacing, and 0.99 for those that differ in politeness and slips of the keyboard alone.
    """
    if are_equal(question, entry.prompt):
        return 1.0
    one, other = compared(question, entry.prompt)
    if not is_verifiable(one, other):
        return None
    return REPEATED if is_repeated(one, other) else likelihood("texts", lexical(one, other))


def are_equal(one: str, other: str) -> bool:
    """Whether two texts are equal but for case and spacing."""
    return one == other or one.casefold().split() == other.casefold().split()
