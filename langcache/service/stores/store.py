"""The `Store` and `Storage` protocols: what a cache needs of the place that keeps its entries."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

import msgspec

from ..config import CacheSettings
from ..embedders import Vectors
from .records import Records

__all__ = ["NEVER", "Entry", "Found", "Storage", "Store", "StoreError", "now_millis"]


NEVER = 2**63 - 1
"""A time later than any expiry, in milliseconds since the epoch."""


class StoreError(Exception):
    """Entries could not be read or written. The service answers 424."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A prompt and its response, as stored."""

    id: str
    prompt: str
    response: str
    attributes: dict[str, str]
    expires_at: int | None
    """When the entry expires, in milliseconds since the epoch. None: never."""


Found = list[tuple[float, Entry]]
"""Entries with their similarity, best first."""


class Store(Protocol):
    """The entries of one cache, and the search for them.

    The store searches, rather than the cache, so that a database can use its own search. In every store,
    expired entries are never found, entries that match equally well come newest first, and a change is as
    durable as the store can make it when the call returns. An entry matches ``attributes`` if it has all of
    them; every entry matches an empty mapping. Methods raise `StoreError`: then nothing has changed. An entry
    that has expired once stays away, even if the clock is set back.
    """

    async def add(self, entry: Entry, vector: Vectors) -> None:
        """Keep an entry. ``vector`` has length 1, or is zeros: then `nearest` never finds the entry.

        Raises `EmbedderError` for another vector, before anything is kept (see `vectors.checked`).
        """
        ...

    async def same(self, prompt: str, attributes: Mapping[str, str], limit: int) -> Found:
        """Up to ``limit`` entries with the same prompt, apart from case. Their similarity is 1."""
        ...

    async def nearest(self, vector: Vectors, attributes: Mapping[str, str], limit: int) -> Found:
        """Up to ``limit`` entries whose vectors are nearest.

        Similarity is (1 + cos) / 2, to 6 decimals, counted from the cosine of unrelated prompts: see
        ``langcache.service.calibration``. Raises `EmbedderError` for a vector that `add` would not take.
        """
        ...

    async def delete(self, entry_id: str) -> bool:
        """Delete an entry. False if no entry has that id."""
        ...

    async def delete_matching(self, attributes: Mapping[str, str]) -> int:
        """Delete the entries that match. Returns their number."""
        ...

    async def clear(self) -> None:
        """Delete every entry of this cache."""
        ...

    async def size(self) -> int:
        """How many entries there are."""
        ...

    async def keep_at_most(self, entries: int | None) -> None:
        """Keep so many entries from now on, the newest. None: any number."""
        ...

    async def check(self) -> None:
        """Ask the place of the entries whether they can be searched now. Raises `StoreError` if not.

        A store that can be searched and takes no changes, say for want of room, passes.
        """
        ...


class Storage(Protocol):
    """The place that keeps the entries of all caches of a server. It has a `Store` for each cache.

    A storage is constructed with the server's embedder, which is started before `open` is called. Vectors of
    different embedders are never compared: the storage embeds the prompts again, or refuses the entries.
    """

    @property
    def name(self) -> str:
        """What keeps the entries, in a word."""
        ...

    @property
    def records(self) -> Records:
        """What is kept beside the entries."""
        ...

    async def open(self) -> None:
        """Get ready. Raises `StoreError`, and `EmbedderError` if prompts can't be embedded again."""
        ...

    async def store(self, cache: CacheSettings) -> Store:
        """The store of a cache. ``cache`` has its id and the names of its attributes."""
        ...

    async def drop(self, cache: CacheSettings, flush: bool) -> None:
        """Forget a cache that nobody uses any longer; with ``flush`` its entries too. Raises `StoreError`.

        With ``flush`` it does not matter which embedder made them, nor whether they can be read. Without,
        they stay where they are on disk, or in Redis.
        """
        ...

    async def close(self) -> None:
        """Finish pending changes, and release what `open` opened."""
        ...


def now_millis() -> int:
    """The current time in milliseconds since the epoch, which stays comparable after a restart."""
    return time.time_ns() // 1_000_000
