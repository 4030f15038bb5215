"""Keeps a cache in Redis at about a number of entries, by deleting the oldest."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection

from .redis_calls import Command
from .redis_index import CacheIndex
from .redis_queries import count, oldest, read
from .store import StoreError

__all__ = ["Eviction"]

_log = logging.getLogger(__name__)

_SHARE = 100
"""A service counts the entries whenever it has added so small a part of what there may be."""

_SELDOM = 1000
"""The most entries that it adds in between, and that it deletes at once."""


class Eviction:
    """Deletes the oldest entries of a cache when there are too many.

    Redis counts them, since other services add entries too. Each service asks after every hundredth part of
    ``most``, or 1,000 entries, so there may be as many more for each service. Two that delete at the same
    moment may delete as many too many.

    Args:
        most: how many entries there may be.
        index: finds the oldest.
        unlink: deletes entries by their keys.
        millis: how long a search may take.
    """

    def __init__(
        self,
        most: int,
        index: CacheIndex,
        unlink: Callable[[Collection[bytes]], Awaitable[int]],
        millis: int,
    ) -> None:
        self._most = most
        self._index = index
        self._unlink = unlink
        self._millis = millis
        self._every = max(1, min(most // _SHARE, _SELDOM))
        self._added = 0
        self._deleting = False

    async def added(self) -> None:
        """Note that there is one more entry, and delete others if it is time."""
        self._added += 1
        if self._added >= self._every and not self._deleting:
            self._added = 0
            await self.evict()

    async def evict(self) -> None:
        """Delete the oldest entries if there are too many. What fails is done another time."""
        self._deleting = True
        try:
            (info,), _, _ = await self._index.search(lambda index: [("FT.INFO", index)])
            surplus = count(info) - self._most
            while surplus > 0:
                surplus -= await self._delete(min(surplus, _SELDOM))
        except StoreError as error:
            _log.warning("the oldest entries can't be deleted now: %s", error)
        finally:
            self._deleting = False

    async def _delete(self, most: int) -> int:
        def listing(index: str) -> list[Command]:
            return [oldest(index, most, self._millis)]

        (reply,), _, _ = await self._index.search(listing)
        keys = [hit.key for hit in read(reply, most).hits]
        await self._unlink(keys)
        return len(keys) or most  # if there is none left, others have deleted them
