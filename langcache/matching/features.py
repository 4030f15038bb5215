"""What two questions have in common and what sets them apart, as the numbers that `score` weighs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from copy import copy
from functools import lru_cache

from .asked import Asked, asked, asks_another, quantities_differ, times_differ
from .guard import difference
from .guard.numbers import spelt_as
from .guard.opposites import stem
from .guard.spelling import respell
from .guard.words import NUMBERS, SMALL_WORDS
from .languages import ENGLISH, language_of
from .lexicon import contrasting, synonym_in, terms_in
from .roles import Roles, roles_of, roles_turned
from .tidy import mended, without_politeness
from .wording import in_one_wording

__all__ = ["ALIGNED", "COSINE", "LEXICAL", "Reading", "compared", "is_content", "lexical"]

LEXICAL = {
    "least_alone": -1,
    "most_alone": -1,
    "none_alone": 1,
    "one_contains": 1,
    "one_exchanged": 0,
    "synonyms": 1,
    "contrasts": -1,
    "shared": 0,
    "shared_by_length": 0,
    "trigrams": 0,
    "numbers_exchanged": -1,
    "names_exchanged": -1,
    "names_alone": -1,
    "length": 0,
    "guard": -1,
    "guard_numbers": -1,
    "guard_units": -1,
    "guard_negated": -1,
    "guard_denied": -1,
    "guard_opposites": -1,
    "guard_names": -1,
    "guard_direction": -1,
    "asked_otherwise": -1,
}
"""The features that need no model, each with the sign that its weight may have: 1, -1, or 0 for either.

What can only speak for one answer, such as a synonym, must not be taken for the contrary because the pairs
of one set happen to be made so. "Alone" counts the words with a meaning that only one of the texts has.
"""
COSINE = {"cosine": 1, "cosine_squared": 0}
"""The features that an embedder gives: the cosine of the vectors, counted from that of unrelated prompts."""
ALIGNED = {
    "greater_least": 1,
    "mean_alone_cosine": 1,
    "exchanged_cosine": 1,
}
"""The features that vectors of words give (`langcache.service.alignment`)."""

_GUARD = {name: name.removeprefix("guard_") for name in LEXICAL if name.startswith("guard_")}
"""The kind of reason that each of these features stands for."""
_KINDS = {"one is negated and the other is not": "negated", "negated": "denied", "versions": "symbols"}
_SHORT = 400
_FEW_WORDS = 44
"""Texts with more words together are compared as they are: "return" in a program is not "give back"."""
_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*")
_MORE_SMALL_WORDS = """
about am any been being by from get getting got had has having here into i'm i've i'd i'll it's just let's me
my myself now off onto our ours out over really than that's then there's too up very what's where's who's
how's while your you're you've yours im ive dont doesn't don't
"""
_WITH_A_MEANING = "until plan recipe recipes best cheap good write compare translate convert"
_SMALL = (SMALL_WORDS | frozenset(_MORE_SMALL_WORDS.split())) - frozenset(_WITH_A_MEANING.split())


def is_content(word: str) -> bool:
    """Whether a word, in small letters, says something of a question's subject."""
    return word not in _SMALL and any(map(str.isalnum, word))


class Reading:
    """What can be said of a text on its own."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_reworded: bool = False
        self.phrases: int = 0
        """How many phrases have the words of the text that this is compared with."""
        spelt = respell(text)
        tokens: list[str] = _TOKEN.findall(spelt)
        self.words: list[str] = _words(tokens)
        stems = [*map(stem, self.words)]
        pairs = zip(self.words, stems, strict=True)
        self.content: list[str] = list(dict.fromkeys(each for word, each in pairs if word not in _SMALL))
        self.terms: frozenset[str] = terms_in(stems)
        self.trigrams: frozenset[str] = _trigrams(self.words)
        self.numbers: frozenset[str] = frozenset(word for word in self.words if word[0].isdigit())
        capitals = () if spelt.isupper() else (_plain(token) for token in tokens[1:] if token[0].isupper())
        self.names: frozenset[str] = frozenset(stem(word) for word in capitals if word not in _SMALL)
        self.asked: Asked = asked(self.words, spelt.lower())
        self.roles: Roles = roles_of(self.words)
        self.is_english: bool = language_of(set(self.words)) is ENGLISH and (
            text.isascii() or any(word in _SMALL for word in self.words)
        )


def compared(one: str, other: str) -> tuple[Reading, Reading]:
    """Two texts without politeness, the first with the second's words where only slips and wording differ."""
    ours, theirs = without_politeness(one), without_politeness(other)
    stored = _read(theirs)
    is_short = len(ours.split()) + len(stored.words) <= _FEW_WORDS and len(ours) <= _SHORT
    # In other languages a letter makes another word: "hermano", "hermana".
    repeated = spelt_as(mended(ours, theirs) if is_short and stored.is_english else ours, theirs)
    reworded, exchanged = in_one_wording(repeated, theirs) if is_short else (repeated, 0)
    if reworded == repeated:
        return _read(repeated), stored
    reading = copy(_read(reworded))  # which is the other text, as often as not
    reading.is_reworded = True
    reading.phrases = exchanged
    reading.trigrams = _trigrams(_words(_TOKEN.findall(respell(repeated))))
    return reading, stored


def _read(text: str) -> Reading:
    return _kept(text) if len(text) <= _SHORT else Reading(text)


_kept = lru_cache(maxsize=512)(Reading)
"""An entry that is found is found again, mostly."""


def lexical(one: Reading, other: Reading) -> list[float]:
    """The values of `LEXICAL`, in its order. The same for two texts in either order."""
    shared = set(one.content) & set(other.content)
    ours = [word for word in one.content if word not in shared]
    theirs = [word for word in other.content if word not in shared]
    exchanged = len(ours) == len(theirs) == 1
    synonyms = one.phrases + other.phrases
    for word in tuple(ours):
        same = synonym_in(theirs, word)
        if same is not None:
            ours.remove(word)
            theirs.remove(same)
            synonyms += 1
    exclusive = min(contrasting(ours, theirs), 2)
    if not exclusive and (one.terms or other.terms):
        # What one term excludes may be found from both sides, so that two here need not be two exchanges.
        exclusive = min(_terms_contrasting(one, other, theirs) + _terms_contrasting(other, one, ours), 1)
    least, most = sorted((len(ours), len(theirs)))
    content = len(one.content) + len(other.content)
    in_common = 2 * (len(shared) + synonyms) / content if content else 1.0
    length = min(max(len(one.words), len(other.words)), 30) / 10
    trigrams = len(one.trigrams) + len(other.trigrams)
    numbers = one.numbers - other.numbers, other.numbers - one.numbers
    names = one.names - set(other.content), other.names - set(one.content)
    reason = difference(one.text, other.text)
    kind = "" if reason is None else _kind(reason)
    asks = one.asked, other.asked
    otherwise = asks_another(*asks) + times_differ(*asks) + quantities_differ(*asks)
    otherwise += roles_turned(one.roles, other.roles)
    values: dict[str, float] = {
        "least_alone": min(least, 4),
        "most_alone": min(most, 6),
        "none_alone": not most and reason is None,
        "one_contains": not least,
        "one_exchanged": exchanged,
        "synonyms": min(synonyms, 3),
        "contrasts": exclusive,
        "shared": in_common,
        "shared_by_length": in_common * length,
        "trigrams": 2 * len(one.trigrams & other.trigrams) / trigrams if trigrams else 1.0,
        "numbers_exchanged": all(numbers),
        "names_exchanged": all(names),
        "names_alone": any(names),
        "length": length,
        "guard": reason is not None,
        **{name: kind == each for name, each in _GUARD.items()},
        "asked_otherwise": min(otherwise, 2),
    }
    return [float(values[name]) for name in LEXICAL]


def _words(tokens: Iterable[str]) -> list[str]:
    return [NUMBERS.get(word, word) for word in map(_plain, tokens)]


def _trigrams(words: Iterable[str]) -> frozenset[str]:
    joined = f" {' '.join(words)} "
    return frozenset(map("".join, zip(joined, joined[1:], joined[2:], strict=False)))


def _terms_contrasting(one: Reading, other: Reading, words: Sequence[str]) -> int:
    """How many terms of one text exclude another one's, or its words, as "employed" in "self-employed"."""
    terms = one.terms - other.terms
    shared = (part for term in terms for part in term.split("-") if part in other.content)
    return contrasting(terms, (*(other.terms - one.terms), *words, *shared))


def _plain(token: str) -> str:
    return token.lower().removesuffix("'s")  # "Spain's capital" is the capital of Spain


def _kind(reason: str) -> str:
    kind = reason.partition(":")[0]
    return _KINDS.get(kind, kind)
