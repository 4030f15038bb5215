"""How much memory clients hold after many calls, and whether it grows."""

from __future__ import annotations

import texts
from measuring import Contender, Estimate, Interpreters, Worker
from targets import ASYNC, ESTABLISHED_ASYNC, ESTABLISHED_SYNC, SYNC, Result

_MIB = 1 << 20
_STEADY = 1.0
"""MiB: less than one more over 90,000 calls is not growth, it is how the allocator keeps its house."""


def measure(
    interpreters: Interpreters, url: str, *, early: int = 10_000, late: int = 100_000
) -> tuple[dict[str, int], list[Result]]:
    """The resident bytes of each client, and the results."""
    resident: dict[str, int] = {}
    results: list[Result] = []

    def after(worker: Worker, contender: Contender, at_once: int, calls: int) -> int:
        figures = worker.run("search", at_once, calls)
        failed.extend(filter(None, [figures["first_failure"]]))
        return figures["rss"]

    for ours, established, at_once in ((ASYNC, ESTABLISHED_ASYNC, 32), (SYNC, ESTABLISHED_SYNC, 1)):
        failed: list[str] = []
        for contender in (ours, established):  # what it compiles would count as memory of the client
            with Worker(interpreters, contender, url, texts.CACHE) as worker:
                worker.run("search", 1, 1)
        with Worker(interpreters, established, url, texts.CACHE) as worker:
            theirs = after(worker, established, at_once, early - early % at_once)
        with Worker(interpreters, ours, url, texts.CACHE) as worker:
            first = after(worker, ours, at_once, early - early % at_once)
            then = after(worker, ours, at_once, late - late % at_once)
        resident |= {
            f"{established.name}, after {early:,} calls": theirs,
            f"{ours.name}, after {early:,} calls": first,
            f"{ours.name}, after {late:,} more": then,
        }
        results += [
            Result(
                f"{ours.name}: resident after {early:,} calls, x established",
                Estimate(first / theirs, 0),
                at_most=1,
                failures=failed,
            ),
            Result(
                f"{ours.name}: growth over {late:,} more calls",
                Estimate((then - first) / _MIB, 0),
                unit="MiB",
                at_most=_STEADY,
                failures=failed,
            ),
        ]
    return resident, results
