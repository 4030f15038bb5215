"""These tests look at pages in headless Chromium, which ``nox -s page`` looks for."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from browser import CHROMIUM, KEY, browser

from langcache.cli.serve import _draw
from langcache.service import CacheConfig, MiniLMEmbedder, ServerConfig
from langcache.service.server import serving


def pytest_collection_modifyitems(items):
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="needs Chromium, in the variable LANGCACHE_CHROMIUM"))


class Service:
    def __init__(self, url, session):
        self.url, self._session = url, session

    async def __call__(self, path, **body):
        headers = {"Authorization": f"Bearer {KEY}"}
        async with self._session.post(
            f"{self.url}/v1/caches/support/{path}", json=body, headers=headers
        ) as reply:
            assert reply.status < 300, await reply.text()


@pytest.fixture
async def service():
    config = ServerConfig(caches=(CacheConfig(cache_id="support", api_key=KEY, attributes=("team",)),))
    async with serving(config, MiniLMEmbedder(), draw=_draw) as running, aiohttp.ClientSession() as session:
        yield Service(running.url, session)


@pytest.fixture
async def tab():
    async with browser() as tab:
        yield tab
