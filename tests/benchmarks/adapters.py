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
TESTS = Path(__file__).parents[1]

PROVIDER = """
import sys
from adapters.provider import Provider
with Provider() as provider:
    provider.answer = lambda question, number: "In Paris, on the right bank of the Seine. " * 5
    print(provider.openai, flush=True)
    sys.stdin.read()
"""
SERVICE = """
import json
from aiohttp import web

stored = {}

async def set_(request):
    body = json.loads(await request.read())
    stored[body["prompt"]] = {
        "id": "1", "prompt": body["prompt"], "response": body["response"], "similarity": 1.0,
        "searchStrategy": "semantic", "attributes": body.get("attributes", {}),
    }
    return web.json_response({"entryId": "1"}, status=201)

async def search(request):
    entry = stored.get(json.loads(await request.read())["prompt"])
    return web.json_response({"data": [] if entry is None else [entry]})

async def main():
    app = web.Application()
    app.router.add_post("/v1/caches/c/entries", set_)
    app.router.add_post("/v1/caches/c/entries/search", search)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]} k c", flush=True)
    await asyncio.to_thread(sys.stdin.read)

import asyncio, sys
asyncio.run(main())
"""

HIT_RATIO, MISS_MS, BYPASS_MS = 1.2, 2.0, 0.5


def start(code: str, stack: ExitStack) -> list[str]:
    """Start a process, which ends with the stack. Returns the words of its first line."""
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    )
    stack.callback(process.stdin.close)
    return process.stdout.readline().split()


async def measure(provider: str, service: list[str]) -> bool:
    """Measure, print, and say whether all bounds are kept."""
    url, key, cache_id = service
    async with AsyncLangCache(server_url=url, api_key=key, cache_id=cache_id) as cache:
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
        (provider,), service = start(PROVIDER, stack), start(SERVICE, stack)
        if not asyncio.run(measure(provider, service)):
            raise SystemExit("a bound is missed")


if __name__ == "__main__":
    main()
