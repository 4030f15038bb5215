"""Clients of a local service, and services that are broken in one way or another."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from broken_services import Broken

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig

PATIENT = AsideConfig(lookup_timeout=60)
"""For what must succeed, however busy the machine is."""

NAMES = ("tenant", "model", "user", "language", "plan")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("langcache") is None:
            item.add_marker(pytest.mark.langcache(attributes=NAMES))


@pytest.fixture
def connection(langcache_server):
    return {
        "server_url": langcache_server.url,
        "api_key": langcache_server.api_key,
        "cache_id": langcache_server.cache_id,
    }


@pytest.fixture
async def cache(connection):
    async with AsyncLangCache(**connection, aside=PATIENT) as client:
        yield client


@pytest.fixture
def blocking_cache(connection):
    with LangCache(**connection, aside=PATIENT) as client:
        yield client


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
