"""Who is measured, at what, and what has to come out: the one table of targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import texts
from measuring import BLOCK_SECONDS, Contender, Estimate, Lane

ASYNC = Contender("AsyncLangCache", "async_langcache", "langcache")
SYNC = Contender("LangCache", "langcache_sync", "langcache")
SYNC_UVLOOP = Contender("LangCache with uvloop", "langcache_sync", "uvloop")
NEAR = Contender("AsyncLangCache with a near cache", "near_async", "langcache")
NEAR_SYNC = Contender("LangCache with a near cache", "near_sync", "langcache")
MIXED = Contender("LangCache, async methods", "langcache_async", "langcache")
AIOHTTP = Contender("aiohttp by hand", "aiohttp_async", "aiohttp")
THREADSAFE = Contender("aiohttp by hand, run_coroutine_threadsafe", "aiohttp_threadsafe", "aiohttp")
HTTPX = Contender("httpx by hand", "httpx_async", "httpx")
ESTABLISHED_ASYNC = Contender("established langcache, async", "langcache_async", "established")
ESTABLISHED_SYNC = Contender("established langcache, sync", "langcache_sync", "established")
RAW = Contender("raw socket", "raw_socket", "aiohttp")


@dataclass(frozen=True)
class Target:
    """A bound on a ratio: ``at_most`` on ours over theirs, or ``at_least`` on theirs over ours.

    With neither it is there to compare others with: theirs over ours.
    """

    what: str
    ours: Lane
    theirs: Lane
    at_most: float | None = None
    at_least: float | None = None
    clock: str = "cpu"


@dataclass(frozen=True)
class Heat:
    """Lanes that run against each other, and what has to come of it."""

    lanes: Sequence[Lane]
    targets: Sequence[Target]
    rounds: int = 6
    laps: int = 40
    block_seconds: float = BLOCK_SECONDS


def _row(operation: str, at_once: int) -> str:
    return f"{operation}, " + ("one at a time" if at_once == 1 else f"{at_once} at once")


def _async_near(operation: str, at_once: int) -> Heat:
    ours, aiohttp = Lane(ASYNC, operation, at_once), Lane(AIOHTTP, operation, at_once)
    what = f"AsyncLangCache: {_row(operation, at_once)}: CPU, x aiohttp by hand"
    return Heat((ours, aiohttp), [Target(what, ours, aiohttp, at_most=1.10)])


def _async_far(operation: str, at_once: int, less_than_established: float) -> Heat:
    ours, mixed, established, httpx = (
        Lane(contender, operation, at_once) for contender in (ASYNC, MIXED, ESTABLISHED_ASYNC, HTTPX)
    )
    row = f"{_row(operation, at_once)}: x less CPU than established"
    return Heat(
        (ours, mixed, established, httpx),
        (
            Target(f"AsyncLangCache: {row}", ours, established, at_least=less_than_established),
            Target(f"LangCache's async methods: {row}", mixed, established, at_least=10),
        ),
        rounds=3,
        laps=6,
    )


def _many() -> Heat:
    few, *more = (Lane(ASYNC, at_once=at_once) for at_once in (32, 256, 1_000, 10_000))
    return Heat(
        (few, *more),
        [
            Target(f"AsyncLangCache: {lane.at_once:,} at once: CPU, x that at 32", lane, few, at_most=1.5)
            for lane in more
        ],
        rounds=3,
        laps=6,
    )


def _sync_near(operation: str) -> Heat:
    ours, threadsafe, uvloop, raw = (
        Lane(contender, operation) for contender in (SYNC, THREADSAFE, SYNC_UVLOOP, RAW)
    )
    row = f"LangCache: {operation}, one thread"
    return Heat(
        (ours, threadsafe, uvloop, raw),
        (
            Target(f"{row}: CPU, x run_coroutine_threadsafe by hand", ours, threadsafe, at_most=1.25),
            # By hand, uvloop brings a call to 0.80.
            Target(f"{row}, with uvloop: CPU, x that without", uvloop, ours, at_most=0.85),
        ),
    )


def _sync_far(operation: str) -> Heat:
    ours, established = Lane(SYNC, operation), Lane(ESTABLISHED_SYNC, operation)
    what = f"LangCache: {operation}, one thread: x less CPU than established"
    return Heat((ours, established), [Target(what, ours, established, at_least=6)], rounds=3, laps=8)


def _threads() -> Heat:
    one, ours, established = Lane(SYNC), Lane(SYNC, at_once=16), Lane(ESTABLISHED_SYNC, at_once=16)
    one_by_hand, by_hand = Lane(THREADSAFE), Lane(THREADSAFE, at_once=16)
    row = "16 threads: calls per second"
    return Heat(
        (one, ours, established, one_by_hand, by_hand),
        (
            Target(f"LangCache: {row}, x one thread", ours, one, at_least=1.5, clock="wall"),
            Target(f"LangCache: {row}, x established", ours, established, at_least=6, clock="wall"),
            Target(
                f"run_coroutine_threadsafe by hand: {row}, x one thread", by_hand, one_by_hand, clock="wall"
            ),
        ),
        laps=10,
        block_seconds=0.2,  # as many calls as threads need to fall into step
    )


def _distant_threads() -> Heat:
    one, ours = (Lane(SYNC, at_once=at_once, cache_id=texts.DISTANT_CACHE) for at_once in (1, 16))
    away = texts.CACHES[texts.DISTANT_CACHE]
    what = f"LangCache: 16 threads, a service {away}: calls per second, x one thread"
    return Heat((one, ours), [Target(what, ours, one, clock="wall")], rounds=3, laps=4, block_seconds=0.2)


def _retries() -> Heat:
    without, configured = Lane(ASYNC, "search"), Lane(ASYNC, "search_with_retries")
    what = "AsyncLangCache: retries configured and not needed: CPU, x without"
    return Heat((without, configured), [Target(what, configured, without, at_most=1.03)])


def _aside() -> Heat:
    bare, aside = Lane(ASYNC, "search"), Lane(ASYNC, "get_or_set")
    what = "AsyncLangCache.get_or_set, a hit: CPU, x a bare search"
    return Heat((bare, aside), [Target(what, aside, bare, at_most=1.25)])


def _near_cache() -> Heat:
    lanes: list[Lane] = []
    targets: list[Target] = []
    for contender in (NEAR, NEAR_SYNC):
        hit, far, miss, far_misses = (
            Lane(contender, operation) for operation in ("near_hit", "far_hit", "near_miss", "far_other")
        )
        lanes += [hit, far, miss, far_misses]
        what = f"{contender.name}: get_or_set"
        targets.append(Target(f"{what}, a near hit: CPU, x a hit in the service", hit, far, at_most=0.1))
        targets.append(Target(f"{what}, a near miss: CPU, x without", miss, far_misses, at_most=1.03))
    return Heat(lanes, targets)


def _large() -> Heat:
    ours, ours_sync, aiohttp, threadsafe, established, established_sync = (
        Lane(contender, cache_id=texts.LARGE_CACHE)
        for contender in (ASYNC, SYNC, AIOHTTP, THREADSAFE, ESTABLISHED_ASYNC, ESTABLISHED_SYNC)
    )
    row = "1 MB replies: x less CPU than established"
    return Heat(
        (ours, ours_sync, aiohttp, threadsafe, established, established_sync),
        (
            Target(f"AsyncLangCache: {row}", ours, established, at_least=3),
            Target(f"LangCache: {row}", ours_sync, established_sync, at_least=3),
            Target(f"aiohttp by hand: {row}", aiohttp, established),
            Target(f"run_coroutine_threadsafe by hand: {row}", threadsafe, established_sync),
        ),
        laps=8,  # and more rounds than laps need: what the allocator does differs from process to process
    )


HEATS = {
    "search": _async_near("search", 1),
    "search32": _async_near("search", 32),
    "set": _async_near("set", 1),
    "set32": _async_near("set", 32),
    "search-far": _async_far("search", 1, 15),
    "search32-far": _async_far("search", 32, 30),
    "set-far": _async_far("set", 1, 15),
    "set32-far": _async_far("set", 32, 30),
    "many": _many(),
    "sync-search": _sync_near("search"),
    "sync-set": _sync_near("set"),
    "sync-search-far": _sync_far("search"),
    "sync-set-far": _sync_far("set"),
    "threads": _threads(),
    "threads-distant": _distant_threads(),
    "retries": _retries(),
    "get_or_set": _aside(),
    "near": _near_cache(),
    "large": _large(),
}


@dataclass(frozen=True)
class Result:
    """What came out for one target."""

    what: str
    figure: Estimate
    unit: str = "x"
    at_most: float | None = None
    at_least: float | None = None
    failures: Sequence[str] = ()

    @property
    def bound(self) -> str:
        """What it has to be, if anything."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return "" if self.at_least is None else f"≥ {self.at_least:g}"

    @property
    def missed(self) -> bool:
        """Whether the figure falls short by more than the noise, or a call failed."""
        too_much = self.at_most is not None and self.figure.value - self.figure.noise > self.at_most
        too_little = self.at_least is not None and self.figure.value + self.figure.noise < self.at_least
        return too_much or too_little or bool(self.failures)

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.failures:
            return "failures"
        if not self.bound:
            return "to compare"
        if self.missed:
            return "missed"
        over = self.at_most is not None and self.figure.value > self.at_most
        under = self.at_least is not None and self.figure.value < self.at_least
        return "within noise" if over or under else "met"
