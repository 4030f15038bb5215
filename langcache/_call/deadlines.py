"""Timeouts and deadlines, in seconds by `time.monotonic`."""

from __future__ import annotations

import sys
import time
from typing import Any

if sys.version_info >= (3, 11):
    from asyncio import timeout as time_limit
else:
    from async_timeout import timeout as time_limit  # aiohttp needs it too, on these Pythons

__all__ = ["is_over", "time_left", "time_limit", "time_until"]


def time_left(timeout: float | None, started: float) -> float | None:
    """What is left of a timeout that began at ``started``; None if there is no timeout."""
    return None if timeout is None else time_until(started + timeout)


def time_until(deadline: float) -> float:
    """The time until a deadline. Never 0 or less, since to aiohttp a timeout of 0 is none at all."""
    return max(deadline - time.monotonic(), 0.001)


def is_over(limit: Any) -> bool:
    """Whether a `time_limit` has expired.

    A `TimeoutError` that leaves its block may also have been raised by the code in the block.
    """
    expired = limit.expired  # a method of asyncio's, a property of async_timeout's
    return bool(expired() if callable(expired) else expired)
