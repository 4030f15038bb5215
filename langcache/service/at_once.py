"""Searches and stores that wait for nothing, made in the thread that calls and without an event loop."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from ..models import SearchResponse, SetResponse
from .config import CacheSettings
from .embedders import Embedder, Vectors
from .engine import Cache
from .in_front import InFront
from .operations import Operations, decode_search, decode_set
from .stores.index import FEW_ROWS
from .stores.memory import MemoryStore
from .stores.searches import MOST_ROWS_AT_ONCE
from .vectors import EmbedNow

if TYPE_CHECKING:
    from .stores.sqlite import SqliteStore

__all__ = ["AtOnce"]

T = TypeVar("T")


class AtOnce:
    """The operations of a cache that programs call most, in any thread.

    They do what `Operations` does. Where a call would have to wait, or could take longer than some 2 ms, they
    do nothing: for an embedder without ``embed_now``, for a change of a file, for another thread, to compare
    the texts of several entries, or very many vectors.

    Args:
        config, store, embedder: those of the cache.
    """

    def __init__(self, config: CacheSettings, store: MemoryStore | SqliteStore, embedder: Embedder) -> None:
        self._config = config
        self._store = store
        self._takes_sets = isinstance(store, MemoryStore)
        embed_now: EmbedNow | None = getattr(embedder, "embed_now", None)
        waits = embed_now is None or getattr(embedder, "word_vectors", None) is not None
        self._embedder = None if waits or embed_now is None else _EmbedderAtOnce(embedder, embed_now)
        self._compares_texts: bool = getattr(embedder, "compare_texts", True)
        self._idle: list[tuple[MemoryStore, Operations, Cache]] = []
        """What no call has at the moment. Each call has its own, since asyncio's locks are for one thread."""

    @property
    def is_held_here(self) -> bool:
        """Whether this code interrupts a call that is using the entries (`Exclusive.is_held_here`)."""
        return self._store.is_held_here

    def answer(
        self, path: str, content: bytes, *, is_alone: bool = True
    ) -> SearchResponse | SetResponse | None:
        """The reply to a POST request with this path behind that of the cache, or None.

        If it is not alone, other searches are called at the same moment: they may share a pass over the rows.

        Raises what `Operations` raises, and `msgspec.DecodeError`.
        """
        if self._embedder is None:
            return None
        if path == "entries/search":
            search = decode_search(content)
            if self._compares_texts and search.max_results not in (None, 1):
                return None
            rows = MOST_ROWS_AT_ONCE if is_alone else FEW_ROWS
            return self._run(rows, lambda operations, cache: operations.search(cache, search))
        if path == "entries" and self._takes_sets:
            entry = decode_set(content)
            return self._run(sys.maxsize, lambda operations, cache: operations.set(cache, entry))
        return None

    def _run(self, most_rows: int, call: Callable[[Operations, Cache], Coroutine[Any, Any, T]]) -> T | None:
        store = self._store.at_once(most_rows)
        if store is None:
            return None
        assert self._embedder is not None
        try:
            own = self._idle.pop()
        except IndexError:
            own = None
        if own is None or own[0] is not store:
            own = store, Operations(nullcontext()), Cache(self._config, store, self._embedder)
        result = _result_of(call(*own[1:]))
        self._idle.append(own)  # one that an exception has left is not used again
        return result


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
