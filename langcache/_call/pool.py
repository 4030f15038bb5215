"""Idle connections: which must not be used again, and how to close all when their event loop ends."""

from __future__ import annotations

import asyncio
import functools
import select
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

__all__ = [
    "CheckingConnector",
    "close_sockets",
    "close_stale",
    "close_without_waiting",
    "ignore_unclosed",
    "watch_idle",
]

_TLS_CLOSES_UNSEEN = sys.version_info < (3, 11)
"""Whether a transport over TLS that is being closed does not say so."""

# aiohttp looks only at whether a connection is open, as far as its event loop has noticed. But a reply that
# nobody asked for would answer the next call, and a loop that had no turn (a program that was frozen, or that
# blocked its loop) has noticed nothing: what the peer did is still in the system's socket buffer.
#
# Private to aiohttp, in this package:
# - _factory, _release and _loop of a connector, for CheckingConnector;
# - _parser of a protocol, which keeps what it receives without one: for the same, and for watch_idle;
# - _conns, _keepalive_timeout: for close_stale, with a connector of the user's;
# - _close, _conns, _acquired: for close_without_waiting;
# - _request, _loop of a session: in connections.py;
# - _conn_key of an error: in failures.py.
# In an aiohttp with other names of what the check uses, it does nothing, and connections are used again as
# aiohttp alone would use them. tests/client/test_idle.py fails then.


class CheckingConnector(aiohttp.TCPConnector):
    """A connector that takes no stale connection from its pool."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)  # pyright: ignore[reportUnknownMemberType]
        factory: Any = functools.partial(_CheckedConnection, loop=self._loop)
        self._factory = factory

    def _release(self, key: Any, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        if protocol.transport is not None:  # it is in the pool
            # The parser of the last reply would take the beginning of another without a sign. With no parser,
            # every byte that arrives from now on makes should_close true.
            protocol._parser = None


class _CheckedConnection(ResponseHandler):
    """One end of a connection, which seems to be closed as soon as it is stale."""

    # aiohttp asks for this before it takes a connection from its pool. Without a parser it is not in use.
    def is_connected(self) -> bool:
        return super().is_connected() and (self._parser is not None or not _is_stale(self))


def close_without_waiting(session: aiohttp.ClientSession) -> list[Any] | None:
    """Close a session without waiting: the event loop closes its connections in its next turn.

    Returns their transports; None if this aiohttp can't do that.
    """
    connector: Any = session.connector
    close = getattr(connector, "_close", None)
    if close is None:
        return None
    idle = [protocol for queue in connector._conns.values() for protocol, _ in queue]
    transports = [protocol.transport for protocol in [*idle, *connector._acquired]]
    for closed in close(abort_ssl=True):
        closed.add_done_callback(_retrieve)
    return [transport for transport in transports if transport is not None]


def close_sockets(transports: Iterable[Any], *, loop_is_closed: bool) -> None:
    """Close the sockets of transports that are closing, although their event loop has no further turn.

    uvloop needs no such help.
    """
    for transport in transports:
        tls = getattr(transport, "_ssl_protocol", None)
        below = getattr(tls, "_transport", None) or transport
        sock = getattr(below, "_sock", None)
        if sock is not None:
            sock.close()
            if loop_is_closed:
                below._sock = None  # what asyncio would do now; it complains of a transport with a socket


@contextmanager
def ignore_unclosed(loop: asyncio.AbstractEventLoop) -> Generator[None, None, None]:
    """Where this loop is closed right after `close_without_waiting`.

    uvloop then closes the connections itself, and complains of each that was not closed a turn before.
    """
    if not type(loop).__module__.startswith("uvloop"):
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"unclosed resource <TCPTransport ", ResourceWarning)
        yield


def _retrieve(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()  # or asyncio would complain that nobody did


def close_stale(session: aiohttp.ClientSession, url: URL) -> None:
    """Close the idle connections that the session must not use for its next request to this URL.

    For a session with a connector other than ours. What happens after this check goes unnoticed there, while
    the session waits for a connection or tries a request again by itself.
    """
    max_age = getattr(session.connector, "_keepalive_timeout", None)
    with suppress(AttributeError, TypeError, ValueError):  # a pool of another shape
        for connections in _pool(session, url):
            _close_stale(connections, max_age)


def watch_idle(session: aiohttp.ClientSession, url: URL) -> None:
    """After a reply: let `close_stale` notice whatever arrives on the connection that it came on."""
    with suppress(AttributeError, TypeError, ValueError):  # a pool of another shape
        for connections in _pool(session, url):
            for protocol, _ in connections:
                protocol._parser = None  # as in CheckingConnector


def _pool(session: aiohttp.ClientSession, url: URL) -> Iterator[Iterable[tuple[ResponseHandler, float]]]:
    """The idle connections to the host of this URL."""
    host, port = url.raw_host, url.port
    pool: Any = getattr(session.connector, "_conns", None) or {}
    for key, connections in pool.items():
        if key.host == host and key.port == port:
            yield connections


def _close_stale(connections: Iterable[tuple[ResponseHandler, float]], max_age: float | None) -> None:
    for protocol, idle_since in connections:  # in the order in which aiohttp takes them
        if protocol.is_connected():
            is_expired = max_age is not None and time.monotonic() - idle_since > max_age
            if not (is_expired or _is_stale(protocol)):
                return
            protocol.close()  # aiohttp itself removes closed connections from its pool


def _is_stale(protocol: Any) -> bool:
    """Whether anything has arrived on an idle connection that seems open, its end included."""
    # What the event loop has read already: aiohttp or asyncio has noted it.
    if protocol.should_close or (_TLS_CLOSES_UNSEEN and _is_closing(protocol.transport)):
        return True
    # What has arrived in the system's buffer since, which the loop has not read yet.
    try:
        has_input = protocol._langcache_has_input
    except AttributeError:  # it is idle for the first time
        has_input = protocol._langcache_has_input = _input_check(protocol)
    return bool(has_input(0))


def _is_closing(transport: Any) -> bool:
    tls = getattr(transport, "_ssl_protocol", None)
    if tls is None:
        return False
    below = getattr(tls, "_transport", transport)
    return below is None or bool(below.is_closing())


def _input_check(protocol: ResponseHandler) -> Callable[[int], object]:
    """A function of a timeout in milliseconds that says whether the connection's socket has anything to read.

    Kept with the connection: to make it costs more than to call it.
    """
    sock = None if protocol.transport is None else protocol.transport.get_extra_info("socket")
    if sock is None:  # not a connection over a socket
        return lambda timeout: False
    if sys.platform == "win32":
        return lambda timeout: select.select((sock,), (), (), timeout)[0]
    poll = select.poll()  # select.select refuses descriptors from 1024
    poll.register(sock.fileno(), select.POLLIN)  # errors and a closed peer are reported unasked
    return poll.poll
