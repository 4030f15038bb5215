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

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (head_end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:head_end].lower()
            length_at = head.find(b"content-length:")
            length = int(head[length_at + 15 :].split(b"\r\n", 1)[0]) if length_at >= 0 else 0
            if len(self._received) < head_end + 4 + length:
                return
            self._received = self._received[head_end + 4 + length :]
            path = head.split(b" ", 2)[1]
            reply = _SET if path.endswith(b"/entries") else _LARGE if _LARGE_PATH in path else _SEARCH
            assert isinstance(self._transport, asyncio.WriteTransport)
            if _DISTANT_PATH in path:
                loop = asyncio.get_running_loop()
                loop.call_later(texts.DISTANCE_SECONDS, self._transport.write, reply)
            else:
                self._transport.write(reply)


async def main() -> None:
    """Serve on a free port until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
