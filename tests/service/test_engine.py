"""What a cache does, over each store."""

from __future__ import annotations

import pytest
from redis_servers import STORES

from langcache import LimitError, SearchStrategy
from langcache.service import CacheConfig
from langcache.service.engine import Cache
from langcache.service.stores.index import Index
from langcache.service.stores.memory import MemoryStore
from langcache.service.stores.redis_url import redis_url
from langcache.service.stores.sqlite import Database

EXACT, SEMANTIC = SearchStrategy.EXACT, SearchStrategy.SEMANTIC


class Clock:
    now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=STORES)
async def make(request, embedder, clock, tmp_path):
    made = []

    async def make(**config) -> Cache:
        cache = CacheConfig(**config)
        if request.param == "memory":
            return Cache(cache, MemoryStore(Index(2, clock)), embedder, clock)
        if request.param == "sqlite":
            storage = Database(tmp_path / f"{len(made)}.db", embedder, clock)
        else:
            url = redis_url(f"{request.getfixturevalue('redis_at')}-{len(made)}")
            from langcache.service.stores.redis_storage import RedisStorage

            storage = RedisStorage(url, embedder, clock)
        await storage.open()
        made.append(storage)
        return Cache(cache, await storage.store(cache), embedder, clock)

    yield make
    for storage in made:
        await storage.close()


async def found(cache, *args, **kwargs):
    return [entry.response for entry in await cache.search(*args, **kwargs)]


async def test_an_entry_is_found_with_all_that_was_stored(make):
    cache = await make(attributes=("topic",))
    entry_id = await cache.set("Hello @30", "Hi", {"topic": "greeting"})
    (entry,) = await cache.search("Good day @60")
    assert (entry.id, entry.prompt, entry.response) == (entry_id, "Hello @30", "Hi")
    assert (entry.attributes, entry.search_strategy) == ({"topic": "greeting"}, SEMANTIC)
    assert entry.similarity == pytest.approx(0.933, abs=0.001)


async def test_a_store_that_can_be_searched_passes_its_check(make):
    cache = await make()
    await cache.set("a", "b")
    await cache._store.check()
    assert await found(cache, "a") == ["b"]


async def test_ids_are_32_hex_digits(make):
    assert int(entry_id := await (await make()).set("a", "b"), 16) >= 0
    assert len(entry_id) == 32


async def test_the_threshold_is_the_cache_s_unless_the_search_gives_one(make):
    cache = await make(threshold=0.9)
    await cache.set("a @0", "far")
    assert await found(cache, "b @30") == ["far"]
    assert await found(cache, "b @60") == []
    assert await found(cache, "b @60", threshold=0.75) == ["far"]
    assert await found(cache, "b @30", threshold=0.95) == []
    assert await found(cache, "b @90", threshold=0.0) == ["far"]


async def test_a_threshold_of_one_finds_the_same_text(make):
    cache = await make(threshold=1.0)
    await cache.set("why @37", "because")
    assert await found(cache, "why @37") == ["because"]


async def test_exact_compares_without_case_and_nothing_else(make):
    cache = await make()
    await cache.set("Straße 12", "x")
    (entry,) = await cache.search("STRASSE 12", strategies=[EXACT])
    assert (entry.similarity, entry.search_strategy) == (1.0, EXACT)
    assert await found(cache, "Strasse  12", strategies=[EXACT]) == []


async def test_the_first_strategy_that_finds_something_answers_alone(make):
    cache = await make()
    await cache.set("hello @0", "near")
    await cache.set("HELLO @20", "same")
    assert await found(cache, "hello @20", strategies=[EXACT, SEMANTIC], max_results=5) == ["same"]
    assert await found(cache, "hello @20", strategies=[SEMANTIC, EXACT], max_results=5) == ["same", "near"]
    assert await found(cache, "other @20", strategies=[EXACT, SEMANTIC], max_results=5) == ["same", "near"]


async def test_exact_search_asks_no_embedder(make, embedder):
    cache = await make()
    await cache.set("a", "b")
    embedder.failure = RuntimeError("not to be asked")
    assert await found(cache, "A", strategies=[EXACT]) == ["b"]


async def test_max_results_is_one_by_default_and_best_come_first(make):
    cache = await make()
    for angle in (30, 10, 20):
        await cache.set(f"p @{angle}", str(angle))
    assert await found(cache, "q @0") == ["10"]
    assert await found(cache, "q @0", max_results=2) == ["10", "20"]
    assert await found(cache, "q @0", max_results=10**30) == ["10", "20", "30"]


async def test_a_prompt_set_again_is_added_and_the_newer_answer_comes_first(make):
    cache = await make()
    first, second = await cache.set("p", "old"), await cache.set("p", "new")
    assert first != second
    assert await found(cache, "p") == ["new"]
    assert await found(cache, "p", strategies=[EXACT]) == ["new"]
    assert await found(cache, "p", max_results=5) == ["new", "old"]
    assert await cache.delete_by_id(first)
    assert await found(cache, "p", max_results=5) == ["new"]


async def test_all_attributes_of_a_search_must_match(make):
    cache = await make(attributes=("topic", "tenant"))
    await cache.set("p", "a1", {"topic": "a", "tenant": "1"})
    await cache.set("p", "a2", {"topic": "a", "tenant": "2"})
    await cache.set("p", "none")
    for strategies in ([EXACT], [SEMANTIC]):
        assert await found(cache, "p", None, strategies, {"topic": "a", "tenant": "1"}) == ["a1"]
        assert await found(cache, "p", None, strategies, {"topic": "a"}, 5) == ["a2", "a1"]
        assert await found(cache, "p", None, strategies, {"topic": "b"}) == []
        assert len(await found(cache, "p", None, strategies, {}, 5)) == 3


async def test_a_best_match_of_other_attributes_does_not_hide_a_lesser_one(make):
    cache = await make(attributes=("topic",))
    await cache.set("p @20", "mine", {"topic": "a"})
    await cache.set("p @0", "nearer", {"topic": "b"})
    assert await found(cache, "p @0", attributes={"topic": "a"}) == ["mine"]


async def test_a_time_to_live_is_that_of_the_entry_or_else_the_cache_s(make, clock):
    cache = await make(ttl_millis=100_000)
    await cache.set("a", "default")
    await cache.set("b @90", "long", ttl_millis=1_000_000)
    clock.now += 99_999
    assert await found(cache, "a") == ["default"]
    clock.now += 1
    assert await found(cache, "a") == []
    assert await found(cache, "b @90") == ["long"]
    clock.now += 900_000
    assert await found(cache, "b @90") == []


async def test_entries_live_for_ever_unless_told_otherwise(make, clock):
    cache = await make()
    await cache.set("a", "b")
    clock.now += 10**15
    assert await found(cache, "a") == ["b"]


async def test_an_expired_entry_is_not_there_to_be_deleted(make, clock):
    cache = await make(attributes=("topic",))
    entry_id = await cache.set("a", "b", {"topic": "x"}, ttl_millis=100_000)
    clock.now += 100_000
    assert not await cache.delete_by_id(entry_id)
    assert await cache.delete_query({"topic": "x"}) == 0


async def test_deletes_take_what_they_name(make):
    cache = await make(attributes=("topic",))
    first = await cache.set("a", "1", {"topic": "x"})
    await cache.set("a", "2", {"topic": "x"})
    await cache.set("a", "3", {"topic": "y"})
    assert await cache.delete_by_id(first)
    assert not await cache.delete_by_id(first)
    assert await cache.delete_query({"topic": "x"}) == 1
    assert await found(cache, "a", max_results=5) == ["3"]
    await cache.flush()
    assert await found(cache, "a") == []
    await cache.set("a", "4", {"topic": "y"})
    assert await found(cache, "a", attributes={"topic": "y"}) == ["4"]


async def test_attributes_that_the_cache_does_not_have_are_refused(make):
    bare, some = await make(), await make(attributes=("topic", "tenant"))
    for call in (
        lambda cache: cache.set("a", "b", {"colour": "red"}),
        lambda cache: cache.search("a", attributes={"colour": "red"}),
        lambda cache: cache.delete_query({"colour": "red"}),
    ):
        with pytest.raises(LimitError) as raised:
            await call(bare)
        assert str(raised.value) == "attributes: no attributes are configured for this cache."
        with pytest.raises(LimitError, match=r"'colour' is not configured.*has 'topic', 'tenant'"):
            await call(some)
