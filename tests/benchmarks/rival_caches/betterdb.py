"""BetterDB's semantic cache, without what it sends home and with the rest as it is."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import rival_questions as questions
import valkey.asyncio as valkey
from betterdb_semantic_cache import SemanticCache, SemanticCacheOptions
from betterdb_semantic_cache.types import AnalyticsOptions

from . import Place


@asynccontextmanager
async def connect(place: Place) -> AsyncIterator[Any]:
    async def embed(text: str) -> list[float]:
        known = text if text.rsplit(" ", 1)[-1].isdigit() else "any entry 0"
        return array("f", place.vector(known)).tolist()

    async with valkey.Valkey.from_url(place.server) as client:
        cache = SemanticCache(
            SemanticCacheOptions(
                client=client,
                embed_fn=embed,
                default_threshold=1 - questions.THRESHOLD,
                analytics=AnalyticsOptions(disabled=True),
            )
        )
        await cache.initialize()

        async def find(prompt: str) -> str | None:
            return (await cache.check(prompt)).response

        yield cache.store, find
        await cache.shutdown()
