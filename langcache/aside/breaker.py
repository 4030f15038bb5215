"""A circuit breaker: after failures in a row, no requests are made until one probe succeeds."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["CircuitBreaker"]


class CircuitBreaker:
    """Closed at first. ``failures`` in a row open it.

    After ``cooldown`` seconds one request, the probe, is allowed. If it succeeds, the breaker closes, else it
    stays open for another ``cooldown``.
    """

    def __init__(self, failures: int, cooldown: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._threshold = failures
        self._cooldown = cooldown
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._probing_since: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has opened, and no request has succeeded since."""
        return self._opened_at is not None

    @property
    def blocks(self) -> bool:
        """Whether no request may be made now. Unlike `allows` it does not start a probe."""
        # If the outcome of a probe is never reported, another is allowed after the cooldown.
        since = self._opened_at if self._probing_since is None else self._probing_since
        return since is not None and self._opened_at is not None and self._clock() - since < self._cooldown

    def allows(self) -> bool:
        """Whether to make a request. If it is open, True starts the probe, whose outcome must be reported."""
        if self._opened_at is None:
            return True
        if self.blocks:
            return False
        self._probing_since = self._clock()
        return True

    def succeeded(self) -> None:
        """Report that the service answered."""
        self._failures = 0
        self._opened_at = self._probing_since = None

    def failed(self) -> bool:
        """Report that the service failed or did not answer. Returns whether that opened the breaker."""
        self._failures += 1
        if self._opened_at is None and self._failures < self._threshold:
            return False
        if self._opened_at is not None and self._probing_since is None:
            return False  # a request that was made before it opened
        self._opened_at = self._clock()
        self._probing_since = None
        return True

    def abandoned(self) -> None:
        """Report that a request was cancelled before it had an outcome, so that the next may be a probe."""
        self._probing_since = None
