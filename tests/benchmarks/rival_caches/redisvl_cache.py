"""redisvl's ``SemanticCache``: ``async`` or ``sync``."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any

import rival_questions as questions
from redisvl.extensions.cache.llm import SemanticCache
from redisvl.utils.vectorize import CustomTextVectorizer

from . import Place


def connect(place: Place) -> AbstractAsyncContextManager[Any] | AbstractContextManager[Any]:
    def embed(text: str) -> list[float]:
        return array("f", place.vector(text)).tolist()

    async def aembed(text: str) -> list[float]:
        return embed(text)

    cache = SemanticCache(
        name="rival",
        redis_url=place.server,
        vectorizer=CustomTextVectorizer(
            embed=lambda text, **_: embed(_known(text)), aembed=lambda text, **_: aembed(_known(text))
        ),
        distance_threshold=1 - questions.THRESHOLD,
    )
    return _tasks(cache) if place.kind == "async" else _blocking(cache)


def _known(text: str) -> str:
    return text if text.rsplit(" ", 1)[-1].isdigit() else "any entry 0"


@asynccontextmanager
async def _tasks(cache: SemanticCache) -> AsyncIterator[Any]:
    async def find(prompt: str) -> str | None:
        found = await cache.acheck(prompt)
        return found[0]["response"] if found else None

    yield cache.astore, find
    await cache.adisconnect()


@contextmanager
def _blocking(cache: SemanticCache) -> Iterator[Any]:
    def find(prompt: str) -> str | None:
        found = cache.check(prompt)
        return found[0]["response"] if found else None

    yield cache.store, find
    cache.disconnect()
