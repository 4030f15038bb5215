"""What must not type-check: each marked line is an error, and a mark without one is an error too.

Checked by mypy with ``warn_unused_ignores`` and never run.
"""

from __future__ import annotations

import aiohttp

from langcache import AsyncLangCache, BackoffStrategy, LangCache, RetryConfig

cache = LangCache()
cache.search()  # type: ignore[call-arg]
cache.search("Hi?", 0.9)  # type: ignore[call-arg]
cache.search(b"Hi?")  # type: ignore[arg-type]
cache.search("Hi?", threshold=0.9)  # type: ignore[call-arg]
cache.search("Hi?", similarity_threshold="0.9")  # type: ignore[arg-type]
cache.search("Hi?", search_strategies=[1])  # type: ignore[list-item]
cache.search("Hi?", attributes=["a"])  # type: ignore[arg-type]
cache.search("Hi?", attributes={"a": 1})  # type: ignore[dict-item]
cache.search("Hi?", retries="3")  # type: ignore[arg-type]
cache.set("Hi?")  # type: ignore[call-arg]
cache.set("Hi?", None)  # type: ignore[arg-type]
cache.set("Hi?", "Ho!", ttl_millis=1.5)  # type: ignore[arg-type]
cache.set("Hi?", "Ho!", ttl="1000")  # type: ignore[arg-type]
cache.get("Hi?")  # type: ignore[attr-defined]
cache.delete_by_id(7)  # type: ignore[arg-type]
cache.delete_query()  # type: ignore[call-arg]
cache.flush(http_headers={"a": 1})  # type: ignore[dict-item]
print(cache.search("Hi?").entries)  # type: ignore[attr-defined]
cache.search("Hi?").response.upper()  # type: ignore[union-attr]

LangCache(7)  # type: ignore[arg-type]
LangCache(api_key=b"key")  # type: ignore[arg-type]
LangCache(client=object())  # type: ignore[arg-type]
LangCache(retry_config={})  # type: ignore[arg-type]
LangCache(timeout="5")  # type: ignore[call-arg]
AsyncLangCache(async_client=aiohttp.ClientSession)  # type: ignore[call-arg]
AsyncLangCache(debug_logger=print)  # type: ignore[arg-type]
RetryConfig("backoff", {})  # type: ignore[arg-type]
BackoffStrategy(1, 2)  # type: ignore[call-arg]


async def call() -> None:
    async_cache = AsyncLangCache()
    print(async_cache.search("Hi?").response)  # type: ignore[attr-defined]
    await cache.search("Hi?")  # type: ignore[misc]
    async_cache.close()  # type: ignore[attr-defined]
