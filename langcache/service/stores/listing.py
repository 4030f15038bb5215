"""All entries of a cache, from the place that keeps them: without the service, and without its embedder."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from pathlib import Path

import msgspec

from .. import missing_extra

try:
    from .sqlite_errors import SQLITE_ERRORS, check_is_file, reason_of
    from .sqlite_file import SqliteFile
    from .sqlite_rows import EmbeddedWith
    from .store import Entry, StoreError, now_millis
except ImportError as _error:
    raise missing_extra(_error.name or "numpy") from _error

__all__ = ["Listing", "file_embedder", "listing"]


class Listing(msgspec.Struct, frozen=True):
    """What a place says of a cache, and its entries."""

    embedder: str
    """The name of the embedder that made the vectors; empty if the place does not say so."""

    entries: AsyncIterator[Entry]
    """Those that have not expired, oldest first. May raise `StoreError`."""


@contextlib.asynccontextmanager
async def listing(place: Path | str, cache_id: str) -> AsyncGenerator[Listing, None]:
    """Open a SQLite file, or the Redis of a URL, to list a cache's entries. Nothing is changed, or embedded.

    Entries that are added meanwhile may be missing. Raises `StoreError` if there is no such place or cache,
    or if it can't be read: a file that a service has open is in use.
    """
    if isinstance(place, Path):
        with _file(place) as file:
            made = file.embedded_with()
            yield Listing("" if made is None else made.name, _of_file(file, cache_id))
        return
    from .redis_listing import redis_listing  # needs the extra redis
    from .redis_url import redis_url

    async with redis_listing(redis_url(place), cache_id) as (embedder, entries):
        yield Listing(embedder, _unexpired(entries))


def file_embedder(path: Path) -> str:
    """The name of the embedder that made the vectors of a file; empty if it does not say so, or is new.

    Raises `StoreError`.
    """
    if not path.stat().st_size:
        return ""
    with _file(path) as file:
        made = file.embedded_with()
        return "" if made is None else made.name


@contextlib.contextmanager
def _file(path: Path) -> Generator[SqliteFile, None, None]:
    check_is_file(path)
    if not path.stat().st_size:
        raise StoreError(f"the database {path} is an empty file")
    file = SqliteFile(path)
    try:
        file.open(EmbeddedWith("", 0), 0)
        with contextlib.closing(file):
            yield file
    except SQLITE_ERRORS as error:
        raise reason_of(path, error) from error


async def _of_file(file: SqliteFile, cache_id: str) -> AsyncIterator[Entry]:
    now, count, others = now_millis(), 0, set[str]()
    for row in file.rows():
        if row.cache_id != cache_id:
            others.add(row.cache_id)
        elif row.entry.expires_at is None or row.entry.expires_at > now:
            count += 1
            yield row.entry
    if others and not count:
        raise StoreError(
            f"{file.path} has no entries of a cache {cache_id!r}; it has some of {', '.join(sorted(others))}"
        )


async def _unexpired(entries: AsyncIterator[Entry]) -> AsyncIterator[Entry]:
    now = now_millis()
    async for entry in entries:
        if entry.expires_at is None or entry.expires_at > now:
            yield entry
