"""The client's last word on a hit: `verifier`, which compares the texts of a question and of an entry."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..models import CacheEntry
from .features import LEXICAL
from .score import likelihood, what_texts_say

__all__ = ["are_equal", "confidence", "differ_in_case", "differ_in_layout", "verifier"]

_LEAST = 0.5
_FITTED_FROM = 0.85
"""The weights for texts are fitted to pairs that a service finds this similar."""
_DOUBT = 0.4
"""What pairs without a word in common get at most, if they are less similar: a judge is still asked."""
_SHARED = [*LEXICAL].index("shared")

_CASED = re.compile(
    r"(?<![\w-])-[A-Za-z]{1,4}(?:\d\w{0,3})?(?![\w-])"
    r"|(?<![A-Za-z])(?:[kKMGT]i?[bB](?:ps|/s)?|[mM](?:Wh?|Hz|V|A))\b"
    r"|://[^\s/]+/\S+"
)
"""Where small and capital letters mean something else: short options of commands, units of data, power,
frequency, voltage and current, and addresses of the web after the host."""


def verifier(question: str, entry: CacheEntry) -> bool:
    """Whether an entry may answer a question, for ``accept=verifier``, which is the default.

    It weighs what the question and the entry's prompt have in common and what only one of them has: words,
    synonyms and opposites, numbers, names, negations, symbols. It needs no model, knows English, and takes
    about 0.3 ms; texts that are equal but for case and spacing take nothing. Greetings, politeness and slips
    of the keyboard make no difference. Texts of more than some 20 words each, and other languages, it accepts
    unless a word is exchanged, added or denied.

    How similar the two are otherwise, the service has to tell: ``entry.similarity`` counts only where no word
    of the one, nor a synonym of it, is in the other. Such texts are turned down below a similarity of 0.85.
    """
    sure = confidence(question, entry)
    return sure is None or sure >= _LEAST


def confidence(question: str, entry: CacheEntry) -> float | None:
    """How likely an entry answers a question, 0 to 1, from the two texts; None if they can't be judged.

    `verifier` accepts 0.5 and more, and what can't be judged. It is 1 for texts that are equal but for case
    and spacing, and 0.99 for those that differ in politeness and slips of the keyboard alone. It is 0 for
    texts whose words are equal, and whose lines are indented in another way, since they may be programs, and
    for texts that name an option, a unit or a link with letters of another case (`differ_in_case`) and for
    those that `are_told_apart`, by other numbers say, and 0.4 at most for texts without a word in common that
    the service finds less similar than 0.85.
    """
    if differ_in_case(question, entry.prompt):
        return 0.0
    if are_equal(question, entry.prompt):
        return 1.0
    if differ_in_layout(question, entry.prompt):
        return 0.0
    values = what_texts_say(question, entry.prompt)
    if not isinstance(values, list):
        return values
    sure = likelihood("texts", values)
    return sure if values[_SHARED] or entry.similarity >= _FITTED_FROM else min(sure, _DOUBT)


def are_equal(one: str, other: str) -> bool:
    """Whether two texts are equal but for case and spacing. How lines are indented counts."""
    return one == other or (_words(one) == _words(other) and _layout(one) == _layout(other))


def differ_in_layout(one: str, other: str) -> bool:
    """Whether two texts are equal but for case, spacing and how their lines are indented."""
    return ("\n" in one or "\n" in other) and _words(one) == _words(other) and _layout(one) != _layout(other)


def differ_in_case(one: str, other: str) -> bool:
    """Whether one text has an option, a unit or a link that the other has in another case, as -v and -V."""
    if one == other:
        return False
    ours, theirs = set(_cased(one)), set(_cased(other))
    return not {each.casefold() for each in ours - theirs}.isdisjoint(map(str.casefold, theirs - ours))


def _cased(text: str) -> Iterator[str]:
    for each in _CASED.findall(text):
        if each[0] == ":":
            each = each[3:].partition("/")[2]
        yield "K" + each[1:] if each[0] == "k" else each  # kB and KB are the same


def _words(text: str) -> list[str]:
    return text.casefold().split()


def _layout(text: str) -> list[tuple[int, int]] | None:
    """The indentation of each line, and how many words it has; None if no line is indented."""
    if "\n" not in text:
        return None
    lines = [line for line in text.expandtabs(4).splitlines() if line.strip()]
    indents = [len(line) - len(line.lstrip()) for line in lines]
    least = min(indents, default=0)
    if not any(indent > least for indent in indents):
        return None
    return [(indent - least, len(line.split())) for indent, line in zip(indents, lines, strict=True)]
