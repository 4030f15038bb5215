"""Who does what to whom: "Can I sue my landlord?" and "Can my landlord sue me?"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .guard.opposites import stem
from .guard.words import IRREGULAR
from .lexicon import contrasts, meaning

__all__ = ["Roles", "roles_of", "roles_turned"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DO = _words("do does did can could must should will would may might don't doesn't didn't can't couldn't")
_BE = _words("is are am was were isn't aren't")
_AFTER_BE = _words("allowed able obliged required supposed permitted entitled going")
_MINE = _words("i me us we mine ours i'm i've i'd i'll we're we've we'd we'll myself ourselves")
_PERSONS = dict.fromkeys(_MINE, "me")
_DETERMINERS = _words("a an the my your his her its our their this that these those all any some every each new")
_AUXILIARY = _AFTER_BE | _words("have has had to be need needs not ever also still already")
_NO_ROLES = _words("by or between and")
_I = _words("i we i'm i've i'd i'll we're we've we'd we'll")
_ME = _words("me us mine ours")
_PERSONAL = _I | _ME | {"to"}
_BEFORE_VERBS = _words(
    "do does did can could must should will would may might have has had to need needs want wish like am was "
    "were are be been being get got just always never not ever also still already only really currently "
    "accidentally recently going able allowed supposed don't didn't can't couldn't won't haven't i we"
)
"""What may stand between "I" and what I do."""
_HELPING = frozenset(map(stem, "help tell show let give explain teach remind ask advise make allow bring".split()))
"""Verbs that are said of anyone who answers: "Help me (to) cancel it" is "How do I cancel it?"."""
_STATES = frozenset(
    map(
        stem,
        "allowed supposed required obliged permitted entitled interested married finished moved gone retired "
        "stuck engaged registered signed subscribed logged enrolled stopped tired used based located "
        "connected stored prepared qualified insured".split(),
    )
)
"""What "I am" goes before and says nothing of who does it."""


class Roles(NamedTuple):
    """Who does something in a text, as stems; "" or nothing where that is not plain.

    ``subject`` is who or what does something, and ``verbs`` are what that may be; ``others`` could be the
    subject. ``mine`` is what the one who asks does, and ``to_me`` is what is done to them.
    """

    subject: str
    verbs: frozenset[str]
    others: frozenset[str]
    mine: frozenset[str]
    to_me: frozenset[str]


def roles_of(words: Sequence[str]) -> Roles:
    """Who does what in the words of a text, in small letters."""
    subject, verbs = _subject(words)
    is_personal = not _PERSONAL.isdisjoint(words)
    return Roles(
        subject,
        verbs,
        frozenset(_PERSONS.get(word, stem(word)) for word in words) if subject else frozenset(),
        frozenset(_mine(words)) if is_personal else frozenset(),
        frozenset(_to_me(words)) if is_personal else frozenset(),
    )


def roles_turned(one: Roles, other: Roles) -> bool:
    """Whether two texts tell the same of two, and who does it to whom is exchanged."""
    return (
        _subjects_turned(one, other)
        or _is_done_to_me(one, other)
        or _is_done_to_me(other, one)
        or (bool(one.subject and other.subject) and contrasts(one.subject, other.subject))
    )


def _subjects_turned(one: Roles, other: Roles) -> bool:
    return (
        bool(one.subject and other.subject)
        and not meaning(one.subject, other.subject)
        and _is_among(one.subject, other)
        and _is_among(other.subject, one)
        and any(meaning(ours, theirs) for ours in one.verbs for theirs in other.verbs)
    )


def _is_among(word: str, text: Roles) -> bool:
    return word in text.others or any(meaning(word, other) for other in text.others)


def _is_done_to_me(one: Roles, other: Roles) -> bool:
    """Whether one does what is done to them in the other, and neither is so in both."""
    done = other.to_me - other.mine
    return any(meaning(verb, theirs) for verb in one.mine - one.to_me for theirs in done)


def _mine(words: Sequence[str]) -> list[str]:
    """What "I" is followed by, and what comes after "how to" or begins a text, as stems."""
    found: list[str] = []
    for at, word in enumerate(words):
        if word in _I:
            behind = at + 1
            is_passive = False
            while behind < len(words) and words[behind] in _BEFORE_VERBS:
                is_passive = words[behind] in _PASSIVE
                behind += 1
            is_passive |= word in _I_AM or (at > 0 and words[at - 1] in _PASSIVE)
            if behind < len(words) and not (is_passive and _is_past(words[behind])):
                found.append(stem(words[behind]))
        elif word == "to" and at and words[at - 1] in ("how", "want", "need", "like", "steps", "way"):
            found += map(stem, words[at + 1 : at + 2])
    return found


def _to_me(words: Sequence[str]) -> list[str]:
    """What stands before "me", and behind "I was", as stems."""
    found: list[str] = []
    for at, word in enumerate(words):
        if word in _ME and at:
            verb = stem(words[at - 1])
            if verb not in _HELPING and words[at - 1] not in _BEFORE_VERBS:
                found.append(verb)
        elif word in _I and at + 1 < len(words):
            behind = at + 1
            is_passive = word in _I_AM or (at > 0 and words[at - 1] in _PASSIVE)
            while behind < len(words) and words[behind] in _BEFORE_VERBS:
                is_passive |= words[behind] in _PASSIVE
                behind += 1
            if is_passive and behind < len(words) and _is_past(words[behind]):
                if stem(words[behind]) not in _STATES:
                    found.append(stem(words[behind]))
    return found


_PASSIVE = _words("am was were are be been being get got getting")
_I_AM = _words("i'm we're")


def _is_past(word: str) -> bool:
    return word.endswith("ed") or word in IRREGULAR


def _subject(words: Sequence[str]) -> tuple[str, frozenset[str]]:
    """Who or what does something, and what it does, as stems; "" if that is not plain.

    What it does is one of two words, since the first may belong to the subject: "Does the tax office owe me?"
    """
    if not _NO_ROLES.isdisjoint(words):
        return "", frozenset()
    if words[:1] == ["who"] and len(words) > 2 and words[1] not in _DO and words[1] not in _BE:
        return "who", frozenset((stem(words[1]),))
    for at, word in enumerate(words):
        if word in _DO or (word in _BE and not _AFTER_BE.isdisjoint(words[at + 2 : at + 5])):
            return _subject_after(words[at + 1 :])
    return "", frozenset()


def _subject_after(words: Sequence[str]) -> tuple[str, frozenset[str]]:
    at = 0
    while at < len(words) - 1 and words[at] in _DETERMINERS:
        at += 1
    if at >= len(words):
        return "", frozenset()
    subject = words[at]
    if subject == "it":
        return "", frozenset()
    rest = at + 1
    while rest < len(words) and words[rest] in _AUXILIARY:
        rest += 1
    said = (word for word in words[rest : rest + 2] if word not in _DETERMINERS and word not in _PERSONS)
    return _PERSONS.get(subject, stem(subject)), frozenset(map(stem, said))
