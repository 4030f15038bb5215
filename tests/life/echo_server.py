"""A LangCache service that has every answer: a search's response is its prompt in capitals.

Run as a program it prints its URL and serves until its standard input ends. It says no more than the tests
of the clients' lives need, and says it faster than the local service.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec
from aiohttp import web


class Echo:
    """The application, and what it has seen."""

    def __init__(self) -> None:
        self.waiting = 0
        """Requests in the middle of a ``wait``."""
        self._refused = False
        self._changed = asyncio.Condition()

    def application(self) -> web.Application:
        app = web.Application()
        base = "/v1/caches/{cache_id}"
        app.add_routes(
            [
                web.post(f"{base}/entries/search", self.search),
                web.post(f"{base}/flush", self.flush),
                web.get("/waiting", self.count_waiting),
            ]
        )
        return app

    async def search(self, request: web.Request) -> web.Response:
        prompt = msgspec.json.decode(await request.read())["prompt"]
        if prompt == "wait":
            await self._count(+1)
            try:
                await asyncio.sleep(600)
            finally:
                await self._count(-1)
        if prompt == "refused":
            return web.json_response({"type": "/errors/invalid-data"}, status=400)
        if prompt == "refused first":  # and answered each second time
            self._refused = not self._refused
            if self._refused:
                return web.Response(status=503)
        entry = {
            "id": "1",
            "prompt": prompt,
            "response": prompt.upper(),
            "attributes": {},
            "similarity": 1,
            "searchStrategy": "exact",
        }
        return web.Response(body=msgspec.json.encode({"data": [entry]}), content_type="application/json")

    async def flush(self, request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def count_waiting(self, request: web.Request) -> web.Response:
        """How many requests wait, as soon as that is the number asked for."""
        wanted = int(request.query["for"])
        async with self._changed:
            await self._changed.wait_for(lambda: self.waiting == wanted)
        return web.Response(text=str(wanted))

    async def _count(self, change: int) -> None:
        async with self._changed:
            self.waiting += change
            self._changed.notify_all()


async def main() -> None:
    runner = web.AppRunner(
        Echo().application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    try:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
