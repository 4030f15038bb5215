"""Whatever the network does to a lookup: an answer all the same, and nothing stored that may be there."""

from __future__ import annotations

from typing import Any

import pytest

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig
from langcache.service import LocalServer

from .conftest import settle
from .proxy import FaultProxy, Wire
from .table import ROWS, Row

pytestmark = pytest.mark.filterwarnings("ignore:LangCache.* blocks the running event loop:RuntimeWarning")

PROMPT = "hi"
PATIENT = 60.0
"""Seconds for a lookup that must succeed, however busy the machine."""


async def all_of(stream: Any) -> list[str]:
    """The chunks of a stream of either client."""
    return [chunk async for chunk in stream] if hasattr(stream, "__aiter__") else list(stream)


class Chunks:
    """Two chunks for either client, as often as wanted."""

    def __iter__(self):
        return iter(("ma", "de"))

    async def __aiter__(self):
        for chunk in self:
            yield chunk


@pytest.mark.parametrize("row", ROWS, ids=[row.what for row in ROWS])
async def test_a_fault_does_not_stop_the_answer(
    kind: type[AsyncLangCache] | type[LangCache], proxy: FaultProxy, local: LocalServer, row: Row
) -> None:
    limit = 0.1 if row.slow else PATIENT
    async with kind(proxy.url, local.api_key, local.cache_id) as client:
        await settle(client.flush())
        with proxy.faulty(row.fault):
            answer = await settle(client.get_or_set(PROMPT, "made", lookup_timeout=limit))
            chunks = await all_of(client.get_or_stream(PROMPT, Chunks(), lookup_timeout=limit))
        if row.error is None:
            assert (answer.status, answer.value, chunks) == ("hit", "hello", ["hello"])
        else:
            assert (answer.status, answer.value, chunks) == ("error", "made", ["ma", "de"])
            assert type(answer.error) is row.error
        assert not await settle(client.search(PROMPT))
        assert (await settle(client.get_or_set(PROMPT, "made", lookup_timeout=PATIENT))).status == "miss"
        assert (await settle(client.search(PROMPT))).response == "made"
    assert proxy.wait_until_idle(), "a connection was left open"


async def test_an_answer_comes_though_its_store_stalls(
    kind: type[AsyncLangCache] | type[LangCache], proxy: FaultProxy, local: LocalServer
) -> None:
    aside = AsideConfig(close_timeout=0.1)
    async with kind(proxy.url, local.api_key, local.cache_id, aside=aside) as client:
        await settle(client.flush())
        proxy.pick = lambda wire: Wire.stall if wire.path.endswith("/entries") else None
        for limit in (0.5, 5.0, PATIENT):
            answer = await settle(client.get_or_set(PROMPT, "made", lookup_timeout=limit))
            if answer.error is None:  # else a busy machine took all that time for the lookup
                break
        assert (answer.status, answer.value, answer.error) == ("miss", "made", None)
        chunks = await all_of(client.get_or_stream(PROMPT, Chunks(), lookup_timeout=limit))
        assert chunks == ["ma", "de"]
        assert not await settle(client.search(PROMPT))
    assert proxy.wait_until_idle(), "a connection was left open"
