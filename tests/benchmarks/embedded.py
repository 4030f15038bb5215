"""``python tests/benchmarks/embedded.py``: what an embedded cache costs, with vectors of 256 numbers given.

Prints the median of each operation in milliseconds. Exits with 1 if one takes longer than its bound.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from langcache import AsyncLangCache, LangCache

BOUNDS = {"search 1000": 0.15, "search 10000": 0.8, "store in memory": 0.05}
"""In milliseconds, for an async client that is alone on the machine."""

_SEARCHES = 2000
_STORES = 1000


class Given:
    """An embedder whose vectors are there already."""

    name = "given"
    dimensions = 256
    compare_texts = False

    def __init__(self) -> None:
        self._random = np.random.default_rng(1)
        self._vectors: dict[str, np.ndarray] = {}

    async def start(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def embed(self, texts: list[str]) -> np.ndarray:
        """See `embed_now`."""
        return self.embed_now(texts)

    def embed_now(self, texts: list[str]) -> np.ndarray:
        """A random vector for each text that is new."""
        for text in texts:
            if text not in self._vectors:
                vector = self._random.standard_normal((1, 256)).astype(np.float32)
                self._vectors[text] = vector / np.linalg.norm(vector)
        vectors = [self._vectors[text] for text in texts]
        return vectors[0] if len(vectors) == 1 else np.concatenate(vectors)


def prepared(count: int) -> Given:
    """An embedder that has the vectors of all prompts."""
    given = Given()
    asyncio.run(given.embed([f"prompt {number}" for number in range(count)]))
    return given


async def of_async_client(db: Path | None, count: int) -> tuple[list[float], list[float]]:
    """Seconds of stores and of searches."""
    stores, searches = [], []
    async with AsyncLangCache.embedded(db, embedder=prepared_by_count[count]) as cache:
        for number in range(count):
            began = time.perf_counter()
            await cache.set(f"prompt {number}", "response")
            stores.append(time.perf_counter() - began)
        for number in range(_SEARCHES):
            began = time.perf_counter()
            assert await cache.search(f"prompt {number * 7 % count}")
            searches.append(time.perf_counter() - began)
    return stores, searches


def of_blocking_client(db: Path | None, count: int) -> tuple[list[float], list[float]]:
    """The same."""
    stores, searches = [], []
    with LangCache.embedded(db, embedder=prepared_by_count[count]) as cache:
        for number in range(count):
            began = time.perf_counter()
            cache.set(f"prompt {number}", "response")
            stores.append(time.perf_counter() - began)
        for number in range(_SEARCHES):
            began = time.perf_counter()
            assert cache.search(f"prompt {number * 7 % count}")
            searches.append(time.perf_counter() - began)
    return stores, searches


prepared_by_count = {count: prepared(count) for count in (1000, 10_000)}


def main() -> int:
    """Measure everything; 1 if a bound is missed."""
    missed = []
    print("| client | kept in | entries | store, ms | search, ms |\n|---|---|---:|---:|---:|")
    for place in ("memory", "SQLite"):
        for count in (1000, 10_000):
            for client in (AsyncLangCache, LangCache):
                with tempfile.TemporaryDirectory() as folder:
                    db = None if place == "memory" else Path(folder) / "cache.db"
                    if client is AsyncLangCache:
                        stores, searches = asyncio.run(of_async_client(db, count))
                    else:
                        stores, searches = of_blocking_client(db, count)
                store, search = 1000 * median(stores[-_STORES:]), 1000 * median(searches)
                print(f"| {client.__name__} | {place} | {count:,} | {store:.3f} | {search:.3f} |", flush=True)
                if client is AsyncLangCache:
                    figures = {f"search {count}": search}
                    if place == "memory":
                        figures["store in memory"] = store
                    missed += [
                        f"{name}: {value:.3f} ms" for name, value in figures.items() if value > BOUNDS[name]
                    ]
    print("all bounds met" if not missed else f"missed: {', '.join(missed)}")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
