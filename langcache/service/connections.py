"""The connections of the service: how many there may be, how long each may wait, and what a fork leaves."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from typing import Any, cast

from aiohttp import StreamReader, web

from .accepting import Listener
from .config import MAX_CONNECTIONS

__all__ = ["Connection", "Connections"]

HEAD_SECONDS = 10.0
"""How long the head of a request may take: from the start of a connection, later from the first byte."""

BODY_SECONDS = 30.0
"""How long the body of a request may take."""

REPLY_SECONDS = 30.0
"""How long a client may leave a reply unread that is too large for the buffers on the way."""

IDLE_SECONDS = 60.0
"""How long a connection is kept for another request."""

_FIRST_REQUEST_SECONDS = 2.0
"""How long the last connections that a service accepts before its end may take to send a request."""

_LOOK_SECONDS = 0.01
_SWEEP_SECONDS = 1.0
_UNREAD_SECONDS = 2.0
"""How long the rest of a body that nobody reads is thrown away, so that the client reads the reply."""

_WAITING_REQUESTS = 8
"""How many more requests a client may have sent before the reply to one. Hardly any client sends one."""

_HEAD_BYTES = 2 * 1024
"""How much is read at once where a head is awaited, which may be followed by many other requests."""

_UNREAD_BYTES = 64 * 1024
"""The longest unread body after which a connection is used again."""

_HANDLER_OPTIONS: dict[str, Any] = {
    "keepalive_timeout": IDLE_SECONDS,
    "auto_decompress": False,  # or a body would be unpacked before anything is known of who sent it
    "access_log": None,
    "lingering_time": _UNREAD_SECONDS,
    "max_headers": 64,
    "max_line_size": 8190,
    "max_field_size": 8190,
    "read_bufsize": 64 * 1024,
}


class Connections:
    """The open connections of one server, and the sockets that it listens at.

    Every second those that wait for too long are closed. When there are as many as there may be, a new one
    takes the place of another: of the one that has waited longest for its client, or else of the one whose
    request has taken longest. So nobody can keep others out by holding connections open.

    Args:
        server: makes replies to requests.
        most: how many connections there may be, at most half of the files that this process may open.
        tls: makes connections speak TLS.
        options: more options of aiohttp's `RequestHandler`.
    """

    def __init__(
        self, server: web.Server, most: int, tls: ssl.SSLContext | None = None, **options: Any
    ) -> None:
        self._server = server
        self._most = min(most, _half_of_the_files())
        self._options = {**_HANDLER_OPTIONS, **options}
        self._loop = asyncio.get_running_loop()
        self._open: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._listener: Listener = Listener(self._connection, self._most, tls)

    async def listen(
        self, host: str, port: int, bound_before: Sequence[socket.socket] = ()
    ) -> tuple[str, int]:
        """Accept connections from now on: see `Listener.listen`."""
        address = await self._listener.listen(host, port, bound_before)
        _of_this_process.add(self)
        return address

    async def finish(self, seconds: float) -> None:
        """Accept the connections that wait in the system at this moment, and none that comes later.

        Returns when each has had its first request, or after so many seconds, or two.
        """
        self._listener.finish()
        overdue = self._loop.time() + min(seconds, _FIRST_REQUEST_SECONDS)
        while self._loop.time() < overdue and (  # noqa: ASYNC110 (many things end it)
            self._listener.beginning or any(each.is_new for each in self._open)
        ):
            await asyncio.sleep(_LOOK_SECONDS)

    async def close(self) -> None:
        """Accept no more connections. Those that there are stay."""
        self._listener.close()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def opened(self, connection: Connection) -> None:
        """Keep watch over a connection, and make room for it."""
        if len(self._open) >= self._most:
            last = min(self._open, key=lambda each: (each.busy, each.since))
            self._open.discard(last)  # it is told of its end only later, and others may come before
            last.abort()
        self._open.add(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._open.discard(connection)

    def leave_to_parent(self) -> None:
        """Let go of all sockets, in a forked child: else they would stay open after their server's end.

        Each file descriptor is replaced rather than closed, since the objects that hold it close it later.
        """
        sockets: list[Any] = [connection.socket for connection in list(self._open)]
        sockets.extend(self._listener.sockets)
        with suppress(OSError):
            nothing = os.open(os.devnull, os.O_RDWR)
            for each in sockets:
                if each is not None and each.fileno() >= 0:
                    os.dup2(nothing, each.fileno(), inheritable=False)
            os.close(nothing)

    def _connection(self) -> Connection:
        return Connection(self, self._server, loop=self._loop, **self._options)

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in [each for each in self._open if each.deadline < now]:
            connection.abort()
        self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep) if self._open else None


class Connection(web.RequestHandler):
    """A connection that knows since when it waits for its client, and for how long it may."""

    __slots__ = (
        "_body", "_body_bytes", "_connections", "_gone", "_idle", "_transport", "_when_replied",
        "busy", "deadline", "received", "since",
    )  # fmt: skip

    def __init__(self, connections: Connections, server: web.Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._connections = connections
        self._transport: asyncio.Transport | None = None  # aiohttp's own is None as soon as it has closed it
        self._gone: asyncio.Future[None] | None = None
        self._body: StreamReader | None = None
        self._when_replied: Callable[[], None] | None = None
        self._idle = False
        self.busy: bool = False
        """Whether the client waits for the service, and not the service for the client."""
        self.since: float = 0.0
        """When what the connection does now began, in the time of its event loop."""
        self.deadline: float = inf
        """When it is to be closed, unless something happens before."""
        self.received: int = 0
        """The number of bytes that have come in, heads and all."""

    @property
    def is_new(self) -> bool:
        """Whether it waits for its first request."""
        return not (self._idle or self.busy)

    @property
    def socket(self) -> socket.socket | None:
        """Its socket."""
        return None if self._transport is None else self._transport.get_extra_info("socket")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._body_bytes: int | None = getattr(transport, "max_size", None)
        self._read_at_once(_HEAD_BYTES)
        self._wait(HEAD_SECONDS)
        self._connections.opened(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.closed(self)
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        if self._task_handler is not None and not self._request_in_progress:
            self._task_handler.cancel()  # it may have been told of a request, which it can't answer any more
        super().connection_lost(exc)
        self._messages.clear()  # each holds this connection, which only a collection of garbage would free
        self._body = None

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """Close, once the request that is under way is answered, or is cancelled after ``timeout`` seconds.

        aiohttp's own method fails where a request ends in the very turn of the event loop in which this time
        is over: the request then sets the result of a future that is cancelled.
        """
        self._force_close = True  # so that no other request is begun
        if self._waiter is not None:
            self._waiter.cancel()
        handler = self._task_handler
        try:
            if handler is not None and not handler.done():
                await asyncio.wait([handler], timeout=timeout)
                handler.cancel()
                await asyncio.wait([handler], timeout=timeout)
        finally:
            self.force_close()

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self._gone is not None:
            return
        if self._idle and data:
            self._idle = False
            self.deadline = self._loop.time() + HEAD_SECONDS
        super().data_received(data)
        error: BaseException | None = getattr(self._messages[-1][0], "exc", None) if self._messages else None
        if error is not None:  # what was sent can't be understood
            error.__traceback__ = None  # it leads to this connection, which holds the error
        if len(self._messages) > _WAITING_REQUESTS and self._transport is not None:
            self._transport.pause_reading()
        if self._body is not None and self._messages and not self._body.is_eof():
            # What comes behind a body that is not over is an error, of which aiohttp tells the body nothing.
            self._body.set_exception(web.RequestPayloadError("the body is not sent as its headers say"))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait(REPLY_SECONDS)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.begin_reply()

    def begin_body(self, body: StreamReader) -> None:
        """From now on the body of a request is awaited."""
        if self.transport is not None:  # else the end was before, and nothing would let go of the body again
            self._body = body
        self._wait(BODY_SECONDS)
        self._read_at_once(self._body_bytes)

    def begin_reply(self) -> None:
        """From now on the client awaits a reply."""
        if self._body is not None:
            self._body = None
            self._read_at_once(_HEAD_BYTES)
        self.busy, self.since, self.deadline = True, self._loop.time(), inf

    def when_replied(self, callback: Callable[[], None]) -> None:
        """Call this once, when the reply to this request is written, or never will be."""
        self._when_replied = callback

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        unread = not request.content.is_eof() and (
            request.content_length is None or request.content_length > _UNREAD_BYTES
        )
        if unread or len(self._messages) > _WAITING_REQUESTS:
            resp.force_close()
        try:
            finished = await super().finish_response(request, resp, start_time)
        finally:
            callback, self._when_replied = self._when_replied, None
            if callback is not None:
                callback()
        self._wait(IDLE_SECONDS)
        self._idle = True
        if unread:
            await self._discard()
        if self._messages:
            await asyncio.sleep(0)  # who sends several requests at once lets others come in between
        return finished

    def abort(self) -> None:
        """Close at once, whatever has not been sent."""
        self.force_close()
        if self._transport is not None:
            self._transport.abort()

    def _read_at_once(self, most: int | None) -> None:
        """How many bytes to read at once from now on. Only asyncio's own event loops can be told."""
        if self._body_bytes is not None:
            self._transport.max_size = most  # type: ignore[union-attr]

    def _wait(self, seconds: float) -> None:
        now = self._loop.time()
        self.busy = False
        self.since = now
        self.deadline = now + seconds

    async def _discard(self) -> None:
        """Say that nothing more will come, and throw away what comes, until the client closes.

        Closing with bytes unread would reset the connection, and the client might never see its reply.
        """
        if self._transport is None or self._transport.is_closing():
            return
        self._gone = self._loop.create_future()
        with suppress(OSError, RuntimeError):
            self._transport.write_eof()
            self._transport.resume_reading()
        await asyncio.wait([self._gone], timeout=_UNREAD_SECONDS)
        self.force_close()


def _half_of_the_files() -> int:
    """Half of the files that this process may have open. The other half is for everything else."""
    try:
        import resource
    except ImportError:  # Windows, where sockets are no files
        return MAX_CONNECTIONS
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(most // 2, 1) if most != resource.RLIM_INFINITY else 2**31


_of_this_process: weakref.WeakSet[Connections] = weakref.WeakSet()


def _leave_to_parent() -> None:
    for connections in list(_of_this_process):
        connections.leave_to_parent()
    _of_this_process.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
