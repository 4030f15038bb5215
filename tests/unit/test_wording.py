"""Phrases and synonyms: what is put in one wording, and what is not."""

from __future__ import annotations

from collections import Counter

import pytest
from entries import entry_of

from langcache import verifier
from langcache.matching import wording
from langcache.matching.features import LEXICAL, compared, lexical
from langcache.matching.guard import difference
from langcache.matching.lists import lines_of
from langcache.matching.score import what_texts_say
from langcache.matching.wording import in_one_wording

SAME = [
    ("Is the lamp sold out?", "Is the lamp out of stock?"),
    ("When is the lamp back in stock?", "When is the lamp available again?"),
    ("Can I pay in instalments?", "Can I spread the cost?"),
    ("Is click and collect free?", "Is collect in store free?"),
    ("Do you take a promo code?", "Do you take a discount code?"),
    ("How do I get my money back?", "How do I get a refund?"),
    ("Is my order gift-wrapped?", "Is my order wrapped as a present?"),
    ("How much annual leave do I have?", "How much paid time off do I have?"),
    ("Where are my payslips or pay stub kept?", "Where are my payslips or payslip kept?"),
    ("Do I need a fit note?", "Do I need a doctor's note?"),
    ("Whose sign-off do I need?", "Whose approval do I need?"),
    ("Can I carry over my days?", "Can I roll over my days?"),
    ("May I work from home?", "May I work remotely?"),
    ("Is a pushchair free?", "Is a stroller free?"),
    ("Where is my booking reference?", "Where is my reservation code?"),
    ("How big may hand luggage be?", "How big may a cabin bag be?"),
    ("Is there a direct train?", "Is there a train without changing?"),
    ("My flat battery", "My dead battery"),
    ("What is the exchange rate?", "What is the conversion rate?"),
    ("Steps to pair a bulb", "How do I pair a bulb?"),
    ("Command to list the tables", "How do I list the tables?"),
    ("Is it free of charge?", "Is it at no cost?"),
    ("Is a deposit mandatory?", "Is a deposit compulsory?"),
    ("How do I index Postgres?", "How do I index PostgreSQL?"),
    ("What is the penalty for speeding?", "What is the fine for speeding?"),
    ("Can I check the regex?", "Can I check the regular expression?"),
    ("Is there a power cut?", "Is there a power outage?"),
    ("Is it possible with high blood pressure?", "Is it possible with hypertension?"),
    ("Do you have a car park?", "Do you have a parking lot?"),
    ("I'd like to leave the plan, how does that work?", "I'd like to leave the plan"),
]
NOT_SAME = [
    ("Is the bank holiday paid?", "Is the annual leave paid?"),
    ("Is hand luggage free?", "Is hold luggage free?"),
    ("What is a one way ticket?", "What is a round trip ticket?"),
    ("When is check-in?", "When is check-out?"),
    ("Can I pay online?", "Can I pay in store?"),
    ("What is the billing address?", "What is the shipping address?"),
    ("Can I have a refund?", "Can I have an exchange?"),
    ("How do I reply to a mail?", "How do I forward a mail?"),
    ("Does the oven have a timer?", "Does the microwave have a timer?"),
    ("May I eat cheese?", "May I eat butter?"),
    ("Where is my package?", "Where is my refund?"),
    ("Is my bedroom too cold?", "Is my kitchen too cold?"),
    ("Is sick leave paid?", "Is parental leave paid?"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_phrases_that_say_the_same_leave_no_word_alone(one, other):
    for asked, stored in ((one, other), (other, one)):
        values = dict(zip(LEXICAL, lexical(*compared(asked, stored)), strict=True))
        assert values["most_alone"] == values["guard"] == 0
        assert verifier(asked, entry_of(stored))


@pytest.mark.parametrize(("one", "other"), NOT_SAME)
def test_phrases_that_are_alike_are_told_apart(one, other):
    for asked, stored in ((one, other), (other, one)):
        assert not verifier(asked, entry_of(stored))


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        ("NYC weather", "weather in New York City", "New York City weather"),
        ("New York City weather", "weather in NYC", "NYC weather"),
        ("my card is not working", "my card is broken", "my card is broken"),
        ("Return within 14 days?", "Return within two weeks?", "Return within two weeks?"),
        (
            "How do I turn on 2FA?",
            "How can I enable two-factor authentication?",
            "How can I enable two-factor authentication?",
        ),
        ("How do I turn on sound?", "How do I turn off sound?", "How do I turn on sound?"),
        ("Tell us the date", "in the United States", "Tell us the date"),
        ("Open every shop", "Open a shop", "Open every shop"),
        ("", "NYC", ""),
    ],
)
def test_phrases_that_say_the_same_are_put_in_one_wording(text, other, expected):
    assert in_one_wording(text, other)[0] == expected


def places(text):
    return [(start, end) for start, end, _ in wording._phrases(text)]


def test_each_phrase_is_in_one_place_and_can_be_found():
    phrases = [phrase for line in lines_of("phrases.txt") for phrase in line.split(", ")]
    said = [line.partition(" = ")[2] for line in lines_of("guard/opposites.txt")]
    opposite = [phrase for line in said for phrase in line.split(", ") if phrase]
    assert [phrase for phrase, count in Counter(phrases + opposite).items() if count > 1] == []
    assert [phrase for phrase in phrases + opposite if wording._GROUPS.fullmatch(phrase)] == []
    assert [phrase for phrase in phrases if (1, len(phrase) + 1) not in places(f"({phrase})")] == []
    for line in lines_of("phrases.txt"):
        first, *others = line.split(", ")
        assert others
        for phrase in others:
            assert in_one_wording(f"is {phrase} it", f"is {first} it") == (f"is {first} it", 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("My account is frozen, why?", "My account is blocked, why?"),
        ("Why is the site unavailable?", "Why is the site sold out?"),
        ("I no longer receive verification codes", "I want to stop receiving verification codes"),
        ("How much does the holiday cost?", "How much does the annual leave cost?"),
        ("What is the status of my seat?", "Where is my seat?"),
        ("Can I travel without paying?", "Can I travel for free?"),
        ("Can I pay monthly for the app?", "Can I pay for the app in instalments?"),
        ("Another driver hit my car", "A second driver hit my car"),
        ("Do you have a room for two nights?", "Do you have a double room for nights?"),
        ("Can I take two pills at once?", "Can I take two pills immediately?"),
        ("Can I take a tablet on the plane?", "Can I take a pill on the plane?"),
        ("Is the fine tax deductible?", "Is the penalty tax deductible?"),
        ("How do I change my position in bed?", "How do I change my job in bed?"),
        ("Where do I send my application?", "Where do I send my app?"),
    ],
)
def test_what_says_the_same_only_sometimes_is_no_synonym(one, other):
    at = [*LEXICAL].index("synonyms")
    assert lexical(*compared(one, other))[at] == lexical(*compared(other, one))[at] == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I get hired?", "How do I hire?"),
        ("My phone doesn't stop ringing", "My phone stops ringing"),
        ("Can I be cloned?", "Can I clone?"),
        ("Who vaccinated the dog?", "Who vaccinates the dog?"),
    ],
)
def test_an_ending_is_no_slip_in_either_direction(one, other):
    assert compared(one, other)[0].text == one
    assert compared(other, one)[0].text == other
    assert what_texts_say(one, other) == what_texts_say(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What can I take so I get pregnant?", "What can I take so I don't get pregnant?"),
        ("My nose stopped bleeding", "My nose won't stop bleeding"),
        ("The bus stopped here", "The bus didn't stop here"),
        ("My car stops when I brake", "My car doesn't stop when I brake"),
    ],
)
def test_a_phrase_does_not_hide_that_one_text_denies_what_the_other_says(one, other):
    assert difference(one, other) is not None
    assert difference(other, one) is not None
