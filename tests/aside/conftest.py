"""Clients of a local service, and services that are broken in one way or another."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest
from broken_services import Broken
from either_client import Either

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
