"""Many operations at once."""

from __future__ import annotations

import asyncio

import pytest

from langcache.errors import LangCacheError
from langcache.many import Batch

PAIRS = [(f"Question number {n}", str(n)) for n in range(40)]


def batch(items, operation, concurrency=3, ordered=True, progress=None):
    return Batch(items, operation, concurrency=concurrency, ordered=ordered, progress=progress)


async def test_many_are_stored_and_found_in_order(cache):
    stored = await cache.set_many(PAIRS)
    assert [result.index for result in stored] == list(range(40))
    assert all(result.value.entry_id for result in stored)

    async def prompts():
        for prompt, _ in PAIRS:
            yield prompt

    found = [result async for result in cache.search_many(prompts(), max_results=9)]
    assert [result.item for result in found] == [prompt for prompt, _ in PAIRS]
    for (_, response), result in zip(PAIRS, found, strict=True):
        assert response in {entry.response for entry in result.value}


async def test_each_item_has_its_own_error(cache, dead_url):
    results = await cache.set_many([("good", "x"), ("", "x"), ("good", 5), "no pair", ("good", "x")])
    assert [result.ok for result in results] == [True, False, False, False, True]
    assert isinstance(results[1].error, ValueError)
    from langcache import AsyncLangCache

    async with AsyncLangCache(dead_url, "key", "cache") as dead:
        assert isinstance((await dead.search_many(["q"]))[0].error, LangCacheError)


@pytest.mark.parametrize("ordered", [True, False])
async def test_no_more_at_once_than_allowed(ordered):
    at_once, most = 0, 0

    async def operation(item):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        for _ in range(20):
            await asyncio.sleep(0)
        at_once -= 1
        return item

    results = await batch(range(50), operation, ordered=ordered)
    assert most == 3
    assert sorted(result.item for result in results) == list(range(50))


async def test_results_come_as_they_are_ready_if_asked_for():
    release = asyncio.Event()

    async def operation(item):
        if item == 0:
            await release.wait()
        return item

    results = batch(range(3), operation, ordered=False).__aiter__()
    assert {(await results.__anext__()).item for _ in range(2)} == {1, 2}
    release.set()
    assert (await results.__anext__()).item == 0


async def test_a_slow_source_holds_up_no_result():
    more = asyncio.Event()

    async def source():
        yield 1
        await more.wait()

    async def operation(item):
        return item

    results = batch(source(), operation).__aiter__()
    assert (await asyncio.wait_for(results.__anext__(), 5)).item == 1
    await results.aclose()


async def test_progress_is_told():
    told = []

    async def operation(item):
        return item

    await batch([1, 2, 3], operation, progress=lambda done, total: told.append((done, total)))
    await batch(iter([1]), operation, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3), (1, None)]


async def test_who_stops_reading_stops_the_work():
    begun, cancelled = asyncio.Event(), []

    async def operation(item):
        if item == 0:
            await begun.wait()
            return
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    results = batch(range(9), operation, ordered=False).__aiter__()
    await results.__anext__()
    await results.aclose()
    assert cancelled
    assert len(asyncio.all_tasks()) == 1


async def test_an_error_of_the_source_is_the_callers():
    def source():
        yield 1
        raise OSError("mine")

    async def operation(item):
        return item

    with pytest.raises(OSError, match="mine"):
        await batch(source(), operation)


@pytest.mark.parametrize(("concurrency", "kind"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
async def test_a_concurrency_that_can_not_be_is_refused(cache, concurrency, kind):
    with pytest.raises(kind, match="concurrency"):
        cache.search_many([], concurrency=concurrency)


async def test_nothing_is_done_for_nothing(cache):
    assert await cache.search_many([]) == []
