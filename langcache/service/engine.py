"""One cache of the local service: `search`, `set` and the deletes, on top of any `Store`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from operator import itemgetter

import numpy as np

from ..limits import LimitError
from ..models import CacheEntry, SearchStrategy
from .config import CacheSettings
from .embedders import Embedder, Vectors
from .scoring import Scorer
from .stores.store import Entry, Found, Store, StoreError, now_millis
from .vectors import FLOAT32, checked

__all__ = ["NEAREST", "Cache"]

NEAREST: ContextVar[tuple[float, Entry] | None] = ContextVar("langcache_nearest", default=None)
"""The nearest entry of the last search and its similarity; that of a miss may be lower than this."""

_DEFAULT_STRATEGIES = (SearchStrategy.SEMANTIC,)


class Cache:
    """A cache: its settings, its store, and an embedder that other caches use too.

    Callers check that arguments are within the service's limits. Every method raises `LimitError` for an
    attribute that the cache is not configured for, `EmbedderError` and `StoreError`.
    """

    def __init__(
        self, config: CacheSettings, store: Store, embedder: Embedder, clock: Callable[[], int] = now_millis
    ) -> None:
        self._config = config
        self._store = store
        self._embedder = embedder
        self._shape = (1, embedder.dimensions)
        self._scorer = Scorer(embedder)
        self._clock = clock
        self._retired = False

    @property
    def store(self) -> Store:
        """Where the entries are."""
        return self._store

    @property
    def settings(self) -> CacheSettings:
        """The settings that it has now."""
        return self._config

    def configure(self, config: CacheSettings) -> None:
        """Change the settings. What is under way may still go by the former ones."""
        self._config = config

    def retire(self) -> None:
        """Take no more entries: the cache was deleted."""
        self._retired = True

    async def set(
        self,
        prompt: str,
        response: str,
        attributes: Mapping[str, str] | None = None,
        ttl_millis: int | None = None,
    ) -> str:
        """Add an entry and return its id.

        If there is an entry with the same prompt, both are kept and the newer one is found first. So an id
        stays valid until its entry is deleted or expires.
        """
        attributes = self._configured(attributes)
        ttl_millis = ttl_millis or self._config.ttl_millis
        entry = Entry(
            id=os.urandom(16).hex(),
            prompt=prompt,
            response=response,
            attributes=attributes,
            expires_at=None if ttl_millis is None else self._clock() + ttl_millis,
        )
        vector = await self._embedded(prompt)
        if self._retired:
            raise StoreError("the cache was deleted meanwhile")
        await self._store.add(entry, vector)
        return entry.id

    async def search(
        self,
        prompt: str,
        threshold: float | None = None,
        strategies: Sequence[SearchStrategy] | None = None,
        attributes: Mapping[str, str] | None = None,
        max_results: int | None = None,
    ) -> list[CacheEntry]:
        """The entries that match, best first, at most ``max_results`` (default 1).

        By meaning, these are the nearest entries; each of them gets its similarity (`Scorer`), and those
        below the threshold are left out. No others take their place: among several that are near, one that
        is wrong passes too easily.

        Strategies are tried in the order given, and the first one that finds an entry ends the search: later
        ones add nothing, even if there are fewer entries than ``max_results``.
        """
        attributes = self._configured(attributes)
        threshold = self._config.threshold if threshold is None else threshold
        limit = 1 if max_results is None else max_results
        NEAREST.set(None)
        for strategy in strategies or self._config.strategies or _DEFAULT_STRATEGIES:
            found = await self._find(strategy, prompt, attributes, limit, threshold)
            if found:
                NEAREST.set(found[0])
            entries = [
                CacheEntry(
                    id=entry.id,
                    prompt=entry.prompt,
                    response=entry.response,
                    attributes=entry.attributes,
                    similarity=similarity,
                    search_strategy=strategy,
                )
                for similarity, entry in found
                if similarity >= threshold
            ]
            if entries:
                return entries
        return []

    async def delete_by_id(self, entry_id: str) -> bool:
        """Delete an entry. False if no entry has that id."""
        return await self._store.delete(entry_id)

    async def delete_query(self, attributes: Mapping[str, str]) -> int:
        """Delete the entries that have all of ``attributes``. Returns their number."""
        return await self._store.delete_matching(self._configured(attributes))

    async def flush(self) -> None:
        """Delete every entry."""
        await self._store.clear()

    async def _find(
        self,
        strategy: SearchStrategy,
        prompt: str,
        attributes: Mapping[str, str],
        limit: int,
        threshold: float,
    ) -> Found:
        if strategy is SearchStrategy.EXACT:
            return await self._store.same(prompt, attributes, limit)
        vector = await self._embedded(prompt)
        if not np.count_nonzero(vector):  # a prompt without meaning to the embedder is similar to none
            return []
        found = await self._store.nearest(vector, attributes, limit)
        candidates = [(similarity, entry.prompt) for similarity, entry in found]
        similarities = await self._scorer.similarities(prompt, candidates, threshold)
        scored = [(similarity, entry) for similarity, (_, entry) in zip(similarities, found, strict=True)]
        scored.sort(key=itemgetter(0), reverse=True)  # stable: equals stay nearest first
        return scored

    async def _embedded(self, prompt: str) -> Vectors:
        """The vector of a prompt. Whether it follows the rule, the store checks."""
        vectors: Vectors = await self._embedder.embed([prompt])
        if type(vectors) is not np.ndarray or vectors.dtype is not FLOAT32 or vectors.shape != self._shape:
            vectors = checked(vectors, self._shape)
        vector: Vectors = vectors[0]
        return vector

    def _configured(self, attributes: Mapping[str, str] | None) -> dict[str, str]:
        if not attributes:
            return {}
        known = self._config.attributes
        for name in attributes:
            if not known:
                raise LimitError("attributes", "unknown", "no attributes are configured for this cache.")
            if name not in known:
                raise LimitError(
                    "attributes",
                    "unknown",
                    f"{name!r} is not configured for this cache, which has {', '.join(map(repr, known))}.",
                )
        return dict(attributes)
