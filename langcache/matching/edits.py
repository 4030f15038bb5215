"""Whether a text is another one with a few words changed, which a model gives nearly the same vector.

What can't be known to say the same is taken for another question: the words that are exchanged in a text, or
added to it, are as a rule what it is about, as in prompts that are made from one template.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import chain, pairwise
from operator import ne

from .guard import words as known
from .guard.opposites import opposite_pair, stem
from .guard.spelling import respell
from .languages import ENGLISH, language_of
from .lexicon import contrasts, meaning
from .lists import words_of
from .tidy import is_slip

__all__ = ["says_otherwise"]

_TOKEN = re.compile(
    r"\d+(?:[.,:]\d+)*"
    r"|[\u30a0-\u30ff]+"
    r"|[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u309f\u3400-\u9fff\uf900-\ufaff]"  # no spaces there
    r"|[^\W\d]\w*"
    r"|(?P<end>[.!?\u3002](?=\s|\Z))"
    r"|!=+|[<>=&|+*/%^~]+(?:[?:](?=\S))?|(?<!\w)--?(?=\w)|[\[\]{}@#$\\]"
    r"|[^\x00-\x7f\w\s\u00a1\u00ab\u00b7\u00bb\u00bf\u2010-\u2027\u3000-\u301f\uff00-\uff20]"
)
"""What counts in a text: numbers, words, operators and signs, without what is ordinary punctuation."""
_PART = re.compile(r"[:;\n\"\u201c\u201d\u00ab\u00bb`?!]|(?<!\w)'|'(?!\w)|\.(?=\s|\Z)")
_NOT = re.compile(r"\b(can)(?:not|'t)\b|\b(wo|sha)n't\b|(?<=\w)n't\b")
_SHORTENED = re.compile(r"(?<=\w)'(?:s|m|d|ll|ve|re)\b")
_PHRASE = re.compile(
    r"\b(?:(?P<must>ha(?:ve|s) (?:got )?to|needs? to|(?:is|are|am) (?:required|obliged) to)"
    r"|(?P<every>each|all(?: of)?(?: the)?)|(?P<anymore>any more))\b"
)
_NAME = re.compile(r"(?:(?<=[^\W\d_] )|(?<=[^\W\d_], ))[^\W\d_a-z\u00df-\u00ff][^\W\d_]+")
_SIGNS = "<>=!&|+*/%^~[]{}@#$\\-"
_SIGNS_OF_PROGRAM = 4
_IN_PROGRAMS = words_of("a i s t m x do as at on and in is if then for with this")
"""Small words that are names or operators in a program."""
_RUN = 3
_EDITED = 0.9
"""From this share of a text in runs of three words that another one has too, it is that one, edited."""
_COPIED = 0.5
_NEW = 0.7
"""From `_COPIED` on it is one, too, if of the rest at least this share is words that the other lacks: both
are made from one template."""
_SHORT = 3 * _RUN
"""A text with fewer words may have no such run beside a word that is exchanged."""
_MOST_EXCHANGED = 40
_REACH = 5
"""How many words from a negation, at most, are what it may deny in other words."""


class _Text:
    """A text as the words that say something, in small letters and as stems, sentence by sentence."""

    def __init__(self, text: str) -> None:
        spelt = respell(text)
        small = _SHORTENED.sub("", _NOT.sub(_not, spelt.lower()))
        small = _PHRASE.sub(_in_one_word, small)
        self.tokens: list[str] = []
        ends = [0]
        for found in _TOKEN.finditer(small):
            if found["end"]:
                ends.append(len(self.tokens))
            else:
                self.tokens.append(found[0])
        ends.append(len(self.tokens))
        self.language = language_of(set(self.tokens))
        signs = sum(token[0] in _SIGNS for token in self.tokens)
        self._small = self.language.small - (_IN_PROGRAMS if signs >= _SIGNS_OF_PROGRAM else frozenset())
        self.sentences = [tuple(self._telling(self.tokens[start:end])) for start, end in pairwise(ends)]
        self.words = [word for sentence in self.sentences for word in sentence]
        self.names = set(self._telling([name.lower() for name in _NAME.findall(spelt)]))
        self._text = small

    @cached_property
    def small_parts(self) -> list[list[str]]:
        """The parts of sentences that have small words alone, as what a template is filled in with may be."""
        parts = [[found[0] for found in _TOKEN.finditer(part)] for part in _PART.split(self._text)]
        return [part for part in parts if part and not any(self._telling(part))]

    def _telling(self, tokens: Sequence[str]) -> Iterator[str]:
        for token in tokens:
            word = known.UNITS.get(token, token)
            if word in self._small:
                continue
            if self.language is ENGLISH and word not in ENGLISH.negations:
                word = known.NUMBERS.get(word) or stem(word)
            yield word

    def denied(self, reach: int = 1) -> Iterator[frozenset[str]]:
        """What each negation may be about: so many words after it, and before it too.

        In English with a reach of 1 it is what follows alone.
        """
        negations = self.language.negations
        for sentence in self.sentences:
            for at, word in enumerate(sentence):
                if word in negations:
                    before = reach if reach > 1 or self.language is not ENGLISH else 0
                    yield frozenset(sentence[max(at - before, 0) : at + reach + 1]) - negations


def _not(found: re.Match[str]) -> str:
    return {"can": "can not", "wo": "will not", "sha": "shall not"}.get(found[1] or found[2] or "", " not")


def _in_one_word(found: re.Match[str]) -> str:
    return found.lastgroup or found[0]


_read = lru_cache(maxsize=8)(_Text)


def says_otherwise(one: str, other: str) -> bool:
    """Whether two texts differ in a word that may make another question of them.

    If one is the other with some words changed, these must be synonyms or say nothing. If not, it is the same
    in other words for all that is known, unless one denies what the other says, or, in English, has the
    opposite of one of its words, or they have other names.
    """
    ours, theirs = _read(one), _read(other)
    if ours.words == theirs.words:
        return len(ours.small_parts) == len(theirs.small_parts) and ours.small_parts != theirs.small_parts
    if _is_edited(ours, theirs):
        return not _differ_in_wording_alone(ours, theirs)
    return (
        _is_denied(ours, theirs)
        or _is_denied(theirs, ours)
        or _are_opposite(ours, theirs)
        or bool(ours.names - set(theirs.words) and theirs.names - set(ours.words))
    )


def _is_edited(ours: _Text, theirs: _Text) -> bool:
    if len(ours.words) == len(theirs.words) and set(ours.words) == set(theirs.words):
        return True  # in another order: who does what to whom, from where to where
    if min(len(ours.tokens), len(theirs.tokens)) < _SHORT and len(ours.words) == len(theirs.words):
        exchanged = sum(map(ne, ours.words, theirs.words))
        if 2 * exchanged <= len(ours.words):
            return True
    copied = _copied(ours.tokens, theirs.tokens)
    if copied >= _EDITED or copied < _COPIED:
        return copied >= _EDITED
    shared = sum((Counter(ours.words) & Counter(theirs.words)).values())
    return 1 - 2 * shared / (len(ours.words) + len(theirs.words)) >= _NEW * (1 - copied)


def _copied(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """The share of the one or the other text that is in runs of words of both, whichever is greater."""
    runs = set(_runs(ours)) & set(_runs(theirs))
    return max(_covered(ours, runs), _covered(theirs, runs))


def _runs(tokens: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(tokens[start:] for start in range(_RUN)), strict=False)


def _covered(tokens: Sequence[str], runs: set[tuple[str, ...]]) -> float:
    covered, end = 0, 0
    for at, run in enumerate(_runs(tokens)):
        if run in runs:
            covered += at + _RUN - max(at, end)
            end = at + _RUN
    return covered / max(len(tokens), 1)


def _differ_in_wording_alone(ours: _Text, theirs: _Text) -> bool:
    """Whether two texts have the same words, but for synonyms, in sentences that are the same."""
    here, there = Counter(ours.words), Counter(theirs.words)
    left, right = [*(here - there).elements()], [*(there - here).elements()]
    if len(left) != len(right) or len(left) > _MOST_EXCHANGED:
        return False
    is_english = ours.language is theirs.language is ENGLISH
    said: dict[str, str] = {}
    for word in left:
        same = next((each for each in right if is_english and _mean_the_same(word, each)), None)
        if same is None:
            return False
        right.remove(same)
        said[same] = word
    sentences = [_put(said, sentence) for sentence in theirs.sentences]
    return ours.words == [*chain(*sentences)] or Counter(ours.sentences) == Counter(sentences)


def _put(said: dict[str, str], words: Iterable[str]) -> tuple[str, ...]:
    return tuple(said.get(word, word) for word in words)


def _mean_the_same(one: str, other: str) -> bool:
    if meaning(one, other):
        return not contrasts(one, other)
    return is_slip(one, other) and one[:-1] != other and other[:-1] != one  # "http" is not "https"


def _are_opposite(ours: _Text, theirs: _Text) -> bool:
    if not ours.language is theirs.language is ENGLISH:
        return False
    here, there = set(ours.words), set(theirs.words)
    return opposite_pair(here, there, not ENGLISH.negations.isdisjoint(here | there)) is not None


def _is_denied(ours: _Text, theirs: _Text) -> bool:
    """Whether the other text has what the one denies, and denies none of it."""
    said = set(theirs.words)
    denied = frozenset[str]().union(*theirs.denied(_REACH))
    return any(each & said and denied.isdisjoint(each) for each in ours.denied())
