"""Each request that comes in: its id, what is counted and logged of it, and how many are under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from time import monotonic
from typing import Any, Protocol

from aiohttp import web

from .logs import RequestIds, log_request, logs_requests

__all__ = ["FOUND", "Figures", "Traffic"]

FOUND: ContextVar[int | None] = ContextVar("langcache_found", default=None)
"""How many entries the search of a request has found. Each request has a context of its own."""

_OF_A_CACHE = (400, 424)
"""Statuses, apart from success, of requests that are for a cache that there is."""


class Figures(Protocol):
    """What counts requests."""

    def began(self) -> None:
        """A request is under way."""
        ...

    def ended(self, operation: str, status: int, seconds: float) -> None:
        """A request has its reply."""
        ...

    def searched(self, cache_id: str, hit: bool) -> None:
        """A search of a cache has found something or not."""
        ...


class Traffic:
    """Keeps watch over requests from their head to their reply. ``figures`` counts them, if it is given."""

    def __init__(self, figures: Figures | None = None) -> None:
        self._figures = figures
        self._ids = RequestIds()
        self._under_way: set[asyncio.Task[Any] | None] = set()
        self._idle: asyncio.Event | None = None
        self.closing: bool = False
        """Whether each connection is to end with its next reply."""

    async def idle(self) -> None:
        """Wait until no request is under way."""
        if self._under_way:
            self._idle = asyncio.Event()
            await self._idle.wait()

    def cut(self) -> None:
        """End the requests that are under way. Their connections end without a reply."""
        for task in self._under_way:
            if task is not None:
                task.cancel()

    @web.middleware
    async def watch(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Give the reply its id. Has to be the first middleware: the others make replies of errors."""
        this = self._ids.of(request)
        told = self._figures is not None or logs_requests()
        began = monotonic() if told else 0.0
        if self._figures is not None:
            self._figures.began()
        task = asyncio.current_task()
        self._under_way.add(task)
        status = 499  # the client has gone, or the service ends
        try:
            reply = await handler(request)
            status = reply.status
            reply.headers["X-Request-ID"] = this
            if self.closing:
                reply.force_close()
            return reply
        finally:
            self._under_way.discard(task)
            if self._idle is not None and not self._under_way:
                self._idle.set()
            if told:
                self._tell(request, this, status, monotonic() - began)

    def _tell(self, request: web.Request, this: str, status: int, seconds: float) -> None:
        operation = _operation(request)
        cache_id = request.match_info.get("cache_id")
        found = FOUND.get()
        if self._figures is not None:
            self._figures.ended(operation, status, seconds)
            if found is not None and cache_id is not None:
                self._figures.searched(cache_id, found > 0)
        if logs_requests():
            # A text that is no cache's id could break the line of the log.
            of_cache = (
                cache_id is not None and (status < 300 or status in _OF_A_CACHE) and cache_id.isprintable()
            )
            log_request(
                {
                    "operation": operation,
                    "status": status,
                    "ms": round(seconds * 1000, 2),
                    **({"cache": cache_id} if of_cache else {}),
                    **({} if found is None else {"found": found}),
                    "request_id": this,
                }
            )


def _operation(request: web.Request) -> str:
    """The name of the method that answers, of which there are few."""
    if request.match_info.http_exception is not None:
        return "none"
    return getattr(request.match_info.handler, "__name__", "other")
