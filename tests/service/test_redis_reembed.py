"""Entries in Redis get the vectors of another embedder while services add and delete entries."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from contextlib import asynccontextmanager

import msgspec
import numpy as np
import pytest
from redis_servers import Cluster, Server, needs

from langcache.cli import main
from langcache.service import CacheConfig, EmbedderError, LocalServer, MiniLMEmbedder, StoreError
from langcache.service.stores.redis_url import redis_url
from langcache.service.stores.store import Entry, now_millis

CACHE = CacheConfig(cache_id="c")


class Lengths:
    """Puts a prompt at the angle of its length, in so many dimensions; fails once it has embedded enough."""

    unrelated_cosine = 0.0
    compare_texts = False

    def __init__(self, name: str, dimensions: int) -> None:
        self.name, self.dimensions = name, dimensions
        self.asked = 0
        self.fails_after = 10**9
        self.between = None
        """Awaited before each call is answered."""

    async def start(self):
        pass

    async def embed(self, texts):
        if self.between is not None:
            await self.between()
        self.asked += len(texts)
        if self.asked > self.fails_after:
            raise EmbedderError("enough")
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        angles = np.radians([len(text) for text in texts])
        vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
        return vectors

    async def close(self):
        pass


@pytest.fixture
def old():
    return Lengths("old", 2)


@pytest.fixture
def new():
    return Lengths("new", 3)


@pytest.fixture(scope="module", params=["redis", "valkey", "cluster"])
def place(request):
    needs("valkey" if request.param == "valkey" else "redis")
    with Cluster() if request.param == "cluster" else Server(engine=request.param) as place:
        yield place


@pytest.fixture(params=["flat", "hnsw"])
def url(place, request):
    for node in getattr(place, "nodes", [place]):
        node.do("FLUSHALL")
    return f"{place.url}?prefix={uuid.uuid4().hex}&index={request.param}"


@asynccontextmanager
async def opened(url, embedder, cache=CACHE):
    from langcache.service.stores.redis_storage import RedisStorage

    storage = RedisStorage(redis_url(url), embedder)
    try:
        await storage.open()
        yield await storage.store(cache)
    finally:
        await storage.close()


async def reembed(url, embedder):
    from langcache.service.stores.redis_reembed import reembed

    return await reembed(redis_url(url), CACHE.cache_id, embedder)


async def add(store, embedder, number, **fields):
    prompt = f"{'p' * (number % 80)} {number}"
    entry = Entry(f"{number:032x}", prompt, f"r{number}", {"half": str(number % 2)}, fields.get("expires_at"))
    (vector,) = await embedder.embed([prompt])
    await store.add(entry, vector)
    return entry


async def check_has(store, embedder, entries):
    """Check that a store has these entries and no others, each with the vector of its prompt."""
    listed = await store.nearest(np.eye(1, embedder.dimensions, dtype=np.float32)[0], {}, 5000)
    assert {entry.id for _, entry in listed} == {entry.id for entry in entries}
    for entry in list(entries)[::20]:
        (vector,) = await Lengths("", embedder.dimensions).embed([entry.prompt])
        found = await store.nearest(vector, entry.attributes, 100)
        assert entry.id in {each.id for similarity, each in found if similarity == 1.0}
        assert [each for _, each in await store.same(entry.prompt, {}, 2)] == [entry]


def keys_of(place, url):
    prefix = redis_url(url).prefix
    return [key for node in getattr(place, "nodes", [place]) for key in node.do("KEYS", f"{prefix}:*")]


async def test_entries_that_are_added_and_deleted_meanwhile_are_there_or_not(place, url, old, new):
    kept, numbers = {}, iter(range(10**6))
    async with opened(url, old) as store, opened(url, old) as another:
        for _ in range(50):
            entry = await add(store, old, next(numbers))
            kept[entry.id] = entry
        mortal = await add(store, old, next(numbers), expires_at=now_millis() + 10**7)
        for _ in range(100):
            entry = await add(store, old, next(numbers))
            kept[entry.id] = entry

        async def meanwhile():
            if new.asked > 400:  # else it goes on for ever
                return
            await another.delete(kept.pop(next(iter(kept))).id)  # which has a copy, once there are some
            await another.delete(kept.pop(list(kept)[-1]).id)
            for _ in range(10):
                entry = await add(another, old, next(numbers))
                kept[entry.id] = entry

        new.between = meanwhile
        assert await reembed(url, new) >= 151
        for call in (
            store.nearest(np.eye(1, 2, dtype=np.float32)[0], {}, 1),
            add(store, old, 5),
            store.delete(mortal.id),
            another.clear(),
        ):
            with pytest.raises(StoreError, match="made with the embedder new"):
                await call
    new.between = None
    kept[mortal.id] = mortal
    async with opened(url, new) as store:
        await check_has(store, new, kept.values())
        (key,) = [key for key in keys_of(place, url) if key.endswith(mortal.id.encode())]
        assert 0 < time_to_live(place, key) <= 10**7
        odd = sum(entry.attributes["half"] == "1" for entry in kept.values())
        assert await store.delete_matching({"half": "0"}) == len(kept) - odd
        assert sum(b":e:" in key for key in keys_of(place, url)) == odd
    assert await reembed(url, new) == 0


def time_to_live(place, key):
    import redis

    for node in getattr(place, "nodes", [place]):
        with contextlib.suppress(redis.ResponseError):  # another node has it
            return node.do("PTTL", key)
    return None


async def test_a_run_that_was_stopped_is_taken_up(url, old, new):
    async with opened(url, old) as store:
        entries = [await add(store, old, number) for number in range(200)]
        new.fails_after = 130
        with pytest.raises(EmbedderError, match="enough"):
            await reembed(url, new)
        await check_has(store, old, entries)  # as before
        assert await store.delete(entries.pop(3).id)
        new.fails_after, new.asked = 10**9, 0
        assert await reembed(url, new) == 200 - 128
        assert new.asked == 200 - 128
    async with opened(url, new) as store:
        await check_has(store, new, entries)


async def test_the_oldest_that_go_for_want_of_room_have_no_copy_left(url, old, new):
    async with opened(url, old) as store:
        entries = [await add(store, old, number) for number in range(200)]
        new.fails_after = 130
        with pytest.raises(EmbedderError, match="enough"):
            await reembed(url, new)
    async with opened(url, old, msgspec.structs.replace(CACHE, max_entries=150)) as store:
        await check_has(store, old, entries[50:])
        new.fails_after = 10**9
        await reembed(url, new)
    async with opened(url, new) as store:
        await check_has(store, new, entries[50:])


async def test_what_was_deleted_between_runs_for_other_embedders_stays_away(place, url, old, new):
    async with opened(url, old) as store:
        entries = [await add(store, old, number) for number in range(100)]
        for embedder in (new, Lengths("third", 2)):
            embedder.fails_after = 70
            with pytest.raises(EmbedderError, match="enough"):
                await reembed(url, embedder)
        await store.delete(entries.pop(0).id)
        new.fails_after = 10**9
        assert await reembed(url, new) == 99
    async with opened(url, new) as store:
        await check_has(store, new, entries)
    assert len(keys_of(place, url)) == 99 + 1
    for node in getattr(place, "nodes", [place]):
        own = [name for name in node.do("FT._LIST") if name.startswith(redis_url(url).prefix.encode())]
        assert len(own) <= 1


async def test_a_run_that_was_stopped_after_the_change_is_finished(place, url, old, new, monkeypatch):
    from langcache.service.stores import redis_reembed

    async def stopped(self):
        raise StoreError("stopped")

    async with opened(url, old) as store:
        entries = [await add(store, old, number) for number in range(70)]
        scripted = redis_reembed.scripted

        async def one_more(call, script, *given):  # is added when the last copy has been made
            if script is redis_reembed._FLIP:
                entries.append(await add(store, old, 70))
            return await scripted(call, script, *given)

        monkeypatch.setattr(redis_reembed, "scripted", one_more)
        with monkeypatch.context() as patched:
            patched.setattr(redis_reembed._Reembedding, "_finish", stopped)
            with pytest.raises(StoreError, match="stopped"):
                await reembed(url, new)
    async with opened(url, new) as store:
        await check_has(store, new, entries[:-1])
        assert await reembed(url, new) == 1
        await check_has(store, new, entries)
    assert len(keys_of(place, url)) == 71 + 1


async def test_there_must_be_a_cache(url, new):
    with pytest.raises(StoreError, match="there are no entries of"):
        await reembed(url, new)


def test_the_command_embeds_entries_of_a_redis_and_of_a_file(redis_at, embedder, tmp_path, capsys):
    file = tmp_path / "cache.db"
    for kept, option in (({"store": redis_at}, f"--store={redis_at}"), ({"db": file}, f"--db={file}")):
        with LocalServer(embedder=embedder, **kept) as server:
            asyncio.run(store_one(server))
        assert main(["reembed", option, "--embedder", "minilm"]) == 0
        assert capsys.readouterr().out == f"1 entry is embedded with {MiniLMEmbedder.name}.\n"
        assert main(["reembed", option, "--embedder", "minilm"]) == 0
        assert capsys.readouterr().out == f"There is nothing to embed with {MiniLMEmbedder.name}.\n"


async def store_one(server):
    from langcache import AsyncLangCache

    async with AsyncLangCache(server.url, server.api_key, server.cache_id) as cache:
        await cache.set("a question", "an answer")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "--store: name the Redis"),
        (["--db", "nowhere.db"], "--db: there is no file 'nowhere.db'"),
        (["--store", "redis://h", "--cache-id", "a/b"], "--cache-id: must be"),
        (["--store", "redis://:hunter2@h"], "--store: other users"),
    ],
)
def test_what_can_t_be_meant_is_refused(options, reason, capsys, monkeypatch):
    monkeypatch.delenv("LANGCACHE_SERVE_STORE", raising=False)
    assert main(["reembed", *options, "--embedder", "minilm"]) == 2
    assert reason in capsys.readouterr().err
