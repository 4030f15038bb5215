"""A soak: both clients, a fault in every tenth exchange, and the sums that must come out right.

``python -m soak --seconds 180 --seed 1``, run in the directory of the tests. It ends with status 1 if an
answer was wrong, a call hung, a stored entry was lost, or memory, descriptors or threads grew beyond bounds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from faults.proxy import Fault, FaultProxy, Wire
from faults.table import ROWS

from langcache import AsyncLangCache, LangCache
from langcache.errors import LangCacheError
from langcache.service import LocalServer

LONGEST_SECONDS = 600
ONE_FAULT_IN = 10
TIMEOUT_MS = 2_000
HANG_SECONDS = 30
"""A call that takes longer hangs: its timeout, twice, and much patience with a busy machine."""
THREADS = 4
TASKS = 8
STORED = 500
"""How many entries of each worker there are at a time."""

MEMORY_MB = 64
"""Entries take some 20 of it, and as many what the service keeps of words, which is 48 at most. All else
grows for no more than a minute or two."""
LOOSE_ENDS = 3

# Faults that cost nothing but time, or whole gigabytes, would leave little of either for the rest.
FAULTS = [
    row.fault for row in ROWS if not row.slow and "MB" not in row.what and "without end" not in row.what
]
STALLS = [row.fault for row in ROWS if row.slow]


class Soak:
    """What the workers share: the seed's choices, and the counts."""

    def __init__(self, seed: int, seconds: float) -> None:
        self.random = random.Random(seed)
        self.deadline = time.monotonic() + seconds
        self.calls: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.faults = 0
        self.wrong: list[str] = []
        self.lost: list[str] = []
        self.slowest = 0.0
        self.lock = threading.Lock()

    def pick(self, wire: Wire) -> Fault | None:
        """On the proxy's thread: the fault of this exchange, if it has one."""
        if self.random.randrange(ONE_FAULT_IN):
            return None
        self.faults += 1
        return self.random.choice(STALLS if self.random.random() < 0.02 else FAULTS)

    def begun(self, operation: str) -> float:
        with self.lock:
            self.calls[operation] += 1
        return time.monotonic()

    def ended(self, began: float, error: BaseException | None = None) -> None:
        with self.lock:
            self.slowest = max(self.slowest, time.monotonic() - began)
            if error is not None:
                self.errors[type(error).__name__] += 1


class Worker:
    """Stores entries, looks them up and deletes them, and knows what must be there."""

    def __init__(self, soak: Soak, name: str) -> None:
        self.soak = soak
        self.name = name
        self.random = random.Random(f"{soak.random.random()} {name}")
        self.stored: dict[str, tuple[str, str]] = {}
        """Prompt to response and id, of what was certainly stored and not since deleted."""
        self.count = 0

    async def work(self, call: Callable[..., Any]) -> None:
        """Until the time is up, then look up all that was stored."""
        while time.monotonic() < self.soak.deadline:
            await self.step(call)
        for prompt in list(self.stored):
            await self.look_up(call, prompt, tries=20)

    async def step(self, call: Callable[..., Any]) -> None:
        choice = self.random.random()
        if choice < 0.4 and len(self.stored) < STORED:
            await self.store(call)
        elif choice < 0.8 and self.stored:
            await self.look_up(call, self.random.choice(list(self.stored)), tries=20)
        elif choice < 0.85 and self.stored:
            prompt = self.random.choice(list(self.stored))
            _, entry_id = self.stored.pop(prompt)  # from now on it may or may not be there
            await self.guarded(call, "delete_by_id", entry_id)
        elif choice < 0.9:
            await self.guarded(call, "delete_query", {"topic": f"{self.name}-none"})
        elif choice < 0.95:
            await self.guarded(call, "conversational_search", f"{self.name} asks")
        else:
            await self.guarded(call, "health")

    async def store(self, call: Callable[..., Any]) -> None:
        self.count += 1
        prompt, response = f"{self.name} {self.count}", f"{self.name} answers {self.count}"
        result = await self.guarded(call, "set", prompt, response, attributes={"topic": self.name})
        if result is not None:
            self.stored[prompt] = (response, result.entry_id)

    async def look_up(self, call: Callable[..., Any], prompt: str, tries: int) -> None:
        response, _ = self.stored[prompt]
        for _ in range(tries):
            found = await self.guarded(call, "search", prompt, search_strategies=["exact"])
            if found is None:
                continue
            if not found:
                self.soak.lost.append(prompt)
            elif found.response not in (response, "hello"):
                self.soak.wrong.append(f"{prompt}: {found.response}")
            elif found.response == "hello":
                continue  # a fault that is no fault: good JSON, but the proxy's own
            return
        self.soak.lost.append(f"{prompt} (no answer in {tries} tries)")

    async def guarded(self, call: Callable[..., Any], operation: str, *args: Any, **kwargs: Any) -> Any:
        began = self.soak.begun(operation)
        try:
            result = await call(operation, *args, **kwargs)
        except LangCacheError as error:
            self.soak.ended(began, error)
            return None
        self.soak.ended(began)
        if operation == "set" and result.entry_id == "1":
            return None  # the proxy's own good JSON again: nothing was stored
        return result


def footprint() -> dict[str, float]:
    """What this process has: memory in MB, descriptors, threads."""
    gc.collect()
    with open("/proc/self/statm") as statm:
        memory = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return {
        "memory (MB)": memory,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
    }


def soak_sync(soak: Soak, client: LangCache, workers: list[Worker]) -> None:
    async def call(operation: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(client, operation)(*args, **kwargs)

    def run(worker: Worker) -> None:
        # A coroutine that never waits: it needs no event loop, and blocks none.
        try:
            worker.work(call).send(None)
        except StopIteration:
            return
        raise AssertionError("a blocking call was awaited")

    with ThreadPoolExecutor(len(workers)) as pool:
        for done in [pool.submit(run, worker) for worker in workers]:
            done.result()


async def soak_async(soak: Soak, client: AsyncLangCache, workers: list[Worker]) -> None:
    async def call(operation: str, *args: Any, **kwargs: Any) -> Any:
        return await getattr(client, operation)(*args, **kwargs)

    await asyncio.gather(*(worker.work(call) for worker in workers))


async def soak_both(soak: Soak, url: str, local: LocalServer) -> None:
    options: dict[str, Any] = {"timeout_ms": TIMEOUT_MS}
    with LangCache(url, local.api_key, local.cache_id, **options) as blocking:
        async with AsyncLangCache(url, local.api_key, local.cache_id, **options) as client:
            await asyncio.gather(
                asyncio.to_thread(
                    soak_sync, soak, blocking, [Worker(soak, f"thread-{n}") for n in range(THREADS)]
                ),
                soak_async(soak, client, [Worker(soak, f"task-{n}") for n in range(TASKS)]),
            )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    seconds = min(arguments.seconds, LONGEST_SECONDS)
    print(f"seed {arguments.seed}, {seconds:g} s, a fault in one exchange of {ONE_FAULT_IN}", flush=True)

    with LocalServer(("topic",)) as local, FaultProxy(local.url) as proxy:

        def run(seconds: float) -> Soak:
            soak = Soak(arguments.seed, seconds)
            proxy.pick = soak.pick
            with LangCache(local.url, local.api_key, local.cache_id) as direct:
                direct.flush()
            asyncio.run(soak_both(soak, proxy.url, local))
            proxy.wait_until_idle()
            return soak

        run(min(seconds / 10, 15))  # to warm up: what is loaded once is no growth
        before = footprint()
        soak = run(seconds)
        after = footprint()

    growth = {what: after[what] - before[what] for what in before}
    hangs = soak.slowest > HANG_SECONDS
    print(f"calls: {soak.calls.total()}  {dict(soak.calls)}")
    print(f"faults: {soak.faults}")
    print(f"errors: {soak.errors.total()}  {dict(soak.errors.most_common())}")
    print(f"wrong answers: {len(soak.wrong)}  {soak.wrong[:5]}")
    print(f"stored entries not found: {len(soak.lost)}  {soak.lost[:5]}")
    print(f"hangs: {int(hangs)}  (slowest call {soak.slowest:.2f} s)")
    for what, more in growth.items():
        print(f"growth of {what}: {more:+.1f}  (now {after[what]:.0f})")
    failures = [
        bool(soak.wrong),
        bool(soak.lost),
        hangs,
        not soak.faults,
        growth["memory (MB)"] > MEMORY_MB,
        growth["descriptors"] > LOOSE_ENDS,
        growth["threads"] > LOOSE_ENDS,
    ]
    return int(any(failures))


if __name__ == "__main__":
    sys.exit(main())
