"""Similarity counts from the cosine of unrelated prompts, whatever that is for a model."""

from __future__ import annotations

import hashlib
import logging
import sqlite3

import numpy as np
import pytest

from langcache import LangCache
from langcache.service import EmbedderError, LocalServer
from langcache.service.calibration import UNRELATED_PROMPTS, calibrated, measure_unrelated, unrelated_cosine
from langcache.service.quality import measure, measure_languages, pairs, questions
from langcache.service.readable import ReadableOnly

SIZE = 256


class HighEmbedder:
    """Like E5: any two texts have at least the cosine ``least``. What is random is fixed for each text."""

    compare_texts = False  # the vectors are made up
    name = "high"
    dimensions = SIZE + 1

    def __init__(self, least=0.78):
        self.least = least
        self.asked = []

    async def start(self):
        pass

    async def embed(self, texts):
        self.asked += texts
        rows = np.stack([self.vector(text) for text in texts])
        return rows.astype(np.float32)

    def vector(self, text):
        seed = int.from_bytes(hashlib.sha256(text.casefold().encode()).digest()[:8], "big")
        random = np.random.default_rng(seed).normal(size=SIZE)
        random *= np.sqrt(1 - self.least) / np.linalg.norm(random)
        return np.append(random, np.sqrt(self.least))

    async def close(self):
        pass


def ask(embedder, prompt, path=None, saved="How do I boil an egg?"):
    """What a new service finds for a prompt, however unlike."""
    with (
        LocalServer(embedder=embedder, db=path) as server,
        LangCache(server.url, server.api_key, server.cache_id) as cache,
    ):
        if saved is not None:
            cache.set(saved, "the answer")
        return cache.search(prompt, similarity_threshold=0.0)[0].similarity


@pytest.mark.parametrize("least", [0.0, 0.3, 0.78, 0.9])
@pytest.mark.parametrize("file", [None, "cache.db"])
def test_unrelated_prompts_are_far_apart_and_equal_ones_close_whatever_the_model(tmp_path, least, file):
    path = file and tmp_path / file
    assert ask(HighEmbedder(least), "Which wine goes with fish?", path) == pytest.approx(0.5, abs=0.15)
    assert ask(HighEmbedder(least), "how do I boil an EGG?", path) == pytest.approx(1.0, abs=0.00001)


@pytest.mark.parametrize("unrelated", [0.0, 0.3, 0.78, 0.95])
def test_the_scale(unrelated):
    def similarity(cosine):
        return calibrated((1 + cosine) / 2, unrelated)

    assert similarity(1.0) == 1.0
    assert similarity(unrelated) == 0.5
    assert similarity(-1.0) == 0.0
    rising = [similarity(cosine) for cosine in np.linspace(-1, 1, 101)]
    assert rising == sorted(rising)
    assert 0 <= rising[0] <= rising[-1] <= 1
    if not unrelated:
        assert all(similarity(cosine) == round((1 + cosine) / 2, 6) for cosine in np.linspace(-1, 1, 101))


async def test_an_embedder_may_name_its_own_and_is_not_asked_then(embedder):
    embedder.unrelated_cosine = 0.4
    embedder.failure = RuntimeError("not to be asked")
    assert await unrelated_cosine(ReadableOnly(embedder)) == 0.4
    embedder.unrelated_cosine = -0.2
    assert await unrelated_cosine(embedder) == 0.0


async def test_only_what_can_be_read_is_measured():
    embedder = HighEmbedder()
    embedder.can_read = lambda text: "?" not in text
    assert await measure_unrelated(embedder) == pytest.approx(0.78, abs=0.05)
    assert not any("?" in text for text in embedder.asked)
    embedder.can_read = lambda text: False
    assert await measure_unrelated(embedder) == 0.0


async def test_vectors_that_are_not_finite_are_refused():
    embedder = HighEmbedder()
    embedder.vector = lambda text: np.full(SIZE + 1, np.nan)
    with pytest.raises(EmbedderError, match="the embedder gave a vector of length nan"):
        await unrelated_cosine(embedder)


def test_a_model_that_can_not_tell_prompts_apart_is_reported(caplog):
    ask(HighEmbedder(0.999), "Which wine goes with fish?")
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert (
        "embedder high gives nearly the same vector to prompts that have nothing to do" in record.getMessage()
    )


def test_a_file_keeps_its_scores_whatever_is_measured_later(tmp_path):
    path = tmp_path / "cache.db"
    asked = "Which wine goes with fish?"
    score = ask(HighEmbedder(), asked, path)
    later = HighEmbedder()
    later.unrelated_cosine = 0.1  # as if other prompts were used to measure it
    assert ask(later, asked, path, saved=None) == score
    again = HighEmbedder()
    assert ask(again, asked, path, saved=None) == score
    assert again.asked == [asked]  # nothing was measured


def test_another_model_is_measured_anew(tmp_path):
    path = tmp_path / "cache.db"
    ask(HighEmbedder(), "Which wine goes with fish?", path)
    other = HighEmbedder(0.5)
    other.name = "other"
    assert ask(other, "Which wine goes with fish?", path, saved=None) == pytest.approx(0.5, abs=0.15)


def test_a_calibration_that_was_altered_is_measured_again(tmp_path):
    path = tmp_path / "cache.db"
    score = ask(HighEmbedder(), "Which wine goes with fish?", path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE embedder SET unrelated_cosine = 0.5")
    connection.commit()
    connection.close()
    assert ask(HighEmbedder(), "Which wine goes with fish?", path, saved=None) == score


async def test_the_quality_tables_give_the_similarity_that_the_service_gives():
    embedder = HighEmbedder()
    (figures,) = await measure(embedder, pairs(), [0.85])
    assert figures.unrelated_hits == figures.recall == 0
    for language in await measure_languages(embedder, questions()):
        assert language.unrelated_hits == 0


def test_the_prompts_are_fifty_and_different():
    assert len(UNRELATED_PROMPTS) == len({prompt.casefold() for prompt in UNRELATED_PROMPTS}) == 50
