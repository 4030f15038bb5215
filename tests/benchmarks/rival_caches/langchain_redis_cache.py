"""langchain-redis' ``RedisSemanticCache``: ``async`` or ``sync``."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any

import rival_questions as questions
from langchain_core.embeddings import Embeddings
from langchain_core.outputs import Generation
from langchain_redis import RedisSemanticCache

from . import Place

_MODEL = "model"


class Given(Embeddings):
    """Vectors that are there already."""

    def __init__(self, vector: Callable[[str], bytes]) -> None:
        self._vector = vector

    def embed_query(self, text: str) -> list[float]:
        """Its row; of a text that is none of ours, such as one to learn the dimensions by, any."""
        known = text if text.rsplit(" ", 1)[-1].isdigit() else "any entry 0"
        return array("f", self._vector(known)).tolist()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Their rows."""
        return [self.embed_query(text) for text in texts]

    async def aembed_query(self, text: str) -> list[float]:
        """Its row, without a thread."""
        return self.embed_query(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Their rows, without a thread."""
        return self.embed_documents(texts)


def connect(place: Place) -> AbstractAsyncContextManager[Any] | AbstractContextManager[Any]:
    cache = RedisSemanticCache(
        embeddings=Given(place.vector),
        redis_url=place.server,
        distance_threshold=1 - questions.THRESHOLD,
    )
    return _tasks(cache) if place.kind == "async" else _blocking(cache)


def _text(found: Any) -> str | None:
    return found[0].text if found else None


@asynccontextmanager
async def _tasks(cache: RedisSemanticCache) -> AsyncIterator[Any]:
    async def store(prompt: str, response: str) -> None:
        await cache.aupdate(prompt, _MODEL, [Generation(text=response)])

    async def find(prompt: str) -> str | None:
        return _text(await cache.alookup(prompt, _MODEL))

    yield store, find


@contextmanager
def _blocking(cache: RedisSemanticCache) -> Iterator[Any]:
    def store(prompt: str, response: str) -> None:
        cache.update(prompt, _MODEL, [Generation(text=response)])

    def find(prompt: str) -> str | None:
        return _text(cache.lookup(prompt, _MODEL))

    yield store, find
