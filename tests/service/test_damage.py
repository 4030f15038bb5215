"""A damaged file is refused in clear words, or gives back what was written; what is intact can be kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from langcache.cli import main
from langcache.service import CacheConfig, StoreError
from langcache.service.stores.recovery import recover
from langcache.service.stores.sqlite import Database
from langcache.service.stores.sqlite_errors import beside
from langcache.service.stores.store import Entry

CACHES = ("c", "d")
FAR = 10**14


def entry(number: int) -> Entry:
    return Entry(
        f"{number:032x}",
        f"prompt {number}",
        f"response {number} " + "x" * (number * 397 % 6000),
        {"topic": "ab"[number % 2]} if number % 3 else {},
        FAR + number if number % 4 else None,
    )


def vector(number: int) -> np.ndarray:
    return np.eye(2, dtype=np.float32)[number % 2]


async def fill(path, embedder, numbers=range(40), copy_to=None):
    """A file with deleted entries too; or, as ``copy_to``, one whose process was killed."""
    database = Database(path, embedder)
    await database.open()
    for cache_id in CACHES:
        store = await database.store(CacheConfig(cache_id=cache_id))
        adds = [store.add(entry(number), vector(number)) for number in numbers]
        if copy_to is None:
            await asyncio.gather(*adds)
        else:  # several commits
            for add in adds:
                await add
        await asyncio.gather(*(store.delete(entry(number).id) for number in numbers[::7]))
    if copy_to is not None:
        copy(path, copy_to)
    await database.close()
    return path


def copy(path, to):
    for suffix in ("", "-wal", "-shm", "-reserve"):
        beside(to, suffix).unlink(missing_ok=True)
    for suffix in ("", "-wal"):
        if beside(path, suffix).exists():
            shutil.copy(beside(path, suffix), beside(to, suffix))


async def content(path, embedder):
    """Entries by cache, each with its similarity to a vector, newest first."""
    database = Database(path, embedder)
    await database.open()
    try:
        return {
            cache_id: await (await database.store(CacheConfig(cache_id=cache_id))).nearest(
                vector(0), {}, 1000
            )
            for cache_id in CACHES
        }
    finally:
        await database.close()


def altered(path: Path, offset: int, mask: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        before = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([before ^ mask]))


async def test_an_altered_byte_anywhere_is_noticed_or_makes_no_difference(tmp_path, embedder):
    whole = await fill(tmp_path / "whole.db", embedder)
    right = await content(whole, embedder)
    every = {repr(found) for cache in right.values() for found in cache}
    path = tmp_path / "cache.db"
    rng = random.Random(20)
    size = whole.stat().st_size
    refused = 0
    for offset in [*range(16, 100, 9), *(rng.randrange(size) for _ in range(70))]:
        copy(whole, path)
        altered(path, offset, rng.randrange(1, 256))
        before = path.read_bytes()
        try:
            assert await content(path, embedder) == right, offset
        except StoreError as error:
            said = str(error)
        else:
            continue
        refused += 1
        assert str(path) in said
        assert path.read_bytes() == before
        if refused % 5 == 0 and "recover" in said:
            with contextlib.suppress(StoreError):  # if it is the id of the file that was altered
                done = recover(path)
                assert done.kept >= len(every) - 20
                recovered = await content(path, embedder)
                assert {repr(found) for cache in recovered.values() for found in cache} <= every
                assert done.moved_to.read_bytes() == before
                done.moved_to.unlink()
    assert refused > 25


async def test_an_altered_index_is_noticed(tmp_path, embedder):
    whole = await fill(tmp_path / "whole.db", embedder)
    path = tmp_path / "cache.db"
    held = whole.read_bytes()
    # Leaves of indexes begin with 10, those of tables with 13.
    key = f"c{entry(1).id}".encode()
    (page,) = [at for at in range(0, len(held), 4096) if held[at] == 10 and key in held[at : at + 4096]]
    copy(whole, path)
    altered(path, held.index(key, page) + len(key) - 1, 1)
    with pytest.raises(StoreError, match="is damaged"):
        await content(path, embedder)


async def test_an_altered_byte_in_the_log_of_a_killed_process_is_noticed(tmp_path, embedder, caplog):
    killed = tmp_path / "killed.db"
    right = await content(await fill(tmp_path / "whole.db", embedder, range(8), killed), embedder)
    path = tmp_path / "cache.db"
    copy(killed, path)
    assert await content(path, embedder) == right
    log = beside(path, "-wal")
    rng = random.Random(4)
    size = beside(killed, "-wal").stat().st_size
    for offset in [*range(0, 56, 5), *(rng.randrange(size - 40_000) for _ in range(12))]:
        copy(killed, path)
        altered(log, offset, rng.randrange(1, 256))
        with pytest.raises(StoreError, match="is damaged: its -wal file has been altered"):
            await content(path, embedder)
    assert not caplog.records
    copy(killed, path)
    altered(log, size - 100, 1)  # as if the power had failed during the last commit
    await content(path, embedder)
    assert "is not whole and is left out" in caplog.text


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.999])
async def test_a_truncated_file_is_noticed_and_its_beginning_kept(tmp_path, embedder, share):
    path = await fill(tmp_path / "cache.db", embedder)
    size = path.stat().st_size
    os.truncate(path, int(size * share))
    with pytest.raises(StoreError, match="is damaged") as failure:
        await content(path, embedder)
    assert f"python -m langcache recover {path}" in str(failure.value)
    if share > 0.2:
        done = recover(path)
        assert done.kept > 50 * share - 20
        assert sum(map(len, (await content(path, embedder)).values())) == done.kept


async def test_a_row_that_was_altered_through_sqlite_is_noticed(tmp_path, embedder):
    whole = await fill(tmp_path / "whole.db", embedder)
    path = tmp_path / "cache.db"
    columns = {
        "number": "number + 1000",
        "cache_id": "'e'",
        "id": "'f'",
        "prompt": "'other'",
        "response": "response || '!'",
        "attributes": "'{}'",
        "expires_at": FAR,
        "vector": "zeroblob(8)",
        "checksum": "checksum + 1",
    }
    for column, value in columns.items():
        copy(whole, path)
        connection = sqlite3.connect(path)
        with connection:
            done = connection.execute(f"UPDATE entries SET {column} = {value} WHERE number = 6")
            assert done.rowcount == 1
        connection.close()
        if column == "cache_id":  # a cache that is not served, but recovery looks at all
            done = recover(path)
        else:
            with pytest.raises(StoreError, match=r"entry .* is not what was written"):
                await content(path, embedder)
            done = recover(path)
        assert (done.kept, done.lost) == (67, 1)


async def test_the_log_of_another_database_is_noticed_and_harms_neither(tmp_path, embedder):
    killed = tmp_path / "killed.db"
    await fill(tmp_path / "other.db", embedder, range(8), killed)
    path = await fill(tmp_path / "cache.db", embedder)
    right = await content(path, embedder)
    before = path.read_bytes()
    shutil.copy(beside(killed, "-wal"), beside(path, "-wal"))
    with pytest.raises(
        StoreError, match="is damaged: its parts, or its -wal file, belong to different databases"
    ):
        await content(path, embedder)
    assert path.read_bytes() == before
    beside(path, "-wal").unlink()
    assert await content(path, embedder) == right


async def test_a_log_without_its_database_is_refused(tmp_path, embedder):
    killed = tmp_path / "killed.db"
    await fill(tmp_path / "other.db", embedder, range(3), killed)
    for break_it in (killed.unlink, killed.touch):
        break_it()
        with pytest.raises(StoreError, match=r"missing or empty, but .*killed.db-wal has changes of it"):
            await content(killed, embedder)
        assert beside(killed, "-wal").stat().st_size


async def test_an_empty_file_begins_without_entries_and_says_so(tmp_path, embedder, caplog):
    path = tmp_path / "cache.db"
    path.touch(0o600)
    assert await content(path, embedder) == {"c": [], "d": []}
    assert "is an empty file" in caplog.text


async def test_what_is_no_file_of_ours_is_refused_and_left_alone(tmp_path, embedder):
    folder = tmp_path / "folder"
    folder.mkdir()
    text = tmp_path / "text"
    text.write_bytes(b"plain text, and long enough to be looked at " * 500)
    theirs = tmp_path / "theirs.db"
    with sqlite3.connect(theirs) as connection:
        connection.execute("CREATE TABLE entries (number)")
    connection.close()
    for path, reason in (
        (folder, "it is not a file"),
        (Path("/dev/full"), "it is not a file"),
        (text, "it is not a database"),
        (theirs, "something else than langcache"),
        (text / "cache.db", "Not a directory"),
    ):
        before = path.read_bytes() if path in (text, theirs) else b""
        with pytest.raises(StoreError, match=reason):
            await content(path, embedder)
        with pytest.raises(StoreError):
            recover(path)
        assert before == (path.read_bytes() if path in (text, theirs) else b"")
    with pytest.raises(StoreError, match="there is no database"):
        recover(tmp_path / "nothing")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "text", "theirs.db"]


async def test_an_intact_file_is_left_alone_by_recovery(tmp_path, embedder):
    path = await fill(tmp_path / "cache.db", embedder)
    done = recover(path)
    assert (done.kept, done.lost, done.moved_to) == (68, 0, None)


async def test_a_file_in_use_is_not_recovered(tmp_path, embedder):
    database = Database(tmp_path / "cache.db", embedder)
    await database.open()
    with pytest.raises(StoreError, match="in use"):
        recover(tmp_path / "cache.db")
    await database.close()


@pytest.mark.skipif(os.name != "posix", reason="modes of files are for POSIX")
async def test_files_are_for_their_owner_only_whatever_the_umask(tmp_path, embedder, caplog):
    path = tmp_path / "cache.db"
    before = os.umask(0)
    try:
        database = Database(path, embedder)
        await database.open()
        await (await database.store(CacheConfig())).add(entry(1), vector(1))
        modes = {name.name: name.stat().st_mode & 0o777 for name in tmp_path.iterdir()}
        await database.close()
    finally:
        os.umask(before)
    assert modes == {"cache.db": 0o600, "cache.db-wal": 0o600, "cache.db-reserve": 0o600}
    assert not caplog.records
    path.chmod(0o640)
    with caplog.at_level(logging.WARNING):
        await content(path, embedder)
    assert f"others can open the database {path} (mode 640)" in caplog.text
    assert path.stat().st_mode & 0o777 == 0o640


async def test_the_command_line_recovers(tmp_path, embedder, capsys):
    path = await fill(tmp_path / "cache.db", embedder)
    assert main(["recover", str(path)]) == 0
    assert f"{path} is intact, with 68 entries" in capsys.readouterr().out
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE entries SET response = 'altered' WHERE number = 6")
    connection.close()
    assert main(["recover", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"67 entries of {path} are intact, 1 were lost.",
        f"The damaged file is now {path}.damaged-1.",
    ]
    assert main(["recover", str(tmp_path / "none.db")]) == 1
    assert "there is no database" in capsys.readouterr().err
