"""What a cache did so far: the counters behind ``cache.stats()``."""

from __future__ import annotations

import msgspec

__all__ = ["Stats"]

_BUCKETS = 100


class Stats(msgspec.Struct, kw_only=True):
    """Figures since the client was made, over all of its scopes.

    Each call of `get_or_set`, of a cached function or of a cached stream is one of ``hits``, ``misses``,
    ``bypasses`` and ``errors``, unless its function raised.
    """

    hits: int = 0
    """Answered from the cache."""

    misses: int = 0
    """Computed, because the cache had no answer or none that was accepted."""

    bypasses: int = 0
    """Computed without asking the cache: asked for, disabled, a long prompt, or an open circuit."""

    errors: int = 0
    """Computed, because the lookup failed or took too long."""

    shared: int = 0
    """Calls among these that got what another call of the same moment was getting."""

    rejected: int = 0
    """Entries found and turned down: by ``accept``, by the scope, or because they did not decode."""

    stores: int = 0
    """Answers stored."""

    store_errors: int = 0
    """Answers that could not be stored: the service failed, or the value did not encode."""

    stores_dropped: int = 0
    """Answers not stored because too many were waiting to be."""

    lookup_seconds: float = 0.0
    """Time spent in lookups."""

    make_seconds: float = 0.0
    """Time spent in the functions that compute answers, streams apart."""

    store_seconds: float = 0.0
    """Time spent in storing."""

    similarities: list[int] = msgspec.field(default_factory=lambda: [0] * _BUCKETS)
    """How many entries were found, accepted or not, with a similarity from n to n + 1 hundredths; 1.0 counts
    as 99 hundredths."""

    @property
    def calls(self) -> int:
        """How many answers were given."""
        return self.hits + self.misses + self.bypasses + self.errors

    @property
    def hit_rate(self) -> float:
        """The hits among the answers that the cache was asked for, 0 to 1; 0 if there were none."""
        asked = self.calls - self.bypasses
        return self.hits / asked if asked else 0.0

    def found(self, similarity: float) -> None:
        """Count an entry found."""
        bucket = int(similarity * _BUCKETS)
        if not 0 <= bucket < _BUCKETS:
            bucket = 0 if bucket < 0 else _BUCKETS - 1
        self.similarities[bucket] += 1

    def copy(self) -> Stats:
        """These figures as they are now."""
        snapshot = msgspec.structs.replace(self)
        snapshot.similarities = list(self.similarities)
        return snapshot
