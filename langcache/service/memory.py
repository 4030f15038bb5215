"""The storage that keeps entries in memory only."""

from __future__ import annotations

from collections.abc import Mapping

from .config import CacheConfig
from .embedders import Embedder, Vectors
from .index import Index
from .store import Entry, Found

__all__ = ["Memory", "MemoryStore"]


class Memory:
    """A `Storage` in memory: its entries end with the server."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def open(self) -> None:
        """Nothing to do."""

    async def store(self, cache: CacheConfig) -> MemoryStore:
        """A new, empty store."""
        return MemoryStore(Index(self._embedder.dimensions))

    async def close(self) -> None:
        """Nothing to do."""


class MemoryStore:
    """A `Store` in memory."""

    def __init__(self, index: Index) -> None:
        self._index = index

    async def add(self, entry: Entry, vector: Vectors) -> None:
        self._index.add([entry], vector[None])

    async def same(self, prompt: str, attributes: Mapping[str, str], limit: int) -> Found:
        return self._index.same(prompt, attributes, limit)

    async def nearest(self, vector: Vectors, attributes: Mapping[str, str], limit: int) -> Found:
        return self._index.nearest(vector, attributes, limit)

    async def delete(self, entry_id: str) -> bool:
        return self._index.remove([entry_id]) == 1

    async def delete_matching(self, attributes: Mapping[str, str]) -> int:
        return self._index.remove(self._index.matching(attributes))

    async def clear(self) -> None:
        self._index.clear()
