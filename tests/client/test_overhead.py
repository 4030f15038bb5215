"""How many Python functions a call runs, beside one written by hand: a measure that is the same each time."""

from __future__ import annotations

import sys

import aiohttp
import msgspec
import pytest

from langcache import AsyncLangCache

ENTRY = {"id": "e1", "prompt": "q", "response": "a", "similarity": 1, "searchStrategy": "semantic"}
ELSEWHERE = ("asyncio", "selectors", "threading")


async def functions_run(service, reply, call):
    """How many functions a call runs, without the event loop's. A coroutine counts each time it goes on."""
    count = 0

    def count_one(frame, event, _):
        nonlocal count
        module = frame.f_globals.get("__name__", "")
        count += event == "call" and not module.startswith(ELSEWHERE)

    counts = []
    for _ in range(10):
        service.replies(200, reply)
        count = 0
        sys.setprofile(count_one)
        try:
            await call()
        finally:
            sys.setprofile(None)
        counts.append(count)
    return min(counts)  # the first ones connect and fill caches, and a reply may come in pieces


@pytest.fixture
async def client(service, key):
    async with AsyncLangCache(service.url, key, "c") as client:
        yield client


@pytest.fixture
async def by_hand(service):
    """A search with aiohttp and msgspec, the way aiohttp's documentation shows."""
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer key"}) as session:

        async def search():
            body = msgspec.json.encode({"prompt": "q", "similarityThreshold": 0.9})
            headers = {"Content-Type": "application/json"}
            url = f"{service.url}v1/caches/c/entries/search"
            async with session.post(url, data=body, headers=headers) as response:
                response.raise_for_status()
                return msgspec.json.decode(await response.read())

        yield search


CALLS = {
    "search": ({"data": [ENTRY]}, lambda client: client.search("q", similarity_threshold=0.9)),
    "set": ({"entryId": "e1"}, lambda client: client.set("q", "a")),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_runs_few_more_functions_than_one_by_hand(service, client, by_hand, name):
    reply, call = CALLS[name]
    ours = await functions_run(service, reply, lambda: call(client))
    theirs = await functions_run(service, reply, by_hand)
    assert ours <= 1.12 * theirs, f"{ours} and {theirs}"


async def test_a_hit_runs_few_more_functions_than_a_search(service, client):
    async def make(prompt):
        raise AssertionError("a hit needs no answer made")

    reply, search = CALLS["search"]
    bare = await functions_run(service, reply, lambda: search(client))
    hit = await functions_run(service, reply, lambda: client.get_or_set("q", make, similarity_threshold=0.9))
    assert hit <= 1.26 * bare, f"{hit} and {bare}"
