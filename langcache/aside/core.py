"""Cache-aside: look an answer up, or compute and store it. One implementation for both clients."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from .._portal.tasks import Outcome, spared
from ..errors import ClosedError, StatusError
from .answers import Answer, AsideConfig, CacheStatus, CallOptions, Options
from .breaker import CircuitBreaker
from .codecs import TEXT, Codec
from .flight import CallerLeft, SingleFlight, WaitsForItself
from .making import asked, made
from .question import Lookup, Question
from .scope import AttributeValue
from .stats import Stats

if TYPE_CHECKING:
    from ..client import AsyncLangCache
    from ..telemetry import Telemetry

__all__ = ["Aside"]

T = TypeVar("T")

_log = logging.getLogger("langcache.aside")

_HIT = CacheStatus.HIT  # up to Python 3.11, each look-up of a member runs some Python code
_UNAVAILABLE = frozenset({424, 429})


class Aside:
    """Cache-aside for a client and its scopes: how their calls go, and what they share."""

    def __init__(self, config: AsideConfig) -> None:
        self.config = config
        self.stats: Stats = Stats()
        self.flights: SingleFlight = SingleFlight()
        self.broadcasts: dict[Hashable, Any] = {}
        """The streams under way (see `langcache.aside.streams`)."""
        self.breaker: CircuitBreaker = CircuitBreaker(config.breaker_failures, config.breaker_cooldown)
        self._stores: set[asyncio.Task[Outcome[Exception | None]]] = set()
        self._said: set[tuple[str, object]] = set()

    def get_or_set(
        self,
        client: AsyncLangCache,
        prompt: Any,
        make: Any,
        key: Callable[[Any], str] | None,
        codec: Codec[Any] | None,
        attributes: Mapping[str, AttributeValue] | None,
        options: CallOptions,
    ) -> Coroutine[Any, Any, Answer[Any]]:
        """What ``AsyncLangCache.get_or_set`` does."""
        question = Question(client, asked(prompt, key), attributes, codec or TEXT, Options.of(options))
        return self.answer(question, partial(made, make, prompt))

    def answer(
        self, question: Question[T], compute: Callable[[], Awaitable[T]]
    ) -> Coroutine[Any, Any, Answer[T]]:
        """The answer to a question: from the cache, or computed and stored."""
        telemetry = question.client._telemetry
        if telemetry is None:
            return self._answer(question, compute)
        return self._observed(telemetry, question, compute)

    async def _observed(
        self, telemetry: Telemetry, question: Question[T], compute: Callable[[], Awaitable[T]]
    ) -> Answer[T]:
        with telemetry.question(question.client._cache_id) as span:
            answer = await self._answer(question, compute)
            span.answered(answer)
            return answer

    async def _answer(self, question: Question[T], compute: Callable[[], Awaitable[T]]) -> Answer[T]:
        if question.given_up is not None:
            return self._counted(await _computed(question, question.given_up, compute))
        # A task can't be awaited from another loop, or after a fork.
        key = question.key(asyncio.get_running_loop())
        while (flight := self.flights.under_way(key)) is not None:
            try:
                shared: Answer[T] = await flight.follow()
            except CallerLeft:
                continue
            except WaitsForItself:
                found = await question.look_up()
                return self._counted(_hit(found) or await _computed(question, found, compute))
            return self._counted(msgspec.structs.replace(shared, shared=True))
        with self.flights.lead(key) as flight:
            found = await question.look_up()
            hit = _hit(found)
            if hit is not None:
                flight.settle(hit)
                return self._counted(hit)
            return self._counted(await flight.alone(partial(_computed, question, found, compute)))

    def begin_store(
        self, store: Callable[[], Coroutine[Any, Any, Exception | None]]
    ) -> asyncio.Task[Outcome[Exception | None]] | None:
        """Store in a task of its own. None if too many are doing so already."""
        if len(self._stores) >= self.config.max_pending_stores:
            self.stats.stores_dropped += 1
            self.warn_once("answers are not stored: %d are on their way to the cache", len(self._stores))
            return None
        task = asyncio.get_running_loop().create_task(spared(store))
        self._stores.add(task)
        task.add_done_callback(self._stores.discard)
        return task

    @property
    def storing(self) -> bool:
        """Whether answers are on their way to the cache."""
        return bool(self._stores)

    async def drain(self) -> None:
        """Wait for what is being stored, for as long as the configuration allows."""
        loop = asyncio.get_running_loop()
        pending = [task for task in self._stores if task.get_loop() is loop]
        if pending:
            _, late = await asyncio.wait(pending, timeout=self.config.close_timeout)
            for task in late:
                task.cancel()

    def failed(self, error: Exception) -> None:
        """Take note of what went wrong with the cache: an outage, or something to be put right."""
        if not _is_outage(error):
            if isinstance(error, StatusError) and error.tries:  # a LimitError was never sent
                self.breaker.succeeded()
            self.warn_once("the cache is not used: %s: %s", type(error).__name__, error)
        elif self.breaker.failed():
            _log.warning(
                "the cache is left alone for %g s after failures in a row; the last: %s: %s",
                self.config.breaker_cooldown,
                type(error).__name__,
                error,
            )
        else:
            _log.debug("the cache failed: %s: %s", type(error).__name__, error)

    def warn_once(self, message: str, *args: object) -> None:
        """Log a warning unless one with the same message and first argument was logged before."""
        kind = (message, args[0])
        if kind not in self._said:
            self._said.add(kind)
            _log.warning(message, *args)

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

    def _counted(self, answer: Answer[T]) -> Answer[T]:
        self.count(answer.status, shared=answer.shared)
        return answer


def _hit(found: Lookup) -> Answer[Any] | None:
    if found.status is not _HIT:
        return None
    return Answer(value=found.value, status=_HIT, entry=found.entry)


async def _computed(question: Question[T], found: Lookup, compute: Callable[[], Awaitable[T]]) -> Answer[T]:
    started = time.monotonic()
    try:
        value = await compute()
    finally:
        question.aside.stats.make_seconds += time.monotonic() - started
    error = found.error
    if found.status is CacheStatus.MISS:
        error = await question.store(value)
    return Answer(value=value, status=found.status, reason=found.reason, error=error)


def _is_outage(error: Exception) -> bool:
    """Whether the service was out of reach, slow or broken, as against refusing what it was asked."""
    if isinstance(error, StatusError):
        return error.status_code in _UNAVAILABLE or error.status_code >= 500
    return not isinstance(error, ClosedError | ValueError | TypeError)
