"""What people add to a question without changing it: greetings, thanks, politeness and typing errors."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from .guard.opposites import stem
from .guard.words import PROTOCOLS
from .lists import lines_of, words_of

__all__ = ["is_slip", "load", "mended", "without_politeness"]

_END = r"(?:[\s,.!:;\u2013\u2014-]+|$)"
_OPENING = re.compile(
    r"\s*(?:"
    r"(?:hi|hiya|hello|hey|heya|howdy|greetings|good\s+(?:morning|afternoon|evening|day)"
    r"|(?:morning|afternoon|evening)(?=\s*[!,]))"
    r"(?:\s+(?:there|all|team|everyone|everybody|folks|guys|again))?"
    r"|(?:i\s+)?hope\s+(?:you(?:'re|\s+are)|all\s+is|this\s+finds\s+you)(?:\s+(?:doing|keeping))?"
    r"\s+(?:well|good|fine)"
    r"|sorry(?:\s+to\s+bother(?:\s+you)?)?|excuse\s+me|pardon(?:\s+me)?"
    r"|(?:just\s+)?(?:a\s+|one\s+)?quick\s+(?:one|question)|(?:a\s+|one\s+)?question(?=\s*[,:])"
    r"|(?:please|pls|plz|kindly)|(?:um+|uh+|erm?|hmm+|ok|okay|so|well)(?=[\s,.]*,)"
    r"|(?:so\s+)?(?:um+|uh+|erm?|hmm+)(?=\s+(?:how|what|when|where|why|who|which|can|could|do|does|is|are|i)\s)"
    r"|thanks|thank\s+you|(?:i(?:'m|\s+am|\s+was)\s+)?just\s+(?:wondering|curious)(?=\s*[,:\u2013\u2014-])"
    r")" + _END,
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"\s*(?:"
    r"(?:can|could|would|will)\s+(?:you|anyone|someone|somebody)\s+(?:please\s+|kindly\s+|possibly\s+)?"
    r"(?:tell\s+me|explain(?:\s+to\s+me)?|let\s+me\s+know|help\s+me\s+(?:understand|find\s+out)|remind\s+me)"
    r"|(?:please\s+|kindly\s+|just\s+)?(?:tell\s+me|let\s+me\s+know)"
    r"|(?:i\s+(?:just\s+)?(?:want|need|would\s+like|wanted)|i'd\s+(?:just\s+)?(?:like|love))"
    r"\s+to\s+(?:know|ask|find\s+out)"
    r"|(?:i(?:'m|\s+am|\s+was)\s+)?(?:just\s+)?(?:wondering|curious)|do(?:es)?\s+(?:you|anyone|anybody)\s+know"
    r"|(?:do\s+you\s+have\s+)?any\s+idea|may\s+i\s+(?:know|ask)|can\s+i\s+ask"
    r")(?:\s+please)?[\s,:]+",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"(?<![\s,.;!?\u2013\u2014-])[\s,.;!?\u2013\u2014-]+(?:"
    r"(?:many\s+|much\s+)?(?:thanks|thank\s+you|thx|cheers|ty)"
    r"(?:\s+(?:in\s+advance|a\s+lot|a\s+million|a\s+bunch|again"
    r"|so\s+much|very\s+much|you|for\s+(?:your|the|any)\s+help))*"
    r"|(?:please|pls|plz)|(?:if\s+)?you\s+(?:don't\s+mind|please)|asap"
    r"|(?:any\s+)?help\s+(?:is\s+|would\s+be\s+)?(?:much\s+|greatly\s+)?appreciated"
    r"|(?:please\s+)?help(?:\s+me)?(?:\s+please)?"
    r")\s*[.!?]*\s*$",
    re.IGNORECASE,
)
_SO_WHAT = re.compile(
    r"(?<=\w)\s*[,.;!?\u2013\u2014-]+\s*(?:(?:so|and|but)\s+)?(?:"
    r"how\s+(?:does|would)\s+(?:that|it|this)\s+work"
    r"|how\s+(?:do|can|could|should|would)\s+(?:i|we|you)\s+(?:do|go\s+about)\s+(?:that|it|this)"
    r"|is\s+(?:that|it|this)\s+(?:possible|ok|okay|allowed)|what(?:'s|\s+is)\s+the\s+(?:process|procedure|way)"
    r"|what\s+(?:should|can|do|must)\s+(?:i|we)\s+(?:(?:have|need)\s+to\s+)?do(?:\s+now)?|what\s+now"
    r")\s*[.!?]*\s*$",
    re.IGNORECASE,
)
"""What asks for no more than the sentence before it: "I want to leave the plan, how does that work?\""""
_LEAST_SAID = 4
"""So many words that sentence has at least."""
_WITHIN = re.compile(
    r"(?<=\w)\s+(?:please|pls|plz|kindly)\s+(?=\w)|(?<!\s)\s*,\s*(?:please|pls|plz|kindly)\s*,\s*",
    re.IGNORECASE,
)

_WORD_FOLLOWS = re.compile(
    r"(?:[:(\"'\u201c\u00ab]|\b(?:for|of|say|saying|spell|pronounce|means?|translate|write|word|phrase))\s{0,3}\Z",
    re.IGNORECASE,
)
"""What stands before words that are asked about: "Translate to French: thank you"."""
_IS_ASKED_ABOUT = re.compile(r"(?<=[^\W_]\s)(?:in|into|means?|translated)\b", re.IGNORECASE)
"""What stands behind them: "Hello in French"."""

_ROUNDS = 8
"""How many times what is around a question is taken off: more would take too long for "hi hi hi ..."."""


def without_politeness(text: str) -> str:
    """A question without greetings, thanks and politeness; the text itself if nothing else is left."""
    left = text
    for _ in range(_ROUNDS):
        before = left
        for rule in (_OPENING, _ASKING):
            found = rule.match(left)
            if found and found.end() > 0 and not _IS_ASKED_ABOUT.match(left, found.end()):
                left = left[found.end() :]
        found = _CLOSING.search(left)
        if found and not (
            found[0][0].isspace() and _WORD_FOLLOWS.search(left[max(found.start() - 20, 0) : found.start()])
        ):
            left = left[: found.start()]
        if left == before:
            break
    left = _WITHIN.sub(" ", left)
    found = _SO_WHAT.search(left)
    if found and len(left[: found.start()].split()) >= _LEAST_SAID:
        left = left[: found.start()]
    return left if any(map(str.isalnum, left)) else text


def load() -> None:
    """Read the list of words that `is_slip` knows."""
    _confusable()


def is_slip(one: str, other: str) -> bool:
    """Whether two words in small letters differ by one slip of the keyboard, as far as spelling can tell.

    A slip is a letter left out, doubled or put in, two neighbours swapped, or, in words of six letters or
    more, one letter for another; the first letter is right. Words that are both English are none.
    """
    if one == other or min(len(one), len(other)) < 4 or one[0] != other[0] or not (one + other).isalpha():
        return False
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    at = next((i for i, (x, y) in enumerate(zip(short, long, strict=False)) if x != y), len(short))
    if len(short) < len(long):
        slip = short[at:] == long[at + 1 :] and len(long) > 4
    else:
        swapped = short[at : at + 2] == long[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]
        slip = swapped or (len(short) > 5 and short[at + 1 :] == long[at + 1 :] and at + 1 < len(short))
    if short + "s" == long and short in PROTOCOLS:
        return False
    return slip and not {one, other} <= _confusable()


@cache
def _confusable() -> frozenset[str]:
    """The English words that are one slip away from another one."""
    return words_of(" ".join(lines_of("confusable.txt")))


_WORD = re.compile(r"[^\W\d_]+")
_AS_IT_IS = re.compile(r"@|://|\w[/\\_]\w|\d")
"""Addresses, links, paths, names in programs and codes, in which no letter is a slip."""


@lru_cache(maxsize=512)
def _words_with_slips(text: str) -> frozenset[str]:
    """The words in small letters that may have a slip: no abbreviations and Roman numerals, such as XXIII."""
    is_upper = text.isupper()
    if _AS_IT_IS.search(text):
        text = " ".join(part for part in text.split() if not _AS_IT_IS.search(part))
    words: list[str] = _WORD.findall(text)
    return frozenset(word.lower() for word in words if is_upper or not word.isupper() or len(word) == 1)


def mended(text: str, other: str) -> str:
    """A text with the words of another one where it differs from them by a slip of the keyboard only.

    An ending is no slip: "stops" and "stop", "hired" and "hire".
    """
    ours, theirs = _words_with_slips(text), _words_with_slips(other)
    slips: dict[str, str] = {}
    missing = theirs - ours
    for word in ours - theirs:
        for right in missing:
            if word[0] == right[0] and stem(word) != stem(right) and is_slip(word, right):
                slips[word] = right
                break
    if not slips:
        return text
    return _WORD.sub(lambda found: _as_written(found[0], slips.get(found[0].lower())), text)


def _as_written(word: str, right: str | None) -> str:
    if right is None:
        return word
    return right.upper() if word.isupper() else right.capitalize() if word[0].isupper() else right
