"""Sends one request and returns its reply, over the HTTP client of the running event loop."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from .._wire.exchange import Request
from ..errors import ClosedError, NoResponseError
from ..httpclient import ClientSource
from .connections import AiohttpClient, ReplyClient, adapt, is_factory
from .deadlines import time_left
from .debug import ExchangeLog, Logger, is_enabled
from .loop_clients import LoopClients
from .loops import running_loop
from .proxies import EnvProxies
from .received import Received

__all__ = ["Transport"]

T = TypeVar("T")

_CLOSED_DURING_CALL = "the client was closed during the call"


class _Waiting:
    """A task that waits. The wait can be cut short, and the task then goes on as if it was not cancelled."""

    def __init__(self) -> None:
        self.loop = running_loop()
        self._task = asyncio.current_task()
        self._is_cut_short = False
        self._cancelled_before = _cancellations(self._task)

    def cut_short(self) -> None:
        """End the wait by cancelling the task."""
        assert self._task is not None
        self._is_cut_short = True
        self._task.cancel()

    def is_all_that_was_cancelled(self) -> bool:
        """Whether `cut_short` alone, and nobody else, has cancelled the task."""
        return self._is_cut_short and _cancellations(self._task) - 1 <= self._cancelled_before

    def take_back(self) -> None:
        """Undo the cancellation by `cut_short`."""
        if self._is_cut_short:
            getattr(self._task, "uncancel", int)()


class Transport:
    """Sends requests, over the user's own client or over one made for each event loop."""

    def __init__(
        self,
        client: ClientSource | None,
        *,
        max_reply_bytes: int | None,
        logger: Logger | None,
        log_bodies: bool,
    ) -> None:
        self._logger = logger
        self._log_bodies = log_bodies
        self._closed = False
        self._waiting: set[_Waiting] = set()
        self._given: ReplyClient | None = None

        proxies = EnvProxies.read(os.environ) if client is None else None

        def make() -> ReplyClient:
            if client is None:
                return AiohttpClient.with_own_session(max_reply_bytes=max_reply_bytes, proxies=proxies)
            assert callable(client)
            return adapt(client(), max_reply_bytes=max_reply_bytes)

        self._clients = LoopClients(make)
        if client is not None and not is_factory(client):
            self._given = adapt(client, max_reply_bytes=max_reply_bytes)
        _transports.add(self)

    async def exchange(
        self, request: Request[Any], url: str, headers: Mapping[str, str], timeout: float | None, nth_try: int
    ) -> Received:
        """Send a request once and read its reply, whatever its status.

        Raises `RequestError` or a subclass if no reply comes, and `ClosedError`.
        """
        if self._closed:
            self.check_open()
        client = self._given or self._clients.get() or await self._clients.make()
        log = None
        if self._logger is not None and is_enabled(self._logger):
            log = ExchangeLog(self._logger, request, url, headers, nth_try, bodies=self._log_bodies)
        method, content = request.operation.method, request.body
        started = time.monotonic()
        try:
            try:
                received = await client.request(
                    method, url, headers=headers, content=content, timeout=timeout
                )
            except NoResponseError as error:
                if not _may_repeat(request, error):
                    raise
                left = time_left(timeout, started)
                received = await client.request(method, url, headers=headers, content=content, timeout=left)
        except (Exception, asyncio.CancelledError) as error:
            if log:
                log.failure(error)
            if self._closed and not _cancelled_from_outside(error):
                raise ClosedError(_CLOSED_DURING_CALL) from error
            raise
        if log:
            log.reply(received)
        return received

    async def unless_closed(self, work: Awaitable[T]) -> T:
        """Await something that can take long while no request is sent, such as the wait before a retry.

        Raises `ClosedError` at once when the client is closed.
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
        """Close the HTTP client of the running event loop. Other loops close theirs in their next turn."""
        self._end_calls()
        await self._clients.aclose()

    def discard(self) -> None:
        """Close without waiting, from any thread. Each event loop closes its own client in its next turn."""
        self._end_calls()
        self._clients.discard()

    def _end_calls(self) -> None:
        self._closed = True
        for waiting in list(self._waiting):
            with suppress(RuntimeError):  # the loop is closed
                waiting.loop.call_soon_threadsafe(self._cut_short, waiting)

    def _cut_short(self, waiting: _Waiting) -> None:
        if waiting in self._waiting:
            waiting.cut_short()

    def check_open(self) -> None:
        """Raise `ClosedError` if this is closed."""
        if self._closed:
            raise ClosedError("this client is closed; make a new one")


def _may_repeat(request: Request[Any], error: NoResponseError) -> bool:
    # The service may have closed an idle connection just as it was used again. aiohttp itself sends a GET or
    # DELETE again; it can't know which POST may be repeated.
    operation = request.operation
    return operation.method == "POST" and operation.repeatable and error.raw_response is None


def _cancelled_from_outside(error: BaseException) -> bool:
    # A closing connector cancels the tasks that wait for a connection. Since Python 3.11 a task knows whether
    # its own cancel() was called; before, every cancellation during a close is taken for the connector's.
    return isinstance(error, asyncio.CancelledError) and _cancellations(asyncio.current_task()) > 0


def _cancellations(task: asyncio.Task[Any] | None) -> int:
    # Counted since Python 3.11.
    return int(getattr(task, "cancelling", int)())


_transports: weakref.WeakSet[Transport] = weakref.WeakSet()


def _start_anew_in_child() -> None:
    for transport in _transports:
        transport._waiting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew_in_child)
