"""What `cached_http` costs: a hit, a miss and a bypass through AsyncOpenAI, beside calls without a cache.

``python tests/benchmarks/adapters.py`` prints it in a minute. The provider and the service are processes
of their own, and answer at once. The four kinds of calls take turns, so that each meets the same machine. The
figures are those of the quickest tenth of each kind: the others tell what else the machine does. It fails if
a bound is missed.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

import openai

from langcache import AsyncLangCache
from langcache.http import cached_http

ROUNDS = 300
WARM_UP = 30
SERVERS = Path(__file__).with_name("adapters_servers.py")

HIT_RATIO, MISS_MS, BYPASS_MS = 1.2, 2.0, 0.5


def start(server: str, stack: ExitStack) -> str:
    """Start a server, a process that ends with the stack. Returns its URL."""
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, SERVERS, server], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    )
    stack.callback(process.stdin.close)
    return f"http://127.0.0.1:{int(process.stdout.readline())}"


async def measure(provider: str, service: str) -> bool:
    """Measure, print, and say whether all bounds are kept."""
    async with AsyncLangCache(server_url=service, api_key="k", cache_id="c") as cache:
        kept = True
        async with (
            openai.AsyncOpenAI(base_url=provider, api_key="k") as direct,
            openai.AsyncOpenAI(base_url=provider, api_key="k", http_client=cached_http(cache)) as cached,
        ):
            for name, ask in (("plain", plain), ("stream", stream)):
                kept &= await compare(name, ask, direct, cached)
    return kept


async def plain(client: Any, question: str, **more: Any) -> None:
    messages = [{"role": "user", "content": question}]
    await client.chat.completions.create(model="m", messages=messages, **more)


async def stream(client: Any, question: str, **more: Any) -> None:
    messages = [{"role": "user", "content": question}]
    async for _ in await client.chat.completions.create(model="m", messages=messages, stream=True, **more):
        pass


async def compare(name: str, ask: Callable[..., Awaitable[None]], direct: Any, cached: Any) -> bool:
    bypass = {"extra_headers": {"x-langcache": "bypass"}}
    times: dict[str, list[float]] = {"direct": [], "hit": [], "miss": [], "bypass": []}
    for number in range(WARM_UP + ROUNDS):
        calls = {
            "direct": ask(direct, "Where is the Louvre?"),
            "hit": ask(cached, "Where is the Louvre?"),
            "miss": ask(cached, f"What is {number} times {number + 1} ({name})?"),
            "bypass": ask(cached, "Where is the Louvre?", **bypass),
        }
        for kind, call in calls.items():
            started = perf_counter()
            await call
            if number >= WARM_UP:
                times[kind].append(1000 * (perf_counter() - started))
    quick = {kind: quantiles(found, n=10)[0] for kind, found in times.items()}
    ratio = quick["hit"] / quick["direct"]
    miss, passed = (quick[kind] - quick["direct"] for kind in ("miss", "bypass"))
    print(
        f"{name}: {quick['direct']:.2f} ms direct, {quick['hit']:.2f} ms a hit (x {ratio:.2f}), "
        f"a miss adds {miss:.2f} ms, a bypass {passed:.2f} ms"
    )
    return ratio <= HIT_RATIO and miss <= MISS_MS and passed <= BYPASS_MS


def main() -> None:
    with ExitStack() as stack:
        provider, service = start("provider", stack), start("service", stack)
        if not asyncio.run(measure(f"{provider}/v1", service)):
            raise SystemExit("a bound is missed")


if __name__ == "__main__":
    main()
