"""The storage that keeps entries in memory only."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

from ..calibration import calibrated, unrelated_cosine
from ..config import CacheSettings
from ..embedders import Embedder, Vectors
from ..vectors import checked_row
from .index import Index
from .records import MemoryRecords
from .searches import Searches
from .store import Entry, Found, StoreError

__all__ = ["Memory", "MemoryStore", "enough_memory"]


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
    """A `Store` in memory.

    Args:
        index: the entries.
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
        self._most = most
        self._unrelated = unrelated
        self._searches = Searches(index, threads or ThreadPoolExecutor(1, "langcache-search"))

    async def add(self, entry: Entry, vector: Vectors) -> None:
        vector = checked_row(vector, self.index.dimensions)
        with enough_memory():
            self.index.add([entry], vector[None])
            self._evict()

    async def same(self, prompt: str, attributes: Mapping[str, str], limit: int) -> Found:
        with enough_memory():
            return self.index.same(prompt, attributes, limit)

    async def nearest(self, vector: Vectors, attributes: Mapping[str, str], limit: int) -> Found:
        vector = checked_row(vector, self.index.dimensions)
        with enough_memory():
            found = await self._searches.nearest(vector, attributes, limit)
            return [(calibrated(similarity, self._unrelated), entry) for similarity, entry in found]

    async def delete(self, entry_id: str) -> bool:
        return self.remove([entry_id]) == 1

    async def delete_matching(self, attributes: Mapping[str, str]) -> int:
        with enough_memory():
            entry_ids = self.index.matching(attributes)
        return self.remove(entry_ids)

    async def clear(self) -> None:
        with enough_memory():
            self.index.clear()

    async def size(self) -> int:
        with enough_memory():
            return len(self.index)

    async def keep_at_most(self, entries: int | None) -> None:
        self._most = entries
        with enough_memory():
            self._evict()

    def _evict(self) -> None:
        if self._most is not None and len(self.index) > self._most:
            self.remove(self.index.oldest(len(self.index) - self._most))

    async def check(self) -> None:
        """Do nothing: memory is always there."""

    def remove(self, entry_ids: Sequence[str]) -> int:
        """Delete entries. Returns the number of those that existed."""
        with enough_memory():
            removed = self.index.remove(entry_ids)
        self._searches.tidy()
        return removed


@contextmanager
def enough_memory() -> Generator[None, None, None]:
    """Raise `StoreError` in place of `MemoryError`."""
    try:
        yield
    except MemoryError as error:
        raise StoreError("there is not enough memory") from error
