"""The figures of a cache so far: what ``cache.stats()`` gives."""

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
    """Answers not stored because too many were waiting to be, or because the cache was left alone."""

    declined: int = 0
    """Answers not stored because ``store_if`` said so."""

    flight_timeouts: int = 0
    """Calls that computed alone, because another was computing the same answer for too long."""

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
        if 0.0 <= similarity < 1.0:
            self.similarities[int(similarity * _BUCKETS)] += 1
        else:  # whatever a service sends
            self.similarities[_BUCKETS - 1 if similarity >= 1.0 else 0] += 1

    def __str__(self) -> str:
        found = [f"0.{at:02d} x {count}" for at, count in enumerate(self.similarities) if count]
        lines = (
            f"answers       {self.calls}, {self.shared} of them shared with another call",
            f"  hits        {self.hits}, {self.hit_rate:.1%} of those that the cache was asked for",
            f"  misses      {self.misses}",
            f"  bypasses    {self.bypasses}",
            f"  errors      {self.errors}",
            f"entries       {self.rejected} turned down",
            f"stores        {self.stores}, {self.store_errors} failed, {self.stores_dropped} dropped, "
            f"{self.declined} declined",
            f"waits         {self.flight_timeouts} given up",
            f"seconds       {self.lookup_seconds:.3f} looking up, {self.make_seconds:.3f} computing, "
            f"{self.store_seconds:.3f} storing",
            f"similarities  {', '.join(found) or 'none'}",
        )
        return "\n".join(lines)

    def copy(self) -> Stats:
        """These figures as they are now."""
        snapshot = msgspec.structs.replace(self)
        snapshot.similarities = list(self.similarities)
        return snapshot
