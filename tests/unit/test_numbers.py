"""Numbers as arguments: each argument accepts the same types, and refuses the same in the same way."""

from __future__ import annotations

import asyncio
import enum
import math
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from langcache import AsyncLangCache, BackoffStrategy, LangCache, Limits
from langcache._checks import check_duration, check_int, check_number

try:
    import numpy as np
except ImportError:  # the package itself does without
    np = None

SETTINGS = ("cache.example", "a-key", "a-cache")
NO_LIMITS = Limits.none()


class Argument(NamedTuple):
    """A numeric argument, and the rule that it has."""

    name: str
    give: object
    """Gives a value, and returns what is kept or sent."""
    whole: bool = False
    optional: bool = False
    zero: bool = False
    """Whether 0 is within its bounds."""
    takes_hugest: bool = False
    """Whether it is bounded by that of a float, and not by less."""


class Recorder:
    """A client that keeps the timeout of the last request."""

    timeout = None

    async def request(self, method, url, *, headers, content, timeout):
        Recorder.timeout = timeout
        return SimpleNamespace(status_code=200, headers={}, content=b'{"data": []}')

    async def aclose(self):
        pass


def timeout_of_client(value):
    async def search():
        async with AsyncLangCache(*SETTINGS, client=Recorder, timeout_ms=value) as client:
            await client.search("q")

    asyncio.run(search())
    return 1000 * Recorder.timeout


def timeout_of_blocking_client(value):
    with LangCache(*SETTINGS, client=Recorder, timeout_ms=value) as client:
        client.search("q")
    return 1000 * Recorder.timeout


def timeout_of_call(value):
    async def search():
        async with AsyncLangCache(*SETTINGS, client=Recorder) as client:
            await client.search("q", timeout_ms=value)

    asyncio.run(search())
    return 1000 * Recorder.timeout


def field_of(kind, name, **others):
    return lambda value: getattr(kind(**{**others, name: value}), name)


BACKOFF = {"initial_interval": 1, "max_interval": 1, "exponent": 1, "max_elapsed_time": 1}

ARGUMENTS = [
    *(
        Argument("timeout_ms", give, optional=True, takes_hugest=True)
        for give in (timeout_of_client, timeout_of_blocking_client, timeout_of_call)
    ),
    Argument("similarity_threshold", NO_LIMITS.similarity_threshold, optional=True, zero=True),
    Argument("max_results", NO_LIMITS.max_results, whole=True, optional=True),
    Argument("ttl_millis", NO_LIMITS.ttl, whole=True, optional=True),
    Argument("ttl_millis", Limits().ttl, whole=True, optional=True),
    *(
        Argument(
            name,
            field_of(BackoffStrategy, name, **BACKOFF),
            zero=name in ("initial_interval", "max_interval", "jitter_ms"),
            optional=name == "jitter_ms",
            takes_hugest=True,
        )
        for name in BackoffStrategy.__struct_fields__
    ),
    *(
        Argument(
            name,
            field_of(Limits, name),
            whole=True,
            optional=True,
            zero=name in ("attributes", "reply_bytes"),
        )
        for name in Limits.__struct_fields__
        if name != "known_strategies"
    ),
]

try:
    from langcache.service import CacheConfig, ServerConfig
except ImportError:  # without the extra
    pass
else:
    ARGUMENTS += [
        Argument("threshold", field_of(CacheConfig, "threshold")),
        Argument("ttl_millis", field_of(CacheConfig, "ttl_millis"), whole=True, optional=True),
        Argument("port", field_of(ServerConfig, "port"), whole=True, zero=True),
    ]

each_argument = pytest.mark.parametrize(
    "argument", ARGUMENTS, ids=[f"{number} {argument.name}" for number, argument in enumerate(ARGUMENTS)]
)


class One(enum.IntEnum):
    ONE = 1


ONES = [1, 1.0, Decimal(1), Decimal("1.00"), Fraction(1), One.ONE]
NO_NUMBERS = [True, False, "1", b"1", 1j, [1], object(), math]
NOT_FINITE = [math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity")]
if np is not None:
    ONES += [np.float64(1), np.float32(1), np.int64(1), np.uint8(1), np.array(1), np.array(1.0)]
    NO_NUMBERS += [np.True_, np.array(True), np.array([1, 2]), np.str_("1"), np.complex128(1)]
    NOT_FINITE += [np.float64("nan"), np.float32("inf")]
HUGE = [10**400, -(10**400), 10**6000, Fraction(10**400), Decimal("1e400"), Decimal("-1e999999")]
FRACTIONAL = [0.75, Decimal("0.75"), Fraction(3, 4)]


def refused(argument, value, error):
    """Refused with exactly this error, whose message names the argument and is short."""
    with pytest.raises(error) as raised:
        argument.give(value)
    assert str(raised.value).startswith(f"{argument.name}: must be ")
    assert len(str(raised.value)) < 200
    assert not isinstance(raised.value, OverflowError)


@each_argument
@pytest.mark.parametrize("one", ONES, ids=lambda value: type(value).__name__)
def test_a_number_of_any_type_is_kept_as_one_of_pythons_own(argument, one):
    kept = argument.give(one)
    assert kept == 1
    assert type(kept) in ((int,) if argument.whole else (int, float))


@each_argument
def test_a_fraction_is_welcome_where_a_whole_number_is_not_asked_for(argument):
    for value in FRACTIONAL:
        if argument.whole:
            refused(argument, value, TypeError)
        elif argument.name not in ("exponent", "max_elapsed_time"):
            kept = argument.give(value)
            assert (kept, type(kept)) == (0.75, float)


@each_argument
@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
def test_what_is_no_number_is_a_type_error(argument, value):
    refused(argument, value, TypeError)


@each_argument
@pytest.mark.parametrize("value", NOT_FINITE, ids=repr)
def test_what_is_not_finite_is_refused(argument, value):
    refused(argument, value, TypeError if argument.whole else ValueError)


@each_argument
@pytest.mark.parametrize("value", HUGE, ids=lambda value: type(value).__name__)
def test_a_number_that_no_float_holds_is_refused(argument, value):
    refused(argument, value, ValueError if isinstance(value, int) or not argument.whole else TypeError)


@each_argument
def test_a_huge_float_is_refused_unless_any_float_will_do(argument):
    if argument.takes_hugest:
        assert argument.give(1e300)
    else:
        refused(argument, 1e300, ValueError)


@each_argument
def test_below_nothing_and_nothing(argument):
    for value in (-1, -1.0, Decimal(-1), Fraction(-1)):
        refused(argument, value, ValueError)
    if argument.zero:
        assert argument.give(0) == 0
    else:
        refused(argument, 0, ValueError)


@each_argument
def test_none_is_no_number(argument):
    if not argument.optional:
        refused(argument, None, TypeError)
    elif argument.name != "timeout_ms":
        assert argument.give(None) is None


@pytest.mark.parametrize("value", [5e-324, Fraction(1, 10**300)])
def test_a_timeout_too_short_for_a_float_is_still_one(value):
    assert timeout_of_client(value) > 0


def test_a_time_to_live_in_seconds_is_any_number():
    for one in ONES:
        sent = NO_LIMITS.ttl(None, one)
        assert (sent, type(sent)) == (1000, int)
    assert NO_LIMITS.ttl(None, Decimal("1.5")) == 1500
    for value in [*NO_NUMBERS, *NOT_FINITE, *HUGE, 1e308, -1, 0]:
        refused(
            Argument("ttl", lambda ttl: NO_LIMITS.ttl(None, ttl)),
            value,
            TypeError if any(value is other for other in NO_NUMBERS) else ValueError,
        )


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_int("n", 0, minimum=1), "n: must be at least 1, but is 0"),
        (lambda: check_int("n", 2**63, minimum=1), f"n: must be at most {2**63 - 1}, but is {2**63}"),
        (lambda: check_int("n", 7, minimum=1, maximum=5), "n: must be from 1 to 5, but is 7"),
        (lambda: check_int("n", 0.5, minimum=1), "n: must be int, but is float"),
        (lambda: check_number("x", -1, minimum=0), "x: must be at least 0 and finite, but is -1"),
        (lambda: check_number("x", 2, minimum=0, maximum=1), "x: must be from 0 to 1, but is 2"),
        (lambda: check_number("x", "2", minimum=0), "x: must be a number, but is str"),
        (lambda: check_duration("t", 0), "t: must be more than 0 seconds and finite, but is 0"),
        (lambda: check_duration("t", "1"), "t: must be a number of seconds, but is str"),
        (lambda: check_duration("t", math.inf, "days"), "t: must be more than 0 days and finite, but is inf"),
    ],
)
def test_an_error_names_argument_rule_and_value(check, message):
    with pytest.raises((TypeError, ValueError)) as raised:
        check()
    assert str(raised.value) == message
    assert type(raised.value) in (TypeError, ValueError)
