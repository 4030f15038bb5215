"""How likely one question has the answer to another, and the similarity that stands for it.

The likelihood comes from a logistic regression over `features`, whose weights are in ``weights.json``. They
are fitted by ``tests/quality/fit.py``; there are three sets of them, for what is known of a pair: the two
texts alone, the cosine of their vectors too, or vectors for each of their words as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from operator import mul
from pathlib import Path

import msgspec

from . import lexicon, tidy
from .edits import says_otherwise
from .features import ALIGNED, COSINE, LEXICAL, Reading, compared, lexical
from .guard import difference
from .order import order_differs

__all__ = [
    "FEATURES",
    "REPEATED",
    "STRICT",
    "are_told_apart",
    "is_repeated",
    "is_verifiable",
    "likelihood",
    "load",
    "most_likely",
    "similarity_of",
    "what_texts_say",
]

FEATURES = {
    "texts": tuple(LEXICAL),
    "cosine": (*LEXICAL, *COSINE),
    "words": (*LEXICAL, *COSINE, *ALIGNED),
}
"""The features of each set of weights."""

REPEATED = 0.99
"""The similarity of questions that differ in politeness, punctuation and slips of the keyboard only."""

STRICT = 0.9
"""The similarity of a likelihood of 0.6: a threshold for those who would rather miss than be wrong."""

_EVEN = 0.85
"""The similarity of a likelihood of 0.5, which is the default threshold of a local service."""
_STRICT_LIKELIHOOD = 0.6
_MOST_WORDS = 40
_SIGNS = ("symbols", "versions")
"""What `lexical_guard` sees in any text, besides numbers; the others say too little of a long one."""
_PARTS_OF_NUMBERS = frozenset(("one", "st", "nd", "rd", "th", "am", "pm"))
_MOST = 0.989
"""More is for questions that are the same."""


class _Weights(msgspec.Struct, forbid_unknown_fields=True):
    intercept: float
    weights: dict[str, float]


def load() -> None:
    """Read the lists of words and the weights, some 20 ms, which the first comparison would do otherwise."""
    lexicon.load()
    tidy.load()
    for kind in FEATURES:
        _weights(kind)


def likelihood(kind: str, values: Sequence[float]) -> float:
    """How likely the answers to two questions are one, 0 to 1, from the values of ``FEATURES[kind]``.

    Of "cosine" and "words" it is on the low side: the fit counts a wrong hit 1.5 times.
    """
    intercept, weights = _weights(kind)
    return _logistic(intercept + sum(map(mul, weights, values)))


def most_likely(kind: str, values: Sequence[float]) -> float:
    """The highest likelihood that the first of the values leave possible; the others are from -1 to 1."""
    intercept, weights = _weights(kind)
    others = sum(map(abs, weights[len(values) :]))
    return _logistic(intercept + sum(map(mul, weights, values)) + others)


def similarity_of(likelihood: float) -> float:
    """The similarity for a likelihood: 0 for 0, 0.85 for 0.5, 0.9 for 0.6, linear between; at most 0.989."""
    if likelihood < 0.5:
        return likelihood * 2 * _EVEN
    if likelihood < _STRICT_LIKELIHOOD:
        return _EVEN + (likelihood - 0.5) * (STRICT - _EVEN) / (_STRICT_LIKELIHOOD - 0.5)
    return min(STRICT + (likelihood - _STRICT_LIKELIHOOD) * (1 - STRICT) / (1 - _STRICT_LIKELIHOOD), _MOST)


def what_texts_say(one: str, other: str) -> float | list[float] | None:
    """The similarity of two texts, if they settle it, or else the values of `LEXICAL`.

    None for long texts and other languages than English in which nothing is seen to differ.
    """
    ours, theirs = compared(one, other)
    if are_told_apart(ours, theirs):
        return 0.0
    if not is_verifiable(ours, theirs):
        return None
    if is_repeated(ours, theirs):
        return REPEATED
    return lexical(ours, theirs)


def is_verifiable(one: Reading, other: Reading) -> bool:
    """Whether the weights say anything of two texts: they are English, and not long.

    Beyond some 20 words in each, the cosine of two texts tells more than their words.
    """
    return one.is_english and other.is_english and len(one.words) + len(other.words) <= _MOST_WORDS


def are_told_apart(one: Reading, other: Reading) -> bool:
    """Whether two texts differ in what the weights can't tell, so that one does not answer the other.

    In texts that they say nothing of, these are other numbers and what `edits.says_otherwise` sees; in texts
    of the same words, but for numbers, what `lexical_guard` sees, or their order: from 2 to 3, from 3 to 2,
    or what `order_differs` sees.
    """
    if not is_verifiable(one, other):
        return _are_told_apart_by_signs(one, other) or says_otherwise(one.text, other.text)
    if len(one.content) == len(other.content) and order_differs(one.words, other.words):
        return True
    if _subject(one) != _subject(other):
        return False
    if sorted(one.words) == sorted(other.words) and _numbers_of(one) != _numbers_of(other):
        return True
    return difference(one.text, other.text) is not None


def _are_told_apart_by_signs(one: Reading, other: Reading) -> bool:
    reason = difference(one.text, other.text)
    kind = "" if reason is None else reason.partition(":")[0]
    if kind == "numbers":  # "two" is a number in English alone
        return any(map(str.isdigit, one.text + other.text))
    return kind in _SIGNS or (kind == "units" and one.is_english and other.is_english)


def _subject(reading: Reading) -> set[str]:
    return {word for word in reading.content if not word[0].isdigit() and word not in _PARTS_OF_NUMBERS}


def _numbers_of(reading: Reading) -> list[str]:
    return [word for word in reading.words if word in reading.numbers]


def is_repeated(one: Reading, other: Reading) -> bool:
    """Whether two texts have the same words, once politeness and slips of the keyboard are set aside."""
    return (
        not one.is_reworded
        and bool(one.words)
        and one.words == other.words
        and difference(one.text, other.text) is None
    )


def _logistic(total: float) -> float:
    return 1 / (1 + math.exp(-max(total, -700)))


@cache
def _weights(kind: str) -> tuple[float, tuple[float, ...]]:
    path = Path(__file__).with_name("weights.json")
    found = msgspec.json.decode(path.read_bytes(), type=dict[str, _Weights])[kind]
    return found.intercept, tuple(found.weights[name] for name in FEATURES[kind])
