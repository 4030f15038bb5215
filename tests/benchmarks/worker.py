"""One rival in a process of its own, which runs blocks of calls as it is told.

``python worker.py RIVAL URL CACHE_ID`` reads a block to run from each line of standard input, as JSON
(``operation``, ``at_once``, ``calls``), and answers with a line: ``cpu`` and ``wall`` in seconds, ``rss`` in
bytes after the block, ``failures`` and the first of them. CPU time is that of all threads of this process.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import texts


class Block:
    """Some calls, timed, and the failures among them."""

    def __init__(self, calls: int, at_once: int, expected: str) -> None:
        self.shares = [calls // at_once] * at_once
        self._expected = expected
        self._failures: list[str] = []

    def check(self, got: object) -> None:
        """A call came to its end; a wrong reply is a failure too."""
        if got != self._expected:
            self._failures.append(repr(got)[:200])

    def __enter__(self) -> Block:
        self._started = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        wall, cpu = self._started
        self._cpu, self._wall = time.process_time() - cpu, time.perf_counter() - wall

    def figures(self) -> dict[str, Any]:
        """What the benchmark is told."""
        return {
            "cpu": self._cpu,
            "wall": self._wall,
            "rss": resident_bytes(),
            "calls": sum(self.shares),
            "failures": len(self._failures),
            "first_failure": self._failures[0] if self._failures else None,
        }


async def run_tasks(operation: Callable[[], Awaitable[str]], block: Block) -> None:
    """Run a block in as many tasks as there are shares."""

    async def run(share: int) -> None:
        for _ in range(share):
            try:
                got: object = await operation()
            except Exception as error:
                got = error
            block.check(got)

    with block:
        if len(block.shares) == 1:
            await run(block.shares[0])
        else:
            await asyncio.gather(*map(run, block.shares))


def run_threads(operation: Callable[[], str], block: Block) -> None:
    """Run a block in as many threads as there are shares: this one, and others that are there already."""
    begin = threading.Event()

    def run(share: int) -> None:
        begin.wait()
        for _ in range(share):
            try:
                got: object = operation()
            except Exception as error:
                got = error
            block.check(got)

    first, *others = block.shares
    threads = [threading.Thread(target=run, args=(share,), daemon=True) for share in others]
    for thread in threads:
        thread.start()
    with block:
        begin.set()
        run(first)
        for thread in threads:
            thread.join()


def orders(cache_id: str) -> Any:
    """The blocks asked for, as they are asked for: the operation's name, and the block."""
    for line in sys.stdin:
        order = json.loads(line)
        name = order["operation"]
        expected = texts.ENTRY_ID if name == "set" else texts.response(cache_id)
        yield name, Block(order["calls"], order["at_once"], expected)


def answer(block: Block) -> None:
    """Tell what a block came to."""
    print(json.dumps(block.figures()), flush=True)


def resident_bytes() -> int:
    """The memory that the process has in use now."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:  # not Linux: the peak is the nearest thing
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(rival: str, url: str, cache_id: str) -> None:
    """Serve orders until there are none."""
    connection = importlib.import_module(f"rivals.{rival}").connect(url, cache_id)

    async def serve_tasks() -> None:
        async with connection as operations:
            for name, block in orders(cache_id):
                await run_tasks(operations[name], block)
                answer(block)

    if isinstance(connection, AbstractAsyncContextManager):
        asyncio.run(serve_tasks())
    else:
        with connection as operations:
            for name, block in orders(cache_id):
                run_threads(operations[name], block)
                answer(block)


if __name__ == "__main__":
    main(*sys.argv[1:])
