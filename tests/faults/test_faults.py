"""Whatever the network does to an exchange: the documented error, and a client that goes on working."""

from __future__ import annotations

import asyncio
import gc
import os

import pytest

from langcache import AsyncLangCache, LangCache
from langcache.local import LocalServer

from .conftest import OPERATIONS, settle
from .proxy import FaultProxy
from .table import ROWS, Row

Kind = type[AsyncLangCache] | type[LangCache]

pytestmark = pytest.mark.filterwarnings("ignore:LangCache.* blocks the running event loop:RuntimeWarning")


@pytest.fixture(autouse=True)
def leaves_nothing(proxy: FaultProxy):
    yield
    assert proxy.wait_until_idle(), "a connection was left open"


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.mark.parametrize("row", ROWS, ids=[row.what for row in ROWS])
async def test_fault(kind: Kind, proxy: FaultProxy, local: LocalServer, row: Row) -> None:
    async with kind(
        proxy.url, local.api_key, local.cache_id, timeout_ms=100 if row.slow else 20_000
    ) as client:
        tasks = asyncio.all_tasks()
        for operation, call in OPERATIONS.items():
            expected = row.error_of(operation)
            with proxy.faulty(row.fault):
                try:
                    await settle(call(client))
                    outcome = None
                except Exception as error:
                    outcome = type(error)
                    said = str(error)
                    assert local.api_key not in said
                    assert len(said) < 1500
            assert outcome is expected, operation
            assert asyncio.all_tasks() == tasks
            await settle(client.search("hi", timeout_ms=20_000))
