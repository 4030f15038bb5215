"""Whether two texts of the same words have two of them in each other's place: "US sizes in UK sizes".

What is found here is certain, and makes the similarity 0; where texts have other words, `roles` has a say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .guard.opposites import opposite_pair, stem, stems_of
from .guard.words import NEGATIONS, NUMBERS, SAYS_NOTHING, SMALL_WORDS
from .lexicon import contrasts, meaning
from .lists import words_of

__all__ = ["order_differs"]


_ARTICLES = words_of("a an the")
_FIRM = words_of(
    "in into inside to from onto off of over under above below per than at by without against after before "
    "behind through via as among"
)
"""Prepositions whose two sides can't change places."""
_LOOSE = words_of("on for about")
"""They can in a search: "Python question on Stack Overflow", "Stack Overflow question on Python"."""
_PREPOSITIONS = _FIRM | _LOOSE | {"with"}
_COUNTING = words_of(
    "one this that these those my your his her its our their any some every each all both no another many "
    "much few several"
) | frozenset(NUMBERS.values())
_EITHER_WAY = stems_of(
    "and or nor vs versus same equal equals equivalent identical difference differences differ different "
    "compare compared comparing comparison between similar similarity alike distance far near nearby "
    "married marry related relate relationship together both combine mix meet intersect"
)
"""What is said of two things in either order."""
_REPLACING = stems_of("replace replaced replacing substitute swap exchange pay paying cover")
"""Verbs with which "with" says which of the two is which."""
_LONGEST = 3
_DO = words_of("do does did")
"""What stands before a subject, and in no question for the subject: "Who killed Brutus?"."""
_DO_STEMS = stems_of("do does did")
_ASKING = words_of("who whom what which whose how")
_NO_MAIN_VERBS = stems_of("do does did is are was were be been have has had will would can")
"""Verbs that alone say nothing of what is done."""
_CLAUSE_STARTS = words_of(
    "when if while because although unless before after but since as until where whenever"
)
"""What another clause begins with, to which a "not" does not reach."""


def order_differs(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether the words of a text, in small letters, are those of another one with two things exchanged.

    Synonyms count as the same word.

    That is "350 degrees Fahrenheit in Celsius" and "350 degrees Celsius in Fahrenheit", "Who killed Brutus?"
    and "Who did Brutus kill?", or a "not" that denies another thing; but not what only stands in another
    place: "In May, is it open?" and "Is it open in May?"
    """
    ours = _in_the_words_of(one, other)
    return ours is not None and (
        _are_exchanged(ours, other)
        or _asks_for_the_other(ours, other)
        or _asks_for_the_other(other, ours)
        or _denies_another(ours, other)
    )


def _in_the_words_of(one: Sequence[str], other: Sequence[str]) -> Sequence[str] | None:
    """A text with the words of the other one for synonyms; None if only one of them has another word."""
    here, there = {stem(word): word for word in one}, {stem(word): word for word in other}
    missing = [each for each, word in there.items() if each not in here and word not in SMALL_WORDS]
    said: dict[str, str] = {}
    for each, word in here.items():
        if each in there or word in SMALL_WORDS:
            continue
        same = next((another for another in missing if meaning(each, another)), None)
        if same is None:
            return None
        missing.remove(same)
        said[word] = there[same]
    if missing:
        return None
    return [said.get(word, word) for word in one] if said else one


def _are_exchanged(one: Sequence[str], other: Sequence[str]) -> bool:
    ours, theirs = [*_marked(one)], [*_marked(other)]
    here, there = [word for word, _ in ours], [word for word, _ in theirs]
    if sorted(here) != sorted(there):  # "What is", "What's"
        ours, theirs = ours[_opening(here) :], theirs[_opening(there) :]
        here, there = [word for word, _ in ours], [word for word, _ in theirs]
    if here == there or sorted(here) != sorted(there) or not _EITHER_WAY.isdisjoint(here):
        return False
    start, end = _common_ends(here, there)
    before = here[start - 1] if start else ""
    mine, yours = here[start : len(here) - end], there[start : len(there) - end]
    for left in range(1, min(_LONGEST, len(mine) - 2) + 1):
        for right in range(1, min(_LONGEST, len(mine) - left - 1) + 1):
            middle = len(mine) - right
            first, between, last = mine[:left], mine[left:middle], mine[middle:]
            if [*last, *between, *first] != yours or not _PREPOSITIONS.isdisjoint((*first, *last)):
                continue
            if between[-1] == before and before in _PREPOSITIONS:
                continue  # "in Rome in May"
            is_marked = ours[start][1] and ours[start + middle][1]
            if _is_one_way(between, is_marked, not _REPLACING.isdisjoint(here)) or _exclude(first, last):
                return True
    return False


def _is_one_way(between: Sequence[str], is_marked: bool, is_replacing: bool) -> bool:
    relations = _PREPOSITIONS.intersection(between)
    if relations == frozenset(("with",)):
        return is_replacing
    return is_marked or not relations.isdisjoint(_FIRM) or (bool(relations) and len(between) == 1)


def _exclude(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two things are opposites: "make a public page private"."""
    return opposite_pair({*one}, {*other}, False) is not None or any(
        contrasts(ours, theirs) for ours in one for theirs in other
    )


def _marked(words: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """The stems of a text without articles, each with whether it is counted, or counts what follows."""
    is_marked = False
    for word in words:
        if word in _ARTICLES:
            is_marked = True
            continue
        is_counting = word in _COUNTING or word[0].isdigit()
        yield stem(word), is_marked or is_counting
        is_marked = is_counting


def _opening(words: Sequence[str]) -> int:
    """How many small words a text begins with."""
    return next(
        (at for at, word in enumerate(words) if word.partition("'")[0] not in SMALL_WORDS), len(words)
    )


def _common_ends(one: Sequence[str], other: Sequence[str]) -> tuple[int, int]:
    """How many words two texts have in common at their beginning, and of the others at their end."""
    least = min(len(one), len(other))
    start = next((at for at in range(least) if one[at] != other[at]), least)
    end = next((at for at in range(least - start) if one[-1 - at] != other[-1 - at]), least - start)
    return start, end


def _asks_for_the_other(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether one asks what someone does, with "do", and the other who does that to them, without it."""
    if _DO.isdisjoint(one) or not _DO.isdisjoint(other) or _ASKING.isdisjoint(one[:2]):
        return False
    ours = [stem(word) for word in one if word not in _ARTICLES]
    theirs = [stem(word) for word in other if word not in _ARTICLES]
    start, end = _common_ends(ours, theirs)
    asked, told = ours[start : len(ours) - end], theirs[start : len(theirs) - end]
    if len(asked) != len(told) + 1 or asked[0] not in _DO_STEMS:
        return False
    return any(
        asked[at:] + asked[1:at] == told and not _NO_MAIN_VERBS.issuperset(asked[at:])
        for at in range(2, len(asked))
    )


def _denies_another(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two texts with one negation have the same words, and deny clauses without a word in common."""
    ours, theirs = _denied(one), _denied(other)
    return bool(ours and theirs) and ours.isdisjoint(theirs) and {*_said(one)} == {*_said(other)}


def _denied(words: Sequence[str]) -> frozenset[str]:
    """The stems in the clause that has the only negation of a text, without small words."""
    found = [at for at, word in enumerate(words) if word in NEGATIONS or word.endswith("n't")]
    if len(found) != 1:
        return frozenset()
    start = found[0]
    while start and words[start - 1] not in _CLAUSE_STARTS:
        start -= 1
    clause: list[str] = []
    for word in words[start:]:
        if word in _CLAUSE_STARTS:
            break
        clause.append(word)
    return frozenset(_said(clause))


def _said(words: Sequence[str]) -> Iterator[str]:
    """The stems that are neither small words nor negations."""
    return (stem(word) for word in words if word not in SAYS_NOTHING and "'" not in word)
