"""What was asked lately: a bounded number of searches, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ...models import CacheEntry, Model
from ..engine import NEAREST, Cache
from ..operations import SearchBody
from ..stores.store import now_millis

__all__ = ["Asked", "Recent"]

_MOST_CHARS = 500
"""So much of a text is kept."""


class Asked(Model, kw_only=True):
    """A search that was answered."""

    at: int
    """In milliseconds since the epoch."""

    prompt: str
    hit: bool
    threshold: float
    similarity: float | None = None
    """Of the nearest entry; if that is no hit, it may be lower than this. None: there was no entry."""

    nearest: str | None = None
    """The prompt of the nearest entry."""


class Recent:
    """The latest searches of all caches of a process. ``most`` is how many are kept: with 0, none is."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._asked: deque[tuple[str, Asked]] = deque(maxlen=most)
        self.times_forgotten: int = 0
        """How often the searches of a cache, whichever it is, have been forgotten, for `note`."""

    def note(self, cache: Cache, body: SearchBody, found: Sequence[CacheEntry], forgotten: int) -> None:
        """Keep a search that this task has just made, unless others have been forgotten since it began."""
        if not self.most or forgotten != self.times_forgotten:
            return
        nearest = NEAREST.get()
        settings = cache.settings
        asked = Asked(
            at=now_millis(),
            prompt=body.prompt[:_MOST_CHARS],
            hit=bool(found),
            threshold=settings.threshold if body.similarity_threshold is None else body.similarity_threshold,
        )
        if nearest is not None:
            asked.similarity, asked.nearest = nearest[0], nearest[1].prompt[:_MOST_CHARS]
        self._asked.append((settings.cache_id, asked))

    def of(self, cache_id: str) -> list[Asked]:
        """The searches of a cache, latest first."""
        return [asked for which, asked in reversed(self._asked) if which == cache_id]

    def forget(self, cache_id: str) -> None:
        """Keep nothing of a cache any longer, of which entries were deleted."""
        self.times_forgotten += 1
        if any(which == cache_id for which, _ in self._asked):
            kept = [each for each in self._asked if each[0] != cache_id]
            self._asked = deque(kept, self.most)
