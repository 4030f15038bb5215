"""One request goes out and its reply comes back, over the right HTTP client for the running event loop."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from .._wire.exchange import Reply, Request
from ..errors import ClosedError, NoResponseError
from ..httpclient import ClientSource
from .connections import AiohttpClient, ReplyClient, adapt, is_factory
from .deadlines import time_left
from .debug import DebugLogger, ExchangeLog
from .forks import leave_to_parent

__all__ = ["Transport"]

T = TypeVar("T")

_CLOSED_DURING_CALL = "the client was closed during the call"


class _Home(NamedTuple):
    """An HTTP client that we had made, and the scope that closes it."""

    client: ReplyClient
    scope: AsyncGenerator[ReplyClient, None]


class _Waiting:
    """A task in one of its waits, which can be cut short without cancelling the task for good."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._is_cut_short = False
        self._cancelled_before = _cancellations(self._task)

    def cut_short(self) -> None:
        """End the wait in a cancellation."""
        assert self._task is not None
        self._is_cut_short = True
        self._task.cancel()

    def is_all_that_was_cancelled(self) -> bool:
        """Whether the cancellation that ended the wait is ours alone."""
        return self._is_cut_short and _cancellations(self._task) - 1 <= self._cancelled_before

    def take_back(self) -> None:
        """Uncancel the task, if it was cut short."""
        if self._is_cut_short:
            getattr(self._task, "uncancel", int)()


class Transport:
    """Sends requests over the user's own client, or over one made for each event loop."""

    def __init__(
        self,
        client: ClientSource | None,
        *,
        max_reply_bytes: int | None,
        logger: DebugLogger | None,
        log_bodies: bool,
    ) -> None:
        self._logger = logger
        self._log_bodies = log_bodies
        self._closed = False
        self._homes: dict[asyncio.AbstractEventLoop, _Home] = {}
        self._waiting: set[_Waiting] = set()
        # Keeps what was made alive until this is gone. Were it collected along with this, as part of a cycle,
        # it would be finalized unclosed; dropped afterwards, its scope closes it.
        weakref.finalize(self, self._homes.clear).atexit = False
        self._given: ReplyClient | None = None

        def make() -> ReplyClient:
            if client is None:
                return AiohttpClient.lean(max_reply_bytes=max_reply_bytes)
            assert callable(client)
            return adapt(client(), max_reply_bytes=max_reply_bytes)

        self._make = make
        if client is not None and not is_factory(client):
            self._given = adapt(client, max_reply_bytes=max_reply_bytes)
        _transports.add(self)

    async def exchange(
        self, request: Request[Any], url: str, headers: Mapping[str, str], timeout: float | None, nth_try: int
    ) -> Reply:
        """Send a request once and read its reply, whatever its status.

        Raises `RequestError` or one of its kinds if no reply comes, and `ClosedError`.
        """
        client = self._client() or await self._new_client()
        log = None
        if self._logger is not None:
            log = ExchangeLog(self._logger, request, url, nth_try, bodies=self._log_bodies)
        method, content = request.operation.method, request.body
        started = time.monotonic()
        try:
            try:
                reply = await client.request(method, url, headers=headers, content=content, timeout=timeout)
            except NoResponseError as error:
                if not _may_repeat(request, error):
                    raise
                left = time_left(timeout, started)
                reply = await client.request(method, url, headers=headers, content=content, timeout=left)
        except (Exception, asyncio.CancelledError) as error:
            if log:
                log.failure(error)
            if self._closed and not _cancelled_from_outside(error):
                raise ClosedError(_CLOSED_DURING_CALL) from error
            raise
        if log:
            log.reply(reply)
        return reply

    async def unless_closed(self, work: Awaitable[T]) -> T:
        """Await what may be long in coming without a request on its way: a wait before another try, for one.

        A close ends it at once. Raises `ClosedError` then.
        """
        waiting = _Waiting()
        self._waiting.add(waiting)
        if self._closed:
            waiting.loop.call_soon(self._cut_short, waiting)
        try:
            return await work
        except asyncio.CancelledError as error:
            if waiting.is_all_that_was_cancelled():
                raise ClosedError(_CLOSED_DURING_CALL) from error
            raise
        finally:
            self._waiting.discard(waiting)
            waiting.take_back()

    async def aclose(self) -> None:
        """Close what was made for the running event loop; other loops close theirs as soon as they turn."""
        home = self._homes.pop(asyncio.get_running_loop(), None)
        self.discard()
        if home is not None:
            await home.scope.aclose()

    def discard(self) -> None:
        """Close without waiting, from any thread: each event loop closes its own as soon as it turns."""
        self._closed = True
        self._homes.clear()
        for waiting in list(self._waiting):
            with suppress(RuntimeError):  # the loop is closed
                waiting.loop.call_soon_threadsafe(self._cut_short, waiting)

    def _cut_short(self, waiting: _Waiting) -> None:
        if waiting in self._waiting:
            waiting.cut_short()

    def _client(self) -> ReplyClient | None:
        """The client for the running event loop, None if there is none yet."""
        if self._closed:
            raise ClosedError("this client is closed; make a new one")
        if self._given is not None:
            return self._given
        home = self._homes.get(asyncio.get_running_loop())
        return None if home is None else home.client

    async def _new_client(self) -> ReplyClient:
        for other in list(self._homes):  # which other threads change too
            if other.is_closed():
                self._homes.pop(other, None)
        scope = _scope(self._make)
        home = self._homes[asyncio.get_running_loop()] = _Home(await scope.__anext__(), scope)
        return home.client


async def _scope(make: Callable[[], ReplyClient]) -> AsyncGenerator[ReplyClient, None]:
    """An HTTP client that is open for as long as this generator is.

    A generator, because its event loop then closes the client for us wherever we cannot: when ``asyncio.run``
    comes to its end, and when a LangCache client is dropped unclosed, in whichever thread.
    """
    client = make()
    try:
        yield client
    finally:
        await client.aclose()


def _may_repeat(request: Request[Any], error: NoResponseError) -> bool:
    # The service may have closed an idle connection just as it was used again. aiohttp sends GET and DELETE
    # once more by itself; it cannot know which POST may be repeated.
    operation = request.operation
    return operation.method == "POST" and operation.repeatable and error.raw_response is None


def _cancelled_from_outside(error: BaseException) -> bool:
    # A closing connector cancels whoever waits for a connection. Since Python 3.11 a task knows whether
    # somebody cancelled it; before that a cancellation during a close counts as the close's doing.
    return isinstance(error, asyncio.CancelledError) and _cancellations(asyncio.current_task()) > 0


def _cancellations(task: asyncio.Task[Any] | None) -> int:
    # A task counts them since Python 3.11.
    return int(getattr(task, "cancelling", int)())


_transports: weakref.WeakSet[Transport] = weakref.WeakSet()


def _start_anew_in_child() -> None:
    for transport in _transports:
        if transport._homes:
            leave_to_parent(dict(transport._homes))
            transport._homes.clear()
        transport._waiting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew_in_child)
