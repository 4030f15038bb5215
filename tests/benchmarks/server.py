"""A loopback server that gives canned replies, so that what is measured is the client.

``python server.py`` prints its port and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys

import texts

_BACKLOG = 4096  # thousands of clients may knock at once


def canned(status: str, body: bytes) -> bytes:
    """A whole reply, head and body."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


_SET = canned("201 Created", texts.set_reply())
_SEARCH = canned("200 OK", texts.search_reply(""))
_LARGE = canned("200 OK", texts.search_reply(texts.LARGE_CACHE))
_LARGE_PATH = f"/caches/{texts.LARGE_CACHE}/".encode()
_DISTANT_PATH = f"/caches/{texts.DISTANT_CACHE}/".encode()


class Connection(asyncio.Protocol):
    """One client's connection; reads as much HTTP as it takes to know where a request ends."""

    transport: asyncio.WriteTransport

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (head_end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:head_end].lower()
            length_at = head.find(b"content-length:")
            length = int(head[length_at + 15 :].split(b"\r\n", 1)[0]) if length_at >= 0 else 0
            end = head_end + 4 + length
            if len(self._received) < end:
                return
            body, self._received = self._received[head_end + 4 : end], self._received[end:]
            self.answer(head.split(b" ", 2)[1], body)

    def answer(self, path: bytes, body: bytes) -> None:
        """Write the reply to a request."""
        raise NotImplementedError


class _Canned(Connection):
    """Answers as the path says."""

    def answer(self, path: bytes, body: bytes) -> None:
        reply = _SET if path.endswith(b"/entries") else _LARGE if _LARGE_PATH in path else _SEARCH
        if _DISTANT_PATH in path:
            loop = asyncio.get_running_loop()
            loop.call_later(texts.DISTANCE_SECONDS, self.transport.write, reply)
        else:
            self.transport.write(reply)


async def serve(connection: type[Connection]) -> None:
    """Serve on a free port, which is printed, until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", 0, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(_Canned))
