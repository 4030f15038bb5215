"""What the local service does under load: ``python tests/benchmarks/service_load.py``.

Starts ``langcache serve`` with the langcache that this Python imports, stores entries, and searches with many
connections at once while another process asks ``/health`` a hundred times a second. To compare with another
version, run it with that version's folder in PYTHONPATH. Prints its figures as JSON; takes some minutes.

The connections are bare sockets, which cost a tenth of what the client costs, so that on two processors the
service is what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import local_service

_SECONDS = 5.0
_FEW, _SOME, _MANY = 1_000, 10_000, 100_000


class Connection:
    """A connection to the service that is kept alive, with one request at a time."""

    def __init__(self, settings: Sequence[str]) -> None:
        self._url, self._key, self._cache_id = settings

    async def open(self) -> Connection:
        """Connect."""
        address = urlsplit(self._url)
        self._reader, self._writer = await asyncio.open_connection(address.hostname, address.port)
        return self

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request and return what was answered, decoded."""
        content = b"" if body is None else json.dumps(body).encode()
        self._writer.write(
            f"{method} /v1/caches/{self._cache_id}/{path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {self._key}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 20"), head
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        return json.loads(await self._reader.readexactly(length))


async def connections(settings: Sequence[str], count: int) -> list[Connection]:
    """So many connections."""
    return [await Connection(settings).open() for _ in range(count)]


async def store(settings: Sequence[str], first: int, last: int, at_once: int) -> float:
    """Store entries; returns how many in a second."""
    numbers = iter(range(first, last))

    async def work(connection: Connection) -> None:
        for number in numbers:
            body = {
                "prompt": local_service.question(number),
                "response": f"Customer {number} should ask again in the morning." * 8,
                "attributes": {"tenant": str(number % 1_000)},
            }
            await connection.call("POST", "entries", body)

    opened = await connections(settings, at_once)
    started = time.perf_counter()
    await asyncio.gather(*map(work, opened))
    return round((last - first) / (time.perf_counter() - started))


async def search(
    settings: Sequence[str], at_once: int, attributes: Callable[[int], dict[str, str]] = lambda _: {}
) -> dict[str, float]:
    """Search for some seconds; the searches in a second and how long one takes, in milliseconds."""
    numbers = iter(range(10**9))
    waits: list[float] = []

    async def work(connection: Connection) -> None:
        while (now := time.perf_counter()) < end:
            number = next(numbers) * 7 % 100_003
            body = {"prompt": local_service.question(number), "attributes": attributes(number)}
            await connection.call("POST", "entries/search", body)
            waits.append(1e3 * (time.perf_counter() - now))

    opened = await connections(settings, at_once)
    end = time.perf_counter() + _SECONDS
    await asyncio.gather(*map(work, opened))
    return {"per_second": round(len(waits) / _SECONDS), **percentiles(waits)}


async def ask_health(settings: Sequence[str]) -> dict[str, float]:
    """Ask ``/health`` a hundred times a second; how long it takes, in milliseconds."""
    (connection,) = await connections(settings, 1)
    waits: list[float] = []
    end = time.perf_counter() + _SECONDS
    while (now := time.perf_counter()) < end:
        await connection.call("GET", "health")
        waits.append(1e3 * (time.perf_counter() - now))
        await asyncio.sleep(0.01)
    return percentiles(waits)


def store_at_once(service: local_service.Service, first: int, last: int) -> dict[str, float]:
    """Store entries, 32 at once; how many in a second, and the processor time for each."""
    before = service.cpu()
    per_second = asyncio.run(store(service.settings, first, last, 32))
    return {"per_second": per_second, "cpu_ms": round(1e3 * (service.cpu() - before) / (last - first), 3)}


def percentiles(waits: list[float]) -> dict[str, float]:
    """The median and the 99th percentile."""
    waits.sort()
    return {"p50_ms": round(waits[len(waits) // 2], 2), "p99_ms": round(waits[len(waits) * 99 // 100], 2)}


def with_health(service: local_service.Service, at_once: int, **options: Any) -> dict[str, Any]:
    """Search while another process asks for health; with the processor time of the service for a search."""
    command = [sys.executable, __file__, "--health", *service.settings]
    before = service.cpu()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as health:
        figures = asyncio.run(search(service.settings, at_once, **options))
        figures["cpu_ms"] = round(1e3 * (service.cpu() - before) / (figures["per_second"] * _SECONDS), 3)
        return {**figures, "health": json.loads(health.communicate()[0])}


def measure(options: Sequence[str]) -> dict[str, Any]:
    """The figures of a service that is started with these options."""
    figures: dict[str, Any] = {}
    have = 0
    with local_service.serve({"local": sys.executable}, "--attribute", "tenant", *options) as service:
        empty = service.rss()
        for want in (_FEW, _SOME, _MANY):
            figures[f"{want:,} entries"] = figure = {
                "store, 32 at once": store_at_once(service, have, want),
                "search, 1 at once": with_health(service, 1),
                "search, 16 at once": with_health(service, 16),
                "search, 64 at once": with_health(service, 64),
                "search, 64 at once, one in a thousand matches": with_health(
                    service, 64, attributes=lambda number: {"tenant": str(number % 1_000)}
                ),
            }
            print(json.dumps(figure), file=sys.stderr, flush=True)
            have = want
        figures["bytes for each entry"] = round((service.rss() - empty) / have)
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--health", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument(
        "serve", nargs="*", help="options for `langcache serve`, after `--`, such as --db FILE"
    )
    arguments = parser.parse_args()
    if arguments.health:
        print(json.dumps(asyncio.run(ask_health(arguments.health))))
    else:
        print(json.dumps(measure(arguments.serve), indent=2))
