"""TLS before servers that have none: a front takes connections with TLS and without, and passes them on."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from concurrent.futures import Future
from contextlib import suppress

__all__ = ["Front"]


class Front:
    """Passes on what comes in at ``port`` to another port of this machine, without its TLS if it has any.

    Servers that speak with each other, such as a sentinel with a master, use the port without TLS.
    """

    def __init__(self, context: ssl.SSLContext, to: int) -> None:
        self._context, self._to = context, to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.encrypted = 0
        """How many connections had TLS."""
        self._stop: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()), name="tls-front", daemon=True
        )

    def __enter__(self) -> Front:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set_result(None)
        self._thread.join()
        self._listener.close()

    async def _run(self) -> None:
        accepting = asyncio.create_task(self._accept())
        await asyncio.wrap_future(self._stop)
        accepting.cancel()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[None]] = set()
        while True:
            connection, _ = await loop.sock_accept(self._listener)
            task = loop.create_task(self._serve(connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(connection, lambda: readable.done() or readable.set_result(None))
        try:
            await readable
        finally:
            loop.remove_reader(connection)
            if not readable.done() or readable.cancelled():
                connection.close()
        with suppress(OSError, ssl.SSLError):
            encrypted = connection.recv(1, socket.MSG_PEEK) == b"\x16"
            self.encrypted += encrypted
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=self._context if encrypted else None
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            behind = await asyncio.open_connection("127.0.0.1", self._to)
            try:
                await asyncio.wait(
                    [
                        asyncio.ensure_future(_pass_on(reader, behind[1])),
                        asyncio.ensure_future(_pass_on(behind[0], writer)),
                    ],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                transport.abort()
                behind[1].transport.abort()
                await asyncio.sleep(0)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
