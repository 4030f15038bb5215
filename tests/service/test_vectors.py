"""Vectors that break the rule are refused by every store, for entries and searches, and nothing is kept."""

from __future__ import annotations

import numpy as np
import pytest

from langcache import LangCache, LangCacheError
from langcache.service import CacheConfig, EmbedderError, LocalServer
from langcache.service.engine import Cache
from langcache.service.readable import ReadableOnly
from langcache.service.stores.memory import Memory
from langcache.service.stores.sqlite import Database
from langcache.service.stores.store import Entry

CACHE = CacheConfig()
RIGHT = np.array([0.6, 0.8], np.float32)
WRONG = {
    "another length": np.array([1, 0, 0], np.float32),
    "empty": np.empty(0, np.float32),
    "no vector": np.float32(1),
    "several": np.eye(2, dtype=np.float32),
    "NaN": np.array([np.nan, 0], np.float32),
    "infinite": np.array([np.inf, 0], np.float32),
    "huge": np.array([3e38, 3e38], np.float32),
    "huge in another type": np.array([1e308, 1e308]),
    "too long": np.array([1, 1], np.float32),
    "too short": np.array([0.5, 0], np.float32),
    "tiny": np.array([1e-30, 0], np.float32),
    "texts": np.array(["1", "0"]),
    "objects": np.array([None, 1], object),
    "complex": np.array([1j, 0]),
    "truths": np.array([True, False]),
    "a list of lists": [[1], [0, 1]],
    "None": None,
}


class Giving:
    """An embedder that gives whatever it is told to."""

    name = "giving"
    dimensions = 2
    unrelated_cosine = 0.0  # so that nothing is embedded before a test has said what it gives
    gives: object = None

    async def start(self):
        pass

    async def embed(self, texts):
        return self.gives

    async def close(self):
        pass


@pytest.fixture(params=[Memory, Database])
async def storage(request, tmp_path):
    embedder = Giving()
    storage = Memory(embedder) if request.param is Memory else Database(tmp_path / "cache.db", embedder)
    await storage.open()
    yield storage
    await storage.close()


async def responses(store):
    return [found.response for _, found in await store.nearest(RIGHT, {}, 100)]


@pytest.mark.parametrize("vector", WRONG.values(), ids=WRONG)
async def test_a_wrong_vector_is_refused_before_anything_is_kept(storage, vector):
    store = await storage.store(CACHE)
    await store.add(Entry("1", "p", "kept", {}, None), RIGHT)
    with pytest.raises(EmbedderError, match="the embedder gave"):
        await store.add(Entry("2", "q", "r", {}, None), vector)
    with pytest.raises(EmbedderError, match="the embedder gave"):
        await store.nearest(vector, {}, 1)
    assert await store.same("q", {}, 1) == []
    assert await responses(store) == ["kept"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, int])
async def test_other_types_of_numbers_and_zeros_are_taken(storage, dtype):
    store = await storage.store(CACHE)
    await store.add(Entry("1", "p", "one", {}, None), np.array([0, 1], dtype))
    await store.add(Entry("2", "p", "zeros", {}, None), np.zeros(2, dtype))
    if dtype is not int:
        await store.add(Entry("3", "p", "near", {}, None), np.array([0.6, 0.8], dtype))
    assert await responses(store) == (["one"] if dtype is int else ["near", "one"])


@pytest.mark.parametrize("vector", WRONG.values(), ids=WRONG)
async def test_a_cache_refuses_what_a_wrong_embedder_gives(storage, vector):
    embedder = Giving()
    cache = Cache(CACHE, await storage.store(CACHE), embedder)
    embedder.gives = RIGHT[None]
    await cache.set("p", "kept")
    embedder.gives = [vector]
    for call in (cache.set("q", "r"), cache.search("p")):
        with pytest.raises(EmbedderError, match="the embedder gave"):
            await call
    for wrong in (RIGHT, np.stack([RIGHT, RIGHT]), np.empty((0, 2), np.float32)):
        embedder.gives = wrong
        with pytest.raises(EmbedderError, match="an array of"):
            await cache.set("q", "r")
    embedder.gives = RIGHT[None]
    assert [entry.response for entry in await cache.search("p", max_results=5)] == ["kept"]


async def test_one_vector_is_not_taken_for_those_of_several_readable_texts():
    embedder = Giving()
    embedder.gives = RIGHT[None]
    embedder.can_read = lambda text: text != "?"
    with pytest.raises(EmbedderError, match=r"an array of \(1, 2\), where \(2, 2\) is due"):
        await ReadableOnly(embedder).embed(["one", "?", "two"])


async def test_wrong_vectors_leave_a_file_of_another_embedder_as_it_was(tmp_path):
    old = Giving()
    database = Database(tmp_path / "cache.db", old)
    await database.open()
    await (await database.store(CACHE)).add(Entry("1", "p", "kept", {}, None), RIGHT)
    await database.close()
    new = Giving()
    new.name, new.gives = "new", np.array([[np.nan, 0]], np.float32)
    with pytest.raises(EmbedderError, match="of length nan"):
        await Database(tmp_path / "cache.db", new).open()
    database = Database(tmp_path / "cache.db", old)
    await database.open()
    assert await responses(await database.store(CACHE)) == ["kept"]
    await database.close()


def test_a_server_answers_424_and_goes_on(tmp_path):
    embedder = Giving()
    with (
        LocalServer(embedder=embedder, db=tmp_path / "cache.db") as server,
        LangCache(server.url, server.api_key, server.cache_id) as cache,
    ):
        for vector in WRONG.values():
            embedder.gives = [vector]
            for call in (lambda: cache.set("p", "r"), lambda: cache.search("p")):
                with pytest.raises(LangCacheError) as failure:
                    call()
                assert failure.value.status_code == 424
        embedder.gives = RIGHT[None]
        cache.set("p", "kept")
        assert cache.search("p").response == "kept"
