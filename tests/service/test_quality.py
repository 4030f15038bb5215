"""The labelled pairs, and the figures that the documentation gives of them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from langcache.service import WordLlamaEmbedder, quality
from langcache.service.quality import Pair, measure, pairs

PAGE = Path(__file__).parents[2] / "docs" / "local-service.md"


def test_the_pairs_are_many_and_of_every_kind():
    labelled = pairs()
    assert Counter(pair.label for pair in labelled) == {"paraphrase": 50, "near-miss": 40, "unrelated": 40}
    assert len({(pair.saved, pair.asked) for pair in labelled}) == len(labelled)
    assert all(pair.saved != pair.asked for pair in labelled)


async def test_figures_are_what_they_say(embedder):
    made_up = [
        Pair("paraphrase", "a @0", "b @0"),  # similarity 1
        Pair("paraphrase", "a @0", "b @60"),  # .75
        Pair("near-miss", "a @0", "b @30"),  # .933
        Pair("unrelated", "a @0", "b @90"),  # .5
    ]
    low, middle, high, none = await measure(embedder, made_up, [0.7, 0.9, 0.99, 1.01])
    assert (low.recall, low.near_miss_hits, low.unrelated_hits) == (1, 1, 0)
    assert low.precision == pytest.approx(2 / 3)
    assert (low.false_hits, middle.false_hits, none.false_hits) == (1, 0.5, 0)  # each hits the other's "a @0"
    assert (middle.recall, middle.near_miss_hits, middle.precision) == (0.5, 1, 0.5)
    assert (high.recall, high.near_miss_hits, high.precision) == (0.5, 0, 1)
    assert (none.recall, none.precision) == (0, 1)


async def test_the_documentation_gives_the_figures_as_they_are(capsys):
    await quality._main()
    measured = re.findall(r"^\| 0.*", capsys.readouterr().out, re.MULTILINE)
    assert len(measured) == 6
    for row in measured:
        assert row in PAGE.read_text("utf-8")


async def test_the_model_keeps_unrelated_prompts_apart_at_the_default_threshold():
    embedder = WordLlamaEmbedder()
    await embedder.start()
    (figures,) = await measure(embedder, pairs(), [0.85])
    assert figures.unrelated_hits == 0
    assert figures.recall == pytest.approx(0.42, abs=0.05)
