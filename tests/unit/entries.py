"""An entry of a cache, for tests that compare its prompt with a question."""

from __future__ import annotations

from langcache import CacheEntry

__all__ = ["entry_of"]


def entry_of(prompt: str, similarity: float = 0.9) -> CacheEntry:
    """An entry that a semantic search found."""
    return CacheEntry(
        id="1",
        prompt=prompt,
        response="",
        attributes={},
        similarity=similarity,
        search_strategy="semantic",
    )
