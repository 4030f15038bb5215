"""File and memory agree whatever fails, each call gets an outcome, and what was acknowledged is kept."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest

from langcache.service import CacheConfig, StoreError
from langcache.service.stores.index import Index
from langcache.service.stores.memory import Memory
from langcache.service.stores.sqlite import Database
from langcache.service.stores.store import Entry, now_millis

CACHE = CacheConfig(cache_id="c")
VECTOR = np.array([1, 0], np.float32)
FULL = sqlite3.OperationalError("database or disk is full")


class Clock:
    now = 1_000_000

    def __call__(self) -> int:
        return self.now


def entry(number: int, topic: str = "a", expires_at: int | None = None) -> Entry:
    return Entry(f"{number:032x}", f"prompt {number}", "r" * 3000, {"topic": topic}, expires_at)


async def ids(store) -> set[int]:
    by_meaning = {int(found.id, 16) for _, found in await store.nearest(VECTOR, {}, 10_000)}
    for number in by_meaning:
        assert await store.same(f"prompt {number}", {}, 1)
    return by_meaning


async def ids_in_file(path, embedder, clock) -> set[int]:
    database = Database(path, embedder, clock)
    await database.open()
    try:
        return await ids(await database.store(CACHE))
    finally:
        await database.close()


class Faults:
    """Makes statements of a connection and methods of indexes fail, some time from now."""

    def __init__(self, database, monkeypatch) -> None:
        self._connection = database._file._connection
        self.statements_left = self.steps_left = None
        self.half_done = self.for_good = False
        database._file._connection = self
        for name in ("add", "remove", "clear", "matching"):
            monkeypatch.setattr(Index, name, self._failing(getattr(Index, name)))

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, statement, *arguments):
        self._count_statement()
        return self._connection.execute(statement, *arguments)

    def executemany(self, statement, *arguments):
        self._count_statement()
        return self._connection.executemany(statement, *arguments)

    def _count_statement(self):
        if self.statements_left is not None:
            self.statements_left -= 1
            if self.statements_left <= 0:
                if not self.for_good:
                    self.statements_left = None
                raise FULL

    def _failing(self, method):
        def failing(index, *arguments):
            if self.steps_left is not None:
                self.steps_left -= 1
                if self.steps_left <= 0:
                    if self.half_done and method.__name__ != "matching":
                        method(index, *arguments)
                        index._row_of.clear()
                    raise MemoryError
            return method(index, *arguments)

        return failing

    def none(self) -> None:
        self.statements_left = self.steps_left = None


@pytest.mark.parametrize("seed", range(5))
async def test_file_and_memory_agree_at_whatever_step_something_fails(seed, tmp_path, embedder, monkeypatch):
    rng = random.Random(seed)
    clock = Clock()
    path = tmp_path / "cache.db"
    database = Database(path, embedder, clock)
    await database.open()
    store = await database.store(CACHE)
    faults = Faults(database, monkeypatch)
    model: dict[int, Entry] = {}
    added = 0

    def drop(numbers):
        for number in numbers:
            model.pop(number, None)

    for _ in range(25):
        faults.statements_left = rng.choice([None, rng.randint(1, 25)])
        faults.steps_left = rng.choice([None, None, rng.randint(1, 4)])
        faults.half_done, faults.for_good = rng.random() < 0.5, rng.random() < 0.6
        calls, effects = [], []
        before = dict(model)
        for _ in range(rng.randint(1, 4)):
            kind = rng.choice(["add", "add", "add", "delete", "delete_matching", "clear"])
            if kind == "add":
                expires_at = clock.now + rng.randint(1, 50) if rng.random() < 0.4 else None
                new = entry(added, rng.choice("ab"), expires_at)
                added += 1
                calls.append(store.add(new, VECTOR))
                effects.append(partial(model.update, {int(new.id, 16): new}))
            elif kind == "delete":
                number = rng.randrange(added + 1)
                calls.append(store.delete(entry(number).id))
                effects.append(partial(model.pop, number, None))
            elif kind == "delete_matching":
                topic = rng.choice("ab")
                gone = [number for number, old in before.items() if old.attributes["topic"] == topic]
                calls.append(store.delete_matching({"topic": topic}))
                effects.append(partial(drop, gone))
            elif rng.random() < 0.2:
                calls.append(store.clear())
                effects.append(model.clear)
        tasks = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0)
        if tasks and rng.random() < 0.3:
            rng.choice(tasks).cancel()
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=60)
            assert not pending
        faults.none()
        unknown = any(task.cancelled() for task in tasks)
        for task, effect in zip(tasks, effects, strict=True):
            if not task.cancelled() and task.exception() is None:
                effect()
            elif not task.cancelled():
                assert isinstance(task.exception(), StoreError)
        clock.now += rng.choice([0, 10, 200, -200])
        drop([n for n, old in model.items() if old.expires_at is not None and old.expires_at <= clock.now])
        found = await ids(store)
        if unknown:  # a call whose caller has left may have been made or not, or in another order
            assert found <= set(range(added))
            await store.clear()
            model.clear()
            found = await ids(store)
        assert found == set(model)
    await database.close()
    assert await ids_in_file(path, embedder, clock) == set(model)


@pytest.mark.parametrize("method", ["add", "remove", "clear"])
async def test_memory_that_cannot_follow_is_read_again(tmp_path, embedder, monkeypatch, method, caplog):
    database = Database(tmp_path / "cache.db", embedder)
    await database.open()
    store = await database.store(CACHE)
    await store.add(entry(1), VECTOR)
    faults = Faults(database, monkeypatch)
    faults.steps_left = 1
    call = {
        "add": lambda: store.add(entry(2), VECTOR),
        "remove": lambda: store.delete(entry(1).id),
        "clear": lambda: store.clear(),
    }[method]
    await asyncio.wait_for(call(), 60)  # it is in the file, so it has been made
    with pytest.raises(StoreError, match="not enough memory"):
        await store.nearest(VECTOR, {}, 1)
    if method != "clear":
        with pytest.raises(StoreError, match="not enough memory"):
            await store.add(entry(3), VECTOR)
    faults.none()
    right = {"add": {1, 2}, "remove": set(), "clear": set()}[method]
    assert await ids(store) == right
    await database.close()
    assert "can't follow a change of the file" in caplog.text
    assert await ids_in_file(tmp_path / "cache.db", embedder, now_millis) == right


async def test_one_change_that_fails_leaves_those_of_its_commit_alone(tmp_path, embedder):
    database = Database(tmp_path / "cache.db", embedder)
    await database.open()
    store = await database.store(CACHE)
    calls = [entry(1), entry(1), entry(2), entry(3, expires_at=2**70), entry(4, topic="\ud800"), entry(5)]
    outcomes = await asyncio.gather(*(store.add(new, VECTOR) for new in calls), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [
        type(None), StoreError, type(None), StoreError, StoreError, type(None)
    ]  # fmt: skip
    assert await ids(store) == {1, 2, 5}
    await database.close()
    assert await ids_in_file(tmp_path / "cache.db", embedder, now_millis) == {1, 2, 5}


async def test_a_closed_database_refuses(tmp_path, embedder):
    database = Database(tmp_path / "cache.db", embedder)
    await database.open()
    store = await database.store(CACHE)
    last = asyncio.ensure_future(store.add(entry(1), VECTOR))
    await asyncio.sleep(0)
    await database.close()
    await last
    with pytest.raises(StoreError, match="is closed"):
        await asyncio.wait_for(store.add(entry(2), VECTOR), 60)


async def test_what_expired_once_stays_away_when_the_clock_goes_back(tmp_path, embedder):
    clock = Clock()
    path = tmp_path / "cache.db"
    database = Database(path, embedder, clock)
    await database.open()
    store = await database.store(CACHE)
    await store.add(entry(1, expires_at=clock.now + 1000), VECTOR)
    await store.add(entry(2, expires_at=clock.now + 10**9), VECTOR)
    clock.now += 5000
    assert await ids(store) == {2}
    clock.now -= 5000
    assert await ids(store) == {2}
    await store.add(entry(3, expires_at=clock.now + 1000), VECTOR)  # the clock's time counts, also backwards
    assert await ids(store) == {2, 3}
    await database.close()
    assert await ids_in_file(path, embedder, clock) == {2, 3}


async def test_a_store_in_memory_forgets_what_expired_once_as_well(embedder):
    clock = Clock()
    store = (await Memory(embedder).store(CACHE)).__class__(Index(2, clock))
    await store.add(entry(1, expires_at=clock.now + 1000), VECTOR)
    clock.now += 5000
    assert await ids(store) == set()
    clock.now -= 5000
    assert await ids(store) == set()


_WRITER = """
import asyncio, sys
from pathlib import Path
import numpy as np
from langcache.service import CacheConfig
from langcache.service.stores.sqlite import Database
from langcache.service.stores.store import Entry

class Embedder:
    name, dimensions, unrelated_cosine = "angle", 2, 0.0

async def main(path, first):
    database = Database(Path(path), Embedder())
    await database.open()
    store = await database.store(CacheConfig(cache_id="c"))

    async def work(number):
        while True:
            entry = Entry(f"{number:032x}", f"prompt {number}", "r" * (number % 9000), {}, None)
            await store.add(entry, np.array([1, 0], np.float32))
            print("+", number, flush=True)
            if number % 3 == 0:
                print("?", number, flush=True)
                assert await store.delete(entry.id)
                print("-", number, flush=True)
            number += 16

    await asyncio.gather(*(work(first + worker) for worker in range(16)))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def test_kills_at_any_moment_lose_nothing_acknowledged(tmp_path, embedder):
    path = tmp_path / "cache.db"
    kept, deleting, deleted = set(), set(), set()
    for life in range(2):
        writer = subprocess.Popen(  # noqa: ASYNC220 (nothing else runs in this loop)
            [sys.executable, "-W", "error", "-c", _WRITER, path, str(life * 10**6)],
            stdout=subprocess.PIPE,
            text=True,
        )
        overdue = threading.Timer(120, writer.kill)
        overdue.start()
        for lines, line in enumerate(writer.stdout, 1):
            if not line.endswith("\n"):  # the kill cut it off, so it acknowledges nothing
                break
            sign, number = line.split()
            {"+": kept, "?": deleting, "-": deleted}[sign].add(int(number))
            if lines == 120 + 131 * life:
                writer.kill()
        overdue.cancel()
        writer.stdout.close()
        assert writer.wait() == -9
        found = await asyncio.wait_for(ids_in_file(path, embedder, now_millis), 60)
        assert kept - deleting <= found
        assert not deleted & found
