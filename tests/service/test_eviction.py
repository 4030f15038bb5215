"""A cache with ``max_entries``: one more takes the place of the oldest, wherever entries are kept."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis_servers import STORES

from langcache import AsyncLangCache, AsyncLangCacheAdmin, LangCache
from langcache.cli import main
from langcache.limits import LimitError
from langcache.service import CacheConfig, LocalServer
from langcache.service.stores.index import Index
from langcache.service.stores.memory import Memory
from langcache.service.stores.redis_url import redis_url
from langcache.service.stores.sqlite import Database
from langcache.service.stores.store import NEVER, Entry

ADMIN_KEY = "admin-key-0123456789"


class Clock:
    now = 1_000

    def __call__(self):
        return self.now


def entry(number, expires_at=None):
    return Entry(f"e{number}", "the same prompt", "r", {"n": f"{number % 3}"}, expires_at)


@asynccontextmanager
async def store_in(kind, most, embedder, where):
    if kind == "redis":
        from langcache.service.stores.redis_storage import RedisStorage

        storage = RedisStorage(redis_url(where), embedder)
    else:
        storage = Memory(embedder) if kind == "memory" else Database(where, embedder)
    await storage.open()
    try:
        yield await storage.store(CacheConfig(max_entries=most, attributes=("n",)))
    finally:
        await storage.close()


@pytest.fixture
def where(request, tmp_path):
    def where(kind):
        return request.getfixturevalue("redis_at") if kind == "redis" else tmp_path / "cache.db"

    return where


async def kept(store):
    return [each.id for _, each in await store.same("the same prompt", {}, 4096)]


async def add(store, embedder, each):
    (vector,) = await embedder.embed([each.prompt])
    await store.add(each, vector)


@pytest.mark.parametrize("kind", STORES)
async def test_the_newest_are_kept(kind, embedder, where):
    async with store_in(kind, 20, embedder, where(kind)) as store:
        for number in range(50):
            await add(store, embedder, entry(number))
        assert await kept(store) == [f"e{number}" for number in range(49, 29, -1)]
        assert await store.delete("e40")
        await add(store, embedder, entry(50))
        assert len(await kept(store)) == 20
        assert (await kept(store))[-1] == "e30", "an entry that was deleted makes room too"


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_what_is_too_much_goes_at_the_start(kind, embedder, where):
    place = where(kind)
    async with store_in(kind, None, embedder, place) as store:
        for number in range(30):
            await add(store, embedder, entry(number))
    async with store_in(kind, 10, embedder, place) as store:
        assert await kept(store) == [f"e{number}" for number in range(29, 19, -1)]
    async with store_in(kind, None, embedder, place) as store:
        assert len(await kept(store)) == 10


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_many_at_once_leave_as_many_as_there_may_be(kind, embedder, where):
    async with store_in(kind, 10, embedder, where(kind)) as store:
        await asyncio.gather(*(add(store, embedder, entry(number)) for number in range(64)))
        assert await kept(store) == [f"e{number}" for number in range(63, 53, -1)]


async def test_many_at_once_in_redis_leave_about_as_many(embedder, where):
    async with store_in("redis", 10, embedder, where("redis")) as store:
        await asyncio.gather(*(add(store, embedder, entry(number)) for number in range(64)))
        await add(store, embedder, entry(64))
        left = await kept(store)
        assert left[0] == "e64"
        assert len(left) <= 10


async def test_a_cancelled_store_leaves_no_entry_too_many_for_long(embedder, tmp_path):
    async with store_in("sqlite", 5, embedder, tmp_path / "cache.db") as store:
        for number in range(5):
            await add(store, embedder, entry(number))
        tasks = [asyncio.create_task(add(store, embedder, entry(number))) for number in range(5, 15)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.wait(tasks)
        await add(store, embedder, entry(15))
        assert len(await kept(store)) == 5
        assert (await kept(store))[0] == "e15"


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from([None, 50, 500])),
        st.tuples(st.just("delete"), st.integers(0, 30)),
        st.tuples(st.just("delete_matching"), st.integers(0, 2)),
        st.tuples(st.just("wait"), st.integers(1, 200)),
        st.tuples(st.just("clear"), st.none()),
        st.tuples(st.just("keep"), st.integers(1, 7)),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, most=st.integers(1, 7))
def test_after_any_steps_the_newest_are_kept(steps, most, embedder):
    """Against a list, in memory; a file follows memory (test_agreement) and deletes what it deletes."""

    async def run(most):
        clock = Clock()
        storage = Memory(embedder)
        await storage.open()
        store = await storage.store(CacheConfig(max_entries=most, attributes=("n",)))
        store.index._clock = clock
        expected: list[Entry] = []
        added = 0
        try:
            for step, argument in steps:
                expected = [each for each in expected if (each.expires_at or NEVER) > clock.now]
                if step == "add":
                    each = entry(added, None if argument is None else clock.now + argument)
                    # As calls of an embedded cache do, where nothing is in their way.
                    in_front = store.at_once(sys.maxsize) if added % 2 else None
                    added += 1
                    await add(in_front or store, embedder, each)
                    expected = [*expected, each][-most:]
                elif step == "delete":
                    found = [each for each in expected if each.id == f"e{argument}"]
                    assert await store.delete(f"e{argument}") == bool(found)
                    expected = [each for each in expected if each not in found]
                elif step == "delete_matching":
                    await store.delete_matching({"n": f"{argument}"})
                    expected = [each for each in expected if each.attributes["n"] != f"{argument}"]
                elif step == "keep":
                    most = argument
                    await store.keep_at_most(most)
                    expected = expected[-most:]
                elif step == "wait":
                    clock.now += argument
                    expected = [each for each in expected if (each.expires_at or NEVER) > clock.now]
                else:
                    await store.clear()
                    expected = []
                assert await kept(store) == [each.id for each in reversed(expected)]
        finally:
            await storage.close()

    asyncio.run(run(most))


def test_the_oldest_of_many_are_found_without_looking_at_all_each_time(embedder, monkeypatch):
    looked = []
    look = Index._look_for_oldest
    monkeypatch.setattr(
        Index, "_look_for_oldest", lambda self, count: looked.append(count) or look(self, count)
    )

    async def run():
        async with store_in("memory", 2_000, embedder, None) as store:
            for number in range(6_000):
                await add(store, embedder, Entry(f"e{number}", f"p{number}", "r", {}, None))
            assert len(store.index) == 2_000
            assert store.index.oldest(2) == ["e4000", "e4001"]

    asyncio.run(run())
    assert len(looked) <= 6


@pytest.mark.parametrize("kind", STORES)
async def test_a_cache_made_at_run_time_keeps_as_many_as_are_asked_for(kind, embedder, kept_in):
    place = {**kept_in(kind), "embedder": embedder, "admin_key": ADMIN_KEY}

    async def found(cache):
        return [int(each.response) for each in await cache.search("p @0", max_results=50)]

    async def until(cache, expected):
        for _ in range(600):  # what is too much goes in the background
            if await found(cache) == expected:
                return
            await asyncio.sleep(0.05)
        pytest.fail(f"there were never {expected}")

    with LocalServer(**place) as server:
        async with AsyncLangCacheAdmin(server.url, ADMIN_KEY) as admin:
            cache_id = (await admin.create_cache("n", max_entries=5)).cache_id
            key = (await admin.create_key("k", {cache_id: ["read", "write"]})).token
            async with AsyncLangCache(server.url, key, cache_id) as cache:

                async def add(*numbers):
                    for number in numbers:
                        await cache.set("p @0", f"{number}")

                await add(*range(8))
                assert await found(cache) == [7, 6, 5, 4, 3]
                await admin.update_cache(cache_id, max_entries=2)
                await until(cache, [7, 6])
                await add(8)
                assert await found(cache) == [8, 7]
                await admin.update_cache(cache_id, max_entries=-1)
                await add(9, 10)
                assert await found(cache) == [10, 9, 8, 7]
                await admin.update_cache(cache_id, default_search_threshold=0.7)
                assert (await admin.get_cache(cache_id)).max_entries is None
                await admin.update_cache(cache_id, max_entries=3)
                assert (await admin.get_cache(cache_id)).max_entries == 3
    if kind != "memory":
        with LocalServer(**place) as server:
            async with AsyncLangCache(server.url, key, cache_id) as cache:
                await until(cache, [10, 9, 8])


@pytest.mark.parametrize("most", [0, -1, 1.5, True])
def test_a_number_that_can_not_be_is_refused(most):
    with pytest.raises((LimitError, ValueError, TypeError), match="max_entries"):
        CacheConfig(max_entries=most)


def test_the_command_takes_it(tmp_path: Path, capsys):
    assert main(["serve", "--max-entries", "0"]) == 2
    assert "--max-entries: must be at least 1" in capsys.readouterr().err


def test_a_local_server_takes_it(embedder):
    with (
        LocalServer(embedder=embedder, max_entries=2, rate_limit="100/s") as server,
        LangCache(server.url, server.api_key, server.cache_id) as cache,
    ):
        for number in range(3):
            cache.set("p", f"{number}")
        assert [each.response for each in cache.search("p", max_results=10)] == ["2", "1"]
