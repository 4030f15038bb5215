"""A guard against hits that look alike and mean something else, by the words that embeddings overlook.

It compares a question with the prompt of an entry and finds numbers, dates, units, symbols, negations,
opposites, names and directions that one has and the other has not. It knows English words, and needs no
model. It errs in both directions: docs/cache-aside.md has figures for how often.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from ...models import CacheEntry
from . import words
from .opposites import join_prefixes, opposite_pair, phrases, stem
from .spelling import respell
from .symbols import Symbols, apart

__all__ = ["difference", "lexical_guard"]


def lexical_guard(question: str, entry: CacheEntry) -> bool:
    """Whether an entry may answer a question, for ``accept=lexical_guard``."""
    return difference(question, entry.prompt) is None


@lru_cache(maxsize=16)  # a score asks for that of the same texts up to three times
def difference(question: str, prompt: str) -> str | None:
    """What sets two questions apart, in a few words; None if the guard sees nothing that does."""
    if question == prompt:
        return None
    ours, theirs = _read(question), _read(prompt)
    same = ours.words == theirs.words
    for what, here, there in (
        ("numbers", ours.numbers, theirs.numbers),
        ("dates", ours.dates, ours.dates if same else theirs.dates),  # may and May
        ("units", ours.units, theirs.units),
    ):
        if here != there:
            return f"{what}: {_shown(here)} against {_shown(there)}"
    if symbol := apart(ours.symbols, theirs.symbols, ours.words, theirs.words):
        return symbol
    if same:
        return None
    # "Not open" is "closed", unless both are negated.
    unsaid = set[str]() if ours.denied and theirs.denied else ours.denied | theirs.denied
    if found := opposite_pair(ours.said - unsaid, theirs.said - unsaid, bool(ours.denied or theirs.denied)):
        return f"opposites: {found[0]} against {found[1]}"
    for one, other in ((ours, theirs), (theirs, ours)):
        if one.denied and not other.negative:
            both = one.denied & other.stems
            return f"negated: {_shown(both)}" if both else "one is negated and the other is not"
    for one, other in ((ours, theirs), (theirs, ours)):
        foreign = {name for name in one.names if not other.has(name)}
        if foreign and (other.names or not other.cased):
            return f"names: {_shown(foreign)} only in one"
    for word, after in ours.directions.items():
        turned = theirs.directions.get(word)
        if turned is not None and turned != after and {turned, after} <= ours.stems & theirs.stems:
            return f"direction: {word} {after} against {word} {turned}"
    for going, coming in ((ours.directions, theirs.directions), (theirs.directions, ours.directions)):
        aim = going.get("to") or going.get("into")
        if aim and aim == coming.get("from") and "from" not in going and "to" not in coming:
            return f"direction: to {aim} against from {aim}"
    return None


_WORD = re.compile(
    r"\d{4}-\d{2}-\d{2}|\$(?![A-Za-z_{])|[€£¥]|\d+(?:[.,]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*|%(?![A-Za-z])"
)
_SHORT = 400
_REACH = 5
"""From a negation on, the word that is denied is within so many."""
_ROMAN = re.compile("[IVX]{2,}")  # a number
_ORDINAL_OR_UNIT = re.compile(r"(?<=\d)(?=[^\W\d_])")

_NEGATIVE_PREFIX = re.compile(
    r"(?:un(?!der|i|til|less|it|do|locks?$|subscrib|install|block|freez|froz|mut|encrypt|zip)|im(?=p(?:oss|roper))"
    r"|il(?=leg)|ir(?=re[gs])|in(?=(?:valid|correct|complete|secure|sufficient|visible|active|efficient)\b)"
    r"|non(?=[a-z]{4}))[a-z]{3,}"
)


class _Text:
    """What the guard looks at in one text."""

    def __init__(self, text: str) -> None:
        text = respell(text)
        self.symbols = Symbols(text)
        tokens = _WORD.findall(_ORDINAL_OR_UNIT.sub(" ", join_prefixes(text)))
        self.words = [token.lower() for token in tokens]
        self.stems = {stem(word) for word in self.words}
        said, others = phrases(self.words)
        self.said = self.stems | said
        letters = [token for token in tokens if token[0].isalpha()]
        capitals = [token for token in letters if token[0].isupper()]
        # In text that is all capitals or all small, or a headline, capitals tell no names.
        self.cased = 0 < len(capitals) <= max(2, 0.6 * len(letters)) and not (
            len(letters) > 2 and all(token.isupper() for token in letters)
        )
        self.numbers = self.symbols.numbers
        self.dates = self._dates(tokens)
        self.units = {words.UNITS[word] for word in self.words if word in words.UNITS} | self.symbols.units
        self.negative = any(map(_is_negative, others))
        self.denied = set(_denied(others))
        self.names = self._names(tokens) if self.cased else set[str]()
        self.directions = self._directions()
        self._joined = "".join(self.words)

    def has(self, name: str) -> bool:
        """Whether a name occurs here, however it is written: ``Wi-Fi`` in ``wifi``."""
        return stem(name) in self.stems or name in self._joined

    def _dates(self, tokens: list[str]) -> set[str]:
        dates: set[str] = set()
        for at, (token, word) in enumerate(zip(tokens, self.words, strict=True)):
            singular = word.removesuffix("'s").removesuffix("s")
            if token.removesuffix("'s") in words.DATES or singular in words.DATES:
                dates.add(singular)
            following = self.words[at + 1].removesuffix("'s") if at + 1 < len(self.words) else ""
            if word in words.RELATIVE and following in words.PERIODS:
                dates.add(f"{words.RELATIVE[word]} {following}")
        return {date.lower() for date in dates}

    def _names(self, tokens: list[str]) -> set[str]:
        return {
            word
            for token, word in zip(tokens, self.words, strict=True)
            if token[0].isupper()
            and word not in words.SMALL_WORDS
            and word not in words.UNITS
            and word not in words.NUMBERS
            and not _ROMAN.fullmatch(token)
            and not word.startswith("i'")
            and word.isalpha()
        } - self._first_word(tokens)

    def _first_word(self, tokens: list[str]) -> set[str]:
        # Its capital says nothing, unless more of them follow.
        return {self.words[0]} if tokens and not tokens[0][1:].isupper() else set()

    def _directions(self) -> dict[str, str]:
        directions: dict[str, str] = {}
        for word, *following in zip(self.words, self.words[1:], [*self.words[2:], ""], strict=False):
            if word in words.DIRECTIONS:
                if following[0] in ("a", "an", "the"):  # "list" is a noun then
                    content = following[1]
                else:
                    content = next((after for after in following if after not in words.SMALL_WORDS), "")
                if content:
                    directions[word] = stem(content)
        return directions


def _read(text: str) -> _Text:
    return _kept(text) if len(text) <= _SHORT else _Text(text)


_kept = lru_cache(maxsize=512)(_Text)
"""An entry that is found is found again, mostly."""


def _is_negative(word: str) -> bool:
    return word in words.NEGATIONS or word.endswith("n't") or _NEGATIVE_PREFIX.fullmatch(word) is not None


def _denied(said: Sequence[str]) -> Iterator[str]:
    """What follows each negation: the stem of a word, or "" if small words do."""
    for at, word in enumerate(said):
        if word in words.NEGATIONS or word.endswith("n't"):
            yield next(
                (stem(each) for each in said[at + 1 : at + _REACH] if each not in words.NOT_DENIED), ""
            )


def _shown(found: set[str]) -> str:
    return ", ".join(sorted(found)) or "none"
