"""The storage that keeps entries in memory only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

from .config import CacheConfig
from .embedders import Embedder, Vectors
from .index import Index
from .searches import Searches
from .store import Entry, Found

__all__ = ["Memory", "MemoryStore"]


class Memory:
    """A `Storage` in memory: its entries end with the server."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._threads = ThreadPoolExecutor(1, "langcache-search")

    async def open(self) -> None:
        """Nothing to do."""

    async def store(self, cache: CacheConfig) -> MemoryStore:
        """A new, empty store."""
        return MemoryStore(Index(self._embedder.dimensions), self._threads)

    async def close(self) -> None:
        """Wait for searches that have begun."""
        await asyncio.to_thread(self._threads.shutdown)


class MemoryStore:
    """A `Store` in memory. ``threads`` runs long searches (default: a thread of its own)."""

    def __init__(self, index: Index, threads: Executor | None = None) -> None:
        self._index = index
        self._searches = Searches(index, threads or ThreadPoolExecutor(1, "langcache-search"))

    async def add(self, entry: Entry, vector: Vectors) -> None:
        self._index.add([entry], vector[None])

    async def same(self, prompt: str, attributes: Mapping[str, str], limit: int) -> Found:
        return self._index.same(prompt, attributes, limit)

    async def nearest(self, vector: Vectors, attributes: Mapping[str, str], limit: int) -> Found:
        return await self._searches.nearest(vector, attributes, limit)

    async def delete(self, entry_id: str) -> bool:
        return self._remove([entry_id]) == 1

    async def delete_matching(self, attributes: Mapping[str, str]) -> int:
        return self._remove(self._index.matching(attributes))

    async def clear(self) -> None:
        self._index.clear()

    def _remove(self, entry_ids: Sequence[str]) -> int:
        removed = self._index.remove(entry_ids)
        self._searches.tidy()
        return removed
