"""The log of cache-aside: what can be wrong with each call is said once in a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

__all__ = ["RateLimitedLog"]

_log = logging.getLogger("langcache.aside")

_INTERVAL = 60.0
_MOST_KINDS = 1024


class RateLimitedLog:
    """Warnings to the logger ``langcache.aside``, each kind of them at most once a minute.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[tuple[object, ...], float] = {}

    def warn(self, kind: tuple[object, ...], message: str, *args: object) -> None:
        """Log a warning, unless one of its kind was logged within the last minute."""
        now = self._clock()
        if now - self._last.get(kind, now - _INTERVAL) < _INTERVAL:
            return
        if len(self._last) >= _MOST_KINDS:
            self._last.clear()
        self._last[kind] = now
        _log.warning(message, *args)
