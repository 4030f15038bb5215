"""The settings of retries: which failures to retry, and how long to wait between tries."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import SupportsIndex, cast

import msgspec

from ._checks import check_int, check_number, short, wrong_type

__all__ = ["BackoffStrategy", "RetryConfig", "check_retries"]

_RETRIED_STATUSES = ("429", "500", "502", "503", "504")
_STATUS_CODE = r"[0-9](?:[0-9]{2}|XX)"  # compiled when it is first used
_STATUS_CODES = "status_codes_override"
_LEAST = {"initial_interval": 0, "max_interval": 0, "exponent": 1, "max_elapsed_time": 1, "jitter_ms": 0}


class BackoffStrategy(msgspec.Struct, frozen=True):
    """How long to wait between tries. All times are in milliseconds."""

    initial_interval: float
    """The first wait."""

    max_interval: float
    """The longest wait, jitter included. A ``Retry-After`` from the service may be longer."""

    exponent: float
    """The factor from one wait to the next, at least 1."""

    max_elapsed_time: float
    """The time allowed for all tries and waits together. A try that is still running at its end raises
    `TimeoutException`. A wait that would go beyond it is not begun: the last outcome is the call's."""

    jitter_ms: float | None = None
    """The most that is added to each wait at random. None is 1,000, as in the established client."""

    def __post_init__(self) -> None:
        for name, minimum in _LEAST.items():
            value = getattr(self, name)
            if value is not None or name != "jitter_ms":
                msgspec.structs.force_setattr(self, name, check_number(name, value, minimum=minimum))


class RetryConfig(msgspec.Struct, frozen=True):
    """Whether to retry, and which failures."""

    strategy: str
    """``"backoff"``, or ``"none"`` for a single try."""

    backoff: BackoffStrategy | None = None
    """How long to wait; needed if the strategy is ``"backoff"``."""

    retry_connection_errors: bool = False
    """Whether to retry when no reply came (`RequestError` and its subclasses). If only the reply of a ``set``
    was lost, a retry stores the entry twice."""

    status_codes_override: tuple[str, ...] | None = None
    """The statuses to retry, as ``"503"`` or ``"5XX"``, in place of 429, 500, 502, 503 and 504. Any
    iterable will do, and one status alone."""

    max_tries: int | None = None
    """How often a request is sent at most, the first time included. None: as often as ``max_elapsed_time``
    allows."""

    def __post_init__(self) -> None:
        if self.strategy not in ("backoff", "none"):
            raise ValueError(f'strategy: must be "backoff" or "none", but is {self.strategy!r}')
        if self.strategy == "backoff" and not isinstance(self.backoff, BackoffStrategy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise wrong_type("backoff", "a BackoffStrategy", self.backoff)
        codes = _status_codes(self.status_codes_override)
        msgspec.structs.force_setattr(self, "status_codes_override", codes or None)
        if self.max_tries is not None:
            tries = check_int("max_tries", self.max_tries, minimum=1)
            msgspec.structs.force_setattr(self, "max_tries", tries)

    def retries_status(self, status: int) -> bool:
        """Whether a reply with this status is retried."""
        return _among(self.status_codes_override or _RETRIED_STATUSES, status)


def _status_codes(given: object) -> tuple[str, ...]:
    """The patterns of ``status_codes_override``, in upper case; one text or number is one of them."""
    if given is None:
        return ()
    if isinstance(given, str | SupportsIndex):
        given = (given,)
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise wrong_type(_STATUS_CODES, "an iterable of str", given)
    return tuple(_status_code(item) for item in cast("Iterable[object]", given))


def _status_code(item: object) -> str:
    if not isinstance(item, str | SupportsIndex):
        raise wrong_type(_STATUS_CODES, "an iterable of str", item)
    code = item.upper() if isinstance(item, str) else str(check_int(_STATUS_CODES, item, minimum=0))
    if not re.fullmatch(_STATUS_CODE, code):
        raise ValueError(f'{_STATUS_CODES}: must be such as "503" or "5XX", but has {short(code)}')
    return code


@functools.lru_cache(maxsize=256)
def _among(codes: tuple[str, ...], status: int) -> bool:
    return str(status) in codes or f"{status // 100}XX" in codes


_USUAL_WAITS = BackoffStrategy(
    initial_interval=100, max_interval=2_000, exponent=2.0, max_elapsed_time=60_000, jitter_ms=100
)


def check_retries(argument: str, config: object) -> RetryConfig | None:
    """The config given as an argument, or made of a number of further tries; None for a single try.

    Raises `TypeError` for anything else, and `ValueError` for a number below 0.
    """
    if config is None or config is msgspec.UNSET:
        return None
    if isinstance(config, RetryConfig):
        return config
    try:
        more = check_int(argument, config, minimum=0)
    except TypeError:
        raise wrong_type(
            argument, "a langcache.RetryConfig or a whole number of further tries", config
        ) from None
    if more == 0:
        return None
    return RetryConfig("backoff", _USUAL_WAITS, retry_connection_errors=True, max_tries=1 + more)
