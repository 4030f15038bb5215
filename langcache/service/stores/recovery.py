"""Keep what is intact of a damaged database file."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from .sqlite_errors import SQLITE_ERRORS, DamagedError, beside, check_is_file, connect, reason_of
from .sqlite_file import PAGE_BYTES, SqliteFile
from .sqlite_records import copy_records
from .sqlite_rows import SELECT, EmbeddedWith, Row, read_embedder, read_id, read_row
from .store import StoreError
from .wal import wal_state

__all__ = ["Recovery", "recover"]

_MOST_TRIED = 100_000
"""How many rows are looked for one by one, a second's work, where no index tells their numbers."""


class Recovery(msgspec.Struct, frozen=True):
    """What was found in a file."""

    kept: int
    """The number of intact entries."""

    lost: int | None
    """The number of damaged entries. None: the file no longer tells how many there were."""

    moved_to: Path | None
    """Where the damaged file is now. None: the file is intact, and nothing was changed."""


def recover(path: Path) -> Recovery:
    """Move a damaged file aside, and put one with its intact entries in its place.

    Entries that were deleted do not come back, unless the write-ahead log is damaged: later changes are lost,
    deletes included. Raises `StoreError` if the file can't be read, is in use, is of something else than
    langcache, or if no entry is intact; then nothing was changed. Takes some milliseconds for 1,000 entries,
    and as much room on the disk as the file has.
    """
    try:
        return _intact(path)
    except DamagedError:
        pass
    renewed = SqliteFile(beside(path, ".recovering"))
    try:
        log = beside(path, "-wal")
        is_log_damaged = log.exists() and wal_state(log.read_bytes()) == "damaged"
        kept, lost = _copy(path, renewed)
        if is_log_damaged:  # SQLite reads it up to the damage, and what came later nobody can count
            lost = None
        if not kept:
            raise StoreError(
                f"no entry of {path} is intact; move the file away, and serve begins with a new one"
            )
        aside = next(name for number in count(1) if not (name := beside(path, f".damaged-{number}")).exists())
        for suffix in ("-wal", ""):
            if (part := beside(path, suffix)).exists():
                part.replace(beside(aside, suffix))
        renewed.path.replace(path)
    except (OSError, *SQLITE_ERRORS) as error:
        raise reason_of(path, error) from error
    finally:
        for name in (renewed.path, beside(path, ".copied")):
            for suffix in ("", "-wal", "-journal", "-reserve"):
                beside(name, suffix).unlink(missing_ok=True)
        beside(path, "-shm").unlink(missing_ok=True)
    return Recovery(kept, lost, aside)


def _intact(path: Path) -> Recovery:
    """What is in a file that is intact. Raises `StoreError`."""
    check_is_file(path)
    file = SqliteFile(path)
    try:
        file.open(EmbeddedWith("", 0), 0)
        with contextlib.closing(file):
            return Recovery(sum(1 for _ in file.rows()), 0, None)
    except SQLITE_ERRORS as error:
        raise reason_of(path, error) from error


def _copy(path: Path, renewed: SqliteFile) -> tuple[int, int | None]:
    """Copy the intact entries. Returns their number and that of the others."""
    renewed.path.unlink(missing_ok=True)
    renewed.open(EmbeddedWith("", 0), 0)  # the name of no embedder: the prompts may have to be embedded again
    with contextlib.closing(renewed):
        try:
            with contextlib.closing(connect(path, "mode=ro")) as connection:
                found = _copy_rows(path, connection, renewed)
            if found[0]:
                return found
        except SQLITE_ERRORS as error:
            if "locked" in str(error):
                raise
            renewed.end("ROLLBACK")
        # It may be the first page that is damaged, and with it all that says where the others belong.
        copied = beside(path, ".copied")
        shutil.copyfile(path, copied)
        _replace_first_page(copied, renewed.path)
        try:
            with contextlib.closing(connect(copied, "mode=ro&immutable=1")) as connection:
                return _copy_rows(path, connection, renewed)
        except SQLITE_ERRORS:
            return 0, None


def _copy_rows(path: Path, connection: sqlite3.Connection, renewed: SqliteFile) -> tuple[int, int | None]:
    file_id = read_id(connection)
    kept = wrong = 0
    renewed.begin()
    for values in _readable(connection):
        try:
            row: Row = read_row(path, file_id, values)
        except DamagedError:
            wrong += 1
        else:
            renewed.replace([row])
            kept += 1
    with contextlib.suppress(*SQLITE_ERRORS):
        if embedder := read_embedder(connection, file_id):
            renewed.set_embedder(embedder)
    copy_records(connection, file_id, renewed)
    renewed.end("COMMIT")
    try:
        (before,) = connection.execute("SELECT count(*) FROM entries INDEXED BY entries_by_id").fetchone()
    except SQLITE_ERRORS:
        return kept, None
    return kept, max(before - kept, wrong)


def _readable(connection: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """The rows in pages that SQLite can read."""

    def numbers(after: int, last: int) -> Sequence[int]:
        """The numbers of the rows in a part of the table that can't be read in order."""
        query = "SELECT number FROM entries INDEXED BY entries_by_id WHERE number > ? AND number <= ?"
        try:
            return sorted(number for (number,) in connection.execute(query, (after, last)))
        except (*SQLITE_ERRORS, TypeError):
            return range(after + 1, min(last, after + _MOST_TRIED) + 1)

    last = 0
    while True:
        try:
            for values in connection.execute(f"{SELECT} WHERE number > ? ORDER BY number", (last,)):
                if values[0] <= last:
                    raise sqlite3.DatabaseError("rows are out of order")
                last = values[0]
                yield values
            return
        except SQLITE_ERRORS:
            step = _next_readable(connection, last)
        if step is None:
            return
        for number in numbers(last, last + step):
            with contextlib.suppress(*SQLITE_ERRORS):
                yield from connection.execute(f"{SELECT} WHERE number = ?", (number,)).fetchall()
        last += step


def _next_readable(connection: sqlite3.Connection, last: int) -> int | None:
    """How far behind ``last`` rows can be read again. None: none can."""
    step = 1
    while last + step < 2**62:
        try:
            connection.execute(
                f"{SELECT} WHERE number > ? ORDER BY number LIMIT 1", (last + step,)
            ).fetchone()
        except SQLITE_ERRORS:
            step *= 2
        else:
            return step
    return None


def _replace_first_page(copied: Path, renewed: Path) -> None:
    """Give a file the first page of another one: their tables begin in the same pages."""
    page = bytearray(renewed.read_bytes()[:PAGE_BYTES])
    page[18:20] = b"\1\1"  # no write-ahead log
    page[28:32] = (copied.stat().st_size // PAGE_BYTES).to_bytes(4, "big")
    page[32:40] = bytes(8)  # no list of free pages
    page[92:96] = page[24:28]
    with copied.open("r+b") as file:
        file.write(page)
