"""The CPU that get_or_set on a hit costs over a bare search, in both clients.

``python tests/benchmarks/aside_overhead.py`` prints it as JSON. The service is a canned reply in a process of
its own, and what is measured is the CPU of this process. Rounds of the two alternate, so that a busy machine
disturbs both alike; the overhead is the median of their ratios.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from langcache import AsyncLangCache, LangCache

ROUNDS = 30
CALLS = 100
PROMPT = "How do I reset my password?"
ENTRY = {
    "id": "0" * 32,
    "prompt": PROMPT,
    "response": "Follow the link on the sign-in page. " * 10,
    "attributes": {},
    "similarity": 1.0,
    "searchStrategy": "semantic",
}


def serve(tell: Connection) -> None:
    """Answer every request with one hit, for as long as the process lives."""
    body = json.dumps({"data": [ENTRY]}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    reply = head.encode() + body

    class Canned(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport
            self.buffer = b""

        def data_received(self, data: bytes) -> None:
            self.buffer += data
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if end and len(rest) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
                self.buffer = b""
                assert isinstance(self.transport, asyncio.Transport)
                self.transport.write(reply)

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", 0)
        tell.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await server.serve_forever()

    asyncio.run(run())


def compared(search: Callable[[], None], get_or_set: Callable[[], None]) -> dict[str, float]:
    """Microseconds of CPU per call of each, and how much more the second takes, in per cent."""
    rounds: dict[Callable[[], None], list[float]] = {search: [], get_or_set: []}
    for _ in range(ROUNDS):
        for work, times in rounds.items():
            before = time.process_time()
            work()
            times.append((time.process_time() - before) / CALLS * 1e6)
    bare, aside = rounds.values()
    ratio = statistics.median(slower / faster for faster, slower in zip(bare, aside, strict=True))
    return {
        "search_us": round(statistics.median(bare), 1),
        "get_or_set_us": round(statistics.median(aside), 1),
        "overhead_pct": round(100 * (ratio - 1), 1),
    }


def measure_async(url: str) -> dict[str, float]:
    """The asyncio client, one call after the other."""
    with asyncio.Runner() if hasattr(asyncio, "Runner") else _Loop() as runner:
        cache = AsyncLangCache(url, "key", "cache")

        async def search() -> None:
            for _ in range(CALLS):
                await cache.search(PROMPT)

        async def get_or_set() -> None:
            for _ in range(CALLS):
                assert (await cache.get_or_set(PROMPT, "unused")).hit

        result = compared(lambda: runner.run(search()), lambda: runner.run(get_or_set()))
        runner.run(cache.aclose())
        return result


class _Loop:
    """What `asyncio.Runner` is, for Python 3.10."""

    def __enter__(self) -> _Loop:
        self._loop = asyncio.new_event_loop()
        self.run = self._loop.run_until_complete
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.close()


def measure_blocking(url: str) -> dict[str, float]:
    """The blocking client, one call after the other."""
    with LangCache(url, "key", "cache") as cache:

        def search() -> None:
            for _ in range(CALLS):
                cache.search(PROMPT)

        def get_or_set() -> None:
            for _ in range(CALLS):
                assert cache.get_or_set(PROMPT, "unused").hit

        return compared(search, get_or_set)


def main() -> None:
    """Measure both clients and print the figures."""
    ours, theirs = multiprocessing.Pipe()
    service = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    service.start()
    url = ours.recv()
    print(json.dumps({"async": measure_async(url), "blocking": measure_blocking(url)}, indent=2))
    service.terminate()


if __name__ == "__main__":
    main()
