"""The table "Speed and size" of docs/local-service.md: the service with its default model and 10,000 entries.

``python local_service.py URL KEY CACHE_ID ENTRIES PROCESS`` stores so many entries with the client, then asks
for some of them in other words, and stores more one by one; it prints its figures as JSON. ``PROCESS`` is the
number of the service's. Each runs in a process of its own, as the service does.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from measuring import HERE, INSTALLED, Estimate, Interpreters
from service_table import put_in_place
from targets import Result

_ENTRIES = 10_000
_ALONE = 300
"""How many searches, and how many stores, are made one at a time."""
_AT_ONCE = 32
_STARTS = 3


@dataclass(frozen=True)
class Service:
    """A running ``langcache serve``."""

    settings: list[str]
    process: int
    ready: float
    """The seconds from its start until it listened, its model loaded."""

    def rss(self) -> int:
        """The resident bytes of its process."""
        status = Path(f"/proc/{self.process}/status").read_text()
        return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]

    def cpu(self) -> float:
        """The seconds of processor time that its process has taken."""
        return cpu_of(self.process)


def cpu_of(process: int) -> float:
    """The seconds of processor time that a process has taken."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serve(interpreters: Interpreters, *options: str) -> Iterator[Service]:
    """Run a service with these options for as long as this is entered."""
    command = [interpreters["local"], "-u", "-m", "langcache", "serve", "--port", "0", *options]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            settings: list[str] = []
            while len(settings) < 3:
                line = process.stdout.readline()
                assert line, "the service ended; its standard error says why"
                if exported := re.match(r"\s*export \w+=(\S+)", line):
                    settings.append(exported[1].strip("'\""))
            yield Service(settings, process.pid, time.perf_counter() - began)
        finally:
            process.terminate()


def measure(interpreters: Interpreters, *, entries: int = _ENTRIES) -> tuple[dict[str, Any], list[Result]]:
    """The figures of a service in memory and of one with a database, and the results."""
    installed = subprocess.run(
        [interpreters["local"], "-I", "-c", INSTALLED], check=True, stdout=subprocess.PIPE
    )
    _ready(interpreters)  # compiles what its installer left uncompiled
    figures: dict[str, Any] = {
        "entries": entries,
        "installed": json.loads(installed.stdout),
        "ready": {"empty": [_ready(interpreters) for _ in range(_STARTS)]},
    }
    with serve(interpreters) as service:
        figures["memory"] = _filled(interpreters, service, entries)
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/cache.db"
        with serve(interpreters, "--db", file) as service:
            figures["db"] = _filled(interpreters, service, entries)
        figures["db"]["disk_bytes"] = sum(path.stat().st_size for path in Path(folder).iterdir())
        figures["ready"]["full"] = [_ready(interpreters, "--db", file) for _ in range(_STARTS)]

    def result(what: str, rounds: list[float], unit: str, at_most: float) -> Result:
        return Result(f"Local service, {what}", Estimate.of(rounds), unit=unit, at_most=at_most)

    size = figures["installed"]
    return figures, [
        result(f"{entries:,} entries: search, median end to end", figures["memory"]["search_ms"], "ms", 8),
        result(f"{entries:,} entries: store, median end to end", figures["memory"]["store_ms"], "ms", 8),
        result("ready after", figures["ready"]["empty"], "s", 1.5),
        result("installed with the extra local", [size["bytes"] / 1e6], "MB", 188),
        result("packages with the extra local", [size["packages"]], "", 40),
    ]


def _ready(interpreters: Interpreters, *options: str) -> float:
    with serve(interpreters, *options) as service:
        return round(service.ready, 3)


def _filled(interpreters: Interpreters, service: Service, entries: int) -> dict[str, Any]:
    before = service.rss()
    command = [
        interpreters["local"],
        "local_service.py",
        *service.settings,
        f"{entries}",
        f"{service.process}",
    ]
    done = subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE)
    return {**json.loads(done.stdout), "memory_bytes": service.rss() - before}


def table(figures: dict[str, Any]) -> str:
    """What is in the page."""
    entries, ready, installed = figures["entries"], figures["ready"], figures["installed"]
    both = figures["memory"], figures["db"]

    def row(what: str, *cells: str) -> str:
        return f"| {' | '.join((what, *cells))} |\n"

    def millis(name: str) -> list[str]:
        return [f"{Estimate.of(each[name]).value:.1f} ms" for each in both]

    return (
        row(f"{entries:,} entries", "in memory", "with `--db`")
        + "|---|---:|---:|\n"
        + row("a search in other words, median", *millis("search_ms"))
        + row("processor time of the service for it", *(f"{each['search_cpu_ms']:.1f} ms" for each in both))
        + row("a store, one at a time, median", *millis("store_ms"))
        + row("processor time of the service for it", *(f"{each['store_cpu_ms']:.1f} ms" for each in both))
        + row("stored per second, 32 at once", *(f"{each['stores_per_second']:,}" for each in both))
        + row("memory for each entry", *(f"{each['memory_bytes'] / entries / 1e3:.1f} KB" for each in both))
        + row("disk for each entry", "", f"{figures['db']['disk_bytes'] / entries / 1e3:.1f} KB")
        + row("`serve` is ready after", f"{median(ready['empty']):.1f} s", f"{median(ready['full']):.1f} s")
        + f"\nInstalled, langcache with the extra `local` has {installed['packages']} packages of "
        f"{installed['bytes'] / 1e6:.0f} MB together.\n"
    )


def write(figures: dict[str, Any], docs: Path) -> None:
    """Put the table in its place."""
    put_in_place(table(figures), docs / "local-service.md", "figures")


_DONE = ("change", "cancel", "renew", "export", "share", "print", "check", "move", "insure", "return")
_THINGS = (
    *(
        "invoice",
        "order",
        "phone",
        "contract",
        "ticket",
        "password",
        "parcel",
        "printer",
        "garden",
        "passport",
    ),
    *("bicycle", "recipe", "photo", "calendar", "laptop", "booking", "account", "mortgage", "piano", "visa"),
)
_TIMES = ("today", "next week", "before Friday", "after a move", "at night", "in May", "twice", "in advance")
_PLACES = ("Spain", "Norway", "Japan", "Chile", "Kenya", "Canada", "Malta")


def question(number: int, start: str = "How do I") -> str:
    """A question that no other number has, of some ten words."""
    rest, done = divmod(number, len(_DONE))
    rest, thing = divmod(rest, len(_THINGS))
    rest, time = divmod(rest, len(_TIMES))
    rest, place = divmod(rest, len(_PLACES))
    more = f" with form {rest}" if rest else ""
    return f"{start} {_DONE[done]} my {_THINGS[thing]} {_TIMES[time]} in {_PLACES[place]}{more}?"


async def client(url: str, api_key: str, cache_id: str, entries: int, process: int) -> dict[str, Any]:
    """Store and search; medians of each of three parts, so that they show their noise."""
    from langcache import AsyncLangCache

    numbers = iter(range(entries))
    response = "Call us in the morning, or write to us. " * 10

    async def timed(call: Callable[[], Awaitable[object]]) -> float:
        began = time.perf_counter()
        await call()
        return 1e3 * (time.perf_counter() - began)

    async with AsyncLangCache(url, api_key, cache_id) as cache:

        async def store() -> None:
            for number in numbers:
                await cache.set(question(number), response)

        began = time.perf_counter()
        await asyncio.gather(*(store() for _ in range(_AT_ONCE)))
        figures: dict[str, Any] = {"stores_per_second": round(entries / (time.perf_counter() - began))}
        asked = [question(7 * number % entries, "What is the best way to") for number in range(_ALONE)]
        found = [await cache.search(each) for each in asked[:20]]
        assert sum(map(bool, found)) > 10, "most are to be found"
        for what, call in (
            ("search", cache.search),
            ("store", lambda prompt: cache.set(prompt, response)),
        ):
            cpu = cpu_of(process)
            waits = [await timed(lambda prompt=prompt, call=call: call(prompt)) for prompt in asked]
            figures[f"{what}_cpu_ms"] = round(1e3 * (cpu_of(process) - cpu) / _ALONE, 2)
            figures[f"{what}_ms"] = [round(median(waits[part::3]), 3) for part in range(3)]
    return figures


if __name__ == "__main__":
    url, api_key, cache_id, entries, process = sys.argv[1:]
    print(json.dumps(asyncio.run(client(url, api_key, cache_id, int(entries), int(process)))))
