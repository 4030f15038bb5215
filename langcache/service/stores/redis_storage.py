"""The storage that keeps entries in Redis, which any number of services can share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from ..calibration import calibrated, unrelated_cosine
from ..config import CacheSettings
from ..embedders import Embedder, Vectors
from ..vectors import checked_row
from .redis_calls import Command
from .redis_connect import Connection, checked_reply, scripted
from .redis_eviction import Eviction
from .redis_index import CacheIndex, read_made
from .redis_model import ADD, DELETE, Keys, fields, prompt_tag, read_entry, tags, vector_tag
from .redis_queries import MOST, Hit, by_tags, count, in_millionths, nearest, page, read, whole_number
from .redis_records import RedisRecords
from .redis_url import RedisUrl
from .store import Entry, Found, StoreError, now_millis

__all__ = ["RedisStorage", "RedisStore"]

_SPARE = 1
"""How many more entries than needed are asked for: one may have expired, or match as well as the last."""

_WIDER = 10
"""By how much more are asked for if those were too few."""

_EQUALS = 200
"""Of how many equally near entries the newest are looked for."""

_PAGE = 1000
"""How many entries are deleted at once."""

_LONGEST_MILLIS = 10**14
"""The longest time to live that Redis is told, 3,000 years."""

_TRIES = 4


class RedisStorage:
    """A `Storage` in Redis, with the search of Redis 8, Redis Stack or the module redisearch.

    What is durable, and what is lost in a failover, is as Redis is set up. Services with the same URL and the
    same embedder share their entries; a service with another embedder is refused.

    Args:
        url: where Redis is.
        embedder: makes the vectors.
        clock: gives the time in milliseconds since the epoch.
    """

    name = "redis"

    def __init__(self, url: RedisUrl, embedder: Embedder, clock: Callable[[], int] = now_millis) -> None:
        self._url = url
        self._embedder = embedder
        self._clock = clock
        self._connection = Connection(url)
        self._indexes: dict[str, CacheIndex] = {}
        self.records: RedisRecords = RedisRecords(self._connection, url.prefix)
        self._unrelated: float | None = None

    async def open(self) -> None:
        """Connect. Raises `StoreError` if Redis can't be used."""
        await self._connection.open()

    async def store(self, cache: CacheSettings) -> RedisStore:
        """The store of a cache. Raises `StoreError`, also if another embedder made its entries."""
        store, index = self._made_by(cache.cache_id, self._embedder.name, self._embedder.dimensions)
        if former := self._indexes.get(cache.cache_id):
            await former.close()
        self._indexes[cache.cache_id] = index
        await index.suggest()
        index.switch()
        await store.keep_at_most(cache.max_entries)
        return store

    async def drop(self, cache: CacheSettings, flush: bool) -> None:
        """See `Storage.drop`. Indexes are removed with the entries."""
        if index := self._indexes.pop(cache.cache_id, None):
            await index.close()
        if flush:
            meta = Keys(self._url.prefix, cache.cache_id, "", 0).meta
            made = await read_made(self._connection.calls(meta), meta)
            embedder, dimensions = (
                (self._embedder.name, self._embedder.dimensions)
                if made is None
                else (made.embedder, made.dimensions)
            )
            store, index = self._made_by(cache.cache_id, embedder, dimensions)
            try:
                await store.clear()
                await index.remove()
            finally:
                await index.close()

    def _made_by(self, cache_id: str, embedder: str, dimensions: int) -> tuple[RedisStore, CacheIndex]:
        """The store of a cache whose vectors are by this embedder, and its index."""
        keys = Keys(self._url.prefix, cache_id, embedder, dimensions)
        wanted, seconds = self._url.index, self._url.seconds
        index = CacheIndex(
            self._connection, keys, (embedder, dimensions), self._unrelated_cosine, wanted, seconds
        )
        return RedisStore(self._connection, keys, index, dimensions, seconds, self._clock), index

    async def close(self) -> None:
        """Finish the calls that there are, and close the connections."""
        for index in self._indexes.values():
            await index.close()
        await self._connection.close()

    async def _unrelated_cosine(self) -> float:
        if self._unrelated is None:
            self._unrelated = await unrelated_cosine(self._embedder)
        return self._unrelated


class RedisStore:
    """A `Store` in Redis.

    If a connection breaks in the middle of a change, or Redis does not answer in time, the change raises
    `StoreError` and may have been made all the same; many entries are deleted by and by, so some of them may
    be gone then.
    """

    def __init__(
        self,
        connection: Connection,
        keys: Keys,
        index: CacheIndex,
        dimensions: int,
        seconds: float,
        clock: Callable[[], int],
    ) -> None:
        self._call = connection.calls(keys.meta)
        self._keys = keys
        self._index = index
        self._dimensions = dimensions
        self._millis = max(1, int(seconds * 1000))
        self._clock = clock
        self._added = 0
        self._eviction: Eviction | None = None

    async def keep_at_most(self, entries: int | None) -> None:
        """Keep about so many entries from now on, the newest. None: any number."""
        self._eviction = None
        if entries is not None:
            self._eviction = Eviction(entries, self._index, self._unlink, self._millis)
            await self._eviction.evict()

    async def add(self, entry: Entry, vector: Vectors) -> None:
        vector = checked_row(vector, self._dimensions)
        named = fields(entry, vector)
        size = len(entry.prompt) + len(entry.response) + vector.nbytes
        for _ in range(_TRIES):
            state = await self._index.state()
            millis = (
                "" if entry.expires_at is None else min(entry.expires_at - self._clock(), _LONGEST_MILLIS)
            )
            if millis != "" and int(millis) <= 0:
                return  # it has expired already
            given = (2, self._keys.meta, self._keys.entry(entry.id), state.encoded, millis, *named)
            if await scripted(self._call, ADD, *given, size=size):
                break
            self._index.forget(state)
        else:
            raise StoreError("the metadata of the cache change all the time")
        self._added += 1
        if self._added % _PAGE == 0:
            await self._index.suggest()
        if self._eviction is not None:
            await self._eviction.added()

    async def same(self, prompt: str, attributes: Mapping[str, str], limit: int) -> Found:
        all_of = (prompt_tag(prompt), *tags(attributes))
        limit = min(limit, MOST)
        empty: set[bytes] = set()
        for asked in _widths(limit):

            def newest(index: str, asked: int = asked) -> list[Command]:
                return [by_tags(index, all_of, asked, asked == limit + _SPARE, self._millis)]

            (reply,), _, _ = await self._index.search(newest)
            hits = read(reply, asked)
            alive = self._alive(hits.hits, empty)
            if len(alive) >= limit or hits.are_all:
                found = await self._whole([(1.0, hit) for hit in alive[:limit]], empty)
                if found is not None:
                    return found
        raise StoreError("too many entries have expired at once")

    async def nearest(self, vector: Vectors, attributes: Mapping[str, str], limit: int) -> Found:
        vector = checked_row(vector, self._dimensions)
        if not vector.any():
            return []
        all_of = tags(attributes)
        twins_of = (vector_tag(vector), *all_of)
        itself = in_millionths((1 + float(vector.astype(float) @ vector.astype(float))) / 2)
        limit = min(limit, MOST)
        empty: set[bytes] = set()
        for asked in _widths(limit):
            # Which of many equal vectors are the nearest is left to chance, so the newest are asked for too.
            # What is in them is asked for once it is known which they are, unless they are few.
            def near(index: str, asked: int = asked) -> list[Command]:
                return [
                    nearest(index, vector, all_of, asked, asked == limit + _SPARE, self._millis),
                    by_tags(index, twins_of, limit + _SPARE, False, self._millis),
                ]

            (reply, of_twins), state, _ = await self._index.search(near)
            hits, twins = read(reply, asked), read(of_twins, limit + _SPARE)
            scored = {hit.key: (itself, hit) for hit in self._alive(twins.hits, empty)}
            scored.update((hit.key, (hit.similarity, hit)) for hit in self._alive(hits.hits, empty))
            best = sorted(scored.values(), key=lambda each: (-each[0], -each[1].number))[:limit]
            if hits.are_all or _are_best(best, limit, hits.hits, asked):
                found = await self._whole(best, empty)
                if found is not None:
                    unrelated = state.made.unrelated_cosine
                    return [(calibrated(similarity, unrelated), entry) for similarity, entry in found]
        raise StoreError("too many entries have expired or changed at once")

    async def delete(self, entry_id: str) -> bool:
        key = self._keys.entry(entry_id)
        (expires_at,) = await self._call(("HGET", key, "expires_at"))
        expires_at = whole_number(checked_reply(expires_at))
        expired = expires_at is not None and expires_at <= self._clock()
        return await self._unlink([key]) == 1 and not expired

    async def delete_matching(self, attributes: Mapping[str, str]) -> int:
        return await self._delete_all(tags(attributes))

    async def clear(self) -> None:
        await self._delete_all(())

    async def size(self) -> int:
        (info,), _, _ = await self._index.search(lambda index: [("FT.INFO", index)])
        return count(info)

    async def check(self) -> None:
        def none(index: str) -> list[Command]:
            return [by_tags(index, (prompt_tag(""),), 1, False, self._millis)]

        (reply,), _, _ = await self._index.search(none)
        read(reply, 1)
        await self._index.check()

    async def _delete_all(self, all_of: Sequence[str]) -> int:
        """Delete what has all of some tags, and was there when this began. Returns the number."""
        deleted = 0
        upto: int | None = None
        keys: set[bytes] = set()
        while True:

            def listing(index: str, upto: int | None = upto) -> list[Command]:
                return [page(index, all_of, upto, _PAGE, self._millis)]

            (reply,), _, last = await self._index.search(listing)
            hits = read(reply, _PAGE).hits
            upto = last if upto is None else upto
            if not hits:
                return deleted
            before, keys = keys, {hit.key for hit in hits}
            if keys == before:
                raise StoreError("Redis lists entries that it does not have")
            alive = {hit.key for hit in self._alive(hits)}
            deleted += await self._unlink(alive)
            await self._unlink(keys - alive)

    async def _unlink(self, keys: Collection[bytes]) -> int:
        """Delete entries by their keys. Returns the number of those that were there."""
        if not keys:
            return 0
        for _ in range(_TRIES):
            state = await self._index.state()
            given = (1 + len(keys), self._keys.meta, *keys, state.encoded, self._keys.entries)
            deleted = await scripted(self._call, DELETE, *given, again=False)
            if deleted >= 0:
                return deleted
            self._index.forget(state)
        raise StoreError("the metadata of the cache change all the time")

    def _alive(self, hits: Sequence[Hit], empty: Collection[bytes] = ()) -> list[Hit]:
        now = self._clock()
        return [hit for hit in hits if hit.expires_at > now and hit.key not in empty]

    async def _whole(self, scored: Sequence[tuple[float, Hit]], empty: set[bytes]) -> Found | None:
        """The entries of hits, with their similarity.

        None if there is nothing in one: it has gone since it was found, or is none. Its key is then added to
        ``empty``.
        """
        values = {hit.key: hit.entry for _, hit in scored}
        missing = [key for key, value in values.items() if value is None]
        if missing:
            replies = await self._call(*(("HGET", key, "entry") for key in missing))
            values.update(zip(missing, map(checked_reply, replies), strict=True))
            gone = [key for key in missing if values[key] is None]
            empty.update(gone)
            if gone:
                return None
        return [(similarity, read_entry(values[hit.key])) for similarity, hit in scored]


def _widths(limit: int) -> Iterator[int]:
    """How many entries are asked for, to find so many: at first a few more, and more if those don't do."""
    asked = limit + _SPARE
    for _ in range(_TRIES):
        yield asked
        asked = min(asked * _WIDER, MOST)
    for _ in range(_TRIES):  # in case entries go while they are looked for
        yield MOST


def _are_best(best: Sequence[tuple[float, Hit]], limit: int, hits: Sequence[Hit], asked: int) -> bool:
    """Whether no entry that a wider search would find belongs among the best.

    Beyond some hundred that are equally near, the newest of those with the very same vector will do.
    """
    if len(best) < limit:
        return False
    worst = min((hit.similarity for hit in hits), default=1.0)
    return best[-1][0] > worst or asked >= _EQUALS
