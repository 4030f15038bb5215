"""Who does what to whom in two texts."""

from __future__ import annotations

import pytest
from entries import entry_of

from langcache import verifier
from langcache.matching.features import compared
from langcache.matching.roles import roles_turned

TURNED = [
    ("Does the nurse call the surgeon?", "Does the surgeon call the nurse?"),
    ("Can I sue my neighbour?", "Can my neighbour sue me?"),
    ("Does the tax office owe me money?", "Do I owe the tax office money?"),
    ("Is a tenant allowed to evict a landlord?", "Is a landlord allowed to evict a tenant?"),
    ("How do I invite someone to my channel?", "Someone invited me to their channel, how do I join?"),
    ("Who pays when another van hits mine?", "Who pays when I hit another van?"),
    ("Can the airline cancel my ticket after I've paid?", "Can I cancel my airline ticket after I've paid?"),
    ("Why was I blocked on the forum?", "How do I block someone on the forum?"),
    ("I was asked for a reference, what do I write?", "How do I request a reference?"),
    ("A friend tagged me in a photo, where is it?", "How do I tag a friend in a photo?"),
    ("What if I sue my landlord?", "What if my landlord sues me?"),
    ("What does a tenant pay when moving out?", "What does a landlord pay when a tenant moves out?"),
    ("Can my boss fire me by email?", "Can I fire my boss by email?"),
    ("Can my manager see my calendar?", "Can I see my manager's calendar?"),
    ("Do you match the prices of other shops?", "Do other shops match your prices?"),
    ("Do I owe you money?", "Do you owe me money?"),
    ("Can I book for someone else?", "Can someone else book for me?"),
    ("Is it free if I cancel the flight?", "Is it free if the airline cancels the flight?"),
    ("What happens when I break the vase?", "What happens when the courier breaks the vase?"),
]
NOT_TURNED = [
    ("Is the nurse called by the surgeon?", "Does the surgeon call the nurse?"),
    ("Who pays, the buyer or the seller?", "Who pays, the seller or the buyer?"),
    ("Does my boss have to tell me?", "Is my boss obliged to tell me?"),
    ("Who wrote Hamlet?", "By whom was Hamlet written?"),
    ("Why did you charge me twice?", "Why was I charged twice?"),
    ("Help me reset my password", "How do I reset my password?"),
    ("Let me cancel my plan", "Can I cancel my plan?"),
    ("Am I registered to vote?", "How do I know that I registered to vote?"),
    ("When will you refund me?", "When will I be refunded?"),
    ("I'm logged out of the app", "The app logged me out"),
    ("Can it top up on its own when I travel?", "When I travel, can I have it top up on its own?"),
    ("The courier did not ring me", "I was not rung by the courier"),
    ("My bank blocked me", "I got blocked by my bank"),
    ("What happens when I end my trial?", "What happens when my trial ends?"),
    ("What if I lose my card?", "What if my card is lost?"),
    ("Is it free if I cancel?", "Is it free if a customer cancels?"),
    ("What fuel does my car use?", "What fuel should I use in the car?"),
    ("Can I collect an order from one of your shops?", "Do you let me collect an order?"),
]


@pytest.mark.parametrize(("one", "other"), TURNED)
def test_who_does_it_to_whom_makes_another_question(one, other):
    for asked, stored in ((one, other), (other, one)):
        assert roles_turned(*(reading.roles for reading in compared(asked, stored)))
        assert not verifier(asked, entry_of(stored))


@pytest.mark.parametrize(("one", "other"), NOT_TURNED)
def test_the_same_told_from_another_side_makes_none(one, other):
    for asked, stored in ((one, other), (other, one)):
        assert not roles_turned(*(reading.roles for reading in compared(asked, stored)))
