"""What cache-aside calls return."""

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
    """From the cache."""

    MISS = "miss"
    """Computed: the cache had none, or was told to refresh."""

    BYPASS = "bypass"
    """Computed: the cache was not asked."""

    ERROR = "error"
    """Computed: the cache failed to say."""

    def __str__(self) -> str:
        return self.value


class _Obtained(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer was obtained."""

    status: CacheStatus

    entry: CacheEntry | None = None
    """The entry of a hit, as the service sent it."""

    reason: str | None = None
    """Why the cache was bypassed: ``"asked"``, ``"disabled"``, ``"no question"``, ``"long prompt"``,
    ``"circuit open"`` or ``"another function"``, whose answers are stored with the same attributes."""

    error: Exception | None = None
    """What kept the cache from being asked, or the answer from being stored, as far as it was waited for."""

    @property
    def hit(self) -> bool:
        """Whether it came from the cache."""
        return self.status is CacheStatus.HIT

    @property
    def similarity(self) -> float | None:
        """How alike the prompts of a hit are, 0 to 1; None if it is none."""
        return None if self.entry is None else self.entry.similarity

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        """The attributes of the entry of a hit, as they were before they were encoded."""
        return {} if self.entry is None else restore_attributes(self.entry.attributes)


class Lookup(_Obtained, frozen=True, kw_only=True):
    """The outcome of a lookup."""

    value: Any = None
    """The answer of a hit."""


class Answer(_Obtained, Generic[T], frozen=True, kw_only=True):
    """An answer and how it was obtained."""

    value: T
    """The answer itself."""

    shared: bool = False
    """Whether another call of the same moment got it for this one too. The value is then the same object."""
