"""Two texts of the same words: what changes places, and what only stands in another place."""

from __future__ import annotations

import pytest
from entries import entry_of

from langcache import verifier
from langcache.matching.features import compared
from langcache.matching.order import order_differs
from langcache.matching.score import what_texts_say

EXCHANGED = [
    ("What is 350 degrees Fahrenheit in Celsius?", "What is 350 degrees Celsius in Fahrenheit?"),
    ("What is a UK shoe size 7 in EU sizes?", "What is an EU shoe size 7 in UK sizes?"),
    ("How many yen do I get for 90 pounds?", "How many pounds do I get for 90 yen?"),
    ("Can two guests share one room?", "Can one guest share two rooms?"),
    ("Can a shop sue a customer?", "Can a customer sue a shop?"),
    ("Which laptop fits in this bag?", "Which bag fits in this laptop?"),
    ("teaspoons per tablespoon", "tablespoons per teaspoon"),
    ("How do I cast a float to int in C?", "How do I cast an int to float in C?"),
    ("Can I replace butter with oil?", "Can I replace oil with butter?"),
    ("What is the share of women among the doctors?", "What is the share of doctors among the women?"),
    ("Can I run Linux on Windows?", "Can I run Windows on Linux?"),
    ("What's 5 stone in kilos?", "What is 5 kilos in stone?"),
    ("Is tea without milk fine?", "Is milk without tea fine?"),
    ("How do I make a public page private?", "How do I make a private page public?"),
    ("What is a 7 UK shoe in EU sizes?", "What is a 7 EU shoe in UK sizes?"),
    ("Can a car tow a truck?", "Can a lorry tow a car?"),
]
ASKED_FOR_THE_OTHER = [
    ("What animals eat snakes?", "What animals do snakes eat?"),
    ("Which fighters lost to Ali?", "Which fighters did Ali lose to?"),
    ("Who killed Brutus?", "Who did Brutus kill?"),
    ("Who did Brazil defeat?", "Who defeated Brazil?"),
    ("Which companies own Acme?", "Which companies does Acme own?"),
    ("Who taught Plato?", "Who did Plato teach?"),
    ("What causes inflation?", "What does inflation cause?"),
    ("How many people follow Anna?", "How many people does Anna follow?"),
    ("Who sent the parcel to Bob?", "Who did the parcel send to Bob?"),
]
DENIED_ELSEWHERE = [
    ("Why am I losing weight when I'm not dieting?", "Why am I not losing weight when I'm dieting?"),
    ("Does it charge if it is not plugged in?", "Does it not charge if it is plugged in?"),
    (
        "Why is the light on when the engine isn't running?",
        "Why isn't the light on when the engine is running?",
    ),
    ("Can I enter while the alarm is not armed?", "Can I not enter while the alarm is armed?"),
]
IN_ANOTHER_PLACE = [
    ("At 11 pm turn off the lights", "Turn off the lights at 11 pm"),
    ("flights from Oslo to Rome", "flights to Rome from Oslo"),
    ("python memory leak in requests", "memory leak in python requests"),
    ("in:title dark mode css", "css dark mode in:title"),
    ("In May, is the pool open?", "Is the pool open in May?"),
    ("hotels in Rome with a pool", "hotels with a pool in Rome"),
    ("Python questions on Stack Overflow", "Stack Overflow questions on Python"),
    ("sales by month by region", "sales by region by month"),
    ("What is the difference between jam and jelly?", "What is the difference between jelly and jam?"),
    ("Can I use my voucher with my gift card?", "Can I use my gift card with my voucher?"),
    ("How far is it from Bonn to Ulm?", "How far is it from Ulm to Bonn?"),
    ("Is a sofa the same as a couch?", "Is a couch the same as a sofa?"),
    ("Is my dog or my cat allowed?", "Is my cat or my dog allowed?"),
    ("Tell me how many legs a spider has", "How many legs has a spider?"),
    ("How many legs does a spider have?", "How many legs a spider have?"),
    ("By whom was Hamlet written?", "Hamlet was written by whom?"),
    ("If it doesn't start, what do I do?", "What do I do if it doesn't start?"),
    ("Why can't I log in when I travel?", "When I travel, why can't I log in?"),
    ("Why does the app not open?", "Why doesn't the app open?"),
]


@pytest.mark.parametrize(("one", "other"), EXCHANGED + ASKED_FOR_THE_OTHER + DENIED_ELSEWHERE)
def test_two_things_in_each_others_place_make_another_question(one, other):
    for asked, stored in ((one, other), (other, one)):
        assert what_texts_say(asked, stored) == 0
        assert not verifier(asked, entry_of(stored, 0.99))


@pytest.mark.parametrize(("one", "other"), IN_ANOTHER_PLACE)
def test_what_only_stands_in_another_place_makes_none(one, other):
    for asked, stored in ((one, other), (other, one)):
        ours, theirs = compared(asked, stored)
        assert not order_differs(ours.words, theirs.words)
