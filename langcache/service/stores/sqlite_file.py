"""The SQLite file of `Database`: its schema, its checks, and its transactions. All of it blocks."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from ..embedders import Vectors
from .index import Index
from .reserve import Reserve
from .sqlite_errors import beside, connect, damaged, unusable
from .sqlite_rows import (
    INSERT,
    REPLACE,
    SELECT,
    EmbeddedWith,
    Row,
    embedder_values,
    read_embedder,
    read_id,
    read_row,
    values_of,
)
from .store import NEVER, Entry, StoreError
from .wal import wal_state

__all__ = ["PAGE_BYTES", "Commit", "SqliteFile", "Step"]

_log = logging.getLogger(__name__)

_APPLICATION_ID = 0x4C43_4C31  # "LCL1"
_SCHEMA_VERSION = 3
_SCHEMA = (
    "CREATE TABLE file (id BLOB NOT NULL DEFAULT x'{0}')",
    "CREATE TABLE embedder (name TEXT NOT NULL, dimensions INTEGER NOT NULL, unrelated_cosine REAL, "
    "checksum INTEGER NOT NULL)",
    "CREATE TABLE entries (number INTEGER PRIMARY KEY, cache_id TEXT NOT NULL, id TEXT NOT NULL, "
    "prompt TEXT NOT NULL, response TEXT NOT NULL, attributes TEXT NOT NULL, expires_at INTEGER, "
    "vector BLOB NOT NULL, checksum INTEGER NOT NULL)",
    "CREATE UNIQUE INDEX entries_by_id ON entries (cache_id, id)",
    "CREATE INDEX entries_by_expiry ON entries (expires_at) WHERE expires_at IS NOT NULL",
    "CREATE TABLE records (name TEXT PRIMARY KEY, value BLOB NOT NULL, checksum INTEGER NOT NULL)",
)
PAGE_BYTES = 4096
_FREE_PAGES = 64
"""Fewer free pages, of 4 KiB each, are not worth giving back."""


class Step(msgspec.Struct, frozen=True):
    """One change of a transaction."""

    run: Callable[[SqliteFile], Any]
    frees: bool = False
    """Whether it deletes only. Then it may use the reserve when the disk is full."""


class Commit(msgspec.Struct, frozen=True):
    """What a transaction did."""

    expired: dict[str, list[str]]
    """For each cache, the ids of the entries that were deleted because their time was over."""

    outcomes: list[Any]
    """What each step returned, or the exception that it raised: then the step has changed nothing."""

    next_expiry: int


class SqliteFile:
    """The file with the entries of any number of caches. Every method must be called on one thread.

    Every row has a checksum. It also covers the row's number and the id of the file, so that rows that come
    from elsewhere, with the write-ahead log of another file, are noticed as well as altered ones.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next_expiry = NEVER
        self._reserve = Reserve(beside(path, "-reserve"))

    def open(self, embedded_with: EmbeddedWith, now: int) -> None:
        """Open the file, or create it with 0600. Raises `StoreError` and `sqlite3.Error` if it can't be used.

        A file that is refused is not changed.
        """
        new = self._is_new()
        log = "empty" if new else self._check_log()
        if log != "empty":
            # A connection that may write would copy the log into the file when it is closed, even a log that
            # belongs to another file.
            with contextlib.closing(connect(self.path, "mode=ro")) as connection:
                self._inspect(connection)
                self._id = read_id(connection)
                for values in connection.execute(SELECT):
                    read_row(self.path, self._id, values)
        if new:
            self._create()
        self._connection = connection = connect(self.path, "mode=rw")
        try:
            # Searches use entries in memory, so a second process would miss what the first one writes.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            # A process that was killed while it made the file leaves one that SQLite makes empty again.
            if new or connection.execute("PRAGMA page_count").fetchone() == (0,):
                self._make_schema(embedded_with)
            elif log == "empty":
                self._inspect(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            # Overwriting every deleted page would need as much room as the pages have, in the log.
            connection.execute("PRAGMA secure_delete = FAST")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
            self._id = read_id(connection)
            (last,) = connection.execute("SELECT max(number) FROM entries").fetchone()
            self._next_number = (last or 0) + 1
            self._next_expiry = 0
            with contextlib.suppress(sqlite3.OperationalError):  # a full disk; the entries expire in memory
                self.commit([], now)
        except BaseException:
            connection.close()
            raise
        self._reserve.renew()

    def close(self) -> None:
        """Close the file, with all of the log in it."""
        self._connection.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """For what else is in the file."""
        return self._connection

    @property
    def file_id(self) -> int:
        """The number from which checksums begin."""
        return self._id

    def embedded_with(self) -> EmbeddedWith | None:
        """The embedder that made the vectors. None if the file does not say so."""
        return read_embedder(self._connection, self._id)

    def set_embedder(self, embedded_with: EmbeddedWith) -> None:
        """Say which embedder made the vectors."""
        values = embedder_values(self._id, embedded_with)
        self._connection.execute("DELETE FROM embedder")
        self._connection.execute("INSERT INTO embedder VALUES (?, ?, ?, ?)", values)

    def begin(self) -> None:
        """Begin a transaction of several calls."""
        self._connection.execute("BEGIN")

    def end(self, statement: Literal["COMMIT", "ROLLBACK"]) -> None:
        """End it."""
        if self._connection.in_transaction:
            self._connection.execute(statement)

    def count(self) -> int:
        """The number of entries."""
        (count,) = self._connection.execute("SELECT count(*) FROM entries").fetchone()
        return int(count)

    def rows(self) -> Iterator[Row]:
        """All rows, oldest first. Raises `DamagedError` at one that is not what was written."""
        for values in self._connection.execute(f"{SELECT} ORDER BY number"):
            yield read_row(self.path, self._id, values)

    def next_rows(self, after: int, limit: int) -> list[Row]:
        """The first rows with a number above ``after``. Raises `DamagedError` as `rows` does."""
        query = f"{SELECT} WHERE number > ? ORDER BY number LIMIT ?"
        return [
            read_row(self.path, self._id, values)
            for values in self._connection.execute(query, (after, limit))
        ]

    def load(self, cache_id: str, index: Index) -> Index:
        """Add the entries of a cache to an index. Raises `StoreError` if any is not what was written."""
        dimensions = index.dimensions
        cursor = self._connection.execute(f"{SELECT} WHERE cache_id = ? ORDER BY number", (cache_id,))
        while batch := [read_row(self.path, self._id, values) for values in cursor.fetchmany(10_000)]:
            if any(len(row.vector) != 4 * dimensions for row in batch):
                raise damaged(self.path, f"a vector has not {dimensions} numbers")
            vectors = np.frombuffer(b"".join(row.vector for row in batch), np.float32)
            index.add([row.entry for row in batch], vectors.reshape(len(batch), dimensions))
        return index

    def insert(self, cache_id: str, entry: Entry, vector: Vectors) -> None:
        """Add an entry."""
        row = Row(self._next_number, cache_id, entry, vector.tobytes())
        self._connection.execute(INSERT, values_of(self._id, row))
        self._next_number += 1

    def replace(self, rows: Sequence[Row]) -> None:
        """Write rows in place of the ones with their numbers, or add them."""
        self._connection.executemany(REPLACE, [values_of(self._id, row) for row in rows])

    def delete(self, cache_id: str, entry_ids: Sequence[str]) -> int:
        """Delete entries. Returns the number of those that existed."""
        statement = "DELETE FROM entries WHERE cache_id = ? AND id = ?"
        cursor = self._connection.executemany(statement, [(cache_id, entry_id) for entry_id in entry_ids])
        return max(cursor.rowcount, 0)

    def clear(self, cache_id: str) -> None:
        """Delete the entries of a cache."""
        others = "SELECT 1 FROM entries WHERE cache_id < ? OR cache_id > ? LIMIT 1"
        if self._connection.execute(others, (cache_id, cache_id)).fetchone():
            self._connection.execute("DELETE FROM entries WHERE cache_id = ?", (cache_id,))
        else:  # without a condition SQLite only notes that the pages are free, which needs little room
            self._connection.execute("DELETE FROM entries")

    def commit(self, steps: Sequence[Step], now: int) -> Commit:
        """Delete what has expired by ``now``, run the steps, and wait until all of it is on disk.

        A step that fails by itself changes nothing, and its exception is its outcome. Raises `sqlite3.Error`
        if the transaction as a whole fails; then the file is as it was. On a full disk, steps that only
        delete get the room of the reserve.
        """
        with contextlib.suppress(sqlite3.OperationalError):
            return self._transaction(steps, now)
        self._empty_log()  # which may have made room
        try:
            return self._transaction(steps, now)
        except sqlite3.OperationalError as error:
            if not any(step.frees for step in steps) or not self._reserve.release():
                raise
            try:
                done = self._transaction([step for step in steps if step.frees], now)
            finally:
                self._empty_log()
                self._reserve.renew()
            outcomes = iter(done.outcomes)
            merged = [next(outcomes) if step.frees else error for step in steps]
            return Commit(done.expired, merged, done.next_expiry)

    def _transaction(self, steps: Sequence[Step], now: int) -> Commit:
        execute = self._connection.execute
        next_number = self._next_number
        if self._connection.in_transaction:  # of a commit that could not even be rolled back
            execute("ROLLBACK")
        execute("BEGIN")
        try:
            expired = self._expire(now) if now >= self._next_expiry else {}
            outcomes = [self._outcome(step) for step in steps]
            (next_expiry,) = execute(
                "SELECT min(expires_at) FROM entries WHERE expires_at IS NOT NULL"
            ).fetchone()
            execute("COMMIT")
        except BaseException:
            self._next_number = next_number
            if self._connection.in_transaction:  # after some failures SQLite has rolled back by itself
                with contextlib.suppress(sqlite3.Error):
                    execute("ROLLBACK")
            raise
        self._next_expiry = NEVER if next_expiry is None else next_expiry
        return Commit(expired, outcomes, self._next_expiry)

    def _expire(self, now: int) -> dict[str, list[str]]:
        expired: dict[str, list[str]] = {}
        rows = self._connection.execute("SELECT cache_id, id FROM entries WHERE expires_at <= ?", (now,))
        for cache_id, entry_id in rows:
            expired.setdefault(cache_id.decode(), []).append(entry_id.decode())
        if expired:
            self._connection.execute("DELETE FROM entries WHERE expires_at <= ?", (now,))
        return expired

    def _outcome(self, step: Step) -> Any:
        self._connection.execute("SAVEPOINT step")
        try:
            outcome = step.run(self)
        except sqlite3.OperationalError:  # of the disk: it concerns the others too
            raise
        except Exception as error:
            outcome = error
            self._connection.execute("ROLLBACK TO step")
        self._connection.execute("RELEASE step")
        return outcome

    def give_back(self) -> None:
        """Give the room of deleted entries back to the disk, if no entry is left."""
        with contextlib.suppress(sqlite3.OperationalError):
            (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
            if free >= _FREE_PAGES and not self.count():
                self._connection.execute("VACUUM")
                self._empty_log()

    def _empty_log(self) -> None:
        """Copy the log into the file, and cut it to nothing."""
        # Also overwrites a commit that failed while it waited for the disk, which else might be found in the
        # log when the file is opened again.
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _is_new(self) -> bool:
        """Whether there is nothing to read. Raises `StoreError` if what is there can't be a file of ours."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            size = -1
        except OSError as error:
            raise unusable(self.path, error.strerror or str(error)) from error
        if size >= 0 and not self.path.is_file():
            raise unusable(self.path, "it is not a file")
        if size > 0:
            return False
        log = beside(self.path, "-wal")
        if log.exists() and log.stat().st_size:  # SQLite would delete it
            raise StoreError(
                f"the database {self.path} is missing or empty, but {log} has changes of it; restore the "
                "database, or delete that file too"
            )
        if size == 0:
            _log.warning("the database %s is an empty file; it begins without entries", self.path)
        return True

    def _create(self) -> None:
        # Not by SQLite, which would let everybody read it if the umask does; -wal gets the mode of the file.
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:  # an empty file
            pass
        except FileNotFoundError as error:
            raise unusable(self.path, f"there is no folder {self.path.parent}") from error
        except OSError as error:
            raise unusable(self.path, error.strerror or str(error)) from error

    def _check_log(self) -> str:
        mode = self.path.stat().st_mode & 0o777
        if os.name == "posix" and mode & 0o077:
            _log.warning(
                "others can open the database %s (mode %o): chmod 600 keeps them out", self.path, mode
            )
        try:
            state = wal_state(beside(self.path, "-wal").read_bytes())
        except FileNotFoundError:
            return "empty"
        except OSError as error:
            raise unusable(self.path, f"-wal: {error.strerror or error}") from error
        if state == "damaged":
            raise damaged(self.path, "its -wal file has been altered")
        if state == "torn":
            _log.warning(
                "the last change of the database %s is not whole and is left out, as after a power cut",
                self.path,
            )
        return state

    def _inspect(self, connection: sqlite3.Connection) -> None:
        """Raise `StoreError` for a file that is not ours, or damaged. Takes some 10 ms for 1,000 entries."""
        if connection.execute("PRAGMA application_id").fetchone() != (_APPLICATION_ID,):
            raise StoreError(f"{self.path} is a database of something else than langcache")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != _SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} has schema version {version}, and this langcache reads {_SCHEMA_VERSION}; "
                "use the version that wrote it, or another file"
            )
        problems = connection.execute("PRAGMA integrity_check(1)").fetchall()
        if problems != [(b"ok",)]:
            raise damaged(self.path, problems[0][0].decode(errors="replace").strip().splitlines()[-1])
        # The first page has the id too. A log that belongs to another file brings its own first page.
        same_id = "SELECT instr(sql, hex(id)) > 0 FROM sqlite_master, file WHERE name = 'file'"
        if connection.execute(same_id).fetchall() != [(1,)]:
            raise damaged(self.path, "its parts, or its -wal file, belong to different databases")

    def _make_schema(self, embedded_with: EmbeddedWith) -> None:
        # Before the file has a log, so that the file's id is never in the log alone.
        self._connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("BEGIN EXCLUSIVE")
        file_id = secrets.token_hex(4).upper()
        for statement in _SCHEMA:
            self._connection.execute(statement.format(file_id))
        self._connection.execute("INSERT INTO file DEFAULT VALUES")
        self._id = read_id(self._connection)
        self.set_embedder(embedded_with)
        self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        self._connection.execute("COMMIT")
