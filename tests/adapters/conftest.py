"""A fake provider, a cache with the attributes that adapters need, and SDKs that use both."""

from __future__ import annotations

from pathlib import Path

import pytest

from langcache import AsyncLangCache, LangCache
from langcache.service import LocalServer

from .provider import Provider

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:  # all that are collected, those of other folders too
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.langcache(attributes=("fingerprint", "user", "function")))


@pytest.fixture
def provider():
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def server():
    """A service that the tests of a module share."""
    with LocalServer(attributes=("fingerprint", "user")) as server:
        yield server


@pytest.fixture
async def shared_cache(server, patient):
    """The cache of the module's service, emptied."""
    async with AsyncLangCache(server.url, server.api_key, server.cache_id, aside=patient) as cache:
        await cache.flush()
        yield cache


@pytest.fixture(params=[AsyncLangCache, LangCache], ids=["async", "blocking"])
async def either(request, connection, patient):
    """A cache of either client."""
    client = request.param(**connection, aside=patient)
    yield client
    if isinstance(client, LangCache):
        client.close()
    else:
        await client.aclose()


@pytest.fixture
async def sdks(provider):
    """Makes the official SDKs, with a cache and without one."""
    from .sdks import Sdks

    made = Sdks(provider)
    yield made
    await made.close()
