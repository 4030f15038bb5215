"""A client that nobody closes is closed all the same, in silence."""

from __future__ import annotations

import gc
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
