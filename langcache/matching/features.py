"""What two questions have in common and what sets them apart, as the numbers that `score` weighs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

from .guard import difference
from .guard.opposites import stem
from .guard.spelling import respell
from .guard.words import NUMBERS, SMALL_WORDS
from .lexicon import contrasts, meaning

__all__ = ["LEXICAL", "Reading", "lexical"]

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*")
_QUESTION_WORDS = {
    "how": "how", "what": "what", "which": "what", "where": "where", "when": "when", "why": "why", "who": "who",
    "whom": "who", "whose": "who", "can": "can", "could": "can", "may": "can", "is": "is", "are": "is", "was": "is",
    "were": "is", "do": "do", "does": "do", "did": "do", "will": "will", "would": "will", "should": "should",
}
_FUNCTION_WORDS = (SMALL_WORDS | frozenset(
    "about am any been being by from get getting got had has having here into i'm i've i'd i'll it's just let's "
    "me my myself now off onto our ours out over really than that's then there's too up very was were what's "
    "where's who's how's while your you're you've yours im ive dont doesn't don't".split()
)) - frozenset("until plan recipe recipes best cheap good write compare translate convert all every".split())


class Reading:
    """One question, as far as it can be read on its own."""

    def __init__(self, text: str) -> None:
        self.text = text
        spelt = respell(text)
        self.words = [NUMBERS.get(word, word) for word in map(str.lower, _TOKEN.findall(spelt))]
        content = [word for word in self.words if word not in _FUNCTION_WORDS]
        self.content = list(dict.fromkeys(stem(word) for word in content))
        self.first = next((_QUESTION_WORDS[word] for word in self.words[:4] if word in _QUESTION_WORDS), "")
        joined = f" {' '.join(self.words)} "
        self.trigrams = frozenset(joined[i : i + 3] for i in range(len(joined) - 2))
        self.numbers = frozenset(word for word in self.words if word[0].isdigit())
        self.names = frozenset(
            stem(token.lower()) for token in _TOKEN.findall(spelt)[1:] if token[0].isupper()
            and token.lower() not in _FUNCTION_WORDS
        ) if not spelt.isupper() else frozenset[str]()


_REASONS = ("numbers", "dates", "units", "symbols", "negated", "opposites", "names", "direction")
LEXICAL = {
    "alone_least": -1, "alone_most": -1, "alone_share": -1, "none_alone": 1, "one_contained": 1,
    "substituted": 0, "synonyms": 1, "contrasts": -1,
    "dice": 1, "trigrams": 1, "same_question_word": 1, "other_question_word": -1,
    "order": 1, "numbers_swapped": -1, "numbers_alone": -1, "names_swapped": -1, "names_alone": -1, "length_ratio": 1, "length": 0,
    "guard": -1, **{reason: -1 for reason in _REASONS},
}


def lexical(one: Reading, other: Reading) -> list[float]:
    shared = set(one.content) & set(other.content)
    ours = [word for word in one.content if word not in shared]
    theirs = [word for word in other.content if word not in shared]
    contrasting = sum(any(contrasts(a, b) for b in theirs) for a in ours)
    substituted = len(ours) == len(theirs) == 1
    synonyms = 0
    for a in list(ours):
        b = next((b for b in theirs if meaning(a, b)), None)
        if b is not None:
            ours.remove(a); theirs.remove(b); synonyms += 1
    alone = sorted((len(ours), len(theirs)))
    total = len(one.content) + len(other.content)
    both = len(shared) + synonyms
    grams = len(one.trigrams & other.trigrams)
    order = _order([w for w in one.content if w in shared], [w for w in other.content if w in shared])
    lengths = sorted((len(one.words), len(other.words)))
    reason = difference(one.text, other.text) or ""
    kind = reason.partition(":")[0]
    found = {"one is negated and the other is not": "negated", "versions": "symbols"}.get(kind, kind)
    names = (one.names - set(other.content)), (other.names - set(one.content))
    numbers = (one.numbers - other.numbers), (other.numbers - one.numbers)
    return [
        min(alone[0], 4), min(alone[1], 6), sum(alone) / total if total else 0.0, float(not alone[1]), float(not alone[0]),
        float(substituted), min(synonyms, 3), min(contrasting, 2),
        2 * both / total if total else 1.0,
        2 * grams / max(1, len(one.trigrams) + len(other.trigrams)),
        float(bool(one.first) and one.first == other.first), float(bool(one.first and other.first) and one.first != other.first),
        order, float(bool(numbers[0] and numbers[1])), float(bool(numbers[0] or numbers[1])),
        float(bool(names[0] and names[1])), float(bool(names[0] or names[1])),
        lengths[0] / lengths[1] if lengths[1] else 1.0, min(lengths[1], 30) / 10,
        float(bool(reason)), *(float(found == each) for each in _REASONS),
    ]


def _order(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """The share of the shared words' pairs that come in the same order in both."""
    if len(ours) < 2:
        return 1.0
    place = {word: at for at, word in enumerate(theirs)}
    pairs = [place[a] < place[b] for a, b in combinations(ours, 2)]
    return sum(pairs) / len(pairs)
