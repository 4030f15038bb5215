"""The store that keeps its entries in a SQLite file. An entry is on disk before `add` returns."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from .calibration import unrelated_cosine
from .config import CacheConfig
from .embedders import Embedder, Vectors
from .index import Index
from .memory import MemoryStore
from .store import Entry, StoreError, now_millis

__all__ = ["Database", "SqliteStore"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

_APPLICATION_ID = 0x4C43_4C31  # "LCL1"
_SCHEMA_VERSION = 1
_SCHEMA = (
    "CREATE TABLE embedder (name TEXT NOT NULL, dimensions INTEGER NOT NULL)",
    "CREATE TABLE entries (number INTEGER PRIMARY KEY, cache_id TEXT NOT NULL, id TEXT NOT NULL, "
    "prompt TEXT NOT NULL, response TEXT NOT NULL, attributes TEXT NOT NULL, expires_at INTEGER, "
    "vector BLOB NOT NULL)",
    "CREATE UNIQUE INDEX entries_by_id ON entries (cache_id, id)",
    "CREATE INDEX entries_by_expiry ON entries (expires_at) WHERE expires_at IS NOT NULL",
)
_INSERT = (
    "INSERT INTO entries (cache_id, id, prompt, response, attributes, expires_at, vector) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_SELECT = (
    "SELECT id, prompt, response, attributes, expires_at, vector FROM entries "
    "WHERE cache_id = ? ORDER BY number"
)
_DELETE = "DELETE FROM entries WHERE cache_id = ? AND id = ?"
_CLEAR = "DELETE FROM entries WHERE cache_id = ?"
_EXPIRE = "DELETE FROM entries WHERE expires_at <= ?"
_EMBEDDER_COLUMNS = "PRAGMA table_info(embedder)"
_NEW_EMBEDDER = "UPDATE embedder SET name = ?, dimensions = ?, unrelated_cosine = NULL"
_UPDATE = "UPDATE entries SET vector = ? WHERE number = ?"

_EMBEDDED_AT_ONCE = 64
"""How many prompts of a file are embedded again in one call. Every known endpoint accepts as many."""

_encode_attributes = msgspec.json.Encoder().encode
_decode_attributes = msgspec.json.Decoder(dict[str, str]).decode


class _Change(msgspec.Struct):
    """A statement to run for each row of parameters, and what to do in memory once that is on disk."""

    statement: str
    parameters: Sequence[tuple[Any, ...]]
    then: Callable[[], Any]
    done: asyncio.Future[Any]


class Database:
    """A SQLite file with the entries of any number of caches.

    The file is in WAL mode, and each commit waits for the disk: a change that has returned survives a kill
    and a power cut. Changes that arrive during a commit share the next one. One process at a time can have
    the file open. If another embedder made the vectors of a file, its prompts are embedded again.
    """

    def __init__(self, path: Path, embedder: Embedder) -> None:
        self._path = path
        self._embedder = embedder
        self._thread = ThreadPoolExecutor(1, "langcache-sqlite")  # one: a connection belongs to a thread
        self._pending: list[_Change] = []
        self._committing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the file, or create it. Raises `StoreError` if it can't be used, with the reason.

        Raises `EmbedderError` if its prompts have to be embedded again and that fails; the file is unchanged.
        """
        try:
            self._connection = await self._run(self._open)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        try:
            await self._embed_again()
            self._unrelated = await self._calibrate()
        except BaseException:
            await self.close()
            raise

    async def store(self, cache: CacheConfig) -> SqliteStore:
        """The store of one cache, with its entries from the file."""
        index = await self._run(self._load, cache.cache_id)
        return SqliteStore(self, cache.cache_id, index, self._unrelated)

    async def change(self, statement: str, parameters: Sequence[tuple[Any, ...]], then: Callable[[], T]) -> T:
        """Change the file, then memory; returns what ``then`` returns, when both are done.

        Changes take effect in the order of the calls, on disk as in memory, even if a caller is cancelled.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._pending.append(_Change(statement, parameters, then, done))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_pending())
        return await done

    async def close(self) -> None:
        """Finish what was begun and close the file."""
        if self._committing is not None:
            await self._committing
        try:
            await self._run(self._connection.close)
        finally:
            self._thread.shutdown(wait=False)

    async def _commit_pending(self) -> None:
        while self._pending:
            changes, self._pending = self._pending, []
            failure: StoreError | None = None
            try:
                await self._run(self._commit, changes)
            except StoreError as error:
                failure = error
            for change in changes:
                if failure is None:
                    result = change.then()
                    if not change.done.cancelled():
                        change.done.set_result(result)
                elif not change.done.cancelled():
                    change.done.set_exception(StoreError(*failure.args))

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
        except sqlite3.Error as error:
            busy = "it is in use by another process" if "locked" in str(error) else str(error)
            raise StoreError(f"the database {self._path} can't be used: {busy}") from error

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        try:
            # Searches use entries in memory, so a second process would miss what the first one writes.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            new = self._check(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN EXCLUSIVE")
            if new:
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute(
                    "INSERT INTO embedder (name, dimensions) VALUES (?, ?)", self._embedded_with
                )
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            if "unrelated_cosine" not in [row[1] for row in connection.execute(_EMBEDDER_COLUMNS)]:
                # An older langcache reads the file all the same.
                connection.execute("ALTER TABLE embedder ADD COLUMN unrelated_cosine REAL")
            connection.execute(_EXPIRE, (now_millis(),))
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> bool:
        """Whether the file is new. Raises `StoreError`, before any change, for a file that it can't use."""
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            return True
        if connection.execute("PRAGMA application_id").fetchone() != (_APPLICATION_ID,):
            raise StoreError(f"{self._path} is a database of something else than langcache")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != _SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} has schema version {version}, and this langcache reads {_SCHEMA_VERSION}; "
                "use the version that wrote it, or another file"
            )
        return False

    @property
    def _embedded_with(self) -> tuple[str, int]:
        return self._embedder.name, self._embedder.dimensions

    async def _embed_again(self) -> None:
        """Replace vectors that another embedder made: all vectors of the file, or none if it fails."""
        execute = self._connection.execute
        before = await self._run(lambda: execute("SELECT name, dimensions FROM embedder").fetchone())
        if before == self._embedded_with:
            return
        rows = await self._run(lambda: execute("SELECT number, prompt FROM entries").fetchall())
        if rows:
            _log.warning(
                "%s was made with the embedder %s; embedding its %d prompts anew with %s",
                *(self._path, before[0], len(rows), self._embedder.name),
            )
        await self._run(execute, "BEGIN")
        for start in range(0, len(rows), _EMBEDDED_AT_ONCE):
            batch = rows[start : start + _EMBEDDED_AT_ONCE]
            vectors = await self._embedder.embed([prompt for _, prompt in batch])
            updates = [(_stored(vector), number) for (number, _), vector in zip(batch, vectors, strict=True)]
            await self._run(self._connection.executemany, _UPDATE, updates)
        await self._run(execute, _NEW_EMBEDDER, self._embedded_with)
        await self._run(execute, "COMMIT")

    async def _calibrate(self) -> float:
        """The cosine of unrelated prompts: the file's own, so that its scores stay, or a new one."""
        execute = self._connection.execute
        (known,) = await self._run(lambda: execute("SELECT unrelated_cosine FROM embedder").fetchone())
        if isinstance(known, float) and 0 <= known < 1:
            return known
        measured = await unrelated_cosine(self._embedder)
        await self._run(execute, "UPDATE embedder SET unrelated_cosine = ?", (measured,))
        return measured

    def _commit(self, changes: Sequence[_Change]) -> None:
        connection = self._connection
        connection.execute("BEGIN")
        try:
            connection.execute(_EXPIRE, (now_millis(),))
            for change in changes:
                connection.executemany(change.statement, change.parameters)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite has rolled back after some failures, such as a full disk
                connection.execute("ROLLBACK")
            raise

    def _load(self, cache_id: str) -> Index:
        index = Index(self._embedder.dimensions)
        rows = self._connection.execute(_SELECT, (cache_id,))
        while batch := rows.fetchmany(10_000):
            entries = [
                Entry(entry_id, prompt, response, _decode_attributes(attributes), expires_at)
                for entry_id, prompt, response, attributes, expires_at, _ in batch
            ]
            vectors = np.frombuffer(b"".join(row[5] for row in batch), np.float32)
            index.add(entries, vectors.reshape(len(batch), self._embedder.dimensions))
        return index


class SqliteStore(MemoryStore):
    """A `Store` that searches in memory. A change is made in the file first, then in memory."""

    def __init__(self, database: Database, cache_id: str, index: Index, unrelated: float) -> None:
        super().__init__(index, unrelated)
        self._database = database
        self._cache_id = cache_id

    async def add(self, entry: Entry, vector: Vectors) -> None:
        row = (
            self._cache_id,
            entry.id,
            entry.prompt,
            entry.response,
            _encode_attributes(entry.attributes).decode(),
            entry.expires_at,
            _stored(vector),
        )
        await self._database.change(_INSERT, [row], lambda: self._index.add([entry], vector[None]))

    async def delete(self, entry_id: str) -> bool:
        return await self._delete([entry_id]) == 1

    async def delete_matching(self, attributes: Mapping[str, str]) -> int:
        return await self._delete(self._index.matching(attributes))

    async def clear(self) -> None:
        await self._database.change(_CLEAR, [(self._cache_id,)], self._index.clear)

    async def _delete(self, entry_ids: Sequence[str]) -> int:
        rows = [(self._cache_id, entry_id) for entry_id in entry_ids]
        return await self._database.change(_DELETE, rows, lambda: self._index.remove(entry_ids))


def _stored(vector: Vectors) -> bytes:
    return np.asarray(vector, np.float32).tobytes()  # an embedder may give another type
