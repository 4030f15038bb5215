"""A scripted service on a socket of its own, and every kind of client called in the same way."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections import deque
from typing import NamedTuple

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from multidict import CIMultiDict

from langcache import AsyncLangCache, LangCache

KEY = "the-key-nobody-may-see"


class Seen(NamedTuple):
    """A request as it came in."""

    method: str
    path: str
    headers: CIMultiDict
    content: bytes
    peer: tuple

    @property
    def json(self):
        return json.loads(self.content)


class Service:
    """Answers as scripted, in order; where the script ends, with a success of no content to speak of."""

    def __init__(self):
        self.url = ""
        self.seen = []
        self._arrived = threading.Semaphore(0)
        self._left = threading.Semaphore(0)
        self._script = deque()
        self._over = asyncio.Event()

    def replies(self, status=200, body=b"", **headers):
        """Answer one request like this."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def answer(request):
            return web.Response(status=status, body=content, headers=named)

        self._script.append(answer)

    def stalls(self):
        """Leave one request without an answer."""

        async def answer(request):
            try:
                await self._over.wait()
            except asyncio.CancelledError:
                self._left.release()
                raise
            return web.Response()

        self._script.append(answer)

    def hangs_up(self, after=b""):
        """Close the connection of one request after these bytes."""

        async def answer(request):
            request.transport.write(after)
            request.transport.close()
            return web.Response()

        self._script.append(answer)

    async def has_requests(self, count=1):
        """Wait until as many requests more have come in."""
        for _ in range(count):
            assert await asyncio.to_thread(self._arrived.acquire, timeout=60)

    async def is_left(self):
        """Wait until a client has closed the connection of a request that stalls."""
        assert await asyncio.to_thread(self._left.acquire, timeout=60)

    async def handle(self, request):
        content = await request.content.read()  # request.read() has a limit
        self.seen.append(
            Seen(
                request.method,
                request.raw_path,
                request.headers.copy(),
                content,
                request.transport.get_extra_info("peername"),
            )
        )
        self._arrived.release()
        answer = self._script.popleft() if self._script else _succeed
        return await answer(request)

    async def start(self, ssl=None):
        self._server = RawTestServer(self.handle, scheme="https" if ssl else "http")
        await self._server.start_server(ssl=ssl)
        self.url = str(self._server.make_url("/"))

    async def stop(self):
        self._over.set()
        await self._server.close()


async def _succeed(request):
    body = {"data": [], "actualPrompt": "", "entryId": "e1", "deletedEntriesCount": 0}
    return web.json_response(body)


@pytest.fixture(scope="session")
def server_loop():
    """An event loop on a thread of its own, so that the service answers while a blocking call blocks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def service(server_loop):
    service = Service()
    asyncio.run_coroutine_threadsafe(service.start(), server_loop).result()
    yield service
    asyncio.run_coroutine_threadsafe(service.stop(), server_loop).result()


@pytest.fixture(scope="session")
def _authority():
    """Made only when asked for, since keys take a while."""
    import trustme

    return trustme.CA()


@pytest.fixture
def server_tls(_authority, monkeypatch):
    """What a server on this machine, or as cache.invalid, needs to speak TLS with clients that trust it."""
    trusting = ssl.create_default_context()
    trusting.set_alpn_protocols(("http/1.1",))
    _authority.configure_trust(trusting)
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _authority.issue_cert("127.0.0.1", "cache.invalid").configure_cert(context)
    return context


@pytest.fixture
def tls_service(server_loop, server_tls):
    service = Service()
    asyncio.run_coroutine_threadsafe(service.start(server_tls), server_loop).result()
    yield service
    asyncio.run_coroutine_threadsafe(service.stop(), server_loop).result()


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    for name in ("SERVER_URL", "API_KEY", "CACHE_ID", "DEBUG"):
        monkeypatch.delenv(f"LANGCACHE_{name}", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Caller:
    """One client, each of whose operations is awaited, blocking ones too."""

    def __init__(self, style, **arguments):
        self.style = style
        if style != "async" and isinstance(arguments.get("client"), aiohttp.ClientSession):
            self.style = "sync, awaited"
        if self.style == "sync, awaited" and "client" in arguments:
            arguments["async_client"] = arguments.pop("client")
        self.client = (AsyncLangCache if style == "async" else LangCache)(**arguments)

    def __getattr__(self, operation):
        if self.style == "async":
            return getattr(self.client, operation)
        if self.style == "sync, awaited":
            return getattr(self.client, f"{operation}_async")
        blocking = getattr(self.client, operation)

        def in_a_thread(*args, **kwargs):
            return asyncio.to_thread(blocking, *args, **kwargs)

        return in_a_thread

    async def close(self):
        if self.style == "sync":
            await asyncio.to_thread(self.client.close)
        else:
            await self.client.aclose()


@pytest.fixture(params=["async", "sync", "sync, awaited"])
async def connect(request, service):
    """Makes a client of each kind in turn, for the service; it is closed at the end of the test."""
    callers = []

    def make(**arguments):
        given = {"server_url": service.url, "api_key": KEY, "cache_id": "c", **arguments}
        callers.append(Caller(request.param, **given))
        return callers[-1]

    yield make
    for caller in callers:
        await caller.close()


class Lines(list):
    """A debug logger that keeps what it is told."""

    def debug(self, msg, *args):
        self.append(msg % args)


@pytest.fixture
def lines():
    return Lines()


@pytest.fixture
def key():
    return KEY
