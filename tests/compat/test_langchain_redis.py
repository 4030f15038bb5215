"""The real langchain-redis works with this package underneath, against the local service."""

import asyncio

import pytest
from langchain_core.outputs import Generation
from langchain_redis import LangCacheSemanticCache

from langcache.errors import LangCacheError
from langcache.service import CacheConfig, LocalServer

PROMPT, ALIKE, MODEL = (
    "How do I reset my password?",
    "How can I reset my password?",
    "a-model, temperature: 0",
)
ANSWER = [Generation(text="In Settings.")]


@pytest.fixture
def server():
    caches = [CacheConfig(cache_id="with", attributes=("llm_string",)), CacheConfig(cache_id="without")]
    with LocalServer(caches=caches) as server:
        yield server


@pytest.fixture
def cache(server):
    return open_cache(server, "with")


def open_cache(server, cache_id, **settings):
    return LangCacheSemanticCache(
        server_url=server.url, api_key=server.api_key, cache_id=cache_id, **settings
    )


def test_update_and_lookup(cache):
    assert cache.lookup(PROMPT, MODEL) is None
    cache.update(PROMPT, MODEL, ANSWER)
    assert cache.lookup(PROMPT, MODEL) == ANSWER
    assert cache.lookup(ALIKE, MODEL) == ANSWER
    assert cache.lookup(PROMPT, "another model") is None
    cache.clear()
    assert cache.lookup(PROMPT, MODEL) is None


async def test_update_and_lookup_async(cache):
    assert await cache.alookup(PROMPT, MODEL) is None
    await cache.aupdate(PROMPT, MODEL, ANSWER)
    assert await cache.alookup(PROMPT, MODEL) == ANSWER
    assert await cache.alookup(ALIKE, MODEL) == ANSWER
    assert await cache.alookup(PROMPT, "another model") is None
    await cache.aclear()
    assert await cache.alookup(PROMPT, MODEL) is None


def test_a_time_to_live(server):
    cache = open_cache(server, "with", ttl=1)
    cache.update(PROMPT, MODEL, ANSWER)
    while cache.lookup(PROMPT, MODEL) is not None:
        pass


def test_a_cache_without_attributes_says_so(server):
    cache = open_cache(server, "without")
    with pytest.raises(RuntimeError, match="attributes are not configured"):
        cache.update(PROMPT, MODEL, ANSWER)
    with pytest.raises(RuntimeError, match="attributes are not configured"):
        cache.lookup(PROMPT, MODEL)


def test_a_wrong_key_is_told(server):
    cache = LangCacheSemanticCache(server_url=server.url, api_key="wrong", cache_id="with")
    with pytest.raises(LangCacheError, match="401"):
        cache.lookup(PROMPT, MODEL)


def test_one_cache_serves_an_event_loop_and_threads(cache):
    cache.update(PROMPT, MODEL, ANSWER)
    for _ in range(2):
        assert asyncio.run(cache.alookup(PROMPT, MODEL)) == ANSWER
    assert cache.lookup(PROMPT, MODEL) == ANSWER
