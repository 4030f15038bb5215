"""One semantic cache in a process of its own, which fills it, asks it and measures it as it is told.

``python rival_worker.py MODULE KIND VECTORS FOLDER [SERVER]`` prints what its start cost, reads an order from
each line of standard input, as JSON, and answers each with a line. Apart from the cache it needs the standard
library only.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import rival_questions as questions


def main(module: str, kind: str, vectors: str, folder: str, server: str = "") -> None:
    """Answer orders until there are none."""
    from rival_caches import Place

    place = Place(kind, server, Path(folder), questions.read(Path(vectors)))
    os.chdir(folder)
    began = time.process_time()
    try:
        connection = importlib.import_module(f"rival_caches.{module}").connect(place)
        if isinstance(connection, AbstractAsyncContextManager):
            asyncio.run(_serve_tasks(connection, began))
        else:
            _serve_threads(connection, began)
    except Exception as error:
        answer(
            {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"}
        )
        raise


async def _serve_tasks(connection: Any, began: float) -> None:
    async with connection as (store, find):
        answer({"start_cpu": time.process_time() - began})
        for order in orders():
            block = Block(order)
            awaitables = block.calls(store, find)
            with block:
                await asyncio.gather(*(_task(awaitables, block) for _ in range(block.at_once)))
            answer(block.figures())


async def _task(calls: Iterator[tuple[int, Callable[[], Awaitable[Any]]]], block: Block) -> None:
    for number, call in calls:
        began = time.perf_counter()
        try:
            got: Any = await call()
        except Exception as error:
            got = error
        block.note(number, got, time.perf_counter() - began)


def _serve_threads(connection: Any, began: float) -> None:
    with connection as (store, find):
        answer({"start_cpu": time.process_time() - began})
        for order in orders():
            block = Block(order)
            calls = block.calls(store, find)
            lock = threading.Lock()

            def work(calls: Any = calls, block: Block = block, lock: Any = lock) -> None:
                while True:
                    with lock:
                        following = next(calls, None)
                    if following is None:
                        return
                    number, call = following
                    began = time.perf_counter()
                    try:
                        got: Any = call()
                    except Exception as error:
                        got = error
                    block.note(number, got, time.perf_counter() - began)

            threads = [threading.Thread(target=work, daemon=True) for _ in range(block.at_once - 1)]
            with block:
                for thread in threads:
                    thread.start()
                work()
                for thread in threads:
                    thread.join()
            answer(block.figures())


class Block:
    """What an order comes to.

    ``{"do": "store", "from": N, "to": N}`` fills; ``{"do": "check"}`` asks each question once;
    ``{"do": "find", "at_once": N}`` asks those that hit, again and again. All end after ``seconds``.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self.at_once: int = order.get("at_once", 1)
        self._waits: list[float] = []
        self._counts = {"right": 0, "false_hits": 0, "false_misses": 0, "failures": 0}
        self._first_failure: str | None = None

    def calls(self, store: Any, find: Any) -> Iterator[tuple[int, Callable[[], Any]]]:
        """The calls to make, with the numbers of their questions."""
        end = time.perf_counter() + self._order["seconds"]
        if self._order["do"] == "store":
            numbers: Any = range(self._order["from"], self._order["to"])
            made = ((n, lambda n=n: store(questions.prompt(n), questions.response(n))) for n in numbers)
        else:
            every = range(questions.QUESTIONS)
            numbers = every if self._order["do"] == "check" else cycle(every[::2])
            made = ((n, lambda n=n: find(questions.question(n))) for n in numbers)
        for number, call in made:
            if time.perf_counter() > end:
                return
            yield number, call

    def note(self, number: int, got: Any, wait: float) -> None:
        """A call has ended."""
        self._waits.append(wait)
        if isinstance(got, Exception):
            self._counts["failures"] += 1
            self._first_failure = self._first_failure or repr(got)[:200]
        elif self._order["do"] != "store":
            expected = questions.expected(number)
            self._counts["right" if got == expected else "false_misses" if got is None else "false_hits"] += 1

    def __enter__(self) -> Block:
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        wall, cpu = self._began
        self._wall, self._cpu = time.perf_counter() - wall, time.process_time() - cpu

    def figures(self) -> dict[str, Any]:
        """What is told: seconds, and bytes of memory without files that are mapped."""
        return {
            "calls": len(self._waits),
            "median": median(self._waits) if self._waits else None,
            "wall": self._wall,
            "cpu": self._cpu,
            "memory": anonymous_bytes(os.getpid()),
            "first_failure": self._first_failure,
            **self._counts,
        }


def anonymous_bytes(process: int) -> int:
    """The memory of a process, without files that are mapped."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(re.search(r"RssAnon:\s+(\d+)", status)[1])  # type: ignore[index]


def orders() -> Iterator[dict[str, Any]]:
    """The orders, as they come."""
    for line in sys.stdin:
        yield json.loads(line)


def answer(figures: dict[str, Any]) -> None:
    """A line of JSON, that nothing a library prints can be taken for."""
    print("figures:" + json.dumps(figures), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
