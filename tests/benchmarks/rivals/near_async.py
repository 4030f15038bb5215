"""`langcache.AsyncLangCache` with cache-aside, with a near cache and without one.

Of the questions of ``near_miss`` and ``far_other`` there are more than the near cache keeps, so none is a
near hit. Each is a hit in the service.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import cycle

import texts

from langcache import AsyncLangCache
from langcache.aside import AsideConfig, NearCache

MANY = [f"{texts.PROMPT} ({number})" for number in range(64)]


@asynccontextmanager
async def connect(url: str, cache_id: str) -> AsyncIterator[dict[str, Callable[[], Awaitable[str]]]]:
    without = AsideConfig(accept="any")
    missed, others = cycle(MANY), cycle(MANY)
    near = AsideConfig(accept="any", near=NearCache(max_entries=8))
    async with (
        AsyncLangCache(url, "key", cache_id, aside=without) as far_cache,
        AsyncLangCache(url, "key", cache_id, aside=near) as near_cache,
        AsyncLangCache(url, "key", cache_id, aside=near) as missed_cache,
    ):

        async def make(prompt: str) -> str:
            raise AssertionError("a hit needs no answer made")

        async def near_hit() -> str:
            return (await near_cache.get_or_set(texts.PROMPT, make)).value

        async def far_hit() -> str:
            return (await far_cache.get_or_set(texts.PROMPT, make)).value

        async def near_miss() -> str:
            answer = await missed_cache.get_or_set(next(missed), make)
            assert not answer.near
            return answer.value

        async def far_other() -> str:
            answer = await far_cache.get_or_set(next(others), make)
            assert not answer.near
            return answer.value

        yield {"near_hit": near_hit, "far_hit": far_hit, "near_miss": near_miss, "far_other": far_other}
