"""The seam that storage stands behind: what an entry is, and what a cache asks of the place that keeps it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

import msgspec

from .config import CacheConfig
from .embedders import Vectors

__all__ = ["Entry", "Found", "Storage", "Store", "StoreError", "now_millis"]


class StoreError(Exception):
    """Entries could not be read or written. The service answers 424."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A prompt and its response, as stored."""

    id: str
    prompt: str
    response: str
    attributes: dict[str, str]
    expires_at: int | None
    """In milliseconds since the epoch; None for never."""


Found = list[tuple[float, Entry]]
"""Entries with their similarity, best first."""


class Store(Protocol):
    """The entries of one cache, and how they are found.

    Searching belongs to the store because a database with a query engine of its own searches where its data
    is. Whatever it is, an entry past its time is never found, entries that match equally well come newest
    first, and a change is as durable as the store can make it when the call returns. A mapping of
    ``attributes`` must match in full; an empty one matches everything. Calls raise `StoreError`.
    """

    async def add(self, entry: Entry, vector: Vectors) -> None:
        """Keep an entry. ``vector`` has length 1, or is zeros: then `nearest` never finds the entry."""
        ...

    async def same(self, prompt: str, attributes: Mapping[str, str], limit: int) -> Found:
        """Up to ``limit`` entries whose prompt differs from ``prompt`` in case at most, with similarity 1."""
        ...

    async def nearest(self, vector: Vectors, attributes: Mapping[str, str], limit: int) -> Found:
        """Up to ``limit`` entries whose vectors are nearest. Similarity is (1 + cos) / 2, to 6 decimals."""
        ...

    async def delete(self, entry_id: str) -> bool:
        """Delete an entry. False if there is none of that id."""
        ...

    async def delete_matching(self, attributes: Mapping[str, str]) -> int:
        """Delete the entries that match, and say how many they were."""
        ...

    async def clear(self) -> None:
        """Delete every entry of this cache."""
        ...


class Storage(Protocol):
    """The place where the entries of a server's caches are kept: it gives each cache its `Store`.

    It is made with the server's embedder, which has been started by the time it is opened. Vectors of
    different embedders are never compared: entries that another one embedded are embedded anew, or refused.
    """

    async def open(self) -> None:
        """Make ready. Raises `StoreError`, and `EmbedderError` if entries can't be embedded anew."""
        ...

    async def store(self, cache: CacheConfig) -> Store:
        """The store of a cache. A database that must know the names of attributes has them from ``cache``."""
        ...

    async def close(self) -> None:
        """Finish what was begun, and let go of what `open` took."""
        ...


def now_millis() -> int:
    """Now, in milliseconds since the epoch: a time that still means the same after a restart."""
    return time.time_ns() // 1_000_000
