"""What a question asks for, beside its subject: a time or a place; what was or will be; of all or of one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from .guard.opposites import stem
from .lists import words_of

__all__ = ["Asked", "asked", "asks_another", "quantities_differ", "times_differ"]

_IS = r"(?:'s| is| are| was| were| will be)?"
_THE = r"(?: (?:the|my|your|his|her|their|our|its|a|an))?"
_AUX = r" (?:do|does|did|is|are|was|were|will|can|could|should|must|would|has|have)"
_WHAT = r"(?:(?:at|on|in) )?(?:what|which)"
_KINDS = {
    "long": r"how long|how much (?:longer|to wait)"
    r"|how (?:many|much) (?:time|hours|minutes|days|weeks|months|years)"
    rf"|what{_IS}{_THE} (?:\w+ )?(?:duration|wait|time (?:for|it takes|needed|required))"
    r"|wait(?:ing)? time|processing time",
    "when": rf"when{_AUX}|(?P<bare_when>when(?! (?:i|you|we|they|it|my|your|the|a|an) ))"
    rf"|{_WHAT} (?:time|day|date|year|month|hour)s?"
    rf"|what{_IS}{_THE} (?:\w+ )?(?:deadline|(?:start|end|due|release|expiry|opening|closing)? ?"
    r"(?:date|hours?|times?)\b(?! zone| limit))",
    "where_i": r"where (?:can|do|could|should|would|must|may|to|am|are)(?: (?:i|we|you|one|someone))\b",
    "where": rf"where|{_WHAT} (?:place|location)"
    rf"|what{_IS}{_THE} (?:\w+ )?(?:place|location|address|birthplace)",
    "why": r"why|how come|what (?:caused?s?|made|makes)|(?:for )?(?:what|which) reasons?"
    rf"|what{_IS}{_THE} (?:reasons?|cause)",
    "who": rf"(?P<bare_who>who|whom|whose)|(?:which|what) (?:person|people)|what{_IS}{_THE} name of",
    "often": r"how (?:often|frequently|many times)|(?:at )?(?:what|which) intervals?",
    "many": rf"how many|(?:what|which) number|what{_IS}{_THE} number of",
    "much": r"how much|how (?:expensive|costly)|what (?:does|do|will|would) [\w ]{1,40} cost"
    rf"|what{_IS}{_THE} (?:\w+ )?(?:prices?|costs?|fees?|charges?|amount)",
    "far": rf"how far|what{_IS}{_THE} distance",
    "old": rf"how old|at what age|what{_IS}{_THE} (?:\w+ )?age",
    "whether": r"(?<![\s\S])(?:do|does|did|is|are|was|were|has|have|had|will)",
    "which": r"which (?!one|of)\w+",
    "how": r"how (?:do|can|could|should|would|to|does|did|is|are|was|were|may|must|might|shall|will|has|have)"
    rf"|(?:what|which){_IS}{_THE} (?:\w+ )?(?:ways?|method|process|procedure|steps?)"
    r"|what (?:do|should|must) i (?:need to |have to )?do to",
}
_KIND = re.compile(rf"(?:{'|'.join(f'(?P<{kind}>{rule})' for kind, rule in _KINDS.items())})\b")
_START = re.compile(r"(?<!\w)(?:wh|ho|at |in |on |for |wait|proc|^(?:do|did|is|are|was|were|ha[sdv]|will))")
_BEFORE = re.compile(
    r"(?:^|[.?!,;:] ?|\b(?:and|know|tell|ask|me|wonder|wondering|exactly|since|until|by|to|for|with|of) )\Z"
)
_NEAR = {
    frozenset(pair.split())
    for pair in """
    how where_i/how who/how much/how whether/when long/when often/when old/where who/where whether
    where where_i/where_i who/where_i whether/often long/often many/often much/much many/many long/many old
    long far/long old
    """.replace("\n", "/").split("/")
}
"""Kinds that may ask for the same: "How do I ...?" and "Where can I ...?", which is not "Where is ...?\""""


_OF_EVENTS = frozenset(("why", "when"))


class Asked(NamedTuple):
    """What is asked of a text's subject.

    ``every`` and ``one`` are the stems that are counted: "tab" of "all tabs", and of "a tab".
    """

    kinds: frozenset[str]
    is_past: bool
    is_future: bool
    is_going_on: bool
    is_done: bool
    every: frozenset[str]
    one: frozenset[str]
    quantities: frozenset[str]


_PAST = words_of("did was were had been used ago last yesterday already")
_FUTURE = words_of("will won't shall i'll we'll it'll they'll he'll she'll gonna upcoming")
_EVERY = words_of("all every each everyone everybody everything everywhere both entire whole")
_ONE = words_of("a an one single this")
_QUANTITIES = {
    word: kind
    for kind, said in {
        "some": "some someone somebody something several few most any none nobody nothing single once either",
        "always": "always",
        "seldom": "sometimes never",
    }.items()
    for word in said.split()
}
_BETWEEN = words_of("of my the your our their his her its these those this")
_PERIODS = words_of("second minute hour day week month quarter year time night morning evening weekend")


def asked(words: Sequence[str], text: str) -> Asked:
    """What is asked by a text in small letters, and its words."""
    found = set(words)
    every = frozenset(_counted(words, _EVERY))
    return Asked(
        kinds=frozenset(_kinds(text)),
        is_past=not _PAST.isdisjoint(found),
        is_future=not _FUTURE.isdisjoint(found)
        or ("going", "to") in pairwise(words)
        or _is_in_a_while(words),
        is_going_on="being" in found,
        is_done="been" in found,
        every=every,
        one=frozenset(_counted(words, _ONE)),
        quantities=frozenset(_QUANTITIES[word] for word in found if word in _QUANTITIES),
    )


def _is_in_a_while(words: Sequence[str]) -> bool:
    """Whether something is "in two years"."""
    return any(
        word == "in" and number.isdigit() and period.removesuffix("s") in _PERIODS
        for word, number, period in zip(words, words[1:], words[2:], strict=False)
    )


def _kinds(text: str) -> Iterator[str]:
    for start in _START.finditer(text):
        at = start.start()
        found = _KIND.match(text, at)
        if found is None or found.lastgroup is None:
            continue
        is_bare = found["bare_when"] or found["bare_who"]  # which go on with a sentence as well
        if not is_bare or _BEFORE.search(text, max(at - 12, 0), at):
            yield found.lastgroup


def _counted(words: Sequence[str], counting: frozenset[str]) -> Iterator[str]:
    """The stem of what each of some words counts; a day, and other times, are not counted."""
    for at, word in enumerate(words[:-1]):
        if word in counting and words[at + 1] not in _PERIODS:
            yield next((stem(after) for after in words[at + 1 : at + 4] if after not in _BETWEEN), "")


def asks_another(one: Asked, other: Asked) -> bool:
    """Whether one asks for a time, say, and the other for a place."""
    if not one.kinds or not other.kinds or one.kinds & other.kinds:
        return False
    if "which" in one.kinds | other.kinds:  # "Which gate?" may be "Where is the gate?"
        return not _OF_EVENTS.isdisjoint(one.kinds | other.kinds)
    return not any(frozenset((ours, theirs)) in _NEAR for ours in one.kinds for theirs in other.kinds)


def times_differ(one: Asked, other: Asked) -> bool:
    """Whether one is about what was, or is done, and the other about what will be, or goes on."""
    if one.is_going_on != other.is_going_on and one.is_done != other.is_done:
        return True
    return (one.is_past and other.is_future and not other.is_past and not one.is_future) or (
        other.is_past and one.is_future and not one.is_past and not other.is_future
    )


def quantities_differ(one: Asked, other: Asked) -> bool:
    """Whether one is about all of something, and the other about one, some or none."""
    return _all_against_some(one, other) or _all_against_some(other, one)


def _all_against_some(one: Asked, other: Asked) -> bool:
    if "always" in one.quantities and "seldom" in other.quantities:
        return True
    if not one.every or other.every:
        return False
    return "some" in other.quantities or not one.every.isdisjoint(other.one)
