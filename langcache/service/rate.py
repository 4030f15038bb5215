"""How many requests each key may make: a limit for all processes of one service."""

from __future__ import annotations

import math
import mmap
import re
import struct
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import IO

__all__ = ["RateLimit", "Usage"]

_LIMIT = re.compile(r"([1-9][0-9]{0,8})/(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}

_PLACE = struct.Struct("16sd")
_PLACES = 8
_GROUPS = 512
"""4,096 keys have a place of their own, which takes 96 KiB. A key beyond that takes the place of one whose
requests are longest ago."""


class RateLimit:
    """A limit such as ``100/s``, ``600/m`` or ``5000/h``: so many requests at once, and in each such time.

    Raises `ValueError` for any other text.
    """

    def __init__(self, text: str) -> None:
        found = _LIMIT.fullmatch(f"{text}")
        if found is None:
            raise ValueError(
                f"rate_limit: must be requests in a time, such as 100/s, 600/m or 5000/h, not {text!r}"
            )
        self.requests: int = int(found[1])
        self.seconds: int = _SECONDS[found[2]]


class Usage:
    """When the requests of each key will have been paid for, in memory that forked processes share.

    The generic cell rate algorithm: a key has one number, the time at which all of its requests would have
    been made at an even pace. It may be ahead of now by the seconds of the limit.

    Args:
        shared: whether processes that are forked later use it too.
        clock: seconds, the same in all processes.
    """

    def __init__(
        self, limit: RateLimit, shared: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._places = mmap.mmap(-1, _GROUPS * _PLACES * _PLACE.size)
        # A lock of the system, which ends with a process that holds it.
        self._lock: IO[bytes] | None = tempfile.TemporaryFile() if shared else None  # noqa: SIM115

    def take(self, key: bytes) -> float:
        """Count a request, and return 0.0; or count none, and return the seconds until there may be one."""
        each = self._limit.seconds / self._limit.requests
        with self._locked():
            at, paid = self._find(key)
            now = self._clock()
            paid = max(paid, now) + each
            # To a nanosecond: sums of so many parts are not exact.
            wait = paid - now - self._limit.seconds
            if wait > 1e-9:
                return wait
            _PLACE.pack_into(self._places, at, key, paid)
        return 0.0

    def close(self) -> None:
        """Let go of the memory."""
        self._places.close()
        if self._lock is not None:
            self._lock.close()

    def _find(self, key: bytes) -> tuple[int, float]:
        """Where the number of a key is or may be, and the number."""
        group = int.from_bytes(key[:8], "little") % _GROUPS * _PLACES * _PLACE.size
        oldest, least = group, math.inf
        for at in range(group, group + _PLACES * _PLACE.size, _PLACE.size):
            whose, paid = _PLACE.unpack_from(self._places, at)
            if whose == key:
                return at, paid
            if paid < least:
                oldest, least = at, paid
        return oldest, 0.0

    @contextmanager
    def _locked(self) -> Generator[None, None, None]:
        if self._lock is None:
            yield
            return
        import fcntl  # where processes can be forked

        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)
