"""The results of cache-aside calls."""

from __future__ import annotations

import enum
from typing import Any, Generic, TypeVar

import msgspec

from ..models import CacheEntry
from .scope import AttributeValue, restore_attributes

__all__ = ["Answer", "CacheStatus", "Lookup"]

T = TypeVar("T")


class CacheStatus(str, enum.Enum):
    """How an answer was obtained."""

    HIT = "hit"
    """The answer comes from the cache."""

    MISS = "miss"
    """It was computed: the cache had no answer, or ``refresh`` was given."""

    BYPASS = "bypass"
    """It was computed: the cache was not asked."""

    ERROR = "error"
    """It was computed: the lookup failed."""

    def __str__(self) -> str:
        return self.value


class _Obtained(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer was obtained."""

    status: CacheStatus

    entry: CacheEntry | None = None
    """The entry of a hit, as the service sent it."""

    reason: str | None = None
    """Why the cache was not asked: ``"asked"`` (by ``bypass``), ``"disabled"``, ``"no question"`` (from
    ``key``), ``"long prompt"``, ``"circuit open"``, or ``"another function"`` (whose answers are stored with
    the same attributes). None for another status."""

    error: Exception | None = None
    """Why the lookup failed or the answer was not stored; None if the call did not wait for the error."""

    @property
    def hit(self) -> bool:
        """Whether the answer comes from the cache."""
        return self.status is CacheStatus.HIT

    @property
    def similarity(self) -> float | None:
        """How similar the prompts of a hit are, 0 to 1; None if it is no hit."""
        return None if self.entry is None else self.entry.similarity

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        """The attributes of the entry of a hit, decoded; empty if it is no hit."""
        return {} if self.entry is None else restore_attributes(self.entry.attributes)


class Lookup(_Obtained, frozen=True, kw_only=True):
    """The outcome of a lookup."""

    value: Any = None
    """The answer of a hit, else None."""


class Answer(_Obtained, Generic[T], frozen=True, kw_only=True):
    """An answer and how it was obtained."""

    value: T
    """The answer itself."""

    shared: bool = False
    """Whether a concurrent call obtained it, and both share it. Their values are then the same object."""
