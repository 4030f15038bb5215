"""The lexical guard, on single examples and on the labelled set."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from langcache.aside import difference, lexical_guard

ROWS = [
    line.split("\t")
    for line in Path(__file__).with_name("data").joinpath("guard_pairs.tsv").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize(
    ("question", "other", "kind"),
    [
        ("Sales in 2023", "Sales in 2024", "numbers"),
        ("Is 1,000 a lot?", "Is 10,000 a lot?", "numbers"),
        ("Open on Sunday?", "Open on Monday?", "dates"),
        ("News of last week", "News of this week", "dates"),
        ("Can I pay 5 USD?", "Can I pay 5 EUR?", "units"),
        ("Is it legal?", "Is it not legal?", "negated"),
        ("Why should I?", "Why shouldn\u2019t I?", "negated"),
        ("How do I enable 2FA?", "How do I disable 2FA?", "opposites"),
        ("enabling notifications", "disabled notifications", "opposites"),
        ("The capital of France", "The capital of Spain", "names"),
        ("the capital of france", "the capital of Spain", "names"),
        ("From Paris to London", "From London to Paris", "direction"),
        ("How do I transfer money to savings?", "How do I transfer money from savings?", "direction"),
        ("Move files into my phone", "Move files from my phone", "direction"),
        ("Which trains go to Berlin?", "Which trains go from Berlin?", "direction"),
    ],
)
def test_what_sets_questions_apart_is_named(question, other, kind):
    assert kind in difference(question, other)
    assert kind in difference(other, question)


@pytest.mark.parametrize(
    ("question", "other"),
    [
        ("Sales in 2023", "sales IN 2023?"),
        ("List three reasons", "List 3 reasons"),
        ("Is 1,000.50 a lot?", "Is 1000.5 a lot?"),
        ("15% of 80", "15 percent of 80"),
        ("WHAT IS THE CAPITAL OF FRANCE", "What is the capital of France?"),
        ("My phone won't charge", "My phone doesn't charge"),
        ("", ""),
        ("?!", "..."),
        ("你好", "您好"),
    ],
)
def test_what_means_the_same_passes(question, other):
    assert difference(question, other) is None


def test_the_guard_is_symmetric():
    for _, _, question, other in ROWS:
        assert (difference(question, other) is None) == (difference(other, question) is None)


@pytest.mark.parametrize("strategies", [None, ["exact", "semantic"]])
async def test_programs_that_differ_in_their_indentation_have_their_own_answers(cache, strategies):
    programs = [f"What does this print?\nfor x in y:\n    a()\n{indent}b()" for indent in ("", "    ")]

    async def make(prompt):
        await asyncio.sleep(0)
        return prompt

    for status in ("miss", "hit", "hit"):
        asked = (cache.get_or_set(each, make, search_strategies=strategies) for each in programs)
        answers = await asyncio.gather(*asked)
        assert [answer.value for answer in answers] == programs
        assert not any(answer.shared for answer in answers)
        if strategies is not None:  # by meaning, both are as near, and one entry is asked for
            assert {answer.status.value for answer in answers} == {status}


@pytest.mark.parametrize("split", ["dev", "test"])
def test_the_labelled_set_is_told_apart_as_well_as_documented(split):
    rows = [row for row in ROWS if row[0] == split]
    passes = [(row[1] == "same", difference(row[2], row[3]) is None) for row in rows]
    kept = [passed for same, passed in passes if same]
    wrong = [passed for same, passed in passes if not same]
    assert (len(kept), len(wrong)) == (60, 60)
    assert sum(kept) >= 57
    assert sum(wrong) <= 8


async def test_the_guard_turns_a_near_miss_into_a_miss(cache):
    await cache.set("How do I enable two-factor authentication?", "Switch it on.")
    question = "How do I disable two-factor authentication?"
    assert (await cache.get_or_set(question, "Off.", no_store=True, accept="any", similarity_threshold=0)).hit
    assert not (
        await cache.get_or_set(question, "Off.", no_store=True, accept=lexical_guard, similarity_threshold=0)
    ).hit
