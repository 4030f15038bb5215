"""Entries on disk: what survives, in which order, and which files are refused."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from langcache.service import CacheConfig, EmbedderError, StoreError
from langcache.service.stores.sqlite import Database
from langcache.service.stores.store import Entry, now_millis

CACHE = CacheConfig(cache_id="c")
VECTOR = np.array([1, 0], np.float32)


def entry(number: int, prompt: str = "p", expires_at: int | None = None, **attributes: str) -> Entry:
    return Entry(f"{number:032x}", prompt, f"response {number}", attributes, expires_at)


@pytest.fixture
async def open_database(tmp_path, embedder):
    opened = []

    async def open_database(with_embedder=embedder):
        database = Database(tmp_path / "cache.db", with_embedder)
        await database.open()
        opened.append(database)
        return database

    yield open_database
    for database in opened:
        await database.close()


@pytest.fixture
async def reopen(tmp_path, embedder):
    """Open the file, use one of its stores, close it: a life of a server."""

    async def reopen(use, cache_id="c", with_embedder=embedder):
        database = Database(tmp_path / "cache.db", with_embedder)
        await database.open()
        try:
            return await use(await database.store(CacheConfig(cache_id=cache_id)))
        finally:
            await database.close()

    return reopen


async def responses(store, attributes=None):
    return [found.response for _, found in await store.nearest(VECTOR, attributes or {}, 100)]


async def test_entries_come_back_whole_and_in_order(reopen):
    async def fill(store):
        for number in range(3):
            await store.add(entry(number, "Grüße", topic="a"), VECTOR)
        await store.add(entry(3), np.array([0, 1], np.float32))

    async def look(store):
        assert await responses(store) == ["response 2", "response 1", "response 0", "response 3"]
        assert (await store.same("GRÜSSE", {"topic": "a"}, 1))[0][1] == entry(2, "Grüße", topic="a")
        assert await responses(store, {"topic": "a"}) == ["response 2", "response 1", "response 0"]

    await reopen(fill)
    await reopen(look)


async def test_deletes_last_too(reopen):
    async def fill_and_delete(store):
        for number in range(4):
            await store.add(entry(number, topic="ab"[number % 2]), VECTOR)
        assert await store.delete(entry(0).id)
        assert not await store.delete(entry(0).id)
        assert await store.delete_matching({"topic": "b"}) == 2

    await reopen(fill_and_delete)
    assert await reopen(responses) == ["response 2"]
    await reopen(lambda store: store.clear())
    assert await reopen(responses) == []


async def test_caches_of_one_file_keep_apart(reopen):
    await reopen(lambda store: store.add(entry(1), VECTOR), "one")
    await reopen(lambda store: store.add(entry(1), VECTOR), "two")
    await reopen(lambda store: store.clear(), "one")
    assert await reopen(responses, "one") == []
    assert await reopen(responses, "two") == ["response 1"]


async def test_expired_entries_leave_the_file(reopen, tmp_path):
    await reopen(lambda store: store.add(entry(1, expires_at=now_millis() - 1), VECTOR))
    await reopen(lambda store: store.add(entry(2, expires_at=now_millis() + 60_000), VECTOR))
    assert await reopen(responses) == ["response 2"]
    with sqlite3.connect(tmp_path / "cache.db") as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (1,)
    connection.close()


async def test_concurrent_changes_share_commits_and_keep_their_order(open_database):
    database = await open_database()
    store = await database.store(CACHE)
    commits = []
    await database._run(lambda: database._file._connection.set_trace_callback(commits.append))
    await asyncio.gather(
        *(store.add(entry(number), VECTOR) for number in range(100)),
        store.clear(),
        *(store.add(entry(number), VECTOR) for number in range(100, 120)),
    )
    assert commits.count("COMMIT") == 1
    assert await responses(store) == [f"response {number}" for number in reversed(range(100, 120))]


async def test_a_cancelled_caller_leaves_disk_and_memory_alike(open_database):
    store = await (await open_database()).store(CACHE)
    first, second = (asyncio.create_task(store.add(entry(number), VECTOR)) for number in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled()
    assert await responses(store) == ["response 1", "response 0"]


async def test_a_full_disk_fails_the_call_and_changes_nothing(open_database):
    database = await open_database()
    store = await database.store(CACHE)
    await store.add(entry(1), VECTOR)

    def limit(pages):
        execute = database._file._connection.execute
        return database._run(lambda: execute(f"PRAGMA max_page_count = {pages}").close())

    await limit(8)
    large = Entry("f" * 32, "p", "r" * 100_000, {}, None)
    calls = [asyncio.create_task(store.add(large, VECTOR)) for _ in range(3)]
    await asyncio.sleep(0)
    calls[2].cancel()
    failures = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(failure, StoreError) and "full" in str(failure) for failure in failures[:2])
    assert await responses(store) == ["response 1"]
    await limit(1_000_000)
    await store.add(entry(2), VECTOR)
    assert await responses(store) == ["response 2", "response 1"]


async def test_a_failure_that_leaves_the_transaction_open_is_rolled_back(open_database):
    store = await (await open_database()).store(CACHE)
    await store.add(entry(1), VECTOR)
    with pytest.raises(StoreError, match="UNIQUE"):
        await store.add(entry(1), VECTOR)
    await store.add(entry(2), VECTOR)
    assert await responses(store) == ["response 2", "response 1"]


async def test_a_file_in_use_is_refused(open_database):
    await open_database()
    with pytest.raises(StoreError, match=r"cache\.db can't be used: it is in use, by another process"):
        await open_database()


async def test_a_store_whose_file_is_closed_fails_its_check(reopen):
    async def use(store):
        await store.check()
        return store

    with pytest.raises(StoreError, match="is closed"):
        await (await reopen(use)).check()


class OtherEmbedder:
    """Puts every prompt on the axis that its length names."""

    name = "other"
    dimensions = 3
    unrelated_cosine = 0.0

    def __init__(self) -> None:
        self.asked = []
        self.failure = None

    async def start(self) -> None:
        pass

    async def embed(self, texts):
        self.asked += texts
        if self.failure is not None and len(self.asked) > 64:
            raise self.failure
        return np.eye(3, dtype=np.float32)[[len(text) % 3 for text in texts]]

    async def close(self) -> None:
        pass


async def fill_with_many(store):
    for number in range(100):
        await store.add(entry(number, "p" * (number + 1)), VECTOR)


async def nearest_to_an_axis(store):
    return [found.prompt for _, found in await store.nearest(np.array([0, 1, 0], np.float32), {}, 2)]


async def test_a_file_of_another_embedder_has_its_prompts_embedded_anew(reopen, caplog):
    await reopen(fill_with_many)
    other = OtherEmbedder()
    for _ in range(2):
        assert await reopen(nearest_to_an_axis, with_embedder=other) == ["p" * 100, "p" * 97]
    assert sorted(other.asked) == ["p" * (number + 1) for number in range(100)]  # each once
    assert [record.getMessage().partition("cache.db ")[2] for record in caplog.records] == [
        "was made with the embedder angle; embedding its 100 prompts anew with other"
    ]


async def test_an_embedder_of_the_same_name_and_another_length_embeds_anew(reopen, caplog):
    other = OtherEmbedder()
    other.name = "angle"
    await reopen(fill_with_many)
    assert await reopen(nearest_to_an_axis, with_embedder=other) == ["p" * 100, "p" * 97]


async def test_an_empty_file_changes_its_embedder_without_a_word(reopen, caplog):
    await reopen(responses)
    await reopen(lambda store: store.add(entry(0), np.eye(3, dtype=np.float32)[1]), "c", OtherEmbedder())
    assert await reopen(nearest_to_an_axis, with_embedder=OtherEmbedder()) == ["p"]
    assert not caplog.records


async def test_an_embedder_that_fails_half_way_leaves_the_file_as_it_was(open_database, reopen):
    await reopen(fill_with_many)
    other = OtherEmbedder()
    other.failure = EmbedderError("the endpoint said no")
    with pytest.raises(EmbedderError):
        await open_database(other)
    assert len(other.asked) == 100
    assert len(await reopen(responses)) == 100


@pytest.mark.parametrize("version", [2, 4])
async def test_another_schema_is_refused(open_database, reopen, tmp_path, version):
    await reopen(responses)
    with sqlite3.connect(tmp_path / "cache.db") as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with pytest.raises(StoreError, match=f"has schema version {version}, and this langcache reads 3"):
        await open_database()


async def test_somebody_else_s_file_is_refused_and_left_alone(open_database, tmp_path):
    path = tmp_path / "cache.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="of something else than langcache"):
        await open_database()
    assert path.read_bytes() == before
    path.write_bytes(b"plain text, and long enough to be looked at" * 100)
    with pytest.raises(StoreError, match="not a database"):
        await open_database()


async def test_a_folder_that_is_not_there_is_named(tmp_path, embedder):
    database = Database(tmp_path / "nowhere" / "cache.db", embedder)
    with pytest.raises(StoreError, match=r"can't be used: there is no folder .*nowhere"):
        await database.open()


DENIED = """
import os, pathlib, sys
from langcache.service.stores.sqlite_errors import SQLITE_ERRORS, reason_of
from langcache.service.stores.sqlite_file import SqliteFile
from langcache.service.stores.sqlite_rows import EmbeddedWith

folder = pathlib.Path(sys.argv[1])
path = folder / "cache.db"
file = SqliteFile(path)
file.open(EmbeddedWith("", 0), 0)
file.close()
path.chmod(0o600)
if os.getuid() == 0:  # who may do everything
    for each in (folder, *folder.iterdir()):
        os.chown(each, 65534, 65534)
    os.setuid(65534)
for what, mode, usual in ((folder, 0o555, 0o755), (path, 0o400, 0o600), (path, 0o000, 0o600)):
    what.chmod(mode)
    try:
        SqliteFile(path).open(EmbeddedWith("", 0), 0)
    except SQLITE_ERRORS as error:
        print(f"{reason_of(path, error)}".partition("can't be used: ")[2])
    what.chmod(usual)
"""


@pytest.mark.skipif(os.name != "posix", reason="permissions are others")
def test_which_permission_is_lacking_is_said():
    with tempfile.TemporaryDirectory() as folder:  # the tests' own folders let nobody else in
        os.chmod(folder, 0o755)
        code = [sys.executable, "-W", "error", "-c", DENIED, folder]
        done = subprocess.run(code, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == [
        f"there is no permission to write in its folder {folder}, which has more files of it",
        *["there is no permission to read and write it"] * 2,
    ]
