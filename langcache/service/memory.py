"""The storage that keeps entries in memory only."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from .config import CacheConfig
from .embedders import Embedder, Vectors
from .index import Index
from .store import Entry, Found, StoreError
from .vectors import checked_row

__all__ = ["Memory", "MemoryStore", "enough_memory"]


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
        self.index = index

    async def add(self, entry: Entry, vector: Vectors) -> None:
        vector = checked_row(vector, self.index.dimensions)
        with enough_memory():
            self.index.add([entry], vector[None])

    async def same(self, prompt: str, attributes: Mapping[str, str], limit: int) -> Found:
        with enough_memory():
            return self.index.same(prompt, attributes, limit)

    async def nearest(self, vector: Vectors, attributes: Mapping[str, str], limit: int) -> Found:
        vector = checked_row(vector, self.index.dimensions)
        with enough_memory():
            return self.index.nearest(vector, attributes, limit)

    async def delete(self, entry_id: str) -> bool:
        with enough_memory():
            return self.index.remove([entry_id]) == 1

    async def delete_matching(self, attributes: Mapping[str, str]) -> int:
        with enough_memory():
            return self.index.remove(self.index.matching(attributes))

    async def clear(self) -> None:
        with enough_memory():
            self.index.clear()


@contextmanager
def enough_memory() -> Generator[None, None, None]:
    """Raise `StoreError` in place of `MemoryError`."""
    try:
        yield
    except MemoryError as error:
        raise StoreError("there is not enough memory") from error
