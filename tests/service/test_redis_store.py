"""The store in Redis does what a store is to do: on Redis, on Valkey, and in a cluster of three."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from contextlib import asynccontextmanager

import numpy as np
import pytest
from redis_servers import Cluster, Server, needs

from langcache.service import CacheConfig, StoreError
from langcache.service.stores.index import Index
from langcache.service.stores.memory import MemoryStore
from langcache.service.stores.redis_url import redis_url
from langcache.service.stores.store import Entry, now_millis

CACHE = CacheConfig(cache_id="c")
X = np.array([1, 0], np.float32)
Y = np.array([0, 1], np.float32)


class Clock:
    now = 10**12

    def __call__(self) -> int:
        return self.now


@pytest.fixture(scope="module", params=["redis", "valkey", "cluster"])
def place(request):
    with Cluster() if request.param == "cluster" else Server(engine=request.param) as place:
        yield place


@pytest.fixture
def url(place):
    for node in getattr(place, "nodes", [place]):
        node.do("FLUSHALL")
    return f"{place.url}?prefix={uuid.uuid4().hex}"


@asynccontextmanager
async def opened(url, embedder, clock=now_millis, cache=CACHE):
    needs()
    from langcache.service.stores.redis_storage import RedisStorage

    storage = RedisStorage(redis_url(url), embedder, clock)
    try:
        await storage.open()
        yield await storage.store(cache)
    finally:
        await storage.close()


def entry(number, prompt="p", attributes=None, expires_at=None, response="r"):
    return Entry(f"{number:032x}", prompt, response, attributes or {}, expires_at)


def numbers(found):
    return [int(each.id, 16) for _, each in found]


def unit(degrees):
    radians = np.radians(degrees)
    return np.array([np.cos(radians), np.sin(radians)], np.float32)


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
@pytest.mark.parametrize("seed", range(1))
async def test_it_finds_what_the_store_in_memory_finds(url, embedder, seed, kind):
    rng = random.Random(seed)
    clock = Clock()
    memory = MemoryStore(Index(2, clock))
    attributes = [{}, {"a": "x"}, {"a": "y"}, {"a": "x", "b": "ü, {}|*\\"}, {"b": "x"}]
    prompts = ["Straße", "STRASSE", "p q", "p\0q", "𝄞 {x} @y:*", "'); --"]
    vectors = [unit(degrees) for degrees in (0, 1, 30, 30.001, 90, 180)] + [np.zeros(2, np.float32)]
    async with opened(f"{url}&index={kind}", embedder, clock) as store:
        for number in range(100):
            expires_at = rng.choice([None, None, clock.now + rng.randint(1, 10**6)])
            new = entry(number, rng.choice(prompts), rng.choice(attributes), expires_at)
            vector = rng.choice(vectors)
            await asyncio.gather(memory.add(new, vector), store.add(new, vector))
            clock.now += rng.choice([0, 10**4])
            wanted, asked, limit = rng.choice(attributes), rng.choice(prompts), rng.choice([1, 3, 40])
            near = await memory.nearest(vectors[number % 6], wanted, limit)
            assert await store.nearest(vectors[number % 6], wanted, limit) == near
            assert await store.same(asked, wanted, limit) == await memory.same(asked, wanted, limit)
            chosen = rng.random()
            if chosen < 0.3:
                other = entry(rng.randrange(number + 1)).id
                assert await store.delete(other) == await memory.delete(other)
            elif chosen < 0.32:
                assert await store.delete_matching(wanted) == await memory.delete_matching(wanted)
            elif chosen < 0.33:
                await asyncio.gather(memory.clear(), store.clear())


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
async def test_the_newest_of_many_equals_come_first(url, embedder, kind):
    async with opened(f"{url}&index={kind}", embedder) as store:
        for vector in (X, unit(0.01)):  # as similar, to 6 decimals
            await asyncio.gather(*(store.add(entry(number), vector) for number in range(300)))
        for number in range(1000, 1005):
            await store.add(entry(number), X)
        await store.add(entry(2000), Y)
        assert numbers(await store.nearest(X, {}, 3)) == [1004, 1003, 1002]
        assert numbers(await store.nearest(unit(0.01), {}, 3)) == [1004, 1003, 1002]
        assert numbers(await store.same("P", {}, 2)) == [2000, 1004]


async def test_expired_entries_that_redis_still_lists_take_no_place(url, place, embedder):
    nodes = getattr(place, "nodes", [place])
    for node in nodes:
        node.do("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    try:
        async with opened(url, embedder) as store:
            await store.add(entry(7, attributes={"a": "b"}), unit(20))
            soon = now_millis() + 300
            new = (entry(100 + number, attributes={"a": "b"}, expires_at=soon) for number in range(200))
            await asyncio.gather(*(store.add(each, X) for each in new))
            while now_millis() <= soon:
                found = numbers(await store.nearest(X, {}, 300))
                assert found[-1] == 7
                assert found[:-1] == sorted(found[:-1], reverse=True)
            assert numbers(await store.nearest(X, {}, 1)) == [7]
            assert numbers(await store.same("p", {}, 1)) == [7]
            assert not await store.delete(entry(100).id)
            assert await store.delete_matching({"a": "b"}) == 1
    finally:
        for node in nodes:
            node.do("DEBUG", "SET-ACTIVE-EXPIRE", "1")


async def test_an_entry_lives_no_longer_than_it_should(url, place, embedder):
    async with opened(url, embedder) as store:
        await store.add(entry(1, expires_at=now_millis() - 1), X)
        assert await store.nearest(X, {}, 1) == []
        end = now_millis() + 200
        await store.add(entry(2, expires_at=end), X)
        while await store.nearest(X, {}, 1):
            assert now_millis() < end + 60_000
        assert now_millis() >= end


async def test_thousands_of_entries_are_deleted(url, embedder):
    async with opened(url, embedder) as store:
        await asyncio.gather(*(store.add(entry(n, attributes={"a": str(n % 2)}), X) for n in range(2100)))
        assert await store.delete_matching({"a": "1"}) == 1050
        assert len(await store.nearest(X, {}, 2000)) == 1050
        await store.clear()
        assert await store.nearest(X, {}, 10) == []


@pytest.mark.parametrize("text", ["", "\0\r\n\xff", "👩‍🚀 ß İ", "a" * 3_000_000, "{}|@*\\\"'"])
async def test_any_text_comes_back_as_it_was(url, embedder, text):
    async with opened(url, embedder) as store:
        new = entry(1, prompt=text, attributes={"a": text[:500]}, response=text)
        await store.add(new, X)
        assert [found for _, found in await store.nearest(X, new.attributes, 1)] == [new]
        assert [found for _, found in await store.same(text.upper(), new.attributes, 1)] == (
            [new] if text.upper().casefold() == text.casefold() else []
        )


async def test_what_can_t_be_stored_is_an_error_and_changes_nothing(url, embedder):
    async with opened(url, embedder) as store:
        for wrong in (entry(1, "\ud800"), entry(2, response="\ud800"), entry(3, expires_at=2**70)):
            with pytest.raises(StoreError, match="can't be stored"):
                await store.add(wrong, X)
        assert await store.same("\ud800", {"a": "\ud800"}, 1) == []
        assert not await store.delete("\ud800")
        assert await store.nearest(X, {}, 9) == []


async def test_services_share_entries_at_once(url, embedder):
    async with opened(url, embedder) as one, opened(url, embedder) as other:
        await one.add(entry(1), X)
        assert numbers(await other.nearest(X, {}, 9)) == [1]
        await other.add(entry(2), X)
        assert numbers(await one.nearest(X, {}, 9)) == [2, 1]
        assert await other.delete(entry(1).id)
        assert not await one.delete(entry(1).id)
        await one.clear()
        assert await other.nearest(X, {}, 9) == []


async def test_what_is_added_before_a_lost_index_is_made_anew_is_found(url, place, embedder):
    from langcache.service.stores.redis_index import create

    async with opened(url, embedder) as one, opened(url, embedder) as other:
        await one.add(entry(1), X)
        await other.add(entry(2), X)
        for node in getattr(place, "nodes", [place]):
            node.do("FLUSHALL")
        made, _, new = await one._index._metadata()  # and now, before there is an index:
        await other.add(entry(3), X)
        await create(one._call, one._keys, made.index, embedder.dimensions, new)
        assert new
        assert numbers(await other.nearest(X, {}, 9)) == numbers(await one.nearest(X, {}, 9)) == [3]


async def test_caches_and_prefixes_keep_apart(url, embedder):
    async with (
        opened(url, embedder) as one,
        opened(url, embedder, cache=CacheConfig(cache_id="c2")) as other,
        opened(f"{url}2", embedder) as third,
    ):
        for number, store in enumerate((one, other, third)):
            await store.add(entry(number), X)
        await one.clear()
        assert [numbers(await store.nearest(X, {}, 9)) for store in (one, other, third)] == [[], [1], [2]]


async def test_twenty_services_that_begin_at_once_agree(url, embedder):
    async def begin(number):
        async with opened(url, embedder) as store:
            await store.add(entry(number), X)

    await asyncio.gather(*(begin(number) for number in range(20)))
    async with opened(url, embedder) as store:
        assert sorted(numbers(await store.nearest(X, {}, 99))) == list(range(20))


class Other:
    name = "other"
    dimensions = 2
    unrelated_cosine = 0.5


async def test_another_embedder_is_refused_with_what_to_do(url, embedder):
    async with opened(url, embedder) as store:
        await store.add(entry(1), X)
        with pytest.raises(StoreError, match=r"made with the embedder angle.*has other.*another cache id"):
            async with opened(url, Other()):
                pass
        assert numbers(await store.nearest(X, {}, 9)) == [1]


async def test_another_embedder_that_took_the_cache_over_is_noticed(url, place, embedder):
    prefix = url.partition("prefix=")[2]
    key = f"{prefix}:{{c}}:meta"
    async with opened(url, embedder) as store:
        await store.add(entry(1), X)
        await store._call(("UNLINK", key))
        async with opened(url, Other()) as other:
            await other.add(entry(2), X)
            for call in (
                store.nearest(X, {}, 1),
                store.same("p", {}, 1),
                store.clear(),
                store.add(entry(3), X),
            ):
                with pytest.raises(StoreError, match="made with the embedder other"):
                    await call
            assert numbers(await other.nearest(X, {}, 9)) == [2]


async def test_the_cosine_of_unrelated_prompts_is_remembered(url, embedder):
    class Measured(type(embedder)):
        @property
        def unrelated_cosine(self):
            return self.cosine

    first, second = Measured(), Measured()
    first.cosine, second.cosine = 0.5, 0.0
    for made_by in (first, second):
        async with opened(url, made_by) as store:
            await store.add(entry(1), X)
            assert (await store.nearest(unit(60), {}, 1))[0][0] == 0.5


async def test_calls_of_one_turn_of_the_loop_go_out_together(embedder, redis_at, redis_server):
    def reads():
        return redis_server.do("INFO", "stats")["total_reads_processed"]

    async with opened(redis_at, embedder) as store:
        await asyncio.gather(*(store.add(entry(number), X) for number in range(200)))
        before = reads()
        await asyncio.gather(*(store.nearest(X, {}, 1) for _ in range(100)))
        assert reads() - before < 50


async def test_an_index_is_replaced_while_it_is_searched(url, embedder, caplog):
    caplog.set_level(logging.INFO, "langcache")
    async with opened(url, embedder) as other:
        await asyncio.gather(*(other.add(entry(number), unit(number / 9)) for number in range(300)))
        async with opened(f"{url}&index=hnsw", embedder) as store:
            while "now uses its index of the kind hnsw" not in caplog.text:
                for each in (store, other):
                    assert numbers(await each.nearest(unit(200 / 9), {}, 1)) == [200]
                await other.add(entry(900), Y)
                assert await store.delete(entry(900).id)
            for each in (store, other):
                assert numbers(await each.nearest(unit(200 / 9), {}, 1)) == [200]
                assert (await each._index.state()).made.index == "hnsw"
    async with opened(url, embedder) as later:
        assert (await later._index.state()).made.index == "hnsw"


async def test_an_index_that_is_not_complete_is_not_answered_from(url, embedder):
    async with opened(f"{url}&index=hnsw", embedder) as store:
        await asyncio.gather(*(store.add(entry(n, prompt=str(n)), unit(n / 9)) for n in range(1500)))
        state = await store._index.state()
        await store._call(("FT.DROPINDEX", store._keys.index(state.made.index)))
        failed = 0
        async with opened(url, embedder) as other:
            for number in range(0, 1500, 50):
                for each in (store, other):
                    try:
                        assert numbers(await each.same(str(number), {}, 1)) == [number]
                    except StoreError:
                        failed += 1
        assert failed < 60


async def test_a_large_cache_is_told_of_hnsw(embedder, redis_at, monkeypatch, caplog):
    needs()
    monkeypatch.setattr("langcache.service.stores.redis_index.FLAT_ENTRIES", 1500)
    async with opened(redis_at, embedder) as store:
        await asyncio.gather(*(store.add(entry(number), X) for number in range(3100)))
    assert caplog.text.count("?index=hnsw") == 1
    async with opened(f"{redis_at}&index=hnsw", embedder):
        pass
    assert caplog.text.count("?index=hnsw") == 1


async def test_who_waits_for_a_cache_that_is_dropped_is_told_so(redis_at, embedder):
    needs()
    from langcache.service.stores.redis_storage import RedisStorage

    storage = RedisStorage(redis_url(redis_at), embedder)
    try:
        await storage.open()
        store = await storage.store(CACHE)
        index = storage._indexes["c"]

        asked = asyncio.Event()

        async def never():
            asked.set()
            await asyncio.Event().wait()

        index._prepare = never
        index.forget(await index.state())
        waiting = asyncio.create_task(store.size())
        await asked.wait()
        await storage.drop(CACHE, False)
        with pytest.raises(StoreError, match="was closed meanwhile"):
            await asyncio.wait_for(waiting, 60)
    finally:
        await storage.close()
