"""Opposites that the guard knows by a list: words and phrases of which two texts have one each."""

from __future__ import annotations

import pytest
from entries import entry_of

from langcache import verifier
from langcache.matching.guard import difference, opposites
from langcache.matching.lists import lines_of

OPPOSITE = [
    ("How do I add a person to the group?", "How do I take a person off the group?"),
    ("How do I add an app to the list?", "How do I get rid of an app on the list?"),
    ("How do I enrol in the plan?", "How do I leave the plan?"),
    ("How do I join the club?", "How do I quit the club?"),
    ("How do I buy shares?", "How do I sell shares?"),
    ("Do you sell stamps?", "Can I buy stamps from you?"),  # which is a lost hit
    ("How do I opt in to mails?", "How do I unsubscribe from mails?"),
    ("How do I accept an offer?", "How do I say no to an offer?"),
    ("Is prepay cheaper?", "Is a phone on contract cheaper?"),
    ("Is the used car insured?", "Is the new car insured?"),
    ("Is Friday a national holiday?", "Can I take Friday as days of holiday?"),
    ("How do I treat a rash?", "How do I avoid a rash?"),
    ("How do I treat a cold?", "What do I do to keep from getting a cold?"),
    ("What if the price goes up?", "What if the price drops?"),
    ("Why did the water level fall?", "Why did the water level rise?"),
    ("When do the clocks go forward?", "When do the clocks go back?"),
    ("Is a new phone insured?", "Is a refurbished phone insured?"),
    ("Is a new phone insured?", "Is a second-hand phone insured?"),
    ("Can I pay as a private customer?", "Can I pay as a business customer?"),
    ("Do salaried staff get a bonus?", "Do hourly staff get a bonus?"),
    ("What is the price of a full day?", "What is the price of half a day?"),
    ("How fast may I drive in dry weather?", "How fast may I drive when it rains?"),
    ("What does power cost during the day?", "What does power cost at night?"),
    ("What if my account is in credit?", "What if my account is in debt?"),
    ("Is the upper back covered?", "Is the lower back covered?"),
    ("May I eat before the test?", "I'm back from the test, may I eat?"),
    ("Where do I drop off the van?", "Where do I pick up the van?"),
    ("Can I pass with one mistake?", "Can I fail with one mistake?"),
    ("Is the entrance on the left side?", "Is the exit on the left side?"),
    ("How do I merge two cells?", "How do I split two cells?"),
    ("Is breakfast mandatory?", "Is breakfast optional?"),
    ("How do I accept an offer?", "How do I turn down an offer?"),
    ("Can I rent a manual car?", "Can I rent an automatic car?"),
    ("When does the train arrive in Ulm?", "When does the train depart from Ulm?"),
    ("Why can't I open the window?", "Why can't I close the window?"),
    ("An item is missing, what do I do?", "There is an extra item that I never ordered, what do I do?"),
]
NEGATED = [
    ("Which rows have an address?", "Which rows don't have an address?"),
    ("Which cells are null?", "Which cells are not null?"),
    ("Is it legal to park here?", "Is it not legal to park here?"),
    ("Which foods contain gluten?", "Which foods do not contain gluten?"),
    ("Do I need a visa for Peru?", "For which countries do I need no visa?"),
    ("Why was I charged a fee?", "Why wasn't I charged a fee?"),
    ("I have eaten today, can I go?", "I haven't eaten today, can I go?"),
]
NOT_OPPOSITE = [
    ("The shop isn't open on Friday", "The shop is not open on Friday"),
    ("I can't recall my code", "I can't remember my code"),
    ("How do I take a person off the group?", "How do I remove a person from the group?"),
    ("How do I get rid of an app?", "How do I delete an app?"),
    ("How do I treat a rash?", "What is the treatment for a rash?"),
    ("What if the price goes up?", "What if the price rises?"),
    ("Why did the price drop?", "Why did the price fall?"),
    ("You sent me the wrong size", "I received the wrong size"),
    ("Is a used phone insured?", "Is a second-hand phone insured?"),
    ("The phone I used broke", "I used a phone, and it broke"),
    ("My screen is damaged, can you help?", "Can you repair my screen?"),
    ("How do I clean the oven?", "My oven is dirty, what helps?"),
    ("What does power cost at night?", "What does power cost overnight?"),
    ("May I eat after the test?", "I'm back from the test, may I eat?"),
    ("How do I join the club?", "How do I enrol in the club?"),
    ("How do I decline an offer?", "How do I turn down an offer?"),
    ("Is breakfast compulsory?", "Is breakfast mandatory?"),
]


@pytest.mark.parametrize(("one", "other"), OPPOSITE)
def test_opposites_are_seen(one, other):
    for asked, stored in ((one, other), (other, one)):
        assert (difference(asked, stored) or "").startswith("opposites: ")


@pytest.mark.parametrize(("one", "other"), NOT_OPPOSITE)
def test_what_says_the_same_is_no_opposite(one, other):
    for asked, stored in ((one, other), (other, one)):
        assert difference(asked, stored) is None


@pytest.mark.parametrize(("one", "other"), NEGATED)
def test_what_one_says_and_the_other_denies_is_named(one, other):
    for asked, stored in ((one, other), (other, one)):
        assert (difference(asked, stored) or "").startswith("negated: ")
        assert not verifier(asked, entry_of(stored))


def test_the_lines_of_the_list_are_written_in_one_way():
    lines = lines_of("guard/opposites.txt")
    assert len(lines) == len(set(lines))
    assert [line for line in lines if (line.count(" / ") == 1) == (line.count(" = ") == 1)] == []


def test_a_line_of_phrases_stands_for_its_phrases_of_several_words():
    same = {"get rid of": "get rid of, no longer keep, say no to, take-out, delete"}
    assert [*opposites._spelt_out(["[get rid of]", "throw * away"], same)] == [
        "throw * away",
        "get rid of",
        "say no to",
        "take out",
    ]
