"""Ours as clients of a service: ``async``, ``sync``, ``get_or_set``, and that with a ``near`` cache."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any

import rival_questions as questions

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig, NearCache

from . import Place

_KEY, _CACHE = "langcache-local-key", "local"
_SIMILARITY = (1 + questions.THRESHOLD) / 2
"""The service's similarity is between 0 and 1, and that of this cosine."""


class Miss(Exception):
    """What the program computes on a miss, which is no part of the comparison."""


def connect(place: Place) -> AbstractAsyncContextManager[Any] | AbstractContextManager[Any]:
    if place.kind == "sync":
        return blocking(LangCache(place.server, _KEY, _CACHE))
    # Texts are not compared, by none of the caches: the vectors are given, and the texts don't go with them.
    near = NearCache() if place.kind == "near" else None
    cache = AsyncLangCache(place.server, _KEY, _CACHE, aside=AsideConfig(accept="any", near=near))
    return tasks(cache) if place.kind == "async" else asides(cache)


@asynccontextmanager
async def tasks(client: AsyncLangCache) -> AsyncIterator[Any]:
    async with client as cache:

        async def find(prompt: str) -> str | None:
            found = await cache.search(prompt, similarity_threshold=_SIMILARITY)
            return found.data[0].response if found.data else None

        yield cache.set, find


@asynccontextmanager
async def asides(client: AsyncLangCache) -> AsyncIterator[Any]:
    async with client as cache:

        async def make(prompt: str) -> str:
            raise Miss

        async def find(prompt: str) -> str | None:
            try:
                outcome = await cache.get_or_set(prompt, make, similarity_threshold=_SIMILARITY)
            except Miss:
                return None
            return outcome.value

        yield cache.set, find


@contextmanager
def blocking(client: LangCache) -> Iterator[Any]:
    with client as cache:

        def find(prompt: str) -> str | None:
            found = cache.search(prompt, similarity_threshold=_SIMILARITY)
            return found.data[0].response if found.data else None

        yield cache.set, find
