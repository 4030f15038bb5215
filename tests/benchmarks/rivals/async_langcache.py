"""`langcache.AsyncLangCache`, with and without retries configured, and with cache-aside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import texts

from langcache import AsyncLangCache, BackoffStrategy, RetryConfig

RETRIES = RetryConfig("backoff", BackoffStrategy(100, 2_000, 2.0, 10_000), True)


@asynccontextmanager
async def connect(url: str, cache_id: str) -> AsyncIterator[dict[str, Callable[[], Awaitable[str]]]]:
    async with (
        AsyncLangCache(url, "key", cache_id) as cache,
        AsyncLangCache(url, "key", cache_id, retry_config=RETRIES) as trying_cache,
    ):

        async def search() -> str:
            found = await cache.search(texts.PROMPT, similarity_threshold=texts.THRESHOLD)
            return found.data[0].response

        async def search_with_retries() -> str:
            found = await trying_cache.search(texts.PROMPT, similarity_threshold=texts.THRESHOLD)
            return found.data[0].response

        async def set() -> str:
            return (await cache.set(texts.PROMPT, texts.RESPONSE)).entry_id

        async def make(prompt: str) -> str:
            raise AssertionError("a hit needs no answer made")

        async def get_or_set() -> str:
            return (await cache.get_or_set(texts.PROMPT, make, similarity_threshold=texts.THRESHOLD)).value

        yield {
            "search": search,
            "search_with_retries": search_with_retries,
            "get_or_set": get_or_set,
            "set": set,
        }
