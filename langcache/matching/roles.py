"""Who does what to whom: "Can I sue my landlord?" and "Can my landlord sue me?".

What is found here only counts, as a feature of the score: such texts seldom have the same words. "Who killed
Brutus?" and "Who did Brutus kill?" are told apart for certain, by `order`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .guard.opposites import stem, stems_of
from .guard.words import IRREGULAR
from .lexicon import contrasts, meaning
from .lists import words_of

__all__ = ["Roles", "roles_of", "roles_turned"]


_BEFORE_SUBJECT = words_of(
    "do does did can could must should will would may might don't doesn't didn't can't couldn't"
)
_BE = words_of("is are am was were isn't aren't")
_IS = _BE | words_of("i'm we're you're it's he's she's they're been being")
_AFTER_BE = words_of("allowed able obliged required supposed permitted entitled going")
_MINE = words_of("i me us we mine ours i'm i've i'd i'll we're we've we'd we'll myself ourselves")
_PERSONS = dict.fromkeys(_MINE, "me") | {"our": "my", "yours": "your"}
_US = {"me", "you"}
_THEIR_OWN = {"me": "my", "you": "your"}
_POSSESSIVE = words_of("my our your")
_BEFORE_NOUN = words_of(
    "a an the my your his her its our their this that these those all any some every each new"
)
_AFTER_SUBJECT = _AFTER_BE | words_of("have has had to be need needs not ever also still already")
_NO_ROLES = words_of("by or between and")
_I = words_of("i we i'm i've i'd i'll we're we've we'd we'll")
_ME = words_of("me us mine ours")
_CONDITIONS = words_of("if when because after before once unless while until")
"""What a clause begins with whose subject counts."""
_ANYONE = stems_of("me you they he she one someone somebody anyone people there this that user customer")
_NOTHING = frozenset[str]()
_PERSONAL = _I | _ME | {"to"}
_BEFORE_VERBS = words_of(
    "do does did can could must should will would may might have has had to need needs want wish like am was "
    "were are be been being get got just always never not ever also still already only really currently "
    "accidentally recently going able allowed supposed don't didn't can't couldn't won't haven't i we"
)
"""What may stand between "I" and what I do."""
_MOST_BETWEEN = 8
"""How far behind "I" what I do is looked for, in words."""
_PASSIVE = words_of("am was were are be been being get got getting")
_I_AM = words_of("i'm we're")
_TO_DO = words_of("how want need like steps way")
"""What "to" and a verb follow, where the one who asks is to do it."""
_HELPING = stems_of("help tell show let give explain teach remind ask advise make allow bring")
"""Verbs that are said of anyone who answers: "Help me (to) cancel it" is "How do I cancel it?"."""
_STATES = stems_of(
    "allowed supposed required obliged permitted entitled interested married finished moved gone retired "
    "stuck engaged registered signed subscribed logged enrolled stopped tired used based located connected "
    "stored prepared qualified insured started locked dressed lost involved confused divorced"
)
"""What "I am" goes before and says nothing of who does it."""


class Roles(NamedTuple):
    """Who does something in a text, as stems; "" or nothing where that is not plain.

    ``subject`` is who or what does something, and ``verbs`` are what that may be; ``others`` could be the
    subject. ``mine`` is what the one who asks does, and ``to_me`` is what is done to them. ``clauses`` are
    the subjects and verbs behind "if" and the like.
    """

    subject: str
    verbs: frozenset[str]
    others: frozenset[str]
    mine: frozenset[str]
    to_me: frozenset[str]
    clauses: tuple[tuple[str, frozenset[str]], ...]


def roles_of(words: Sequence[str]) -> Roles:
    """Who does what in the words of a text, in small letters."""
    subject, verbs = _subject(words)
    clauses = tuple(_clauses(words))
    mine, to_me = (_NOTHING, _NOTHING) if _PERSONAL.isdisjoint(words) else _of_me(words)
    others = frozenset(_others(words, subject)) if subject or clauses else _NOTHING
    return Roles(subject, verbs, others, mine, to_me, clauses)


def roles_turned(one: Roles, other: Roles) -> bool:
    """Whether two texts tell the same of two, and who does it to whom is exchanged.

    It counts for `features.lexical`, and is not certain: other words may make up for it.
    """
    return (
        _subjects_turned(one, other)
        or _is_done_to_me(one, other)
        or _is_done_to_me(other, one)
        or (bool(one.subject and other.subject) and contrasts(one.subject, other.subject))
        or _is_done_by_another(one, other)
        or _is_done_by_another(other, one)
    )


def _subjects_turned(one: Roles, other: Roles) -> bool:
    return (
        bool(one.subject and other.subject)
        and not meaning(one.subject, other.subject)
        and _is_among(one.subject, other, {one.subject, other.subject} != _US)
        and _is_among(other.subject, one, {one.subject, other.subject} != _US)
        and any(meaning(ours, theirs) for ours in one.verbs for theirs in other.verbs)
    )


def _is_among(word: str, text: Roles, may_own: bool) -> bool:
    """Whether someone is told of in a text, or, with ``may_own``, something of theirs is."""
    return (
        word in text.others
        or (may_own and _THEIR_OWN.get(word) in text.others)
        or any(meaning(word, other) for other in text.others)
    )


def _others(words: Sequence[str], subject: str) -> Iterator[str]:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in _POSSESSIVE and stem(following) == subject:
            continue  # "my car" is the car alone
        yield _PERSONS.get(word, stem(word))


def _is_done_to_me(one: Roles, other: Roles) -> bool:
    """Whether one does what is done to them in the other, and neither is so in both."""
    done = other.to_me - other.mine
    return any(meaning(verb, theirs) for verb in one.mine - one.to_me for theirs in done)


def _is_done_by_another(one: Roles, other: Roles) -> bool:
    """Whether I do in one what someone else does in the other, who is not told of in the first."""
    mine = [verbs for subject, verbs in one.clauses if subject == "me"]
    return bool(mine) and any(
        subject not in _ANYONE
        and not any(meaning(subject, word) for word in one.others)
        and any(meaning(ours, theirs) for ours in _NOTHING.union(*mine) for theirs in verbs)
        for subject, verbs in other.clauses
    )


def _clauses(words: Sequence[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for at, word in enumerate(words[:-2]):
        if word in _CONDITIONS and _IS.isdisjoint(words[at + 1 : at + 5]):
            subject, verbs = _subject_after(words[at + 1 :])
            if subject:
                yield subject, verbs


def _of_me(words: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The stems of what "I" do, or someone who asks how to, and of what is done to "me"."""
    mine: set[str] = set()
    to_me: set[str] = set()
    for at, word in enumerate(words):
        if word in _ME and at and words[at - 1] not in _BEFORE_VERBS:
            to_me.update({stem(words[at - 1])} - _HELPING)
        elif word == "to" and at and words[at - 1] in _TO_DO:
            mine.update(map(stem, words[at + 1 : at + 2]))
        elif word in _I:
            is_passive = word in _I_AM or (at > 0 and words[at - 1] in _PASSIVE)
            verb = at + 1
            while verb < min(len(words), at + _MOST_BETWEEN) and words[verb] in _BEFORE_VERBS:
                is_passive |= words[verb] in _PASSIVE
                verb += 1
            if verb < len(words):
                is_done = words[verb].endswith("ed") or words[verb] in IRREGULAR
                (to_me if is_passive and is_done else mine).update({stem(words[verb])} - _STATES)
    return frozenset(mine), frozenset(to_me)


def _subject(words: Sequence[str]) -> tuple[str, frozenset[str]]:
    """Who or what does something, and what it does, as stems; "" if that is not plain.

    What it does is one of two words, since the first may belong to the subject: "Does the tax office owe me?"
    """
    if not _NO_ROLES.isdisjoint(words):
        return "", _NOTHING
    for at, word in enumerate(words):
        if word in _BEFORE_SUBJECT or (word in _BE and not _AFTER_BE.isdisjoint(words[at + 2 : at + 5])):
            return _subject_after(words[at + 1 :])
    return "", _NOTHING


def _subject_after(words: Sequence[str]) -> tuple[str, frozenset[str]]:
    at = 0
    while at < len(words) - 1 and words[at] in _BEFORE_NOUN:
        at += 1
    if at >= len(words):
        return "", _NOTHING
    subject = words[at]
    if subject == "it":
        return "", _NOTHING
    rest = at + 1
    while rest < len(words) and words[rest] in _AFTER_SUBJECT:
        rest += 1
    said = (word for word in words[rest : rest + 2] if word not in _BEFORE_NOUN and word not in _PERSONS)
    return _PERSONS.get(subject, stem(subject)), frozenset(map(stem, said))
