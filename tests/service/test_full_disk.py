"""A disk without room: nothing is lost, deletes use what was reserved, and all works once there is room."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from langcache.service import CacheConfig, StoreError
from langcache.service.stores.sqlite import Database
from langcache.service.stores.store import Entry

CACHE = CacheConfig(cache_id="c")
VECTOR = np.array([1, 0], np.float32)
FULL = sqlite3.OperationalError("database or disk is full")


def entry(number: int) -> Entry:
    return Entry(f"{number:032x}", f"prompt {number}", "r" * 3000, {"topic": "ab"[number % 2]}, None)


async def ids(store) -> set[int]:
    return {int(found.id, 16) for _, found in await store.nearest(VECTOR, {}, 10_000)}


class FullDisk:
    """A connection whose commits fail unless the reserve has been given up, as on a disk without room."""

    def __init__(self, database, reserve) -> None:
        self._connection = database._file._connection
        self._reserve = reserve
        self.full = True
        database._file._connection = self

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, statement, *arguments):
        if statement == "COMMIT" and self.full and self._reserve.stat().st_size > 0:
            raise FULL
        return self._connection.execute(statement, *arguments)


async def test_deletes_work_sets_fail_and_memory_follows(tmp_path, embedder):
    path = tmp_path / "cache.db"
    database = Database(path, embedder)
    await database.open()
    store = await database.store(CACHE)
    for number in range(10):
        await store.add(entry(number), VECTOR)
    disk = FullDisk(database, tmp_path / "cache.db-reserve")
    for _ in range(2):  # the reserve is there again each time
        with pytest.raises(StoreError, match="disk is full"):
            await store.add(entry(10), VECTOR)
    assert await ids(store) == set(range(10))
    assert await store.delete(entry(0).id)
    assert await store.delete_matching({"topic": "b"}) == 5
    assert await ids(store) == {2, 4, 6, 8}
    await store.clear()
    assert await ids(store) == set()
    disk.full = False
    await store.add(entry(11), VECTOR)
    await database.close()
    database = Database(path, embedder)
    await database.open()
    assert await ids(await database.store(CACHE)) == {11}
    await database.close()


async def test_a_set_and_a_delete_of_one_commit_part_ways(tmp_path, embedder):
    database = Database(tmp_path / "cache.db", embedder)
    await database.open()
    store = await database.store(CACHE)
    await store.add(entry(0), VECTOR)
    FullDisk(database, tmp_path / "cache.db-reserve")
    add = database._loop.create_task(store.add(entry(1), VECTOR))
    assert await store.delete(entry(0).id)
    with pytest.raises(StoreError, match="disk is full"):
        await add
    assert await ids(store) == set()
    await database.close()


async def test_flush_gives_the_disk_back(tmp_path, embedder):
    path = tmp_path / "cache.db"
    database = Database(path, embedder)
    await database.open()
    store = await database.store(CACHE)
    await asyncio.gather(*(store.add(entry(number), VECTOR) for number in range(200)))
    await store.clear()
    files = {name: (tmp_path / name).stat().st_size for name in ("cache.db", "cache.db-wal")}
    assert sum(files.values()) < 100_000
    await store.add(entry(1), VECTOR)
    await database.close()
    database = Database(path, embedder)
    await database.open()
    assert await ids(await database.store(CACHE)) == {1}
    await database.close()


async def test_flush_of_one_of_two_caches_leaves_the_other(tmp_path, embedder):
    database = Database(tmp_path / "cache.db", embedder)
    await database.open()
    one, two = [await database.store(CacheConfig(cache_id=name)) for name in ("one", "two")]
    await one.add(entry(1), VECTOR)
    await two.add(entry(2), VECTOR)
    await one.clear()
    assert (await ids(one), await ids(two)) == (set(), {2})
    await database.close()


_FILL = """
import asyncio, os, sys
from pathlib import Path
import numpy as np
from langcache.service import CacheConfig, StoreError
from langcache.service.stores.sqlite import Database
from langcache.service.stores.store import Entry

class Embedder:
    name, dimensions, unrelated_cosine = "angle", 2, 0.0

V = np.array([1, 0], np.float32)

def entry(number):
    return Entry(f"{number:032x}", f"prompt {number}", "r" * 3000, {}, None)

async def ids(store):
    return {int(found.id, 16) for _, found in await store.nearest(V, {}, 10_000)}

async def main(folder):
    async def reopened():
        database = Database(folder / "cache.db", Embedder())
        await database.open()
        return database, await database.store(CacheConfig(cache_id="c"))

    database, store = await reopened()
    kept = set()
    while True:
        try:
            await store.add(entry(len(kept)), V)
        except StoreError as error:
            assert "full" in str(error), error
            break
        kept.add(len(kept))
    try:
        with (folder / "ballast").open("wb") as ballast:
            while True:
                ballast.write(bytes(4096))
                ballast.flush()
    except OSError:
        pass
    assert os.statvfs(folder).f_bavail == 0
    assert await ids(store) == kept
    for number in range(0, 40, 2):
        assert await store.delete(entry(number).id)
        kept.remove(number)
    assert await ids(store) == kept
    await database.close()
    database, store = await reopened()
    assert await ids(store) == kept
    await store.clear()
    assert await ids(store) == set()
    for number in range(20):
        await store.add(entry(number), V)
    await database.close()
    database, store = await reopened()
    assert await ids(store) == set(range(20))
    await database.close()
    print("done")

asyncio.run(main(Path(sys.argv[1])))
"""


def _can_mount() -> bool:
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(os.name != "posix" or not _can_mount(), reason="no right to mount a small disk")
def test_on_a_disk_that_is_really_full(tmp_path):
    script = f'mount -t tmpfs -o size=3m none "$1" && exec "{sys.executable}" -W error -c "$2" "$1"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path), _FILL],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
