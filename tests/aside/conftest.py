"""Clients of a local service, and services that are broken in one way or another."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest
from broken_services import Broken

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig

HERE = Path(__file__).parent

NAMES = ("tenant", "model", "user", "language", "plan", "sources", "stored_at")


def pytest_collection_modifyitems(items):
    for item in items:  # all that are collected, those of other folders too
        if HERE in item.path.parents and item.get_closest_marker("langcache") is None:
            item.add_marker(pytest.mark.langcache(attributes=NAMES))


class Make:
    """An async function that counts its calls and answers when it is let."""

    def __init__(self, answer="the answer"):
        self.answer = answer
        self.prompts = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, prompt):
        self.prompts.append(prompt)
        self.begun.set()
        await self.go_on.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @property
    def calls(self):
        return len(self.prompts)


@pytest.fixture
def until():
    """Lets the event loop turn until something is so."""

    async def wait(condition):
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            await asyncio.sleep(0)

    return wait


@pytest.fixture
def until_gone():
    """Waits until a question finds nothing any more."""

    async def wait(cache, question, **options):
        deadline = time.monotonic() + 60
        while await cache.search(question, **options):
            assert time.monotonic() < deadline

    return wait


@pytest.fixture
def make():
    return Make()


class Either:
    """A client of either kind, with the same methods to await: those of `LangCache` run in a thread."""

    def __init__(self, client):
        self.client = client

    async def get(self, *args, **options):
        return await self._run(self.client.get_or_set, *args, **options)

    async def look_up(self, *args, **options):
        return await self._run(self.client.look_up, *args, **options)

    async def store(self, asked, value):
        return await self._run(asked.store, value)

    async def stream(self, prompt, make, **options):
        """The chunks, and the stream that they came from."""
        if isinstance(self.client, LangCache):

            def read():
                stream = self.client.get_or_stream(prompt, make, **options)
                return list(stream), stream

            return await asyncio.to_thread(read)

        async def chunks(prompt):
            for chunk in make(prompt):
                yield chunk

        stream = self.client.get_or_stream(prompt, chunks, **options)
        return [chunk async for chunk in stream], stream

    async def invalidate(self, source):
        return await self._run(self.client.invalidate, source)

    async def flush(self):
        await self._run(self.client.flush)

    async def entries(self, prompt, **attributes):
        """The entries with this prompt, in any case."""
        search = {"search_strategies": ["exact"], "max_results": 100, "attributes": attributes}
        return (await self._run(self.client.search, prompt, **search)).data

    def scoped(self, **attributes):
        return Either(self.client.scoped(**attributes))

    def stats(self):
        return self.client.stats()

    async def _run(self, method, *args, **options):
        if isinstance(self.client, LangCache):
            return await asyncio.to_thread(method, *args, **options)
        return await method(*args, **options)


@pytest.fixture(params=[AsyncLangCache, LangCache], ids=["async", "blocking"])
async def either(request, connection):
    """Makes clients of one kind, by the settings of `AsideConfig`; they are closed at the end."""
    made = []

    def client(**settings):
        given = {"lookup_timeout": 60, "close_timeout": 60, **settings}
        made.append(request.param(**connection, aside=AsideConfig(**given)))
        return Either(made[-1])

    yield client
    for each in made:
        await each.aclose()


@pytest.fixture
def dead_url():
    """Where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
async def broken():
    service = Broken()
    async with service.running() as url:
        service.url = url
        yield service
