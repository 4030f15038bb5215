"""One call in several tries, as a `RetryConfig` says. The `backoff` library does the trying."""

from __future__ import annotations

import functools
import math
import random
import time
import warnings
from collections.abc import Awaitable, Callable, Generator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from .._wire.exchange import Reply
from ..errors import RequestError
from ..retries import BackoffStrategy, RetryConfig
from .deadlines import time_until

__all__ = ["retry_after", "with_retries"]

_DEFAULT_JITTER_MS = 1000

Send = Callable[[int, "float | None"], Awaitable[Reply]]
"""Sends once: takes the number of the try and the seconds that are left for it (None: no deadline)."""

UnlessClosed = Callable[[Awaitable[Reply]], Awaitable[Reply]]


async def with_retries(send: Send, config: RetryConfig, unless_closed: UnlessClosed) -> tuple[Reply, int]:
    """Send, again and again if so configured, and say how many tries it took.

    ``unless_closed`` awaits what comes after the first try, waits included, and may cut it short.

    Returns the last reply, whatever its status. If the last try brought none, raises its error, with
    ``tries`` set.
    """
    if config.backoff is None or config.strategy == "none":
        return await send(1, None), 1
    seconds = config.backoff.max_elapsed_time / 1000
    deadline = time.monotonic() + seconds
    try:
        # All the seconds there are, to the digit: the HTTP client has a timeout of that length ready.
        return await _try(send, config, 1, seconds, deadline), 1
    except _TryAgain as failure:
        call = _Call(send, config, deadline, failure)  # nearly every call ends above, and never needs backoff
    try:
        return await unless_closed(_trying(config.backoff)(call)), call.tries
    except _TryAgain as last:
        if isinstance(last.outcome, Reply):
            return last.outcome, call.tries
        raise last.outcome from last.outcome.__cause__


async def _try(send: Send, config: RetryConfig, nth_try: int, left: float, deadline: float) -> Reply:
    """Send once; raise `_TryAgain` for what is worth another try."""
    try:
        reply = await send(nth_try, left)
    except RequestError as error:
        error.tries = nth_try
        if not config.retry_connection_errors:
            raise
        raise _TryAgain(error, deadline) from error
    if config.retries_status(reply.status_code):
        raise _TryAgain(reply, deadline)
    return reply


class _Call:
    """One call whose first try failed, with its deadline and the count of its tries."""

    def __init__(self, send: Send, config: RetryConfig, deadline: float, failure: _TryAgain) -> None:
        self.send = send
        self.config = config
        self.deadline = deadline
        self.tries = 1
        self.failure: _TryAgain | None = failure

    async def go_on(self) -> Reply:
        """What backoff calls: first it is told of the try that failed, then it may have others."""
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        self.tries += 1
        left = time_until(self.deadline)
        return await _try(self.send, self.config, self.tries, left, self.deadline)


class _TryAgain(Exception):
    """What a try came to that is worth another."""

    def __init__(self, outcome: Reply | RequestError, deadline: float) -> None:
        super().__init__(outcome, deadline)
        self.outcome = outcome
        self.deadline = deadline


@functools.lru_cache(maxsize=64)
def _trying(strategy: BackoffStrategy) -> Callable[[_Call], Awaitable[Reply]]:
    # Decorating costs more than all else here, so it is done once for each strategy; and importing backoff
    # waits for the first call that has retries configured.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of asyncio.iscoroutinefunction, on Python 3.14
        import backoff

        # backoff's own jitter and max_time would shorten a Retry-After; its logger would log the call's
        # arguments. The generator of waits decides all of that instead.
        return backoff.on_exception(_waits, _TryAgain, jitter=None, logger=None, strategy=strategy)(
            _Call.go_on
        )


def _waits(strategy: BackoffStrategy) -> Generator[float, Any, None]:
    """The waits, in seconds, each the answer to the failure sent in; ends where one would be too late."""
    jitter = _DEFAULT_JITTER_MS if strategy.jitter_ms is None else strategy.jitter_ms
    interval = strategy.initial_interval
    failure: _TryAgain = yield 0.0  # backoff discards the first
    while True:
        seconds = retry_after(failure.outcome.headers, datetime.now(timezone.utc))
        if seconds is None:
            seconds = min(interval + random.uniform(0, jitter), strategy.max_interval) / 1000  # noqa: S311
            interval = min(interval * strategy.exponent, strategy.max_interval)
        if time.monotonic() + seconds >= failure.deadline:
            return
        failure = yield seconds


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that the service asks to wait, None if it asks for nothing sensible.

    Reads ``retry-after-ms`` (milliseconds) and ``Retry-After`` (seconds, or an HTTP date). A wait of nothing
    or less is no answer: trying again at once is what a service in trouble needs least.
    """
    asked = headers.get("Retry-After", "")
    readings: tuple[Callable[[], float], ...] = (
        lambda: float(headers.get("retry-after-ms", "")) / 1000,
        lambda: float(asked),
        lambda: (_http_date(asked) - now).total_seconds(),
    )
    for reading in readings:
        try:
            seconds = reading()
        except (ValueError, TypeError, OverflowError):
            continue
        if math.isfinite(seconds) and seconds > 0:
            return seconds
    return None


def _http_date(text: str) -> datetime:
    date = parsedate_to_datetime(text)
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)
