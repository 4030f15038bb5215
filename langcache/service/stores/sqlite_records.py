"""The records in a SQLite file, each with a checksum."""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from .records import Contents
from .sqlite_errors import SQLITE_ERRORS, damaged
from .sqlite_file import SqliteFile

__all__ = ["SqliteRecords", "copy_records"]


class _Changes(Protocol):
    def change(self, run: Any, then: Any = ..., frees: bool = ...) -> Any: ...


class SqliteRecords:
    """`Records` in the file of a `Database`. A change is on disk before `replace` returns."""

    shared = False

    def __init__(self, database: _Changes) -> None:
        self._database = database
        self._changes = 0

    async def read(self, known: bytes | None) -> Contents | None:
        """See `Records.read`."""
        version = b"%d" % self._changes
        if version == known:
            return None
        return Contents(version, await self._database.change(_read))

    async def replace(self, name: str, before: bytes | None, after: bytes | None) -> bool:
        """See `Records.replace`."""

        def change(file: SqliteFile) -> bool:
            return _replace(file, name, before, after)

        def count(changed: bool) -> None:
            self._changes += changed

        done: bool = await self._database.change(change, count)
        return done


def copy_records(connection: sqlite3.Connection, file_id: int, renewed: SqliteFile) -> None:
    """Copy the records of a damaged file that are intact."""
    with contextlib.suppress(*SQLITE_ERRORS):
        for name, value, checksum in connection.execute("SELECT name, value, checksum FROM records"):
            with contextlib.suppress(TypeError, ValueError, AttributeError):
                if checksum == _checksum(file_id, name, value):
                    _replace(renewed, name.decode(), None, value)


def _read(file: SqliteFile) -> dict[str, bytes]:
    return dict(_rows(file.path, file.connection, file.file_id))


def _rows(path: Path, connection: sqlite3.Connection, file_id: int) -> Iterator[tuple[str, bytes]]:
    for name, value, checksum in connection.execute("SELECT name, value, checksum FROM records"):
        try:
            intact = checksum == _checksum(file_id, name, value)
        except TypeError:  # a value of another type
            intact = False
        if not intact:
            raise damaged(path, "a record of a cache or of a key is not what was written")
        yield name.decode(), value


def _replace(file: SqliteFile, name: str, before: bytes | None, after: bytes | None) -> bool:
    execute = file.connection.execute
    row = execute("SELECT value FROM records WHERE name = ?", (name,)).fetchone()
    if (None if row is None else row[0]) != before:
        return False
    execute("DELETE FROM records WHERE name = ?", (name,))
    if after is not None:
        checksum = _checksum(file.file_id, name.encode(), after)
        execute("INSERT INTO records VALUES (?, ?, ?)", (name, after, checksum))
    return True


def _checksum(file_id: int, name: bytes, value: bytes) -> int:
    return zlib.crc32(b"%d %b\0%b" % (len(name), name, value), file_id)
