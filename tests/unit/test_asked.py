"""What is asked for beside the subject: a time, a place, all or one."""

from __future__ import annotations

import pytest
from entries import entry_of

from langcache import verifier
from langcache.matching.asked import asks_another, quantities_differ, times_differ
from langcache.matching.features import compared

RULES = (asks_another, times_differ, quantities_differ)
APART = {
    asks_another: [
        ("Where is the library?", "When was the library built?"),
        ("Who signed the treaty?", "When was the treaty signed?"),
        ("Why is my invoice late?", "How long will my invoice be late?"),
        ("How many guests are coming?", "Who are the guests?"),
        ("How often is rent due?", "Where is rent due?"),
        ("Which service crashed?", "Why did the service crash?"),
        ("Has the concert begun?", "When does the concert begin?"),
        ("What is the price of the ticket?", "Where is the ticket office?"),
        ("How do I quit my course?", "Why was my course cancelled?"),
    ],
    times_differ: [
        ("Who was the mayor?", "Who will be the mayor?"),
        ("What did the shares cost?", "What will the shares cost?"),
        ("Is the road being repaired?", "Has the road been repaired?"),
        ("When did the lease end?", "When is the lease going to end?"),
    ],
    quantities_differ: [
        ("Do all pupils get a tablet?", "Do some pupils get a tablet?"),
        ("How do I archive every thread?", "How do I archive a thread?"),
        ("Are all lifts broken?", "Are none of the lifts broken?"),
        ("Which jobs always fail?", "Which jobs sometimes fail?"),
        ("Does everyone have a badge?", "Does someone have a badge?"),
    ],
}
ALIKE = [
    ("When does the museum open?", "What time does the museum open?"),
    ("Why was I charged?", "What is the reason I was charged?"),
    ("How do I find my badge?", "Where can I find my badge?"),
    ("How can I tell?", "Is there a way to tell?"),
    ("How old must I be to vote?", "At what age can I vote?"),
    ("How far is Lyon?", "What is the distance to Lyon?"),
    ("What happens when I cancel?", "Why does cancelling do that?"),  # "when" asks for no time
    ("Has the parcel been sent?", "Was the parcel sent?"),
    ("Is the shop going to open?", "Will the shop open?"),
    ("How do I mute all of them every day?", "How do I mute all of them each day?"),
    ("How much water a day?", "How much water every day?"),
    ("Which gate does my flight leave from?", "Where is the gate of my flight?"),
]


@pytest.mark.parametrize(
    ("rule", "one", "other"), [(rule.__name__, *pair) for rule, pairs in APART.items() for pair in pairs]
)
def test_what_is_asked_sets_questions_apart(rule, one, other):
    for asked, stored in ((one, other), (other, one)):
        ours, theirs = (reading.asked for reading in compared(asked, stored))
        assert rule in {each.__name__ for each in RULES if each(ours, theirs)}
        assert not verifier(asked, entry_of(stored))


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_the_same_asked_in_other_words_is_not_set_apart(one, other):
    for asked, stored in ((one, other), (other, one)):
        ours, theirs = (reading.asked for reading in compared(asked, stored))
        assert not [rule.__name__ for rule in RULES if rule(ours, theirs)]
