"""Opposites: the words of a list, and words that differ in a prefix or a suffix (``un-``, ``-less``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import lru_cache

from ..lists import lines_of
from . import words

__all__ = ["join_prefixes", "opposite_pair", "phrases", "stem", "stems_of"]

_HYPHENED = re.compile(
    r"(?<![\w-])(un|dis|non|mis|de|anti|pre|post|intra|inter|hyper|hypo|re|micro|macro)"
    r"-(?=[a-z]{3})",
    re.IGNORECASE,
)


def join_prefixes(text: str) -> str:
    """A text in which a prefix and its word are one: ``non-profit`` is ``nonprofit``."""
    return _HYPHENED.sub(r"\1", text)


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """A word without the endings that don't change what it means. Crude, but the same for both texts."""
    word = word.removesuffix("'s")
    word = words.IRREGULAR.get(word, word)
    if word in words.KEEP:
        return word.rstrip("s") if word in ("pros", "cons") else word
    if word.endswith(("ee", "ees")):
        return word.removesuffix("s")  # an employee is no employer
    for ending, least in (("ing", 4), ("ed", 3), ("es", 4), ("s", 3), ("e", 3)):
        if word.endswith(ending) and len(word) - len(ending) >= least and not word.endswith("ss"):
            word = word[: -len(ending)]
            if ending in ("ing", "ed") and len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lszf":
                word = word[:-1]  # stopped, running; but passed, staffed
            return _with_one_l(word.removesuffix("e") if len(word) > 3 else word)  # uses, use
    return _with_one_l(word)


def stems_of(text: str) -> frozenset[str]:
    """The stems of a list of words that is written as one text."""
    return frozenset(map(stem, text.split()))


def _with_one_l(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("ll") else word  # cancelled, cancel; called, call


def phrases(words: Sequence[str]) -> tuple[set[str], Sequence[str]]:
    """The stems of the words for which a text in small letters has phrases, and its words without these.

    "Take it off" is "remove".
    """
    if _PHRASES.keys().isdisjoint(words):
        return set(), words
    small = " ".join(words)
    found: set[str] = set()
    left: list[str] = []
    at = done = 0
    for word in words:
        if at >= done:
            phrase = _PHRASES[word].match(small, at) if word in _PHRASES else None
            if phrase is None:
                left.append(word)
            else:
                found.add(stem(phrase.lastgroup or ""))
                done = phrase.end()
        at += len(word) + 1
    return found, left


def opposite_pair(ours: Set[str], theirs: Set[str], negated: bool) -> tuple[str, str] | None:
    """A stem of one text and one of another that are opposites; ``negated`` if one of the texts has a not."""
    only_ours, only_theirs = ours - theirs, theirs - ours
    for word in only_ours:
        if listed := _LISTED.get(word, frozenset()) & only_theirs:
            return word, min(listed)
    for here, there in ((only_ours, only_theirs), (only_theirs, only_ours)):
        for word in here:
            if opposite := _affixed(word, there, negated):
                return (word, opposite) if here is only_ours else (opposite, word)
    return None


def _affixed(word: str, others: Set[str], negated: bool) -> str | None:
    if word in _NOT_PREFIXED or len(word) < 5:
        return None
    for length in range(1, 8):
        prefix, rest = word[:length], word[length:]
        if len(rest) < 3:
            break
        if prefix in words.NEGATING and not negated and rest in others and (length > 1 or len(rest) > 5):
            return rest
        for other in _PREFIXES.get(prefix, ()):
            if other + rest in others and other + rest not in _NOT_PREFIXED:
                return other + rest
    for suffix, turned in _SUFFIXES.items():
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            for other in turned:
                if (found := word.removesuffix(suffix) + other) in others:
                    return found
    return None


def _pairs(lines: Iterable[str]) -> dict[str, frozenset[str]]:
    pairs: dict[str, frozenset[str]] = {}
    for line in lines:
        one, other = (frozenset(side.split()) for side in line.split(" / "))
        for these, those in ((one, other), (other, one)):
            for word in these:
                pairs[word] = pairs.get(word, frozenset()) | those
    return pairs


def _phrases(lines: Iterable[str]) -> dict[str, re.Pattern[str]]:
    """What finds the phrases of lines such as "remove = take * off, [get rid of]", by the first word.

    A phrase is in a group with the name of the word for which it stands.
    """
    same = {line.partition(", ")[0]: line for line in lines_of("phrases.txt")}
    rules: dict[str, dict[str, list[str]]] = {}
    for line in lines:
        word, _, said = line.partition(" = ")
        for phrase in _spelt_out(said.split(", "), same):
            rule = re.escape(phrase).replace(r"\ \*\ ", r" (?:[\w']+ ){1,3}?")
            rules.setdefault(phrase.split()[0], {}).setdefault(word, []).append(rule)
    return {
        first: re.compile("|".join(rf"(?P<{word}>(?:{'|'.join(each)})\b)" for word, each in said.items()))
        for first, said in rules.items()
    }


def _spelt_out(phrases: Iterable[str], same: Mapping[str, str]) -> Iterator[str]:
    """The phrases, the longest first, with those of a line of phrases.txt for its first one in brackets.

    Single words are not among them, nor what begins with a negation, which is compared as such.
    """
    every: set[str] = set()
    for phrase in phrases:
        if phrase.startswith("["):
            listed = same[phrase.strip("[]")].replace("-", " ").split(", ")
            every.update(each for each in listed if " " in each and each.split()[0] not in words.NEGATIONS)
        else:
            every.add(phrase)
    return iter(sorted(every, key=lambda each: (-len(each), each)))


_LINES = lines_of("guard/opposites.txt")
"""Opposites, on the two sides of a slash; and words that are an opposite, with phrases that say the same."""
_LISTED = _pairs(
    " / ".join(" ".join(stems_of(side)) for side in line.split(" / ")) for line in _LINES if " / " in line
)
_PHRASES = _phrases(line for line in _LINES if " = " in line)
_PREFIXES = _pairs(words.PREFIXES.splitlines())
_SUFFIXES = _pairs(words.SUFFIXES.splitlines())
_NOT_PREFIXED = frozenset(map(stem, words.NOT_PREFIXED))
