"""The similarity of a semantic hit, from the service over HTTP."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from langcache import LangCache
from langcache.service import LocalServer, MiniLMEmbedder
from langcache.service.alignment import Words, aligned
from langcache.service.scoring import Scorer

STORED = "How do I enable two-factor authentication?"


@pytest.fixture(scope="module")
def cache():
    with LocalServer() as server, LangCache(server.url, server.api_key, server.cache_id) as client:
        client.set(STORED, "Switch it on.")
        yield client


def similarity(cache, prompt):
    return cache.search(prompt, similarity_threshold=0).data[0].similarity


def test_equal_texts_are_1_and_trivial_repeats_nearly(cache):
    assert similarity(cache, STORED) == 1
    assert similarity(cache, STORED.upper().replace(" ", "  ")) == 1
    assert similarity(cache, "Hi, how do I enable two-factor authentification?") < 0.99
    assert similarity(cache, "Hi, how do I enabel two-factor authentication? Thanks!") == 0.99


def test_a_paraphrase_is_a_hit_at_the_default_and_a_near_miss_is_none(cache):
    assert cache.search("Where can I turn on two-factor authentication?").data
    assert not cache.search("How do I disable two-factor authentication?").data
    assert similarity(cache, "Which wine goes with fish?") < 0.3


def test_several_results_are_ordered_by_their_score_and_those_below_the_threshold_are_left_out():
    with LocalServer() as server, LangCache(server.url, server.api_key, server.cache_id) as client:
        for prompt in (STORED, "How do I disable two-factor authentication?", "Which wine goes with fish?"):
            client.set(prompt, "answer")
        question = "How can I enable two-factor authentication?"
        every = client.search(question, similarity_threshold=0, max_results=3).data
        assert [each.similarity for each in every] == sorted(
            (each.similarity for each in every), reverse=True
        )
        assert every[0].prompt == STORED
        assert [each.prompt for each in client.search(question, max_results=3).data] == [STORED]


def test_a_long_text_in_other_words_has_the_similarity_of_its_vector_and_0_if_a_word_is_exchanged():
    long = (
        "Hello, I ordered a desk in your shop last week and paid by card. The parcel came today, and one leg "
        "of the desk is broken. Please tell me whether I can have my money back, and who pays for sending it."
    )
    reworded = (
        "Last week I ordered a desk in your shop, paying by card. When the parcel came today, one leg of the "
        "desk was broken. Can I have my money back, and who pays if I send it back? Please tell me."
    )
    with LocalServer() as server, LangCache(server.url, server.api_key, server.cache_id) as client:
        client.set(long, "answer")
        assert 0.85 < similarity(client, reworded) < 0.99
        assert similarity(client, long.replace("desk", "lamp")) == 0
        assert similarity(client, long.replace("is broken", "is not broken")) == 0
        assert similarity(client, long + " I also need an invoice with the address of my company.") == 0


def test_alignment_is_the_same_in_either_order():
    random = np.random.default_rng(1)
    rows = random.normal(size=(7, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    one, other = Words(["a", "b", "c"], rows[:3]), Words(["b", "d", "e", "f"], rows[3:])
    assert aligned(one, other) == pytest.approx(aligned(other, one), abs=1e-6)
    assert aligned(one, Words([], rows[:0])) == [0.0] * 3


class CountedWords:
    """MiniLM, with the number of texts whose words were asked for."""

    def __init__(self) -> None:
        self._minilm = MiniLMEmbedder()
        self.asked = 0

    async def start(self):
        await self._minilm.start()

    async def embed(self, texts):
        return await self._minilm.embed(texts)

    async def word_vectors(self, texts):
        self.asked += len(texts)
        return await self._minilm.word_vectors(texts)


QUESTIONS = (
    STORED,
    "Where can I turn on two-factor authentication?",
    "How do I disable two-factor authentication?",
    "How do I enable dark mode?",
    "Can I pay by invoice?",
    "May I pay with an invoice?",
    "Which wine goes with fish?",
    "What is the capital of Peru?",
)


async def test_a_threshold_changes_no_similarity_that_reaches_it_and_lets_none_reach_it():
    embedder = CountedWords()
    await embedder.start()
    scorer = Scorer(embedder)
    vectors = await embedder.embed(QUESTIONS)
    skipped = 0
    for prompt, vector in zip(QUESTIONS, vectors, strict=True):
        cosines = (vectors @ vector).tolist()
        candidates = [((1 + cosine) / 2, text) for cosine, text in zip(cosines, QUESTIONS, strict=True)]
        every = await scorer.similarities(prompt, candidates)
        for threshold in (0.5, 0.7, 0.85, 0.9, 1.0):
            before = embedder.asked
            some = await scorer.similarities(prompt, candidates, threshold)
            skipped += embedder.asked - before < len(QUESTIONS)
            for one, other in zip(every, some, strict=True):
                assert one == other or one <= other < threshold
    assert skipped > len(QUESTIONS)


async def test_the_words_of_a_candidate_that_is_no_hit_whatever_they_say_are_not_embedded():
    embedder = CountedWords()
    await embedder.start()
    prompt, candidate = STORED, "Which wine goes with fish?"
    one, other = await embedder.embed([prompt, candidate])
    candidates = [((1 + float(one @ other)) / 2, candidate)]
    await Scorer(embedder).similarities(prompt, candidates, 0.85)
    assert embedder.asked == 0


_FIRST_SEARCH = """
import asyncio
import sys

import numpy as np

from langcache import LangCache
from langcache.service import LocalServer

opened = []


def note(event, arguments):
    if event == "open" and "matching" in str(arguments[0]) and str(arguments[0]).endswith((".txt", ".json")):
        opened.append((str(arguments[0]), asyncio._get_running_loop()))


class Alike:
    name, dimensions, unrelated_cosine = "alike", 1, 0.0

    async def start(self):
        sys.addaudithook(note)

    async def embed(self, texts):
        return np.ones((len(texts), 1), np.float32)

    async def close(self):
        pass


def first_search(cache):
    cache.set("How do I reset my password?", "So.")
    at_start = opened[:]
    cache.search("I forgot the PIN of my card, how is it changed?", similarity_threshold=0)
    assert opened == at_start, opened
    assert {loop for _, loop in opened} == {None}, opened


if sys.argv[1] == "embedded":
    with LangCache.embedded(embedder=Alike()) as cache:
        first_search(cache)
else:
    with LocalServer(embedder=Alike()) as server:
        with LangCache(server.url, server.api_key, server.cache_id) as cache:
            first_search(cache)
"""


@pytest.mark.parametrize("kind", ["embedded", "served"])
def test_the_lists_are_read_at_the_start_and_not_in_the_event_loop_of_the_first_search(kind):
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_SEARCH, kind], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
