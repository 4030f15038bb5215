"""The storage that keeps entries in memory only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from copy import copy
from typing import ParamSpec, TypeVar

from ..calibration import calibrated, unrelated_cosine
from ..config import CacheSettings
from ..embedders import Embedder, Vectors
from ..vectors import checked_row
from .exclusive import Exclusive
from .index import Index
from .records import MemoryRecords
from .searches import Searches, SearchesAtOnce
from .store import Entry, Found, StoreError

__all__ = ["Memory", "MemoryStore"]

P = ParamSpec("P")
T = TypeVar("T")

_NOT_ENOUGH = "there is not enough memory"


class Memory:
    """A `Storage` in memory: its entries end with the server."""

    name = "memory"

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._threads = ThreadPoolExecutor(1, "langcache-search")
        self._unrelated = 0.0
        self.records: MemoryRecords = MemoryRecords()

    async def open(self) -> None:
        """Calibrate the embedder."""
        self._unrelated = await unrelated_cosine(self._embedder)

    async def store(self, cache: CacheSettings) -> MemoryStore:
        """A new, empty store."""
        index = Index(self._embedder.dimensions)
        return MemoryStore(index, self._unrelated, self._threads, cache.max_entries)

    async def drop(self, cache: CacheSettings, flush: bool) -> None:
        """Do nothing: a store that nobody has is gone."""

    async def close(self) -> None:
        """Wait for searches that have begun."""
        await asyncio.to_thread(self._threads.shutdown)


class MemoryStore:
    """A `Store` in memory. What is no coroutine function may be called in any thread.

    Args:
        index: the entries. Only through this store may they be used from now on.
        unrelated: the cosine of unrelated prompts, from which similarity counts.
        threads: runs long searches. Default: a thread of its own.
        most: how many entries there may be. One more takes the place of the oldest. None: any number.
    """

    def __init__(
        self,
        index: Index,
        unrelated: float = 0.0,
        threads: Executor | None = None,
        most: int | None = None,
    ) -> None:
        self.index = index
        self._alone = Exclusive()
        index.keep_at_most(most)
        self._unrelated = unrelated
        self._searches: Searches | SearchesAtOnce = Searches(
            index, self._alone, threads or ThreadPoolExecutor(1, "langcache-search")
        )
        self._at_once = copy(self)
        self._at_once._searches = SearchesAtOnce(index, self._alone)

    def at_once(self, most_rows: int) -> MemoryStore | None:
        """The same store for one call in any thread, in which no method waits for an event loop.

        None if there are more rows than this, or if another thread is using the entries now.
        """
        if self._alone.is_busy or self.index.untidy or self.index.rows > most_rows:
            return None
        return self._at_once

    @property
    def is_held_here(self) -> bool:
        """Whether this code interrupts a call that is using the entries (`Exclusive.is_held_here`)."""
        return self._alone.is_held_here

    async def add(self, entry: Entry, vector: Vectors) -> None:
        self.put(entry, checked_row(vector, self.index.dimensions))

    async def same(self, prompt: str, attributes: Mapping[str, str], limit: int) -> Found:
        return self._run(self.index.same, prompt, attributes, limit)

    async def nearest(self, vector: Vectors, attributes: Mapping[str, str], limit: int) -> Found:
        vector = checked_row(vector, self.index.dimensions)
        try:
            found = await self._searches.nearest(vector, attributes, limit)
            return [(calibrated(similarity, self._unrelated), entry) for similarity, entry in found]
        except MemoryError as error:
            raise StoreError(_NOT_ENOUGH) from error

    async def delete(self, entry_id: str) -> bool:
        return self.remove([entry_id]) == 1

    async def delete_matching(self, attributes: Mapping[str, str]) -> int:
        return self.remove(self.matching(attributes))

    async def clear(self) -> None:
        self.remove_all()

    async def size(self) -> int:
        return self.count()

    async def keep_at_most(self, entries: int | None) -> None:
        self._run(self.index.keep_at_most, entries)
        self._searches.tidy()

    async def check(self) -> None:
        """Do nothing: memory is always there."""

    def put(self, entry: Entry, vector: Vectors) -> None:
        """See `add`, for a vector that is checked."""
        self._run(self.index.add, (entry,), vector[None])

    def matching(self, attributes: Mapping[str, str]) -> list[str]:
        """The ids of the entries that match."""
        return self._run(self.index.matching, attributes)

    def count(self) -> int:
        """How many entries there are."""
        return self._run(len, self.index)

    def oldest(self, count: int) -> list[str]:
        """The ids of the oldest entries, at most so many, oldest first."""
        return self._run(self.index.oldest, count)

    def remove(self, entry_ids: Sequence[str]) -> int:
        """Delete entries. Returns the number of those that existed."""
        removed = self._run(self.index.remove, entry_ids)
        self._searches.tidy()
        return removed

    def remove_all(self) -> None:
        """Delete every entry."""
        self._run(self.index.clear)

    def _run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the index while no other thread does. Raises `StoreError` for want of memory."""
        try:
            return self._alone.run(function, *args, **kwargs)
        except MemoryError as error:
            raise StoreError(_NOT_ENOUGH) from error
