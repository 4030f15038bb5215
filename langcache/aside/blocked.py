"""Pairs of a question and an entry's prompt that a verdict has found wrong."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeAlias

from ..models import CacheEntry
from .texts import folded

__all__ = ["Attributes", "BlockedPairs"]

Attributes: TypeAlias = frozenset[tuple[str, str]] | None

_MAX_PAIRS = 4096


class BlockedPairs:
    """The latest 4,096 pairs that are blocked, with the attributes of the question and those of scopes."""

    # Threads may share it without a lock, which a fork might leave locked: each step is atomic.

    def __init__(self) -> None:
        self.pairs: dict[Hashable, None] = {}
        """Empty while no pair is blocked, which saves most calls from asking `has`."""

    def has(self, question: str, attributes: Attributes, entry: CacheEntry) -> bool:
        """Whether this entry's prompt is blocked for this question."""
        return _key(question, attributes, entry) in self.pairs

    def set(self, question: str, attributes: Attributes, entry: CacheEntry, *, blocked: bool) -> None:
        """Block a pair, or unblock it. The oldest pair makes room."""
        key = _key(question, attributes, entry)
        self.pairs.pop(key, None)
        if blocked:
            self.pairs[key] = None
            for oldest in list(self.pairs)[:-_MAX_PAIRS]:
                self.pairs.pop(oldest, None)


def _key(question: str, attributes: Attributes, entry: CacheEntry) -> Hashable:
    return folded(question), folded(entry.prompt), attributes
