"""What the cache-aside calls of one client and of its scopes share: settings, figures, breaker, log."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Hashable
from typing import Any

from ..errors import ClosedError, StatusError
from ..limits import Limits
from .answers import CacheStatus
from .breaker import CircuitBreaker
from .execution import Execution
from .flight import CannotFollow
from .functions import Functions
from .log import RateLimitedLog
from .options import AsideConfig
from .question import Question
from .stats import Stats

__all__ = ["State"]

_log = logging.getLogger("langcache.aside")

_HIT = CacheStatus.HIT  # up to Python 3.11, each look-up of a member runs some Python code
_UNAVAILABLE = frozenset({424, 429})


class State:
    """What the calls of a client share. Made with the client.

    Args:
        limits: what the service accepts.
        config: the client's settings.
        execution: where the parts of a call run.
    """

    def __init__(self, limits: Limits, config: AsideConfig, execution: Execution) -> None:
        self.limits = limits
        self.config = config
        self.execution: Execution = execution
        self.stats: Stats = Stats()
        self.breaker: CircuitBreaker = CircuitBreaker(config.breaker_failures, config.breaker_cooldown)
        self.functions: Functions = Functions(config.function_attribute)
        self.log: RateLimitedLog = RateLimitedLog()
        self.streams: dict[Hashable, Any] = {}
        """The streams under way, by key."""
        self.pending_stores: set[Any] = set()
        """The tasks that are storing answers."""
        _states.add(self)

    def count(self, status: CacheStatus, *, shared: bool) -> None:
        """Count an answer."""
        stats = self.stats
        if status is _HIT:
            stats.hits += 1
        elif status is CacheStatus.MISS:
            stats.misses += 1
        elif status is CacheStatus.BYPASS:
            stats.bypasses += 1
        else:
            stats.errors += 1
        stats.shared += shared

    def cannot_follow(self, question: Question[Any], error: CannotFollow) -> None:
        """Take note of a call that computes alone, though another is computing the same."""
        if error.timed_out:
            self.stats.flight_timeouts += 1
            self.log.warn(
                ("flight", name := str(question)),
                "%s: another call has been computing the same answer for %g s; this one computes alone",
                name,
                self.config.flight_timeout,
            )

    def failed(self, question: Question[Any], error: Exception) -> None:
        """Take note of what went wrong with the cache: an outage, or something to be put right."""
        kind = type(error).__name__
        if not _is_outage(error):
            if isinstance(error, StatusError) and error.tries:  # a LimitError was never sent
                self.breaker.succeeded()
            else:
                self.breaker.abandoned()
            name = str(question)
            self.log.warn(("unused", name, kind), "%s: the cache is not used: %s: %s", name, kind, error)
        elif self.breaker.failed():
            _log.warning(
                "the cache is left alone for %g s after failures in a row; the last: %s: %s",
                self.config.breaker_cooldown,
                kind,
                error,
            )
        else:
            _log.debug("the cache failed: %s: %s", kind, error)

    def not_stored(self, question: Question[Any], error: BaseException) -> None:
        """Take note of an answer that can't be stored."""
        self.stats.store_errors += 1
        name, kind = str(question), type(error).__name__
        self.log.warn(("not stored", name, kind), "%s: its answers are not stored: %s: %s", name, kind, error)

    def start_anew_in_child(self) -> None:
        """Forget, in a forked child, what was under way: it goes on in the parent."""
        self.pending_stores.clear()
        self.streams.clear()
        self.execution.flights.clear()
        self.breaker.abandoned()


def _is_outage(error: Exception) -> bool:
    """Whether the service was out of reach, slow or broken, as against refusing what it was asked."""
    if isinstance(error, StatusError):
        return error.status_code in _UNAVAILABLE or error.status_code >= 500
    return not isinstance(error, ClosedError | ValueError | TypeError)


_states: weakref.WeakSet[State] = weakref.WeakSet()


def _start_anew_in_child() -> None:
    for state in _states:
        state.start_anew_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew_in_child)
