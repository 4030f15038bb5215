"""The storage that keeps entries in memory only."""

from __future__ import annotations

from collections.abc import Mapping

from .calibration import calibrated, unrelated_cosine
from .config import CacheConfig
from .embedders import Embedder, Vectors
from .index import Index
from .store import Entry, Found

__all__ = ["Memory", "MemoryStore"]


class Memory:
    """A `Storage` in memory: its entries end with the server."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._unrelated = 0.0

    async def open(self) -> None:
        """Calibrate the embedder."""
        self._unrelated = await unrelated_cosine(self._embedder)

    async def store(self, cache: CacheConfig) -> MemoryStore:
        """A new, empty store."""
        return MemoryStore(Index(self._embedder.dimensions), self._unrelated)

    async def close(self) -> None:
        """Nothing to do."""


class MemoryStore:
    """A `Store` in memory. ``unrelated`` is the cosine of unrelated prompts, from which similarity counts."""

    def __init__(self, index: Index, unrelated: float = 0.0) -> None:
        self._index = index
        self._unrelated = unrelated

    async def add(self, entry: Entry, vector: Vectors) -> None:
        self._index.add([entry], vector[None])

    async def same(self, prompt: str, attributes: Mapping[str, str], limit: int) -> Found:
        return self._index.same(prompt, attributes, limit)

    async def nearest(self, vector: Vectors, attributes: Mapping[str, str], limit: int) -> Found:
        found = self._index.nearest(vector, attributes, limit)
        return [(calibrated(similarity, self._unrelated), entry) for similarity, entry in found]

    async def delete(self, entry_id: str) -> bool:
        return self._index.remove([entry_id]) == 1

    async def delete_matching(self, attributes: Mapping[str, str]) -> int:
        return self._index.remove(self._index.matching(attributes))

    async def clear(self) -> None:
        self._index.clear()
