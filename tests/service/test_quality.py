"""The labelled pairs, and the figures that the documentation gives of them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from langcache.service import MiniLMEmbedder, WordLlamaEmbedder, quality
from langcache.service.config import DEFAULT_THRESHOLD
from langcache.service.quality import Pair, measure, measure_languages, pairs, questions

READ = ["English", "German", "French", "Spanish", "Portuguese", "code"]
READ_BY_WORDLLAMA = [*READ, "Polish", "Russian", "Ukrainian", "English and another script"]
NOT_READ = ["Greek", "Hebrew", "Arabic", "Persian", "Hindi", "Bengali", "Tamil", "Thai", "Korean", "Japanese"]
NOT_READ += ["Georgian", "Armenian", "emoji only", "numbers only", "symbols only"]
NOT_READ_BY_MINILM = [*NOT_READ, "Russian", "Ukrainian", "Chinese"]

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


def _are_near(row, written):
    """Whether two rows of one name have the same numbers, but for a pair or two: processors differ."""
    if row.split("|")[:2] != written.split("|")[:2]:
        return False
    ours, theirs = ([int(each) for each in re.findall(r"\d+", line)] for line in (row, written))
    return len(ours) == len(theirs) and all(
        abs(one - other) <= (5 if "%" in row else 1) for one, other in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("names", [(), ("wordllama",)])
async def test_the_documentation_gives_the_figures_as_they_are(capsys, names):
    await quality._main(*names)
    output = capsys.readouterr().out
    measured = re.findall(r"^\| 0.*", output, re.MULTILINE)
    languages = re.findall(r"^\| .* of .*", output, re.MULTILINE)
    assert (len(measured), len(languages)) == (6, 28)
    measured += languages
    page = PAGE.read_text("utf-8").splitlines()
    for row in measured:
        assert any(_are_near(row, written) for written in page), row


@pytest.mark.parametrize(("kind", "recall"), [(MiniLMEmbedder, 0.66), (WordLlamaEmbedder, 0.42)])
async def test_a_model_keeps_unrelated_prompts_apart_at_the_default_threshold(kind, recall):
    embedder = kind()
    await embedder.start()
    (figures,) = await measure(embedder, pairs(), [0.85])
    assert figures.unrelated_hits == 0
    assert figures.recall == pytest.approx(recall, abs=0.05)


async def languages_of(embedder):
    await embedder.start()
    return {figures.language: figures for figures in await measure_languages(embedder, questions())}


def test_each_language_has_ten_questions_and_five_paraphrases():
    asked = questions()
    assert set(Counter(question.language for question in asked).values()) == {10}
    assert set(Counter(question.language for question in asked if question.paraphrase).values()) == {5}
    assert len({question.prompt for question in asked}) == len(asked)
    assert all(question.prompt != question.paraphrase for question in asked)


@pytest.mark.parametrize("kind", [MiniLMEmbedder, WordLlamaEmbedder])
async def test_unrelated_questions_hit_in_no_language_at_the_default_threshold(kind):
    languages = await languages_of(kind())
    assert DEFAULT_THRESHOLD == 0.85
    assert len(languages) == 28
    assert {
        name: figures.unrelated_hits for name, figures in languages.items() if figures.unrelated_hits
    } == {}
    assert all(figures.unrelated == 45 for figures in languages.values())


async def test_what_minilm_knows_is_read_and_the_rest_is_not():
    languages = await languages_of(MiniLMEmbedder())
    for name in READ:
        assert languages[name].read >= 13
        assert languages[name].paraphrase_hits >= 4
    for name in NOT_READ_BY_MINILM:
        assert (languages[name].read, languages[name].paraphrase_hits) == (0, 0)


async def test_what_wordllama_knows_is_read_and_the_rest_is_not():
    languages = await languages_of(WordLlamaEmbedder())
    for name in READ_BY_WORDLLAMA:
        assert languages[name].read == languages[name].prompts
        assert languages[name].paraphrase_hits >= 4
    assert languages["Chinese"].read >= 12
    assert languages["Chinese"].paraphrase_hits >= 4
    for name in NOT_READ:
        assert (languages[name].read, languages[name].paraphrase_hits) == (0, 0)
