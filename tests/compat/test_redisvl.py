"""The real redisvl works with this package underneath, against the local service."""

import asyncio
import importlib.metadata

import pytest
from redisvl.extensions.cache.llm import LangCacheSemanticCache

import langcache
from langcache.errors import NotFoundError
from langcache.service import CacheConfig, LocalServer

PROMPT, ALIKE, RESPONSE = "How do I reset my password?", "How can I reset my password?", "In Settings."


@pytest.fixture
def server():
    caches = [CacheConfig(cache_id="with", attributes=("topic", "user")), CacheConfig(cache_id="without")]
    with LocalServer(caches=caches) as server:
        yield server


@pytest.fixture(params=["with", "without"])
def cache(request, server):
    return open_cache(server, request.param)


@pytest.fixture
def with_attributes(server):
    return open_cache(server, "with")


@pytest.fixture
def without_attributes(server):
    return open_cache(server, "without")


def open_cache(server, cache_id, **settings):
    return LangCacheSemanticCache(
        server_url=server.url, api_key=server.api_key, cache_id=cache_id, **settings
    )


class Blocking:
    """The sync methods behind the names of the async ones, so that one test covers both."""

    def __init__(self, cache):
        self.cache = cache

    def __getattr__(self, name):
        method = getattr(self.cache, name.removeprefix("a"))

        async def call(*args, **kwargs):
            return await asyncio.get_running_loop().run_in_executor(None, lambda: method(*args, **kwargs))

        return call


@pytest.fixture(params=[Blocking, lambda cache: cache], ids=["sync", "async"])
def flavour(request):
    return request.param


def test_this_package_is_the_one_underneath():
    assert hasattr(langcache, "AsyncLangCache")
    assert importlib.metadata.version("langcache") == langcache.__version__


async def test_store_and_check(cache, flavour):
    calls = flavour(cache)
    entry_id = await calls.astore(PROMPT, RESPONSE)
    (hit,) = await calls.acheck(ALIKE, distance_threshold=0.3)
    assert (hit["entry_id"], hit["prompt"], hit["response"]) == (entry_id, PROMPT, RESPONSE)
    assert 0 < hit["vector_distance"] < 0.3
    (exact,) = await calls.acheck(PROMPT.upper())
    assert exact["vector_distance"] == pytest.approx(0, abs=1e-6)
    assert await calls.acheck("Who wrote Hamlet?", distance_threshold=0.1) == []


async def test_the_scale_of_redis(server, flavour):
    calls = flavour(open_cache(server, "without", distance_scale="redis", use_exact_search=False))
    await calls.astore(PROMPT, RESPONSE)
    (hit,) = await calls.acheck(ALIKE, distance_threshold=0.6)
    assert 0 < hit["vector_distance"] < 0.6


async def test_a_time_to_live(server, flavour):
    calls = flavour(open_cache(server, "without", ttl=3600))
    await calls.astore(PROMPT, RESPONSE, ttl=0.001)
    while await calls.acheck(PROMPT):
        pass
    await calls.astore(PROMPT, RESPONSE, ttl=60)
    assert await calls.acheck(PROMPT)


async def test_attributes(with_attributes, flavour):
    calls = flavour(with_attributes)
    odd = {"topic": "a, b/c: d?", "user": "ü 1"}
    await calls.astore(PROMPT, RESPONSE, metadata=odd)
    (hit,) = await calls.acheck(PROMPT, attributes=odd)
    assert hit["metadata"] == odd
    assert await calls.acheck(PROMPT, attributes={"topic": "other"}) == []


async def test_attributes_where_none_are_configured(without_attributes, flavour):
    calls = flavour(without_attributes)
    with pytest.raises(RuntimeError, match="attributes are not configured"):
        await calls.astore(PROMPT, RESPONSE, metadata={"topic": "x"})
    with pytest.raises(RuntimeError, match="attributes are not configured"):
        await calls.acheck(PROMPT, attributes={"topic": "x"})


async def test_delete_by_id(cache, flavour):
    calls = flavour(cache)
    entry_id = await calls.astore(PROMPT, RESPONSE)
    await calls.adelete_by_id(entry_id)
    assert await calls.acheck(PROMPT) == []
    with pytest.raises(NotFoundError):
        await calls.adelete_by_id(entry_id)


async def test_delete_by_attributes(with_attributes, flavour):
    calls = flavour(with_attributes)
    for topic in ("x", "x", "y"):
        await calls.astore(f"{PROMPT} {topic}", RESPONSE, metadata={"topic": topic})
    assert await calls.adelete_by_attributes({"topic": "x"}) == {"deleted_entries_count": 2}
    assert await calls.acheck(f"{PROMPT} y")


@pytest.mark.parametrize("emptying", ["aclear", "adelete"])
async def test_clear(cache, flavour, emptying):
    calls = flavour(cache)
    await calls.astore(PROMPT, RESPONSE)
    await getattr(calls, emptying)()
    assert await calls.acheck(PROMPT) == []
