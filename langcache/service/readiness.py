"""Whether the service can answer: its stores, its embedder, and whether it is about to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec
from aiohttp import web

from ..models import HealthResponse
from .embedders import Embedder, EmbedderError, Vectors
from .in_front import InFront
from .problems import Problem
from .stores.store import Store, StoreError

__all__ = ["Readiness", "Remembered"]

_FRESH_SECONDS = 1.0
"""How long an outcome is given again: anybody may ask, and not each time is a store to be asked."""

_CHECK_SECONDS = 5.0
"""How long all checks together may take."""

_PROBE = "ready"
_OK = msgspec.json.encode(HealthResponse())


class Remembered(InFront):
    """An `Embedder` in front of another one, which remembers whether that failed the last time."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(embedder)
        self.failed: bool = False

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`."""
        try:
            vectors = await self._embedder.embed(texts)
        except EmbedderError:
            self.failed = True
            raise
        self.failed = False
        return vectors


class Readiness:
    """Answers ``/health/readiness``.

    An embedder that failed the last time is tried again; one that did not is not asked, since an endpoint may
    be paid for each prompt.

    Args:
        stores: gives all stores that there are.
        embedder: makes the vectors.
    """

    def __init__(self, stores: Callable[[], Iterable[Store]], embedder: Remembered) -> None:
        self._stores = stores
        self._embedder = embedder
        self._known: str | None = None
        self._until = 0.0
        self._checking: asyncio.Task[str | None] | None = None
        self.draining: bool = False
        """Whether the service is about to end."""

    async def readiness(self, request: web.Request) -> web.Response:
        """200, or a `Problem` with 503 that says what is missing, but no details: no key is asked for."""
        reason = "the service is about to end" if self.draining else await self._reason()
        if reason is not None:
            raise Problem(503, reason)
        return web.Response(body=_OK, content_type="application/json")

    async def _reason(self) -> str | None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._until:
            return self._known
        if self._checking is None:  # for all who ask meanwhile
            self._checking = loop.create_task(self._check())
            self._checking.add_done_callback(self._keep)
        return await asyncio.shield(self._checking)

    def _keep(self, checking: asyncio.Task[str | None]) -> None:
        self._checking = None
        if not checking.cancelled():
            self._known = checking.result()
            self._until = checking.get_loop().time() + _FRESH_SECONDS

    async def _check(self) -> str | None:
        try:
            await asyncio.wait_for(self._try_all(), _CHECK_SECONDS)
        except (StoreError, asyncio.TimeoutError):
            return "the entries can't be used at the moment"
        except EmbedderError:
            return "prompts can't be embedded at the moment"
        return None

    async def _try_all(self) -> None:
        if self._embedder.failed:
            await self._embedder.embed([_PROBE])
        await asyncio.gather(*(store.check() for store in self._stores()))
