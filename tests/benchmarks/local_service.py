"""How the local service keeps up as it fills: stores per second, searches, memory and disk for each entry.

``python local_service.py URL KEY CACHE_ID ENTRIES`` stores entries with the client, until there are so many,
and then searches; it prints its figures as JSON. Each runs in a process of its own, as the service does.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from measuring import HERE, Estimate, Interpreters
from targets import Result

_SEARCHES = 300
_AT_ONCE = 32


@dataclass(frozen=True)
class Service:
    """A running ``langcache serve``."""

    settings: list[str]
    process: int

    def rss(self) -> int:
        """The resident bytes of its process."""
        status = Path(f"/proc/{self.process}/status").read_text()
        return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]

    def cpu(self) -> float:
        """The seconds of processor time that its process has taken."""
        user, system = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serve(interpreters: Interpreters, *options: str) -> Iterator[Service]:
    """Run a service with these options for as long as this is entered."""
    command = [interpreters["local"], "-u", "-m", "langcache", "serve", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            settings: list[str] = []
            while len(settings) < 3:
                line = process.stdout.readline()
                assert line, "the service ended; its standard error says why"
                if exported := re.match(r"\s*export \w+=(\S+)", line):
                    settings.append(exported[1].strip("'\""))
            yield Service(settings, process.pid)
        finally:
            process.terminate()


def measure(
    interpreters: Interpreters, *, some: int = 10_000, many: int = 100_000
) -> tuple[dict[str, Any], list[Result]]:
    """The figures of a service in memory and of one with a database, and the results."""
    with serve(interpreters) as service:
        empty = service.rss()
        at_some = fill_and_search(interpreters, service, 0, some)
        at_many = fill_and_search(interpreters, service, some, many)
        in_memory = (service.rss() - empty) / many
    with tempfile.TemporaryDirectory() as folder:
        with serve(interpreters, "--db", f"{folder}/cache.db") as service:
            with_db = fill_and_search(interpreters, service, 0, some)
        on_disk = sum(path.stat().st_size for path in Path(folder).iterdir()) / some

    def search(entries: int, figures: dict[str, float], at_most: float) -> Result:
        what = f"Local service, {entries:,} entries: search, median end to end"
        return Result(what, _estimate(figures, "p50_ms"), unit="ms", at_most=at_most)

    figures = {
        f"in memory, {some:,}": at_some,
        f"in memory, {many:,}": at_many,
        f"--db, {some:,}": with_db,
        "bytes_per_entry": {"memory": round(in_memory), "disk": round(on_disk)},
    }
    return figures, [
        search(some, at_some, 5),
        search(many, at_many, 25),
        Result(
            "Local service, --db: entries stored per second",
            _estimate(with_db, "stores_per_second"),
            unit="/s",
            at_least=1_000,
        ),
    ]


def _estimate(figures: dict[str, Any], name: str) -> Estimate:
    return Estimate.of(figures[name])


def fill_and_search(interpreters: Interpreters, service: Service, have: int, want: int) -> dict[str, Any]:
    """Store what is missing, then search."""
    command = [interpreters["local"], "local_service.py", *service.settings, str(have), str(want)]
    return json.loads(subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE).stdout)


def question(number: int) -> str:
    """A question that no other number has, with words that differ."""
    topics = ("refund", "invoice", "password", "delivery", "contract", "holiday", "printer", "warranty")
    places = ("Spain", "Norway", "Japan", "Chile", "Kenya", "Canada", "Malta")
    return (
        f"What should customer {number} in {places[number % 7]} do about "
        f"{topics[number % 8]} number {number * 7919 % 100_003}?"
    )


async def client(url: str, api_key: str, cache_id: str, have: int, want: int) -> dict[str, Any]:
    """Store and search; figures for each of three parts, so that they show their noise."""
    from langcache import AsyncLangCache

    numbers = iter(range(have, want))
    marks: list[float] = []

    async with AsyncLangCache(url, api_key, cache_id) as cache:

        async def store() -> None:
            for number in numbers:
                await cache.set(question(number), f"Customer {number} should ask again in the morning.")
                if number % ((want - have) // 3) == 0:
                    marks.append(time.perf_counter())

        await asyncio.gather(*(store() for _ in range(_AT_ONCE)))
        waits: list[float] = []
        for number in range(_SEARCHES):
            started = time.perf_counter()
            assert await cache.search(question(number), similarity_threshold=0.5)
            waits.append(1e3 * (time.perf_counter() - started))
    thirds = [waits[part::3] for part in range(3)]
    return {
        "stores_per_second": [
            round((want - have) // 3 / (end - start)) for start, end in itertools.pairwise(marks)
        ],
        "p50_ms": [round(median(third), 3) for third in thirds],
        "p99_ms": [round(sorted(waits)[int(_SEARCHES * 0.99)], 3)],
    }


if __name__ == "__main__":
    url, api_key, cache_id, have, want = sys.argv[1:]
    print(json.dumps(asyncio.run(client(url, api_key, cache_id, int(have), int(want)))))
