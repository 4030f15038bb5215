"""Requests to a service on bare connections, which cost a small part of what the service costs.

They run on uvloop: the program that asks shares the processors with the services.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Timed", "percentile", "request", "run"]


def request(path: str, body: Any, key: str = "langcache-local-key", cache_id: str = "local") -> bytes:
    """A request, ready to be sent."""
    content = json.dumps(body).encode()
    return (
        f"POST /v1/caches/{cache_id}/{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    ).encode() + content


class Timed:
    """What requests came to."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        """How long each took, in seconds."""
        self.bodies: list[tuple[int, bytes]] = []
        """Numbers of requests with the bodies of their replies, if they are kept."""
        self.seconds = 0.0

    @property
    def per_second(self) -> float:
        """How many there were in a second."""
        return len(self.waits) / self.seconds


class _Wire(asyncio.Protocol):
    """One connection, which sends the next request as soon as there is a reply."""

    def __init__(
        self, requests: Iterator[tuple[int, bytes]], timed: Timed, keep: bool, overdue: Callable[[], bool]
    ) -> None:
        self._requests, self._timed, self._keep, self._overdue = requests, timed, keep, overdue
        self._received = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def begin(self) -> None:
        """Send the next request, if there is one and time for it."""
        following = None if self._overdue() else next(self._requests, None)
        if following is None:
            self.ended.set_result(None)
            self._transport.close()
            return
        self._number, content = following
        self._began = time.perf_counter()
        self._transport.write(content)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._timed.waits.append(time.perf_counter() - self._began)
        if not head.startswith(b"HTTP/1.1 20"):
            self.ended.set_exception(RuntimeError(f"{head!r} {body!r}"))
            return
        if self._keep:
            self._timed.bodies.append((self._number, body))
        self._received = b""
        self.begin()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(error or RuntimeError("the service closed a connection"))


def run(
    urls: Sequence[str],
    requests: Iterator[tuple[int, bytes]],
    at_once: int,
    seconds: float = 1e9,
    keep: bool = False,
) -> Timed:
    """Send requests until there are none or the time is over, so many at once, to each URL its share."""
    import uvloop  # which the comparison of caches, that takes its server from here, does without

    return uvloop.run(_run(urls, requests, at_once, seconds, keep))


async def _run(
    urls: Sequence[str], requests: Iterator[tuple[int, bytes]], at_once: int, seconds: float, keep: bool
) -> Timed:
    loop = asyncio.get_running_loop()
    timed = Timed()
    end = time.perf_counter() + seconds

    def overdue() -> bool:
        return time.perf_counter() > end

    wires: list[_Wire] = []
    for number in range(at_once):
        place = urlsplit(urls[number % len(urls)])
        _, wire = await loop.create_connection(
            lambda: _Wire(requests, timed, keep, overdue), place.hostname, place.port
        )
        wires.append(wire)
    began = time.perf_counter()
    for wire in wires:
        wire.begin()
    await asyncio.gather(*(wire.ended for wire in wires))
    timed.seconds = time.perf_counter() - began
    return timed


def percentile(waits: Sequence[float], percent: float) -> float:
    """In milliseconds."""
    ordered = sorted(waits)
    return 1e3 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
