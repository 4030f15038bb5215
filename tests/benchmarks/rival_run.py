"""Measures one semantic cache: ``python rival_run.py SETTINGS``, which are JSON; prints its figures as JSON.

Needs numpy and the dependency group redis: it makes the vectors, and starts the service or Redis. Processor
time is that of both sides. ``SETTINGS``: ``python``, ``module``, ``kind``, ``server``, ``sizes``,
``seconds``, ``rounds``, ``fill_at_once``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rival_questions as questions
from measuring import INSTALLED
from rival_worker import anonymous_bytes
from service_stores import Place

_FILL_SECONDS, _CHECK_SECONDS = 60, 15
_STORES_ALONE = 200
_TOO_SLOW = 0.1
"""Seconds: of a cache that takes longer for one question, 32 at once are not measured."""


def make_vectors(folder: Path, sizes: Sequence[int]) -> None:
    """Entries in clusters; questions near one of them, or at .8 of one, or near none."""
    rng = np.random.default_rng(20)
    centres = rng.standard_normal((500, questions.DIMENSIONS))

    def cluster(count: int) -> Any:
        rows = centres[rng.integers(0, len(centres), count)]
        return _unit(rows + rng.standard_normal(rows.shape))

    def beside(row: Any, cosine: float) -> Any:
        other = rng.standard_normal(row.shape)
        other = _unit(other - (other @ row) * row)
        return cosine * row + (1 - cosine**2) ** 0.5 * other

    entries = cluster(max(sizes))
    far = cluster(questions.QUESTIONS)
    asked = np.stack(
        [
            beside(entries[n], 0.96) if n % 2 == 0 else beside(entries[n], 0.8) if n % 4 == 1 else far[n]
            for n in range(questions.QUESTIONS)
        ]
    )
    cosines = asked @ entries.T
    hits, misses = cosines[::2], cosines[1::2]
    assert (hits.argmax(axis=1) == np.arange(0, questions.QUESTIONS, 2)).all()
    assert hits.max(axis=1).min() > questions.THRESHOLD + 0.04
    assert misses.max() < questions.THRESHOLD - 0.04
    np.save(folder / "entries.npy", entries.astype(np.float32))
    np.save(folder / "queries.npy", asked.astype(np.float32))


def _unit(rows: Any) -> Any:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


class Worker:
    """The process of the cache."""

    def __init__(self, settings: dict[str, Any], vectors: Path, folder: Path, server: str) -> None:
        command = [settings["python"], str(Path(__file__).with_name("rival_worker.py"))]
        command += [settings["module"], settings["kind"], str(vectors), str(folder), server]
        quiet = {"BETTERDB_TELEMETRY": "false", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": ""}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **quiet}
        )
        self.start = self._answer()

    def run(self, **order: Any) -> dict[str, Any]:
        """Give an order, and wait for its figures."""
        assert self._process.stdin is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("figures:"):
                return json.loads(line.removeprefix("figures:"))
        return {"failed": "its process ended"}

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


class Servers:
    """What is on the other side: a service, Redis, or both; none for a cache in the program's process."""

    def __init__(self, kind: str, vectors: Path, stack: ExitStack) -> None:
        self.url = ""
        self._place: Place | None = None
        self._redis: Any = None
        if kind == "Redis alone":
            from service_stores import Server

            self._redis = stack.enter_context(Server())
            self.url = self._redis.url
        elif kind:
            self._place = Place(kind, vectors, stack)
            self._redis = self._place.redis
            self.url = self._place.services[0].url

    def cpu(self) -> float:
        """Seconds."""
        seconds = 0.0
        if self._place is not None:
            seconds = self._place.services[0].cpu()
        if self._redis is not None:
            info = self._redis.do("INFO", "cpu")
            seconds += info["used_cpu_user"] + info["used_cpu_sys"]
        return seconds

    def memory(self) -> int:
        """Bytes."""
        total = self._place.services[0].memory() if self._place is not None else 0
        if self._redis is not None:
            total += anonymous_bytes(self._redis.do("INFO", "server")["process_id"])
        return total


def measure(settings: dict[str, Any], vectors: Path) -> dict[str, Any]:
    """Its figures, or ``{"failed": why}``."""
    with _begun(settings, vectors) as (worker, servers):
        if "failed" in worker.start:
            return {"failed": worker.start["failed"]}
        figures: dict[str, Any] = {"start_cpu_ms": [_ms(worker.start["start_cpu"])]}
        have = 0
        for size in settings["sizes"]:
            figures[f"{size}"] = _at_size(settings, worker, servers, have, size)
            if "failed" in figures[f"{size}"]:
                return {**figures, "failed": figures[f"{size}"]["failed"]}
            have = size
    for _ in range(2):  # after one that compiled what its installer left uncompiled
        with _begun(settings, vectors) as (worker, _servers):
            figures["start_cpu_ms"].append(_ms(worker.start["start_cpu"]))
    figures["start_cpu_ms"] = min(figures["start_cpu_ms"])
    size = subprocess.run([settings["python"], "-I", "-c", INSTALLED], check=True, stdout=subprocess.PIPE)
    figures["installed_bytes"] = json.loads(size.stdout)["bytes"]
    return figures


@contextmanager
def _begun(settings: dict[str, Any], vectors: Path) -> Iterator[tuple[Worker, Servers]]:
    with tempfile.TemporaryDirectory() as named, ExitStack() as stack:
        servers = Servers(settings["server"], vectors, stack)
        worker = stack.enter_context(Worker(settings, vectors, Path(named), servers.url))
        yield worker, servers


def _at_size(
    settings: dict[str, Any], worker: Worker, servers: Servers, have: int, want: int
) -> dict[str, Any]:
    alone = have + _STORES_ALONE
    stored: dict[str, Any] = {}
    for begin, end, at_once in ((have, alone, 1), (alone, want, settings["fill_at_once"])):
        order = {"do": "store", "from": begin, "to": end, "at_once": at_once, "seconds": _FILL_SECONDS}
        done = worker.run(**order)
        if done.get("failed") or done["calls"] < end - begin or done["failures"]:
            why = done.get("failed") or done["first_failure"] or f"more than {_FILL_SECONDS} s"
            return {"failed": f"to store {want:,} entries: {why}"}
        if at_once == 1:
            stored = done
    checked = worker.run(do="check", seconds=_CHECK_SECONDS)
    figures: dict[str, Any] = {
        "store_ms": _ms(stored["median"]),
        "asked": checked["calls"],
        **{name: checked[name] for name in ("right", "false_hits", "false_misses", "failures")},
        "first_failure": checked["first_failure"],
    }
    for at_once in (1, 32):
        if at_once > 1 and checked["median"] > _TOO_SLOW:
            continue
        worker.run(do="find", at_once=at_once, seconds=min(0.2, settings["seconds"]))
        rounds = []
        for _ in range(settings["rounds"]):
            before = servers.cpu()
            done = worker.run(do="find", at_once=at_once, seconds=settings["seconds"])
            cpu = done["cpu"] + servers.cpu() - before
            each = _ms(done["wall"] / done["calls"])
            rounds.append((_ms(done["median"]), each, round(1e6 * cpu / done["calls"], 1)))
        names = ("median_ms", "each_ms", "cpu_us")
        figures[f"at_once_{at_once}"] = dict(zip(names, map(list, zip(*rounds, strict=True)), strict=True))
    figures["memory_bytes"] = servers.memory() + checked["memory"]
    return figures


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 4)


def main() -> None:
    settings = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory() as named:
        make_vectors(Path(named), settings["sizes"])
        print(json.dumps(measure(settings, Path(named))))


if __name__ == "__main__":
    main()
