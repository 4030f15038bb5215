"""Embed the entries of a cache in Redis anew, while services go on with the former vectors."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from secrets import token_hex
from typing import Any

import msgspec

from ..calibration import unrelated_cosine
from ..embedders import Embedder
from ..vectors import embed
from .redis_calls import Command
from .redis_connect import Connection, checked_reply, scripted
from .redis_index import CacheIndex, IncompleteError, create, has_all, is_missing
from .redis_listing import scan
from .redis_model import Keys, Made, fields, read_entry
from .redis_queries import read, whole_number
from .redis_url import RedisUrl
from .store import StoreError

__all__ = ["reembed"]

_AT_ONCE = 64
"""How many prompts are embedded in one call. Every known endpoint accepts as many."""

_LOOK_SECONDS = 0.05

_BEGIN = """
if redis.call('HGET', KEYS[1], 'made') ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[1], 'anew') == ARGV[2] then return 1 end
redis.call('HSET', KEYS[1], 'anew', ARGV[2], 'former', ARGV[3], 'copied', 0)
return 2
"""
"""Notes where copies go, so that deletes reach them. Returns 0 if the metadata are not what is expected, 1 if
that was noted before, by a run that was stopped, and 2 if it is new.

Keys: metadata. Arguments: the expected metadata, what the keys of copies and of entries begin with.
"""

_COPY = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[2], unpack(ARGV, 2))
local millis = redis.call('PTTL', KEYS[1])
if millis > 0 then redis.call('PEXPIRE', KEYS[2], millis) end
if ARGV[1] == 'move' then redis.call('UNLINK', KEYS[1]) end
return 1
"""
"""Copies an entry that is there. Keys: the entry, its copy. Arguments: copy or move, fields of the copy."""

_FLIP = """
if redis.call('HGET', KEYS[1], 'made') ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[1], 'anew') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'made', ARGV[3])
redis.call('HDEL', KEYS[1], 'anew')
return 1
"""
"""Has copies take the place of entries, if all is as expected. Keys: metadata. Arguments: the expected
metadata and beginning of the copies' keys, the new metadata.
"""


async def reembed(
    url: RedisUrl, cache_id: str, embedder: Embedder, progress: Callable[[int, None], None] | None = None
) -> int:
    """Embed all entries of a cache with another embedder, which has been started.

    Until that is done, services with the former embedder use the cache as before: what they add is embedded
    too, and what they delete is gone. Then their calls fail, and services with the new embedder can start. A
    run that was stopped is taken up where it ended. Returns how many entries were embedded in this run, 0 if
    the cache has the embedder already. Raises `StoreError`, also if there is no such cache, and
    `EmbedderError`. ``progress`` is called with how many are embedded so far.
    """
    connection = Connection(url)
    try:
        await connection.open()
        return await _Reembedding(connection, url, cache_id, embedder, progress).run()
    finally:
        await connection.close()


class _Reembedding:
    def __init__(
        self,
        connection: Connection,
        url: RedisUrl,
        cache_id: str,
        embedder: Embedder,
        progress: Callable[[int, None], None] | None,
    ) -> None:
        self._connection = connection
        self._url = url
        self._cache_id = cache_id
        self._embedder = embedder
        self._keys = Keys(url.prefix, cache_id, embedder.name, embedder.dimensions)
        self._call = connection.calls(self._keys.meta)
        self._count = 0
        self._progress = progress

    async def run(self) -> int:
        encoded = await self._field("made")
        if encoded is None:
            raise StoreError(f"there are no entries of {self._keys.base} in Redis")
        made = Made.read(encoded)
        if (made.embedder, made.dimensions) != (self._embedder.name, self._embedder.dimensions):
            await self._copy_all(made)
        await self._finish()
        return self._count

    async def _copy_all(self, before: Made) -> None:
        """Copy the entries with new vectors, and then have the metadata name the new embedder."""
        former = Keys(self._url.prefix, self._cache_id, before.embedder, before.dimensions)
        made_by = (before.embedder, before.dimensions)
        index = CacheIndex(self._connection, former, made_by, _unknown, None, self._url.seconds)
        try:
            unrelated = await unrelated_cosine(self._embedder)
            await self._make_index(before)
            await self._copy_and_flip(index, former, unrelated)
        finally:
            await index.close()

    async def _copy_and_flip(self, index: CacheIndex, former: Keys, unrelated: float) -> None:
        while True:
            state = await _complete(index)
            begun = (1, former.meta, state.encoded, self._keys.entries, former.entries)
            how = await scripted(self._call, _BEGIN, *begun)
            if how == 2:  # copies of a run before another one have not lost what was deleted since
                await self._unlink(own=True)
            while how and (listed := await self._oldest(index)):
                await self._copy(await self._contents(listed), former.entries, "copy")
            # What is added from here on, some milliseconds, is moved when the metadata have changed.
            after = msgspec.structs.replace(
                state.made,
                embedder=self._embedder.name,
                dimensions=self._embedder.dimensions,
                unrelated_cosine=unrelated,
                build=token_hex(4),
            )
            flipped = (1, former.meta, state.encoded, self._keys.entries, after.encoded())
            if how and await scripted(self._call, _FLIP, *flipped):
                return
            index.forget(state)  # the metadata have changed otherwise: an index was made anew, say

    async def _oldest(self, index: CacheIndex) -> list[bytes]:
        """The keys of the oldest entries that have no copy yet."""
        copied = int(await self._field("copied") or 0)

        def oldest(name: str) -> list[Command]:
            return [
                (
                    *("FT.SEARCH", name, f"@number:[({copied} +inf]", "SORTBY", "number", "ASC"),
                    *("LIMIT", 0, _AT_ONCE, "RETURN", 1, "number"),
                    *("TIMEOUT", int(self._url.seconds * 1000), "DIALECT", 2),
                )
            ]

        (reply,), _, _ = await index.search(oldest)
        return [hit.key for hit in read(reply, _AT_ONCE).hits if hit.expires_at]

    async def _contents(self, keys: Sequence[bytes]) -> list[tuple[bytes, int, bytes]]:
        """Key, number and content of those entries that are there."""
        if not keys:
            return []
        replies = await self._call(*(("HMGET", key, "number", "entry") for key in keys))
        rows = zip(keys, map(checked_reply, replies), strict=True)
        numbered = ((key, whole_number(number), entry) for key, (number, entry) in rows)
        return [
            (key, number, entry)
            for key, number, entry in numbered
            if number is not None and entry is not None
        ]

    async def _copy(self, rows: Sequence[tuple[bytes, int, bytes]], former: str, how: str) -> None:
        if not rows:  # they have expired since they were listed
            await asyncio.sleep(_LOOK_SECONDS)
            return
        entries = [read_entry(content) for _, _, content in rows]
        vectors = await embed(self._embedder, [entry.prompt for entry in entries])
        scripts: list[Awaitable[int]] = []
        for (key, number, _), entry, vector in zip(rows, entries, vectors, strict=True):
            copy = self._keys.entries.encode() + key.removeprefix(former.encode())
            given = (2, key, copy, how, "number", number, *fields(entry, vector))
            scripts.append(scripted(self._call, _COPY, *given))
        self._count += sum(await asyncio.gather(*scripts))
        if self._progress is not None:
            self._progress(self._count, None)
        if how == "copy":  # in the order of their numbers
            (reply,) = await self._call(("HSET", self._keys.meta, "copied", rows[-1][1]))
            checked_reply(reply)

    async def _make_index(self, before: Made) -> None:
        index = (self._call, self._keys, before.index, self._embedder.dimensions)
        await create(*index, new=False)
        while True:
            if await has_all(*index):
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _finish(self) -> None:
        """Move what was added last, and delete what other embedders left: former entries and indexes."""
        former, copied = await self._field("former"), int(await self._field("copied") or 0)
        if former is not None:
            async for keys in self._scan(own=False):
                begun = [key for key in keys if key.startswith(former)]
                late = [row for row in await self._contents(begun) if row[1] > copied]
                for start in range(0, len(late), _AT_ONCE):
                    await self._copy(late[start : start + _AT_ONCE], former.decode(), "move")
        await self._unlink(own=False)
        (names,) = await self._call(("FT._LIST",))
        own = self._keys.entries.removesuffix("e:").encode()
        for name in checked_reply(names):
            if self._of_cache(name, rb"(flat|hnsw)") and not name.startswith(own):
                (reply,) = await self._call(("FT.DROPINDEX", name))
                if not is_missing(reply):
                    checked_reply(reply)
        (reply,) = await self._call(("HDEL", self._keys.meta, "anew", "former", "copied"))
        checked_reply(reply)

    async def _unlink(self, own: bool) -> None:
        async for keys in self._scan(own):
            (reply,) = await self._call(("UNLINK", *keys))
            checked_reply(reply)

    async def _scan(self, own: bool) -> AsyncIterator[list[bytes]]:
        """The keys of the new embedder's entries, or of those of all others."""
        async for keys in scan(self._call, self._keys.base):
            wanted = [key for key in keys if key.startswith(self._keys.entries.encode()) == own]
            if wanted:
                yield wanted

    def _of_cache(self, name: bytes, what: bytes) -> bool:
        before = re.escape(self._keys.base.encode()) + rb":[0-9a-f]{16}:"
        return re.fullmatch(before + what, name, re.DOTALL) is not None

    async def _field(self, name: str) -> bytes | None:
        (reply,) = await self._call(("HGET", self._keys.meta, name))
        found: bytes | None = checked_reply(reply)
        return found


async def _complete(index: CacheIndex) -> Any:
    while True:
        try:
            return await index.state()
        except IncompleteError:  # which is a matter of time
            await asyncio.sleep(_LOOK_SECONDS)


async def _unknown() -> float:
    raise StoreError("the metadata of the cache have gone")
