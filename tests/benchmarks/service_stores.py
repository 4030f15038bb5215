"""Stores compared: memory, SQLite, and Redis with each kind of index, for one service and for two.

``python service_stores.py`` prints its figures as JSON; ``nox -s bench -- service`` makes the table of
docs/scale.md from them. It needs the extras local, redis, speed and wordllama, and the dependency group
redis. Vectors are given, 256 numbers in 2,000 clusters; a search asks for what is near one entry, with a
cosine of about .96. In the end two services with WordLlama are measured, as users have them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import local_service
import numpy as np
from service_table import WITH_MODEL
from service_wire import percentile, request, run

sys.path.insert(0, str(Path(__file__).parents[1] / "service"))

from redis_servers import Server

SIZES = (1_000, 10_000, 100_000)
STORES = ("memory", "SQLite", "Redis, FLAT", "Redis, HNSW")

_DIMENSIONS = 256
_CLUSTERS = 2_000
_QUERIES = 2_000
_AT_ONCE = 64
_ROUNDS = 9
_RESPONSE = "Customers ask again in the morning. " * 28  # 1 KB


def make_vectors(folder: Path, sizes: Sequence[int]) -> None:
    """The files of `service_given`: entries, and queries that are each near one of the first."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((_CLUSTERS, _DIMENSIONS)).astype(np.float32)
    rows = centres[rng.integers(0, _CLUSTERS, max(sizes))]
    rows += rng.standard_normal(rows.shape).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.save(folder / "entries.npy", rows)
    np.save(folder / "queries.npy", _near(rows[np.arange(_QUERIES) % min(sizes)], rng))


def _near(rows: Any, rng: Any) -> Any:
    noise = rng.standard_normal(rows.shape).astype(np.float32) * (0.3 / _DIMENSIONS**0.5)
    near = rows + noise
    return near / np.linalg.norm(near, axis=1, keepdims=True)


class Service:
    """A service in a process of its own, for as long as this is entered."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._command = [sys.executable, str(Path(__file__).with_name("service_given.py")), str(folder)]
        self._command += options

    def __enter__(self) -> Service:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the service ended; its standard error says why"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def cpu(self) -> float:
        """The seconds of processor time that it has taken."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Its bytes, without files that are mapped."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return 1024 * int(re.search(r"RssAnon:\s+(\d+)", status)[1])  # type: ignore[index]


class Place:
    """One of the stores, and the services on it."""

    def __init__(self, kind: str, folder: Path, stack: ExitStack) -> None:
        self.kind = kind
        self._db = folder / "cache.db" if kind == "SQLite" else None
        self.redis = stack.enter_context(Server()) if kind.startswith("Redis") else None
        options: list[str] = []
        if self._db is not None:
            options = ["--db", str(self._db)]
        if self.redis is not None:
            options = ["--store", f"{self.redis.url}?index={kind[-4:].lower()}&timeout=60"]
        count = 1 if self.redis is None else 2
        self.services = [stack.enter_context(Service(folder, *options)) for _ in range(count)]
        self._empty = self._size()

    def cpu(self) -> tuple[float, float]:
        """The seconds of the services, and of Redis."""
        of_redis = 0.0
        if self.redis is not None:
            of_redis = _cpu_of_redis(self.redis)
        return sum(service.cpu() for service in self.services), of_redis

    def _size(self) -> tuple[int, int]:
        files = [] if self._db is None else self._db.parent.glob("cache.db*")
        disk = sum(file.stat().st_size for file in files)
        if self.redis is not None:
            return int(self.redis.do("INFO", "memory")["used_memory"]), disk
        return self.services[0].memory(), disk

    def bytes_per_entry(self, entries: int) -> dict[str, int]:
        """What entries take, of memory and of disk."""
        memory, disk = (now - then for now, then in zip(self._size(), self._empty, strict=True))
        return {"memory": round(memory / entries), "disk": round(disk / entries)}


def _stores(numbers: range) -> Iterator[tuple[int, bytes]]:
    for number in numbers:
        prompt = f"What should a customer do about entry {number}"
        yield number, request("entries", {"prompt": prompt, "response": f"{number} {_RESPONSE}"})


@cache
def _searches() -> list[tuple[int, bytes]]:
    prompts = (f"What is a customer to do about query {number}" for number in range(_QUERIES))
    return [(number, request("entries/search", {"prompt": prompt})) for number, prompt in enumerate(prompts)]


def measure_at(place: Place, folder: Path, have: int, want: int, seconds: float) -> dict[str, Any]:
    """Store what is missing, then search."""
    urls = [service.url for service in place.services]
    before = place.cpu()
    stored = run(urls[:1], _stores(range(have, want)), _AT_ONCE)
    figures: dict[str, Any] = {
        "stores_per_second": round(stored.per_second),
        "store_p50_ms": round(percentile(stored.waits, 50), 2),
        "store_p99_ms": round(percentile(stored.waits, 99), 2),
        "store_cpu_us": _each(before, place.cpu(), len(stored.waits)),
    }
    queries = np.load(folder / "queries.npy")
    rows = np.load(folder / "entries.npy", mmap_mode="r")[:want]
    nearest = np.concatenate([(rows @ part.T).argmax(axis=0) for part in np.array_split(queries, 20)])
    first = run(urls[:1], iter(_searches()), 4, 2 * seconds, keep=True)
    right = sum(_found(body) == int(nearest[number]) for number, body in first.bodies)
    figures["recall"] = round(right / len(first.bodies), 4)
    alone = run(urls[:1], cycle(_searches()), 1, seconds)
    figures |= {
        "p50_ms": round(percentile(alone.waits, 50), 2),
        "p99_ms": round(percentile(alone.waits, 99), 2),
    }
    for processes in range(1, len(urls) + 1):
        before = place.cpu()
        many = run(urls[:processes], cycle(_searches()), _AT_ONCE, seconds)
        figures[f"searches_per_second_{processes}"] = round(many.per_second)
        figures[f"p99_of_64_ms_{processes}"] = round(percentile(many.waits, 99), 2)
        figures[f"search_cpu_us_{processes}"] = _each(before, place.cpu(), len(many.waits))
    return {**figures, "bytes": place.bytes_per_entry(want)}


def measure_with_model(entries: int, seconds: float) -> dict[str, Any]:
    """Searches in a second of one service and of two on an HNSW index, with WordLlama and its texts.

    With the processor time of the services, of Redis and of this program for a search, in microseconds.
    """
    with Server() as redis, ExitStack() as stack:
        options = ("--embedder", "wordllama", "--store", f"{redis.url}?index=hnsw&timeout=60")
        serving = [local_service.serve({"local": sys.executable}, *options) for _ in range(2)]
        services = [stack.enter_context(service) for service in serving]
        urls = [service.settings[0] for service in services]

        def cpu() -> tuple[float, ...]:
            of_services = sum(service.cpu() for service in services)
            return of_services, _cpu_of_redis(redis), time.process_time()

        def stores() -> Iterator[tuple[int, bytes]]:
            for number in range(entries):
                body = {"prompt": local_service.question(number), "response": _RESPONSE}
                yield number, request("entries", body)

        prompts = (f"Please tell me: {local_service.question(number)}" for number in range(0, entries, 7))
        searches = [(0, request("entries/search", {"prompt": prompt})) for prompt in prompts]
        run(urls, stores(), _AT_ONCE)
        run(urls, iter(searches[:500]), _AT_ONCE)  # to warm up
        # In turn, so that both have the same share of a moment in which the machine is slower.
        rounds: dict[int, list[float]] = {1: [], 2: []}
        each: list[list[int]] = []
        for _ in range(_ROUNDS):
            for count, of_count in rounds.items():
                before = cpu()
                done = run(urls[:count], cycle(searches), _AT_ONCE, seconds)
                of_count.append(done.per_second)
                each.append(_each(before, cpu(), len(done.waits)))
        return {
            **{f"searches_per_second_{count}": round(median(of)) for count, of in rounds.items()},
            "search_cpu_us": [round(median(of)) for of in zip(*each, strict=True)],
        }


def _cpu_of_redis(redis: Server) -> float:
    info = redis.do("INFO", "cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


def _each(before: tuple[float, ...], after: tuple[float, ...], count: int) -> list[int]:
    """Microseconds of processor time of each kind of process for each of so many calls."""
    return [round(1e6 * (now - then) / count) for then, now in zip(before, after, strict=True)]


def _found(body: bytes) -> int | None:
    data = json.loads(body)["data"]
    return int(data[0]["response"].split()[0]) if data else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2, help="how long each search is measured")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--stores", nargs="*", default=STORES)
    parser.add_argument(
        "--without-model", action="store_true", help="leave out what is measured with WordLlama"
    )
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    for kind in given.stores:
        with tempfile.TemporaryDirectory() as named, ExitStack() as stack:
            folder = Path(named)
            make_vectors(folder, given.sizes)
            place = Place(kind, folder, stack)
            have = 0
            for want in given.sizes:
                figures[f"{kind}, {want:,}"] = measure_at(place, folder, have, want, given.seconds)
                print(f"{kind}, {want:,}: {figures[f'{kind}, {want:,}']}", file=sys.stderr, flush=True)
                have = want
    if not given.without_model:
        figures[WITH_MODEL] = measure_with_model(10_000, given.seconds)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
