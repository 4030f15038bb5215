"""All entries of a cache in Redis, without an index and without the embedder that made their vectors."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator

from .redis_calls import Calls
from .redis_connect import Connection, checked_reply
from .redis_index import read_made
from .redis_model import Keys, read_entry
from .redis_queries import whole_number
from .redis_url import RedisUrl
from .store import Entry, StoreError

__all__ = ["redis_listing", "scan"]

_PAGE = 1000
_AT_ONCE = 100
"""How many entries are read at once: each may have megabytes."""


@contextlib.asynccontextmanager
async def redis_listing(
    url: RedisUrl, cache_id: str
) -> AsyncGenerator[tuple[str, AsyncIterator[Entry]], None]:
    """The name of the embedder, and the entries, oldest first. Raises `StoreError`."""
    connection = Connection(url)
    try:
        await connection.open()
        base = Keys(url.prefix, cache_id, "", 0)
        call = connection.calls(base.meta)
        made = await read_made(call, base.meta)
        if made is None:
            raise StoreError(f"there are no entries of {base.base} in Redis")
        keys = Keys(url.prefix, cache_id, made.embedder, made.dimensions)
        yield made.embedder, _entries(call, keys)
    finally:
        await connection.close()


async def _entries(call: Calls, keys: Keys) -> AsyncIterator[Entry]:
    numbered: list[tuple[int, bytes]] = []
    async for found in scan(call, keys.base):
        own = [key for key in found if key.startswith(keys.entries.encode())]
        replies = await call(*(("HGET", key, "number") for key in own))
        for key, value in zip(own, map(checked_reply, replies), strict=True):
            if (number := whole_number(value)) is not None:
                numbered.append((number, key))
    numbered = sorted(set(numbered))  # SCAN may give a key more than once
    for start in range(0, len(numbered), _AT_ONCE):
        replies = await call(*(("HGET", key, "entry") for _, key in numbered[start : start + _AT_ONCE]))
        for content in map(checked_reply, replies):
            if content is not None:  # else it has expired, or was deleted, since then
                yield read_entry(content)


async def scan(call: Calls, base: str) -> AsyncIterator[list[bytes]]:
    """The keys of all entries of a cache, of every embedder. ``base`` is what its keys begin with."""
    cursor = b"0"
    of_cache = re.compile(re.escape(base.encode()) + rb":[0-9a-f]{16}:e:.*", re.DOTALL)
    while True:
        (reply,) = await call(("SCAN", cursor, "MATCH", f"{base}:*:e:*", "COUNT", _PAGE))
        cursor, listed = checked_reply(reply)
        if keys := [key for key in listed if of_cache.fullmatch(key)]:
            yield keys
        if cursor == b"0":
            return
