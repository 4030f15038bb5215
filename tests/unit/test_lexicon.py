"""The lists of words that say the same and of terms that exclude each other: form and content."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import combinations, permutations

import pytest

from langcache.matching import lexicon
from langcache.matching.features import LEXICAL, Reading, compared, lexical
from langcache.matching.guard.opposites import stem

SAME = [*lexicon.groups_in("same.txt")]
APART = [*lexicon.groups_in("apart.txt")]


@cache
def _key(term: str) -> str:
    """What the features have of a term: a stem, or the stems of its words."""
    reading = Reading(term)
    return "-".join(map(stem, reading.words))


def _of(feature: str, one: str, other: str) -> float:
    return lexical(*compared(one, other))[[*LEXICAL].index(feature)]


def test_words_that_say_the_same_are_groups_of_two_or_more():
    assert [sides for sides in SAME if len(sides) != 1] == []  # commas are for the other list
    assert [sides for sides in SAME if len(sides[0]) < 2] == []


def test_terms_that_exclude_each_other_have_two_sides_or_more():
    assert [sides for sides in APART if len(sides) < 2 or not all(sides)] == []


@pytest.mark.parametrize("groups", [SAME, APART], ids=["same", "apart"])
def test_no_term_is_twice_in_a_group_and_no_group_twice_in_a_list(groups):
    keys = [[_key(term) for side in sides for term in side] for sides in groups]
    assert [group for group in keys if len(set(group)) < len(group)] == []
    assert [group for group, count in Counter(map(frozenset, keys)).items() if count > 1] == []


def test_every_word_is_one_that_texts_are_compared_by():
    words = {term for sides in SAME + APART for side in sides for term in side if "-" not in term}
    assert sorted(word for word in words if Reading(word).content != [stem(word)]) == []
    assert sorted(word for word in words if word != word.lower()) == []


def test_every_term_of_several_words_is_found_in_a_text():
    assert [term for sides in SAME for term in sides[0] if "-" in term] == []  # they are for phrases.txt
    terms = {term for sides in APART for side in sides for term in side if "-" in term}
    for written in ("{}", "Which {} is it?"):
        texts = {term: written.format(term.replace("-", " ")) for term in terms}
        assert sorted(term for term, text in texts.items() if _key(term) not in Reading(text).terms) == []


def test_no_two_terms_say_the_same_and_exclude_each_other():
    both = [
        (one, other)
        for sides in SAME
        for one, other in combinations(sides[0], 2)
        if lexicon.contrasts(stem(one), stem(other))
    ]
    assert both == []


def test_both_are_said_in_either_order_of_each_group():
    for sides in SAME:
        assert all(lexicon.meaning(stem(one), stem(other)) for one, other in permutations(sides[0], 2))
    for sides in APART:
        for ours, theirs in permutations(sides, 2):
            assert all(lexicon.contrasts(_key(one), _key(other)) for one in ours for other in theirs)


def test_several_threads_may_be_the_first_to_compare():
    lexicon._same.cache_clear()
    lexicon._apart.cache_clear()

    def compare(_: int) -> tuple[bool, bool, bool, bool]:
        same, apart = lexicon.meaning, lexicon.contrasts
        return same("parcel", "packag"), apart("oven", "microwav"), same("oven", "microwav"), apart("x", "y")

    with ThreadPoolExecutor(8) as threads:
        assert {*threads.map(compare, range(64))} == {(True, True, False, False)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Can I put foil in the oven?", "Can I put foil in the microwave?"),
        ("Set the living room lights to 40 %", "Set the bedroom lights to 40 %"),
        ("Set the living-room lights to 40 %", "Set the dining room lights to 40 %"),
        ("Is overtime paid for salaried staff?", "Is overtime paid for hourly staff?"),
        ("What taxes do employed people pay?", "What taxes do self-employed people pay?"),
        ("Can I take Ibuprofen while pregnant?", "Can I take Ibuprofen while breastfeeding?"),
        ("How do I join the pension scheme?", "How do I leave the pension scheme?"),
        ("What is the warranty on a new phone?", "What is the warranty on a refurbished phone?"),
        ("How do I lose a credit card?", "How do I lose a gift card?"),
        ("How long is parental leave?", "How long is sick leave?"),
        ("What is a full-time contract?", "What is a part time contract?"),
        ("Which trees are evergreen?", "Which trees are deciduous?"),
        ("How do I import a list from CSV?", "How do I export a list to CSV?"),
        ("Weather in Kyoto in spring", "Weather in Osaka in spring"),
        ("How do I merge a branch?", "How do I rebase a branch?"),
        ("Is a one-way ticket refundable?", "Is a round trip ticket refundable?"),
    ],
)
def test_terms_of_one_kind_are_told_apart(one, other):
    assert _of("contrasts", one, other) >= 1
    assert _of("contrasts", other, one) == _of("contrasts", one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I insure a car?", "How do I insure a vehicle?"),
        ("Is it valid for a year?", "Does it expire after a year?"),
        ("The living room light is on", "The lounge light is on"),
        ("Which credit cards do you take?", "Which cards do you take?"),
        ("Is the kitchen beside the living room?", "Is the living room beside the kitchen?"),
        ("How can I have a part-time job?", "How do I get a job part time?"),
        ("Fly from New York to Paris", "A flight to Paris from New York"),
    ],
)
def test_other_terms_are_not_told_apart(one, other):
    assert _of("contrasts", one, other) == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Which colour is the aubergine?", "Which color is the eggplant?"),
        ("Who approves my trip?", "Whose approval does my trip need?"),
        ("When are the prawns frozen?", "When did the shrimp freeze?"),
        ("Where is my parcel?", "Where is my package?"),
        ("Is ibuprofen safe?", "Is Advil safe?"),
        ("Where is the lift?", "Where is the elevator?"),
        ("My muscles hurt", "My muscles are sore"),
        ("Do I need a jab?", "Do I need a vaccination?"),
    ],
)
def test_words_that_say_the_same_are_synonyms_and_leave_nothing_alone(one, other):
    assert _of("synonyms", one, other) >= 1
    assert _of("contrasts", one, other) == 0
