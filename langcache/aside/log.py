"""The log of cache-aside, which limits how often a warning is repeated."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ..errors import LangCacheError
from .claims import FunctionConflict
from .codecs import UnsuitableAnswer

__all__ = ["RateLimitedLog", "error_text"]

_log = logging.getLogger("langcache.aside")

_INTERVAL = 60.0
_MAX_KINDS = 1024


def error_text(error: BaseException) -> str:
    """What a warning says of an error: the message only of our own, since others may quote an answer."""
    kind = type(error).__name__
    is_ours = isinstance(error, LangCacheError | UnsuitableAnswer | FunctionConflict)
    return f"{kind}: {error}" if is_ours else kind


class RateLimitedLog:
    """Logs warnings to the logger ``langcache.aside``, each kind at most once a minute.

    Args:
        clock: returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[tuple[object, ...], float] = {}

    def warn(self, kind: tuple[object, ...], message: str, *args: object) -> None:
        """Log a warning, unless one of the same kind was logged within the last minute."""
        now = self._clock()
        if now - self._last.get(kind, now - _INTERVAL) < _INTERVAL:
            return
        if len(self._last) >= _MAX_KINDS:
            self._last.clear()
        self._last[kind] = now
        _log.warning(message, *args)
