"""A TCP proxy between a client and a service that can spoil the next exchanges on the way."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class Wire:
    """What a fault has in hand: the connection to the client, on which a request has just come in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.nth_request = 0
        """Counts the requests on this connection, from 1."""
        self.path = ""
        """The target of the latest request."""
        self.closed = False

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()

    async def stall(self) -> None:
        """Do nothing for as long as the client stays."""
        while await self._reader.read(65536):
            pass
        self.closed = True

    async def trickle(self, data: bytes) -> None:
        """Send one byte a second, for as long as the client stays."""
        for byte in data:
            await self.send(bytes([byte]))
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.stall(), 1)
            if self.closed:
                return

    def reset(self) -> None:
        """End the connection with a RST in place of a FIN."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()
        self.closed = True

    def close(self) -> None:
        """End the connection in the ordinary way."""
        self.closed = True

    async def read_request(self) -> bytes:
        """The next request, whole. Raises `asyncio.IncompleteReadError` when the client has gone."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        self.nth_request += 1
        self.path = head.split(b" ", 2)[1].decode()
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        return head + await self._reader.readexactly(length)


Fault = Callable[[Wire], Awaitable[None]]
"""Does what it does in place of the service."""


class FaultProxy:
    """Relays to the service at ``upstream``, but for what `pick` has a fault for. Runs on its own thread."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self.pick: Callable[[Wire], Fault | None] = lambda wire: None
        """Asked at each request, on the proxy's thread, for the fault that it meets; None to relay it."""
        self.requests = 0
        self.open = 0
        """Connections from clients that are open now."""
        self.url = ""
        self._idle = threading.Condition()
        self._transports: weakref.WeakSet[asyncio.WriteTransport] = weakref.WeakSet()

    def __enter__(self) -> FaultProxy:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")
        self._thread.start()
        start = asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 24)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result()
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def faulty(self, fault: Fault) -> Iterator[None]:
        """Every request meets this fault."""
        self.pick = lambda wire: fault
        try:
            yield
        finally:
            self.pick = lambda wire: None

    def wait_until_idle(self, seconds: float = 60) -> bool:
        """Whether all clients have closed their connections, at the latest by then."""
        with self._idle:
            return self._idle.wait_for(lambda: self.open == 0, seconds)

    async def _end(self) -> None:
        """Close all connections, also those that were only accepted and those whose client does not read."""
        await stop_accepting(self._server)
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for transport in list(self._transports):
            transport.abort()
        await _turns()  # in which it closes their sockets

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count(+1)
        self._transports.add(writer.transport)
        wire = Wire(reader, writer)
        try:
            await self._exchanges(wire)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._count(-1)

    async def _exchanges(self, wire: Wire) -> None:
        service: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                request = await wire.read_request()
                self.requests += 1
                fault = self.pick(wire)
                if fault is not None:
                    await fault(wire)
                    if wire.closed:
                        return
                    continue
                if service is None:
                    service = await asyncio.open_connection(*self._upstream)
                    self._transports.add(service[1].transport)
                service[1].write(request)
                await wire.send(await Wire(*service).read_request())  # a reply has the same shape
        finally:
            if service is not None:
                service[1].close()

    def _count(self, change: int) -> None:
        with self._idle:
            self.open += change
            self._idle.notify_all()


async def stop_accepting(*servers: asyncio.Server) -> None:
    """Let servers accept nothing more, and make connections of what they have accepted.

    One that is closed makes no connection of a socket that it has just accepted: it stays open.
    """
    for server in servers:
        for listening in server.sockets:
            server.get_loop().remove_reader(listening.fileno())
    await _turns()  # in which they make those connections


async def _turns() -> None:
    """Let the event loop do what it does in its next turns."""
    for _ in range(5):
        await asyncio.sleep(0)
