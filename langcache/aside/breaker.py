"""A circuit breaker: after failures in a row nothing is tried for a while, and then one try decides."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["CircuitBreaker"]


class CircuitBreaker:
    """Closed at first. ``failures`` in a row open it for ``cooldown`` seconds; then one try decides."""

    def __init__(self, failures: int, cooldown: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._threshold = failures
        self._cooldown = cooldown
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._probing_since: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has had enough failures and no success since."""
        return self._opened_at is not None

    @property
    def blocks(self) -> bool:
        """Whether nothing may be tried now. Unlike `allows` it takes no probe."""
        # A probe whose outcome never came must not be the last.
        since = self._opened_at if self._probing_since is None else self._probing_since
        return since is not None and self._opened_at is not None and self._clock() - since < self._cooldown

    def allows(self) -> bool:
        """Whether to try. A yes while it is open is the one probe, and must be followed by its outcome."""
        if self._opened_at is None:
            return True
        if self.blocks:
            return False
        self._probing_since = self._clock()
        return True

    def succeeded(self) -> None:
        """The service answered."""
        self._failures = 0
        self._opened_at = self._probing_since = None

    def failed(self) -> bool:
        """The service did not answer, or could not. True if that opened the breaker, or opened it again."""
        self._failures += 1
        if self._opened_at is None and self._failures < self._threshold:
            return False
        if self._opened_at is not None and self._probing_since is None:
            return False  # a call from before it opened
        self._opened_at = self._clock()
        self._probing_since = None
        return True

    def abandoned(self) -> None:
        """The try was cancelled before it had an outcome, so another may probe at once."""
        self._probing_since = None
