"""Searches and stores that wait for nothing, made in the thread that calls and without an event loop."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from ..models import SearchResponse, SetResponse
from .config import CacheSettings
from .embedders import Embedder, Vectors
from .engine import Cache
from .in_front import InFront
from .operations import Operations, SearchBody, SetBody
from .stores.memory import MemoryStore
from .stores.sqlite import SqliteStore
from .vectors import EmbedNow

__all__ = ["AtOnce"]

T = TypeVar("T")


class AtOnce:
    """The operations of a cache that programs call most, in any thread.

    They do what `Operations` does. They return None, and have done nothing, where a call would have to wait,
    or could take longer than some 2 ms: for an embedder without ``embed_now``, for a change of a file, for
    another thread, to compare the texts of several entries or very many vectors.

    Args:
        config, store, embedder: those of the cache.
    """

    def __init__(self, config: CacheSettings, store: MemoryStore | SqliteStore, embedder: Embedder) -> None:
        self._config = config
        self._store = store
        embed_now: EmbedNow | None = getattr(embedder, "embed_now", None)
        waits = embed_now is None or getattr(embedder, "word_vectors", None) is not None
        self._embedder = None if waits or embed_now is None else _EmbedderAtOnce(embedder, embed_now)

    @property
    def is_held_here(self) -> bool:
        """Whether this code interrupts a call that is using the entries (`Exclusive.is_held_here`)."""
        return self._store.is_held_here

    def search(self, body: SearchBody) -> SearchResponse | None:
        """See `Operations.search`."""
        if self._embedder is None or (self._embedder.compare_texts and body.max_results not in (None, 1)):
            return None
        store = self._store.at_once()
        return None if store is None else _result_of(Operations().search(self._cache(store), body))

    def set(self, body: SetBody) -> SetResponse | None:
        """See `Operations.set`."""
        if self._embedder is None or not isinstance(self._store, MemoryStore):
            return None
        store = self._store.at_once()
        return None if store is None else _result_of(Operations().set(self._cache(store), body))

    def _cache(self, store: MemoryStore) -> Cache:
        """A cache for one call, so that no other call, in another thread, has its locks."""
        assert self._embedder is not None
        return Cache(self._config, store, self._embedder)


class _EmbedderAtOnce(InFront):
    """An `Embedder` in front of another one, whose `embed` never suspends."""

    def __init__(self, embedder: Embedder, embed_now: EmbedNow) -> None:
        super().__init__(embedder)
        self._embed_now = embed_now

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`."""
        return self._embed_now(texts)


def _result_of(call: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that waits for nothing."""
    try:
        while True:
            call.send(None)  # it offers a turn to others of an event loop; here are none
    except StopIteration as done:
        result: T = done.value
        return result
