"""The ``..._async`` methods of `langcache.LangCache`, ours or the established one: whichever is installed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import texts

from langcache import LangCache


@asynccontextmanager
async def connect(url: str, cache_id: str) -> AsyncIterator[dict[str, Callable[[], Awaitable[str]]]]:
    async with LangCache(server_url=url, api_key="key", cache_id=cache_id) as cache:

        async def search() -> str:
            found = await cache.search_async(prompt=texts.PROMPT, similarity_threshold=texts.THRESHOLD)
            return found.data[0].response

        async def set() -> str:
            stored = await cache.set_async(prompt=texts.PROMPT, response=texts.RESPONSE)
            return stored.entry_id

        yield {"search": search, "set": set}
