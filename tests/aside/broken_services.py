"""Services that are broken in one way or another."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import RawTestServer


class Broken:
    """A service in this event loop that answers as told, and counts what it is asked."""

    def __init__(self):
        self.status = 500
        self.hangs_on = ()
        self.fails_on = ()
        self.asked = []
        self._over = asyncio.Event()

    async def handle(self, request):
        operation = request.path.rpartition("/")[2]
        self.asked.append(operation)
        await request.read()
        if operation in self.hangs_on:
            await self._over.wait()
        body = {"data": [], "entryId": "e1"} if self.status < 300 else {"title": "told to"}
        status = 503 if operation in self.fails_on else self.status
        return web.json_response(body, status=status)

    @asynccontextmanager
    async def running(self):
        server = RawTestServer(self.handle)
        await server.start_server()
        try:
            yield str(server.make_url("/"))
        finally:
            self._over.set()
            await server.close()
