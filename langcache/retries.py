"""When to try again, how long to wait, and when to give up. The `backoff` library does the trying."""

from __future__ import annotations

import functools
import math
import random
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Generator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from .errors import RequestError
from .exchange import Reply

__all__ = ["BackoffStrategy", "RetryConfig", "check_retries", "with_retries"]

_RETRIED_STATUSES = ("429", "500", "502", "503", "504")
_DEFAULT_JITTER_MS = 1000

Send = Callable[[int, "float | None"], Awaitable[Reply]]
"""Sends once: takes the number of the try and the seconds that are left for it (None: no deadline)."""

UnlessClosed = Callable[[Awaitable[Reply]], Awaitable[Reply]]


class BackoffStrategy(msgspec.Struct, frozen=True):
    """How long to wait between tries. All times are in milliseconds."""

    initial_interval: float
    """The first wait."""

    max_interval: float
    """The longest wait, jitter included. A ``Retry-After`` from the service may be longer."""

    exponent: float
    """What each wait is multiplied by to get the next, at least 1."""

    max_elapsed_time: float
    """The deadline over all tries and waits. A try still running then ends in `TimeoutException`, and a wait
    that would pass it is not begun: the call ends with what it has."""

    jitter_ms: float | None = None
    """A random addition to each wait, from 0 to this many. None is 1,000, as in the established client."""

    def __post_init__(self) -> None:
        _check_number("initial_interval", self.initial_interval, minimum=0)
        _check_number("max_interval", self.max_interval, minimum=0)
        _check_number("exponent", self.exponent, minimum=1)
        _check_number("max_elapsed_time", self.max_elapsed_time, minimum=1)
        if self.jitter_ms is not None:
            _check_number("jitter_ms", self.jitter_ms, minimum=0)


class RetryConfig(msgspec.Struct, frozen=True):
    """Whether and what to try again."""

    strategy: str
    """``"backoff"``, or ``"none"`` for a single try."""

    backoff: BackoffStrategy | None = None
    """How long to wait; needed if the strategy is ``"backoff"``."""

    retry_connection_errors: bool = False
    """Whether to try again when no reply came (`RequestError` and its kinds). A ``set`` may then be stored
    twice, if its reply was what got lost."""

    status_codes_override: tuple[str, ...] | None = None
    """The statuses to try again, as ``"503"`` or ``"5XX"``, in place of 429, 500, 502, 503 and 504."""

    def __post_init__(self) -> None:
        if self.strategy not in ("backoff", "none"):
            raise ValueError(f'strategy: must be "backoff" or "none", but is {self.strategy!r}')
        if self.strategy == "backoff" and not isinstance(self.backoff, BackoffStrategy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"backoff: must be a BackoffStrategy, but is {type(self.backoff).__name__}")
        codes = tuple(str(code).upper() for code in self.status_codes_override or ())
        for code in codes:
            if len(code) != 3 or not code[0].isdigit() or not (code[1:].isdigit() or code[1:] == "XX"):
                raise ValueError(f'status_codes_override: must be such as "503" or "5XX", but has {code!r}')
        msgspec.structs.force_setattr(self, "status_codes_override", codes or None)

    def retries_status(self, status: int) -> bool:
        """Whether a reply with this status is tried again."""
        return _among(self.status_codes_override or _RETRIED_STATUSES, status)


@functools.lru_cache(maxsize=256)
def _among(codes: tuple[str, ...], status: int) -> bool:
    return str(status) in codes or f"{status // 100}XX" in codes


def check_retries(argument: str, config: object) -> RetryConfig | None:
    """The config that an argument gives, None for a single try. Raises `TypeError` for anything else."""
    if config is None or config is msgspec.UNSET:
        return None
    if not isinstance(config, RetryConfig):
        raise TypeError(f"{argument}: must be a langcache.RetryConfig, but is {type(config).__name__}")
    return config


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
        left = max(self.deadline - time.monotonic(), 0.001)
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


def _check_number(name: str, value: object, *, minimum: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: must be a number, but is {type(value).__name__}")
    if not minimum <= value <= sys.float_info.max:  # an int may be too large for a float
        raise ValueError(f"{name}: must be at least {minimum:g} and finite, but is {value!r}")
