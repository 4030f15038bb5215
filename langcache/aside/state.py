"""The state of one client and its scopes for cache-aside: settings, statistics, breaker, log."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import weakref
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from .._call.loops import running_loop
from ..errors import BadRequestError, ClosedError, StatusError
from ..limits import Limits
from .answers import CacheStatus
from .background import Background
from .blocked import BlockedPairs
from .breaker import CircuitBreaker
from .claims import Claims
from .execution import Execution
from .flight import CannotFollow
from .log import RateLimitedLog, error_text
from .near import Near
from .options import AsideConfig, added_attributes
from .question import Question
from .sources import name_of
from .stats import Stats

__all__ = ["State"]

_log = logging.getLogger("langcache.aside")

_HIT = CacheStatus.HIT  # looked up once: up to Python 3.11, getting a member of an enum is slow
_MAX_REFRESHED = 1024
_UNAVAILABLE_STATUSES = frozenset({424, 429})


class State:
    """The state that all cache-aside calls of a client share.

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
        self.claims: Claims = Claims(config.function_attribute)
        self.log: RateLimitedLog = RateLimitedLog()
        self._refreshed: dict[Hashable, float] = {}
        self._invalidated: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        # The latest time of those that are no longer kept. What began before may be outdated by any of them.
        self._refreshed_before: float = 0.0
        self._invalidated_before: float = 0.0
        self.streams: dict[Hashable, Any] = {}
        """The streams that are being produced, by key."""
        self.pending_stores: set[Any] = set()
        """The tasks that are storing answers."""
        blocking = execution.is_blocking
        most_measured = 0 if config.shadow is None else config.shadow.max_pending
        self.measuring: Background = Background(most_measured, "langcache-shadow", blocking=blocking)
        """The work that measures hits."""
        self.renewing: Background = Background(config.max_renewals, "langcache-renewal", blocking=blocking)
        """The work that renews stale answers."""
        self.renewed: dict[Hashable, None] = {}
        """The questions whose stale answers are being renewed, by flight key."""
        self.blocked: BlockedPairs = BlockedPairs()
        is_dry_run = config.shadow is not None and config.shadow.dry_run
        self.near: Near | None = None if config.near is None or is_dry_run else Near(config.near)
        """The near cache, until the client is closed; None for none."""
        _states.add(self)

    def count_answer(self, status: CacheStatus, *, shared: bool) -> None:
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

    def record_change(self) -> None:
        """Record that entries were changed: the near cache forgets all, since any reply may have had them."""
        if self.near is not None:
            self.near.drop()

    def flight_timeout(self, question: Question[Any]) -> float:
        """Seconds that a call waits at most for another one that computes the same answer."""
        return question.options.flight_timeout or self.config.flight_timeout

    def record_cannot_follow(self, question: Question[Any], error: CannotFollow) -> None:
        """Record a call that computes an answer alone, though another call is computing the same."""
        if error.timed_out:
            self.stats.flight_timeouts += 1
            self.log.warn(
                ("flight", name := str(question)),
                "%s: another call has been computing the same answer for %g s; this one computes alone",
                name,
                self.flight_timeout(question),
            )

    def record_failure(self, question: Question[Any], error: Exception) -> None:
        """Record an error of the cache: an outage, or a mistake in the program or the configuration."""
        kind = type(error).__name__
        if isinstance(error, BadRequestError):
            names = {name for name, _ in question.attributes or ()} | added_attributes(self.config)
            _say_what_to_declare(names, error)
        if not _is_outage(error):
            if isinstance(error, StatusError) and error.tries:  # a LimitError has no tries: it was never sent
                self.breaker.succeeded()
            else:
                self.breaker.abandoned()
            name = str(question)
            self.log.warn(("unused", name, kind), "%s: the cache is not used: %s", name, error_text(error))
        elif self.breaker.failed():
            _log.warning(
                "the cache is left alone for %g s after failures in a row; the last: %s",
                self.config.breaker_cooldown,
                error_text(error),
            )
        else:
            _log.debug("the cache failed: %s: %s", kind, error)

    def record_not_stored(self, question: Question[Any], error: BaseException) -> None:
        """Record an answer that can't be stored."""
        self.stats.store_errors += 1
        name, kind = str(question), type(error).__name__
        self.log.warn(
            ("not stored", name, kind), "%s: its answers are not stored: %s", name, error_text(error)
        )
        _log.debug("an answer is not stored", exc_info=error)

    def record_refresh(self, text: str, attributes: frozenset[tuple[str, str]] | None) -> None:
        """Record that an entry was replaced or deleted just now. The latest 1,024 are kept."""
        key = text, attributes
        self._refreshed.pop(key, None)
        if len(self._refreshed) >= _MAX_REFRESHED:
            self._refreshed_before = self._refreshed.pop(next(iter(self._refreshed)))
        self._refreshed[key] = time.monotonic()

    def is_outdated(self, question: Question[Any]) -> bool:
        """Whether the answer was replaced or deleted since its lookup began, and must not be stored.

        True as well if more were since then than are kept.
        """
        if not self._refreshed or (question.options.refresh and question.stale is None):
            return False
        at = self._refreshed.get((question.text, question.attributes), self._refreshed_before)
        return at > question.started

    def record_invalidation(self, source: str, scope: Mapping[str, str]) -> None:
        """Record that the answers of a source, and of this scope, are deleted. The latest 1,024 are kept."""
        key = source, frozenset(scope.items())
        self._invalidated.pop(key, None)
        if len(self._invalidated) >= _MAX_REFRESHED:
            self._invalidated_before = self._invalidated.pop(next(iter(self._invalidated)))
        self._invalidated[key] = time.monotonic()

    def is_invalidated(self, question: Question[Any], sources: Iterable[str]) -> bool:
        """Whether one of the answer's sources was invalidated since its lookup began.

        True as well if more were since then than are kept.
        """
        if not self._invalidated:
            return False
        if self._invalidated_before > question.started:
            return True
        names = {*sources, *map(name_of, sources)}
        attributes = question.attributes or frozenset()
        return any(
            at > question.started and source in names and scope <= attributes
            for (source, scope), at in list(self._invalidated.items())
        )

    async def wait_for_stores(self, timeout: float | None) -> set[asyncio.Task[Any]]:
        """Wait for the stores of this event loop; return those not done after ``timeout`` seconds."""
        loop = running_loop()
        tasks = [task for task in self.pending_stores if task.get_loop() is loop]
        return (await asyncio.wait(tasks, timeout=timeout))[1] if tasks else set()

    def start_anew_in_child(self) -> None:
        """In a forked child, forget streams, stores, flights and probes: they go on only in the parent."""
        self.pending_stores.clear()
        self.measuring.clear()
        self.renewing.clear()
        self.renewed.clear()
        self.streams.clear()
        self.execution.flights.clear()
        if self.near is not None:
            self.near.drop()
        self.breaker.abandoned()


def _say_what_to_declare(attributes: Iterable[str], error: BadRequestError) -> None:
    """Add to an error about attributes which ones the cache must know, since some are not the call's own."""
    names = ", ".join(sorted(map(repr, attributes)))
    if names and "attribute" in error.message.lower() and error.args == (error.message,):
        error.message += f" The question has {names}: declare all of these when the cache is made."


def _is_outage(error: Exception) -> bool:
    """Whether the service was unreachable, slow or broken, rather than refusing the request."""
    if isinstance(error, StatusError):
        return error.status_code in _UNAVAILABLE_STATUSES or error.status_code >= 500
    return not isinstance(error, ClosedError | ValueError | TypeError)


_states: weakref.WeakSet[State] = weakref.WeakSet()


def _start_anew_in_child() -> None:
    for state in _states:
        state.start_anew_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew_in_child)
