"""The rows of a SQLite file, each with a checksum that tells whether it is what was written."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from .sqlite_errors import damaged
from .store import Entry

__all__ = [
    "INSERT",
    "REPLACE",
    "SELECT",
    "EmbeddedWith",
    "Row",
    "embedder_values",
    "read_embedder",
    "read_id",
    "read_row",
    "values_of",
]

_COLUMNS = "number, cache_id, id, prompt, response, attributes, expires_at, vector, checksum"
_VALUES = f"INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT = f"INSERT {_VALUES}"
REPLACE = f"INSERT OR REPLACE {_VALUES}"
SELECT = f"SELECT {_COLUMNS} FROM entries"  # noqa: S608 (all of it is written here)

_encode_attributes = msgspec.json.Encoder().encode
_decode_attributes = msgspec.json.Decoder(dict[str, str]).decode


class EmbeddedWith(msgspec.Struct, frozen=True):
    """The embedder that made the vectors of a file."""

    name: str
    dimensions: int
    unrelated_cosine: float | None = None
    """The cosine of unrelated prompts, from which similarity counts. None: it was not measured yet."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row of the table of entries, whose checksum was found right, or will be computed."""

    number: int
    cache_id: str
    entry: Entry
    vector: bytes


def values_of(file_id: int, row: Row) -> tuple[Any, ...]:
    """The values of a row's columns, with its checksum."""
    entry = row.entry
    attributes = _encode_attributes(entry.attributes).decode()
    texts = (row.cache_id, entry.id, entry.prompt, entry.response, attributes)
    encoded = [text.encode() for text in texts]
    checksum = _checksum(file_id, row.number, encoded, entry.expires_at, row.vector)
    return row.number, *texts, entry.expires_at, row.vector, checksum


def read_row(path: Path, file_id: int, values: Sequence[Any]) -> Row:
    """The row of these values. Raises `DamagedError` if they are not what was written."""
    number, cache_id, entry_id, prompt, response, attributes, expires_at, vector, checksum = values
    try:
        texts = [cache_id, entry_id, prompt, response, attributes]
        if checksum == _checksum(file_id, number, texts, expires_at, vector):
            entry = Entry(
                id=entry_id.decode(),
                prompt=prompt.decode(),
                response=response.decode(),
                attributes=_decode_attributes(attributes),
                expires_at=expires_at,
            )
            return Row(number, cache_id.decode(), entry, vector)
    except (TypeError, ValueError, AttributeError):  # a value of another type
        pass
    raise damaged(path, f"entry {number} is not what was written")


def read_id(connection: sqlite3.Connection) -> int:
    """The id of a file, a random number from which its checksums begin."""
    (file_id,) = connection.execute("SELECT id FROM file").fetchone()
    return int.from_bytes(file_id, "big")


def embedder_values(file_id: int, embedded_with: EmbeddedWith) -> tuple[Any, ...]:
    """The values of the row that names the embedder, with its checksum."""
    name, dimensions, unrelated = msgspec.structs.astuple(embedded_with)
    return name, dimensions, unrelated, _embedder_checksum(file_id, name.encode(), dimensions, unrelated)


def read_embedder(connection: sqlite3.Connection, file_id: int) -> EmbeddedWith | None:
    """The embedder that made the vectors. None if the file does not say so."""
    query = "SELECT name, dimensions, unrelated_cosine, checksum FROM embedder"
    row = connection.execute(query).fetchone()
    try:
        name, dimensions, unrelated, checksum = row
        if checksum == _embedder_checksum(file_id, name, dimensions, unrelated):
            return EmbeddedWith(name.decode(), dimensions, unrelated)
    except (TypeError, ValueError):
        pass
    return None


def _embedder_checksum(file_id: int, name: bytes, dimensions: int, unrelated: float | None) -> int:
    return zlib.crc32(b"%d %a %b" % (dimensions, unrelated, name), file_id)


def _checksum(
    file_id: int, number: int, texts: Sequence[bytes], expires_at: int | None, vector: bytes
) -> int:
    lengths = b"%d %d %d %d %d %d %d " % (number, *map(len, texts), -1 if expires_at is None else expires_at)
    return zlib.crc32(b"".join((lengths, *texts, vector)), file_id)
