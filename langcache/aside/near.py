"""The near cache: keeps replies of the service in the process for a while, so that a hit needs no request."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from datetime import timedelta
from typing import cast

import msgspec

from .._checks import check_int, check_seconds
from ..models import CacheEntry

__all__ = ["Kept", "Near", "NearCache", "copied"]


class NearCache(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a near cache: ``AsideConfig(near=NearCache(max_entries=1000, ttl=30))``.

    What the service found for a question, if it was a hit, is kept in the client, which all of its scopes
    share. While it is kept, the same question is a hit without a request; ``accept`` is asked all the same,
    and the answer is decoded anew. What this client changes itself (`set`, a refresh, deleting, `flush`,
    `invalidate`, a verdict that deletes) empties the near cache. What others change, and an entry whose time
    in the service has ended, is noticed after ``ttl`` at the latest.

    Raises `TypeError` or `ValueError` for a setting that breaks a rule.
    """

    max_entries: int = 1000
    """The most questions whose hits are kept, at least 1. Beyond that, the one that was not asked for longest
    makes room. Default: 1,000."""

    ttl: float | timedelta = 30.0
    """How long a hit is kept: seconds, or a `timedelta`, more than 0. A call with a ``ttl`` of its own, by
    which it stores answers, keeps a hit no longer than that. Default: 30 seconds."""

    def __post_init__(self) -> None:
        set_field = msgspec.structs.force_setattr
        set_field(self, "max_entries", check_int("max_entries", self.max_entries, minimum=1))
        set_field(self, "ttl", check_seconds("ttl", self.ttl))


class Kept(msgspec.Struct, frozen=True, gc=False):  # never part of a reference cycle
    """A reply in the near cache."""

    entries: list[CacheEntry]
    """Copies of the entries that the service found, which nobody changes."""

    verified: str | None
    """The id of the entry that `langcache.verifier` accepted, which always says the same of it."""

    epoch: object
    """`Near.epoch` before the reply was asked for."""

    until: float
    """When it is forgotten, by the clock of the near cache."""


class Near:
    """The replies that one client keeps. Any threads may share it.

    Args:
        settings: how many replies are kept, and for how long.
        clock: tells the time in seconds.
    """

    def __init__(self, settings: NearCache, clock: Callable[[], float] = time.monotonic) -> None:
        self.ttl: float = cast("float", settings.ttl)
        """Seconds for which a reply is kept at most."""
        self._max_entries = settings.max_entries
        self._clock = clock
        self.drop()

    def get(self, key: Hashable) -> Kept | None:
        """The reply under this key; None if none is kept, or no longer."""
        replies = self._replies
        kept = replies.get(key)
        if kept is None:
            return None
        if kept.until <= self._clock():
            replies.pop(key, None)
            return None
        with suppress(KeyError):  # it has gone meanwhile
            replies.move_to_end(key)
        return kept if kept.epoch is self.epoch else None

    def put(
        self, key: Hashable, entries: list[CacheEntry], verified: str | None, epoch: object, seconds: float
    ) -> None:
        """Keep a reply, unless there was a `drop` since this epoch.

        Args:
            key: what the reply answers.
            entries, verified: see `Kept`.
            epoch: what `epoch` was before the reply was asked for.
            seconds: how long to keep it.
        """
        if epoch is not self.epoch:
            return
        replies = self._replies
        replies[key] = Kept(entries, verified, epoch, self._clock() + seconds)
        try:
            while len(replies) > self._max_entries:
                replies.popitem(last=False)
        except KeyError:  # others have made room meanwhile
            pass

    def drop(self) -> None:
        """Forget all replies, and those that are on their way: the program has changed entries."""
        # No lock: a signal handler may come here while its thread is in `get`, or wait for the portal's
        # thread, which comes here. A reply of an epoch before, that is put meanwhile, is never given.
        self.epoch: object = object()
        """Another one after each `drop`. A lookup reads it before it begins, for `put`."""
        self._replies: OrderedDict[Hashable, Kept] = OrderedDict()


def copied(entry: CacheEntry) -> CacheEntry:
    """A copy with attributes of its own: neither changes with what the program does to the other."""
    return msgspec.structs.replace(entry, attributes=entry.attributes.copy())
