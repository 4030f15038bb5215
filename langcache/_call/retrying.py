"""Retries of one call, as a `RetryConfig` says. The `backoff` library runs them."""

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

from ..errors import RequestError
from ..retries import BackoffStrategy, RetryConfig
from .deadlines import time_until
from .received import Received

__all__ = ["retry_after", "with_retries"]

_DEFAULT_JITTER_MS = 1000
_RETRY_AFTER_CHARS = 100  # more is neither a time nor a date

Send = Callable[[int, "float | None"], Awaitable[Received]]
"""Sends once. Takes the number of the try, from 1, and the seconds left for it (None: no deadline)."""

UnlessClosed = Callable[[Awaitable[Received]], Awaitable[Received]]


async def with_retries(send: Send, config: RetryConfig, unless_closed: UnlessClosed) -> tuple[Received, int]:
    """Send, with retries as configured. Returns the last reply, whatever its status, and the number of tries.

    ``unless_closed`` awaits all that follows the first try, waits included; it ends early when the client is
    closed.

    Raises the error of the last try, with ``tries`` set, if that try got no reply.
    """
    if config.backoff is None or config.strategy == "none":
        return await send(1, None), 1
    seconds = config.backoff.max_elapsed_time / 1000
    deadline = time.monotonic() + seconds
    try:
        # The exact number of seconds, since the HTTP client caches its timeouts by their length.
        return await _try(send, config, 1, seconds, deadline), 1
    except _TryAgain as failure:
        call = _Call(send, config, deadline, failure)  # most calls end above, without backoff
    try:
        return await unless_closed(_trying(config.backoff)(call)), call.tries
    except _TryAgain as last:
        if isinstance(last.outcome, Received):
            return last.outcome, call.tries
        raise last.outcome from last.outcome.__cause__


async def _try(send: Send, config: RetryConfig, nth_try: int, left: float, deadline: float) -> Received:
    """Send once; raise `_TryAgain` if the outcome is to be retried."""
    is_last = nth_try == config.max_tries
    try:
        reply = await send(nth_try, left)
    except RequestError as error:
        error.tries = nth_try
        if is_last or not config.retry_connection_errors:
            raise
        raise _TryAgain(error, deadline) from error
    if not is_last and config.retries_status(reply.status_code):
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

    async def next_try(self) -> Received:
        """Called by backoff: first raises the failure of the first try, then makes one try more each time."""
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        self.tries += 1
        left = time_until(self.deadline)
        return await _try(self.send, self.config, self.tries, left, self.deadline)


class _TryAgain(Exception):
    """The outcome of a try that is to be retried."""

    def __init__(self, outcome: Received | RequestError, deadline: float) -> None:
        super().__init__(outcome, deadline)
        self.outcome = outcome
        self.deadline = deadline


@functools.lru_cache(maxsize=64)
def _trying(strategy: BackoffStrategy) -> Callable[[_Call], Awaitable[Received]]:
    # Decorating costs more than everything else here, so it is done once for each strategy. backoff is
    # imported by the first retry, since most programs never need it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of asyncio.iscoroutinefunction, on Python 3.14
        import backoff

        # backoff's own jitter and max_time would shorten a Retry-After, and its logger would log the call's
        # arguments. The generator of waits does all of this instead.
        return backoff.on_exception(_waits, _TryAgain, jitter=None, logger=None, strategy=strategy)(
            _Call.next_try
        )


def _waits(strategy: BackoffStrategy) -> Generator[float, Any, None]:
    """Yields the wait in seconds for each failure sent in; ends when a wait would pass the deadline."""
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
    """The seconds that the service asks to wait; None if it names no finite time of more than 0.

    Reads ``retry-after-ms`` (milliseconds) and ``Retry-After`` (seconds, or an HTTP date). A time of 0 or
    less is ignored, since retrying at once would only add load to a service in trouble.
    """
    asked = _short(headers.get("Retry-After", ""))
    readings: tuple[Callable[[], float], ...] = (
        lambda: float(_short(headers.get("retry-after-ms", ""))) / 1000,
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


def _short(value: str) -> str:
    return value if len(value) <= _RETRY_AFTER_CHARS else ""


def _http_date(text: str) -> datetime:
    date = parsedate_to_datetime(text)
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)
