"""Prompts that the embedder can't read: stored, found by exact search, and never by meaning."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import contextmanager

import numpy as np
import pytest

from langcache import LangCache
from langcache.service import CacheConfig, LocalServer
from langcache.service.quality import measure, measure_languages, pairs, questions
from langcache.service.readable import ReadableOnly

PROMPT = "unreadable @0"


@pytest.fixture
def reader(embedder):
    """An embedder that can't read prompts that begin with "unreadable"."""
    embedder.can_read = lambda text: not text.startswith("unreadable")
    return embedder


@contextmanager
def cache_with(embedder, **settings):
    """A client of a new server that has this embedder."""
    with (
        LocalServer(embedder=embedder, **settings) as server,
        LangCache(server.url, server.api_key, server.cache_id) as cache,
    ):
        yield cache


def warnings(caplog):
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("saved", "asked"), [(PROMPT, PROMPT), (PROMPT, "readable @0"), ("readable @0", PROMPT)]
)
def test_meaning_connects_no_prompt_with_an_unreadable_one(reader, saved, asked):
    with cache_with(reader) as cache:
        cache.set(saved, "answer")
        for threshold in (0.0, 0.5, 0.85, None):
            assert not cache.search(asked, similarity_threshold=threshold)


def test_exact_search_finds_an_unreadable_prompt_and_it_can_be_deleted(reader):
    with cache_with(reader, attributes=("topic",)) as cache:
        entry_id = cache.set(PROMPT, "answer", attributes={"topic": "a"}).entry_id
        found = cache.search(PROMPT.upper(), search_strategies=["semantic", "exact"])
        assert (found.response, found[0].search_strategy, found[0].similarity) == ("answer", "exact", 1.0)
        assert cache.search(PROMPT, search_strategies=["exact"], attributes={"topic": "a"})
        cache.delete_by_id(entry_id)
        assert not cache.search(PROMPT, search_strategies=["exact"])
        cache.set(PROMPT, "answer", attributes={"topic": "a"})
        assert cache.delete_query({"topic": "a"}).deleted_entries_count == 1


def test_readable_prompts_are_found_among_unreadable_ones(reader):
    with cache_with(reader) as cache:
        for number in range(3):
            cache.set(PROMPT, f"unreadable {number}")
            cache.set("readable @10", f"readable {number}")
        found = cache.search("readable @0", max_results=10, similarity_threshold=0.0)
        assert [entry.response for entry in found] == ["readable 2", "readable 1", "readable 0"]


def test_the_log_says_once_what_to_do_without_the_words_of_a_prompt(reader, caplog):
    caches = [CacheConfig(cache_id="one"), CacheConfig(cache_id="two")]
    with LocalServer(caches=caches, embedder=reader) as server:
        for cache_id in ("one", "two"):
            with LangCache(server.url, server.api_key, cache_id) as cache:
                cache.set(PROMPT, "answer")
                cache.search(PROMPT)
    (record,) = warnings(caplog)
    assert record.levelno == logging.WARNING
    assert record.name.startswith("langcache.service")
    for part in ("embedder angle can't read", "--embedder openai:URL", "OpenAIEmbedder(url, model)"):
        assert part in record.getMessage()
    assert PROMPT not in record.getMessage()


def test_the_log_is_silent_about_readable_prompts_and_exact_searches(reader, caplog):
    with cache_with(reader) as cache:
        cache.set("readable", "answer")
        cache.search("readable")
        cache.search(PROMPT, search_strategies=["exact"])
    assert not warnings(caplog)


async def test_an_embedder_without_can_read_reads_everything(embedder):
    assert not hasattr(embedder, "can_read")
    readable_only = ReadableOnly(embedder)
    await readable_only.start()
    assert (readable_only.name, readable_only.dimensions) == (embedder.name, embedder.dimensions)
    assert np.allclose(await readable_only.embed([PROMPT]), [[1, 0]])
    await readable_only.close()
    assert (embedder.started, embedder.closed) == (1, 1)


async def test_only_readable_texts_reach_the_embedder_and_rows_keep_their_places(reader):
    asked = []
    embed = reader.embed

    async def recorded(texts):
        asked.extend(texts)
        return await embed(texts)

    reader.embed = recorded
    vectors = await ReadableOnly(reader).embed(["a @90", PROMPT, "b @0"])
    assert np.allclose(vectors, [[0, 1], [0, 0], [1, 0]], atol=1e-6)
    assert not (await ReadableOnly(reader).embed([PROMPT])).any()
    assert asked == ["a @90", "b @0"]


def test_a_file_keeps_unreadable_prompts_and_they_stay_without_meaning(reader, tmp_path):
    path = tmp_path / "cache.db"
    with cache_with(reader, db=path) as cache:
        cache.set(PROMPT, "answer")
    with cache_with(reader, db=path) as cache:
        assert not cache.search("readable @0", similarity_threshold=0.0)
        assert cache.search(PROMPT, search_strategies=["exact"])


def test_vectors_that_an_earlier_embedder_made_of_unreadable_prompts_leave_the_file(embedder, tmp_path):
    path = tmp_path / "cache.db"
    with cache_with(embedder, db=path) as cache:
        cache.set(PROMPT, "answer")
        assert cache.search("readable @0")
    embedder.name = "angle-2"
    embedder.can_read = lambda text: not text.startswith("unreadable")
    with cache_with(embedder, db=path) as cache:
        assert not cache.search("readable @0", similarity_threshold=0.0)
        assert cache.search(PROMPT, search_strategies=["exact"])
    with sqlite3.connect(path) as connection:
        ((vector,),) = connection.execute("SELECT vector FROM entries").fetchall()
    connection.close()
    assert not any(vector)


async def test_measurements_count_an_unreadable_prompt_as_a_miss(reader):
    reader.can_read = lambda text: False
    figures = await measure(reader, pairs(), [0.7])
    assert (figures[0].recall, figures[0].unrelated_hits, figures[0].precision) == (0, 0, 1)
    for language in await measure_languages(reader, questions()):
        assert (language.read, language.unrelated_hits, language.paraphrase_hits) == (0, 0, 0)
