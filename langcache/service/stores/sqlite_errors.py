"""Connections to a SQLite file, and errors that name the file, the reason and the way out."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from .store import StoreError

__all__ = [
    "SQLITE_ERRORS",
    "DamagedError",
    "beside",
    "check_is_file",
    "connect",
    "damaged",
    "reason_of",
    "unusable",
]


SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What Python raises for a file that SQLite can't read. A message may quote altered bytes, no UTF-8."""


class DamagedError(StoreError):
    """The file is not as it was written."""


def connect(path: Path, options: str) -> sqlite3.Connection:
    """A connection that begins no transactions by itself, and does not wait for locks."""
    address = f"{path.absolute().as_uri()}?{options}"
    connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=0)
    connection.text_factory = bytes  # checksums are of bytes, and altered ones may be no UTF-8
    return connection


def beside(path: Path, suffix: str) -> Path:
    """The path of a file that belongs to a database."""
    return path.with_name(path.name + suffix)


def check_is_file(path: Path) -> None:
    """Raise `StoreError` if there is no database at a path, or what is there is no file."""
    if not path.exists():
        raise StoreError(f"there is no database {path}")
    if not path.is_file():
        raise unusable(path, "it is not a file")


def damaged(path: Path, what: str) -> DamagedError:
    """The error for a file that is not as it was written."""
    return DamagedError(
        f"the database {path} is damaged: {what}; `python -m langcache recover {path}` keeps what is intact"
    )


def unusable(path: Path, why: str) -> StoreError:
    """The error for a file that can't be used for another reason."""
    return StoreError(f"the database {path} can't be used: {why}")


def reason_of(path: Path, error: BaseException) -> StoreError:
    """The `StoreError` for whatever went wrong with a file."""
    if isinstance(error, StoreError):
        return type(error)(*error.args)
    if isinstance(error, UnicodeDecodeError):
        return damaged(path, "a text in it can't be decoded")
    text = str(error)
    if isinstance(error, sqlite3.Error):
        if "locked" in text:
            return unusable(path, "it is in use, by another process or another client or service of this one")
        if "not a database" in text:
            return damaged(path, "it is not a database, or its first bytes have been altered")
        if type(error) is sqlite3.DatabaseError or any(word in text for word in _DAMAGE):
            return damaged(path, text)
        if lacking := _lacking_permission(path):  # of which SQLite may only say "disk I/O error"
            return unusable(path, lacking)
    return unusable(
        path, "there is not enough memory" if isinstance(error, MemoryError) else text or repr(error)
    )


def _lacking_permission(path: Path) -> str | None:
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return "there is no permission to read and write it"
    if path.parent.exists() and not os.access(path.parent, os.W_OK | os.X_OK):
        return f"there is no permission to write in its folder {path.parent}, which has more files of it"
    return None


_DAMAGE = ("malformed", "no such table", "no such column", "unsupported file format", "decode to UTF-8")
