"""Runs contenders side by side in short interleaved blocks, and makes ratios and their noise of that.

Other programs on the machine, and its clock rate, change how long the same work takes by far more than the
contenders differ. So blocks are short, every contender runs one in each lap, ratios are taken lap by lap, and
their median counts. Where a process's memory happens to lie also moves its figures by some per cent, so each
round starts fresh processes: the noise of a ratio is half the distance between its lowest and highest round.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import texts

HERE = Path(__file__).parent

BLOCK_SECONDS = 0.03  # of CPU: long enough for the clock, short enough that the machine is the same in a lap

Interpreters = Mapping[str, str]
"""The Python of each environment, by the environment's name."""

INSTALLED = """if True:
    import json, os, sysconfig
    from importlib.metadata import distributions
    total, top = 0, sysconfig.get_path("purelib")
    for folder, _, files in os.walk(top):
        if "__pycache__" not in folder and not os.path.relpath(folder, top).startswith("pip"):
            total += sum(os.path.getsize(os.path.join(folder, file)) for file in files)
    names = {each.name.lower() for each in distributions()} - {"pip"}
    print(json.dumps({"bytes": total, "packages": len(names)}))
    """
"""A program that prints how many bytes and packages an environment has, without pip, as JSON."""


def keep_compiled() -> None:
    """Let the programs that are started from now on keep what they compile.

    To compile takes time and memory that a program needs only once, and some installers leave it undone.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@dataclass(frozen=True)
class Contender:
    """A module of ``rivals`` in one of the environments."""

    name: str
    rival: str
    environment: str


@dataclass(frozen=True)
class Lane:
    """What one contender does in a race: an operation, so many calls at once (tasks or threads)."""

    contender: Contender
    operation: str = "search"
    at_once: int = 1
    cache_id: str = texts.CACHE

    def __str__(self) -> str:
        kind = texts.CACHES[self.cache_id]
        return f"{self.contender.name}: {self.operation}, {self.at_once} at once{kind and f', {kind}'}"


@dataclass(frozen=True)
class Estimate:
    """A median, and the noise it was measured with."""

    value: float
    noise: float

    @classmethod
    def of(cls, rounds: Sequence[float]) -> Estimate:
        """From one figure for each round."""
        return cls(median(rounds), (max(rounds) - min(rounds)) / 2)


@dataclass
class Race:
    """What each lane came to, lap by lap and round by round: seconds per call."""

    cpu: dict[Lane, list[list[float]]] = field(default_factory=dict)
    wall: dict[Lane, list[list[float]]] = field(default_factory=dict)
    failures: dict[Lane, list[str]] = field(default_factory=dict)

    def ratio(self, lane: Lane, against: Lane, clock: str = "cpu") -> Estimate:
        """How many times what ``against`` takes ``lane`` takes."""
        seconds: dict[Lane, list[list[float]]] = getattr(self, clock)
        return Estimate.of(
            [
                median(mine / other for mine, other in zip(*laps, strict=True))
                for laps in zip(seconds[lane], seconds[against], strict=True)
            ]
        )

    def micros(self, lane: Lane, clock: str = "cpu") -> float:
        """Microseconds per call."""
        seconds: dict[Lane, list[list[float]]] = getattr(self, clock)
        return 1e6 * median(lap for laps in seconds[lane] for lap in laps)


class Worker:
    """A contender's process, which runs blocks of calls (see ``worker.py``)."""

    def __init__(self, interpreters: Interpreters, contender: Contender, url: str, cache_id: str) -> None:
        self._name = contender.name
        self._process = subprocess.Popen(
            [interpreters[contender.environment], "worker.py", contender.rival, url, cache_id],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, operation: str, at_once: int, calls: int) -> dict[str, Any]:
        """Run a block and return its figures."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"operation": operation, "at_once": at_once, "calls": calls}
        print(json.dumps(order), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended during {order}; its standard error says why")
        return json.loads(line)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        # Its last words, say those about connections that are still open, must not hold up the others.
        self._process.communicate()


@contextmanager
def canned_server(interpreters: Interpreters) -> Iterator[str]:
    """The URL of a canned server, which is there for as long as this is entered."""
    command = [interpreters["langcache"], "server.py"]
    with subprocess.Popen(
        command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.communicate()


def race(
    interpreters: Interpreters,
    url: str,
    lanes: Sequence[Lane],
    *,
    rounds: int,
    laps: int,
    block_seconds: float = BLOCK_SECONDS,
) -> Race:
    """Run the lanes against each other, each round in fresh processes; lanes of one contender share its.

    A block takes about ``block_seconds`` of CPU.
    """
    result = Race()
    for _ in range(rounds):
        with ExitStack() as stack:
            workers = {
                (lane.contender, lane.cache_id): stack.enter_context(
                    Worker(interpreters, lane.contender, url, lane.cache_id)
                )
                for lane in lanes
            }
            runs = {
                lane: _runner(workers[lane.contender, lane.cache_id], lane, block_seconds) for lane in lanes
            }
            for clock in (result.cpu, result.wall):
                for lane in lanes:
                    clock.setdefault(lane, []).append([])
            for _ in range(laps):
                for lane in random.sample(lanes, len(lanes)):
                    figures = runs[lane]()
                    result.cpu[lane][-1].append(figures["cpu"] / figures["calls"])
                    result.wall[lane][-1].append(figures["wall"] / figures["calls"])
                    if figures["failures"]:
                        result.failures.setdefault(lane, []).append(
                            f"{figures['failures']} of {figures['calls']}: {figures['first_failure']}"
                        )
    return result


def _runner(worker: Worker, lane: Lane, block_seconds: float) -> Callable[[], dict[str, Any]]:
    """What runs one block of a lane; how many calls, a first block tells, which also warms up."""
    warm_up = worker.run(lane.operation, lane.at_once, 2 * lane.at_once)
    warm_up = worker.run(lane.operation, lane.at_once, max(20, 2 * lane.at_once))
    per_task = block_seconds / (warm_up["cpu"] / warm_up["calls"]) / lane.at_once
    calls = max(round(per_task), 1) * lane.at_once

    def run() -> dict[str, Any]:
        # Connections may have been idle for long enough to have been closed: their making is not measured.
        worker.run(lane.operation, lane.at_once, lane.at_once)
        return worker.run(lane.operation, lane.at_once, calls)

    return run
