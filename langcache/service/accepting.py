"""Accepts connections: a few in each turn of the event loop, and none that its client has closed."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

__all__ = ["Listener"]

_WAITING_IN_SYSTEM = 4096
"""How many connections the system keeps for us, if its own limit allows. A client beyond that tries again a
second later."""

_ACCEPTED_AT_ONCE = 256
"""How many connections are accepted before all of them are begun, some 15 microseconds each."""

_BEGUN_AT_ONCE = 16
"""How many connections are begun in one turn, some 300 microseconds each with a first request."""

_RETRY_SECONDS = 1.0
"""How long nothing is accepted after the system had no file or memory for another connection."""


_HANDSHAKE_SECONDS = 10.0
"""How long a client may take for TLS before its first request."""


class Listener:
    """Sockets that accept connections.

    Connections that come faster than they can be begun wait. Those that their clients have closed by then are
    closed too, which takes a tenth of the time that a reply takes: so who connects over and over without end
    holds up others for no longer than the connections that it keeps open take.

    Args:
        protocol: makes the protocol of a connection.
        most: how many connections may be begun and have no protocol yet, which takes time with TLS alone. One
            more ends the oldest.
        tls: makes connections speak TLS.
    """

    def __init__(
        self,
        protocol: Callable[[], asyncio.BaseProtocol],
        most: int = 1000,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._most = most
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._bound: Sequence[socket.socket] = ()
        self._listening: list[socket.socket] = []
        self._waiting: deque[socket.socket] = deque()
        self._tasks: dict[asyncio.Task[Any], socket.socket] = {}

    async def listen(
        self, host: str, port: int, bound_before: Sequence[socket.socket] = ()
    ) -> tuple[str, int]:
        """Accept connections from now on. Returns the first address, with the port that was free for 0.

        ``bound_before`` are sockets to listen at in place of ``host`` and ``port``, closed at the end.
        """
        self._bound = bound_before
        if not bound_before:
            # asyncio binds the sockets, and does not listen at them.
            self._server = await self._loop.create_server(self._protocol, host, port, start_serving=False)
        for bound in bound_before or self._server_sockets():
            listening = socket.fromfd(bound.fileno(), bound.family, bound.type, bound.proto)
            listening.setblocking(False)
            listening.listen(_WAITING_IN_SYSTEM)
            self._listening.append(listening)
            self._resume(listening)
        address: tuple[str, int] = self._listening[0].getsockname()[:2]
        return address

    @property
    def sockets(self) -> list[Any]:
        """The sockets that listen, and those of connections that wait."""
        return [
            *self._server_sockets(),
            *self._bound,
            *self._listening,
            *self._waiting,
            *self._tasks.values(),
        ]

    @property
    def beginning(self) -> bool:
        """Whether there are connections that have been accepted and not begun."""
        return bool(self._waiting or self._tasks)

    def finish(self) -> None:
        """Accept what waits in the system at this moment, and nothing that comes later."""
        for listening in self._listening:
            self._loop.remove_reader(listening)
            with suppress(OSError):  # none waits any more, or no file is left
                while True:
                    self._accept_one(listening)
        self._stop_listening()
        self._begin_some(None)

    def close(self) -> None:
        """Accept no more connections, and close those that wait."""
        self._stop_listening()
        for client in self._waiting:
            client.close()
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()

    def _server_sockets(self) -> list[Any]:
        return [] if self._server is None else [*self._server.sockets]

    def _stop_listening(self) -> None:
        for listening in self._listening:
            self._loop.remove_reader(listening)
            listening.close()
        self._listening.clear()
        for bound in self._bound:
            bound.close()
        if self._server is not None:
            self._server.close()

    def _resume(self, listening: socket.socket) -> None:
        if listening in self._listening:  # which is empty after `close`
            self._loop.add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        self._loop.remove_reader(listening)
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                self._accept_one(listening)
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:  # no file or no memory is left
                self._loop.call_later(_RETRY_SECONDS, self._resume, listening)
                self._loop.call_exception_handler(
                    {"message": "a connection could not be accepted", "exception": error}
                )
                self._begin_some(None)
                return
        self._begin_some(listening)

    def _accept_one(self, listening: socket.socket) -> None:
        client, _ = listening.accept()
        client.setblocking(False)
        self._waiting.append(client)

    def _begin_some(self, listening: socket.socket | None) -> None:
        """Begin connections, and when none is left, accept again at this socket, if one is given."""
        begun = 0
        while self._waiting and begun < _BEGUN_AT_ONCE:
            client = self._waiting.popleft()
            if len(self._waiting) >= _BEGUN_AT_ONCE and _is_given_up(client):
                client.close()
                continue
            if len(self._tasks) >= self._most:
                with suppress(OSError):  # the client has just gone
                    next(iter(self._tasks.values())).shutdown(socket.SHUT_RDWR)
            task = self._loop.create_task(self._begin(client))
            self._tasks[task] = client
            task.add_done_callback(self._ended)
            begun += 1
        if self._waiting:
            self._loop.call_soon(self._begin_some, listening)
        elif listening is not None:
            self._resume(listening)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        client = self._tasks.pop(task)
        if task.cancelled():
            client.close()  # a task that is cancelled before its first step does not do it

    async def _begin(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._protocol,
                client,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else _HANDSHAKE_SECONDS,
            )
        except OSError:  # the client has just gone
            client.close()
        except BaseException:
            client.close()
            raise


def _is_given_up(client: socket.socket) -> bool:
    """Whether the client has closed its side of the connection. False where the system can't tell."""
    if _TCP_INFO is None:
        return False
    try:
        return client.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0] in _CLOSED_BY_CLIENT
    except OSError:
        return False


_TCP_INFO: int | None = socket.TCP_INFO if sys.platform == "linux" else None
_CLOSED_BY_CLIENT = {7, 8}  # TCP_CLOSE, after a reset, and TCP_CLOSE_WAIT, of Linux's netinet/tcp.h
