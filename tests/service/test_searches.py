"""Searches in the event loop and in the thread: what they see, errors, cancelled callers, closing."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from langcache.service.config import CacheConfig
from langcache.service.stores import searches as searches_module
from langcache.service.stores.index import Index
from langcache.service.stores.memory import Memory, MemoryStore
from langcache.service.stores.nearest import Scan
from langcache.service.stores.store import Entry

EAST, NORTH = np.eye(2, dtype=np.float32)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(1) as threads:
        yield threads


@pytest.fixture
def store(threads):
    """A store of 3,000 entries, so many that searches may wait for each other."""
    index = Index(2)
    index.add([entry(f"{i}") for i in range(3_000)], np.tile(NORTH, (3_000, 1)))
    return MemoryStore(index, threads=threads)


@pytest.fixture
def in_thread(monkeypatch):
    """Make every search that may wait run in the thread."""
    monkeypatch.setattr(searches_module, "MOST_ROWS_AT_ONCE", 0)


@pytest.fixture
def passes(monkeypatch):
    """Passes that note their thread and size, and wait for ``go``, which is set."""

    class Passes:
        def __init__(self):
            self.go = threading.Event()
            self.begun = threading.Event()
            self.failure = None
            self.noted = []

    passes = Passes()
    passes.go.set()
    run = Scan.run

    def noted_run(scan):
        passes.noted.append((threading.current_thread() is threading.main_thread(), len(scan._bests)))
        passes.begun.set()
        assert passes.go.wait(60)
        if passes.failure is not None:
            raise passes.failure
        return run(scan)

    monkeypatch.setattr(Scan, "run", noted_run)
    return passes


def entry(entry_id, **attributes):
    return Entry(entry_id, f"prompt {entry_id}", "r", attributes, None)


async def nearest_id(store, vector=EAST):
    ((_, found),) = await store.nearest(vector, {}, 1)
    return found.id


async def test_a_search_alone_runs_in_the_event_loop(store, passes):
    assert await nearest_id(store, NORTH) == "2999"
    assert passes.noted == [(True, 1)]


async def test_a_search_alone_of_many_rows_runs_in_the_thread(store, passes, in_thread):
    assert await nearest_id(store, NORTH) == "2999"
    assert passes.noted == [(False, 1)]


async def test_searches_of_one_moment_share_a_pass_in_the_thread(store, passes):
    assert await asyncio.gather(*(nearest_id(store, NORTH) for _ in range(70))) == ["2999"] * 70
    assert passes.noted == [(False, 32), (False, 32), (False, 6)]


async def test_few_rows_are_compared_at_once_while_a_pass_runs(store, passes, in_thread):
    await store.add(entry("tenant's", tenant="a"), NORTH)
    passes.go.clear()
    waiting = asyncio.create_task(nearest_id(store, NORTH))
    await asyncio.to_thread(passes.begun.wait, 60)
    ((_, found),) = await store.nearest(EAST, {"tenant": "a"}, 5)
    assert found.id == "tenant's"
    assert not waiting.done()
    passes.go.set()
    assert await waiting == "tenant's"


async def test_a_cancelled_caller_disturbs_no_other(store, passes, in_thread):
    passes.go.clear()
    calls = [asyncio.create_task(nearest_id(store, NORTH)) for _ in range(5)]
    await asyncio.to_thread(passes.begun.wait, 60)
    later = [asyncio.create_task(nearest_id(store, NORTH)) for _ in range(5)]
    await asyncio.sleep(0)
    for cancelled in (calls[1], later[1]):
        cancelled.cancel()
    await asyncio.sleep(0)
    passes.go.set()
    ended = await asyncio.gather(*calls, *later, return_exceptions=True)
    assert [type(each) for each in (ended[1], ended[6])] == [asyncio.CancelledError] * 2
    assert [ended[i] for i in (0, 2, 3, 4, 5, 7, 8, 9)] == ["2999"] * 8
    assert [size for _, size in passes.noted] == [5, 4]


@pytest.mark.parametrize("count", [1, 5, 40])
@pytest.mark.parametrize("where", ["pass", "snapshot"])
async def test_an_error_reaches_every_caller_and_no_later_one(store, passes, monkeypatch, count, where):
    with monkeypatch.context() as patch:
        if where == "pass":
            passes.failure = MemoryError("too much")
        else:
            patch.setattr(store.index, "scan", lambda _: exec("raise MemoryError('too much')"))
        ended = await asyncio.wait_for(
            asyncio.gather(*(nearest_id(store, NORTH) for _ in range(count)), return_exceptions=True), 60
        )
    assert [repr(each) for each in ended] == ["StoreError('there is not enough memory')"] * count
    passes.failure = None
    assert await nearest_id(store, NORTH) == "2999"
    assert await store.delete("2999")
    assert await nearest_id(store, NORTH) == "2998"


async def test_a_search_sees_what_was_added_and_not_what_was_deleted_before_it(store, passes, in_thread):
    """Also if it has to wait for a pass that began before."""
    passes.go.clear()
    first = asyncio.create_task(nearest_id(store))
    await asyncio.to_thread(passes.begun.wait, 60)
    await store.add(entry("new"), EAST)
    second = asyncio.create_task(nearest_id(store))
    await asyncio.sleep(0)
    passes.go.set()
    assert await first == "2999"
    assert await second == "new"

    passes.go.clear()
    passes.begun.clear()
    first = asyncio.create_task(nearest_id(store))
    await asyncio.to_thread(passes.begun.wait, 60)
    assert await store.delete("new")
    second = asyncio.create_task(nearest_id(store))
    await asyncio.sleep(0)
    passes.go.set()
    assert await first in ("new", "2999")  # it began before
    assert await second == "2999"
    await store.clear()
    assert await store.nearest(EAST, {}, 1) == []


async def test_under_load_searches_see_what_was_acknowledged(store, in_thread):
    """Writers add and delete, each in a direction of its own, and search for it; rows move all the time."""
    angles = np.linspace(0, 1.5, 12)

    async def write(number):
        vector = np.array([np.cos(angles[number]), np.sin(angles[number])], np.float32)
        chosen = random.Random(number)
        for turn in range(40):
            own = f"{number}-{turn}"
            await store.add(entry(own), vector)
            assert await nearest_id(store, vector) == own
            if chosen.random() < 0.5:
                assert await store.delete(f"{chosen.randrange(number * 200, number * 200 + 200)}") in (0, 1)
            assert await store.delete(own)
            assert await nearest_id(store, vector) != own

    await asyncio.gather(*map(write, range(12)))


async def test_removed_entries_are_let_go_of_without_further_calls(store):
    await store.add(entry("last", tenant="a"), EAST)
    for number in range(3_000, 10_000):
        await store.add(entry(f"{number}", half="1"), NORTH)
    assert await store.delete_matching({"half": "1"}) == 7_000
    assert store.index.untidy
    for _ in range(20):
        await asyncio.sleep(0)
    assert not store.index.untidy
    assert store.index.nbytes < 1_000_000


async def test_closing_waits_for_the_pass_that_runs(embedder, passes, in_thread):
    memory = Memory(embedder)
    store = await memory.store(CacheConfig())
    store.index.add([entry(f"{i}") for i in range(3_000)], np.tile(NORTH, (3_000, 1)))
    passes.go.clear()
    search = asyncio.create_task(nearest_id(store, NORTH))
    await asyncio.to_thread(passes.begun.wait, 60)
    closing = asyncio.create_task(memory.close())
    late = asyncio.create_task(nearest_id(store, NORTH))
    done, _ = await asyncio.wait([closing, late], timeout=0.05)
    assert not done
    passes.go.set()
    await closing
    assert await search == "2999"
    with pytest.raises(RuntimeError, match="shutdown"):
        await late
    with pytest.raises(RuntimeError, match="shutdown"):
        await nearest_id(store, NORTH)
