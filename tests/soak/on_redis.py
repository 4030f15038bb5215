"""A soak of two services on one Redis, which is killed, frozen and started again all the while.

``python -m soak.on_redis --seconds 120 --fsync always``, run in the directory of the tests; or
``nox -s soak -- --redis``. It ends with status 1 if an answer was wrong, a call hung, a service ended, or an
entry was lost that was acknowledged: with ``--fsync everysec``, more than two seconds before a kill.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from langcache import AsyncLangCache
from langcache.errors import LangCacheError
from langcache.service.config import DEFAULT_API_KEY, DEFAULT_CACHE_ID

from .__main__ import HANG_SECONDS, Soak, Worker

sys.path.insert(0, str(Path(__file__).parents[1] / "service"))

from redis_servers import Server

_WORKERS = 8
_LOSES_SECONDS = 2.0
"""What everysec may lose: a second, and that of a disk that is behind."""


class Noting(Worker):
    """A worker that knows when each entry was acknowledged."""

    def __init__(self, soak: Soak, name: str) -> None:
        super().__init__(soak, name)
        self.acknowledged: dict[str, float] = {}

    async def store(self, call: Callable[..., Any]) -> None:
        before = set(self.stored)
        await super().store(call)
        self.acknowledged |= {prompt: time.monotonic() for prompt in self.stored.keys() - before}


@contextmanager
def service(url: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A service in a process of its own: its URL, and the process."""
    command = [sys.executable, "-m", "langcache", "serve", "--port", "0", "--attribute", "topic"]
    with subprocess.Popen(
        [*command, "--store", f"{url}?timeout=2"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            found = re.match(r"LangCache at (\S+),", process.stdout.readline())
            assert found, "the service did not start"
            yield found[1], process
        finally:
            process.terminate()


async def trouble(soak: Soak, server: Server, kills: list[float]) -> None:
    """Kill or freeze Redis every few seconds, and leave it alone before the end."""
    while time.monotonic() < soak.deadline - 5:
        await asyncio.sleep(1 + 3 * soak.random.random())
        if soak.random.random() < 0.3:
            server.freeze()
            await asyncio.sleep(3 * soak.random.random())
            server.thaw()
        else:
            kills.append(time.monotonic())
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(soak.random.random())
            await asyncio.to_thread(server.start)
        soak.faults += 1


async def run(soak: Soak, urls: list[str], server: Server, kills: list[float]) -> list[Noting]:
    """Keep both services busy, each worker both of them in turn."""
    workers = [Noting(soak, f"worker-{number}") for number in range(_WORKERS)]
    async with (
        AsyncLangCache(urls[0], DEFAULT_API_KEY, DEFAULT_CACHE_ID, timeout_ms=10_000) as one,
        AsyncLangCache(urls[1], DEFAULT_API_KEY, DEFAULT_CACHE_ID, timeout_ms=10_000) as other,
    ):

        async def call(operation: str, *args: Any, **kwargs: Any) -> Any:
            try:
                return await getattr(random.choice((one, other)), operation)(*args, **kwargs)
            except LangCacheError:
                await asyncio.sleep(0.5)  # it is tried again, and Redis takes a moment to start
                raise

        await asyncio.gather(trouble(soak, server, kills), *(worker.work(call) for worker in workers))
    return workers


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m soak.on_redis", description=__doc__)
    parser.add_argument("--redis", action="store_true", help=argparse.SUPPRESS)  # which chose this program
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fsync", choices=["always", "everysec"], default="always")
    given = parser.parse_args()
    kills: list[float] = []
    soak = Soak(given.seed, given.seconds)
    with ExitStack() as stack:
        server = stack.enter_context(Server("--appendonly", "yes", "--appendfsync", given.fsync))
        services = [stack.enter_context(service(server.url)) for _ in range(2)]
        soak.deadline = time.monotonic() + given.seconds
        workers = asyncio.run(run(soak, [url for url, _ in services], server, kills))
        ended = [process.poll() for _, process in services if process.poll() is not None]
    acknowledged = {prompt: when for worker in workers for prompt, when in worker.acknowledged.items()}

    def may_be_lost(prompt: str) -> bool:
        when = acknowledged.get(prompt, 0.0)
        return given.fsync == "everysec" and any(0 <= kill - when <= _LOSES_SECONDS for kill in kills)

    lost = sorted({prompt for prompt in soak.lost if not may_be_lost(prompt)})
    print(f"appendfsync {given.fsync}: {soak.faults} faults, of which {len(kills)} kills")
    print(f"calls: {soak.calls.total()}  {dict(soak.calls)}")
    print(f"errors: {soak.errors.total()}  {dict(soak.errors.most_common())}")
    print(f"entries acknowledged: {len(acknowledged)}")
    print(f"wrong answers: {len(soak.wrong)}  {soak.wrong[:5]}")
    print(f"lost against what was promised: {len(lost)}  {lost[:5]}; lost in all: {len(set(soak.lost))}")
    print(f"services that ended: {len(ended)}; slowest call {soak.slowest:.2f} s")
    return int(bool(soak.wrong or lost or ended or not kills or soak.slowest > HANG_SECONDS))


if __name__ == "__main__":
    sys.exit(main())
