"""A client that nobody closes is closed all the same, in silence."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import sys

import pytest

from langcache import AsyncLangCache, LangCache


class Holder:
    """What a program keeps its client in; it knows itself, so that only the garbage collector can end it."""

    def __init__(self, client):
        self.client = client
        self.itself = self


@pytest.fixture
def complaints(monkeypatch):
    """What finalizers could not tell anybody."""
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    return unraisable


async def test_an_async_client_in_a_cycle(service, key, complaints):
    holder = Holder(AsyncLangCache(service.url, key, "c"))
    await holder.client.search("q")
    del holder
    gc.collect()
    assert complaints == []


def test_a_blocking_client_in_a_cycle(service, key, complaints):
    holder = Holder(LangCache(service.url, key, "c"))
    holder.client.search("q")
    del holder
    gc.collect()
    assert complaints == []


def new_uvloop():
    import uvloop

    return uvloop.new_event_loop()


needs_uvloop = pytest.mark.skipif(not importlib.util.find_spec("uvloop"), reason="uvloop is not installed")


def descriptors():
    return len(os.listdir("/proc/self/fd" if os.path.exists("/proc/self/fd") else "/dev/fd"))


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are counted as Unix shows them")
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, pytest.param(new_uvloop, marks=needs_uvloop)])
def test_connections_over_tls_are_closed_with_their_loop(tls_service, key, complaints, new_loop):
    client = AsyncLangCache(tls_service.url, key, "c")

    def job():
        loop = new_loop()
        loop.run_until_complete(client.flush())
        loop.run_until_complete(client.flush())
        loop.close()

    job()
    before = open_here = descriptors()
    gc.disable()
    for _ in range(5):
        job()
        open_here = max(open_here, descriptors())
    gc.enable()
    assert open_here <= before + 1, "the server's end of the last one, at most"
    assert len({seen.peer for seen in tls_service.seen}) == 6
    gc.collect()
    assert complaints == []
