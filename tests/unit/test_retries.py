"""What is tried again, how long it waits, and when it gives up; with tries that never touch a network."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from decimal import Decimal
from fractions import Fraction
from http import HTTPStatus

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from langcache import BackoffStrategy, RetryConfig, utils
from langcache._call import retrying
from langcache._wire.exchange import Reply
from langcache.errors import ConnectError, NotFoundError, error_from_reply
from langcache.retries import check_retries

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=timezone.utc)
QUICK = BackoffStrategy(1, 2, 1.5, 60_000, 0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": " 3 "}, 3.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "Retry-After": "3"}, 0.25),
        ({"retry-after-ms": "soon", "Retry-After": "3"}, 3.0),
        ({"retry-after-ms": "-1", "Retry-After": "3"}, 3.0),
        ({"Retry-After": "Tue, 01 Jan 2030 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Tue, 01 Jan 2030 12:00:30"}, 30.0),
        ({"Retry-After": "Tue, 01 Jan 2030 13:00:30 +0100"}, 30.0),
        ({"Retry-After": "Tue, 01 Jan 2030 11:59:00 GMT"}, None),
        ({"Retry-After": "0"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "1e999"}, None),
        ({"Retry-After": "later"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "Tue, 01 Jan 99999 12:00:00 GMT"}, None),
    ],
)
def test_retry_after(headers, seconds):
    assert retrying.retry_after(headers, NOW) == seconds


@given(st.text(max_size=40) | st.text("0123456789 :,+-GMTJanue", max_size=40))
def test_no_retry_after_raises(text):
    seconds = retrying.retry_after({"Retry-After": text, "retry-after-ms": text}, NOW)
    assert seconds is None or seconds > 0


def waits(strategy, *failures, deadline=float("inf")):
    """The waits that follow upon these failures, one for each, as many as there are."""
    generator = retrying._waits(strategy)
    next(generator)
    given = []
    for failure in failures:
        try:
            given.append(generator.send(retrying._TryAgain(failure, deadline)))
        except StopIteration:
            break
    return given


UNAVAILABLE = Reply(503, {}, b"")


def test_waits_grow_up_to_the_longest():
    strategy = BackoffStrategy(100, 1000, 3, 60_000, jitter_ms=0)
    assert waits(strategy, *[UNAVAILABLE] * 5) == pytest.approx([0.1, 0.3, 0.9, 1.0, 1.0])


def test_jitter_adds_up_to_its_limit_but_never_passes_the_longest():
    drawn = waits(BackoffStrategy(100, 120, 1, 60_000, jitter_ms=50), *[UNAVAILABLE] * 200)
    assert all(0.1 <= wait <= 0.12 for wait in drawn)
    assert len(set(drawn)) > 10


def test_jitter_is_a_second_unless_said_otherwise():
    drawn = waits(BackoffStrategy(0, 10_000, 1, 60_000), *[UNAVAILABLE] * 200)
    assert 0.5 < max(drawn) <= 1.0


def test_a_retry_after_stands_in_for_one_wait_and_may_be_longer_than_the_longest():
    strategy = BackoffStrategy(100, 1000, 2, 60_000, jitter_ms=0)
    asked = Reply(429, {"Retry-After": "7"}, b"")
    assert waits(strategy, UNAVAILABLE, asked, UNAVAILABLE) == pytest.approx([0.1, 7, 0.2])


def test_a_wait_past_the_deadline_is_not_begun():
    assert waits(BackoffStrategy(100, 100, 1, 60_000, 0), UNAVAILABLE, deadline=0) == []


class Script:
    """Sends what it was told to, and counts."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.sent = []

    async def __call__(self, nth_try, left):
        self.sent.append((nth_try, left))
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return Reply(outcome, {}, b"")


def with_retries(script, config):
    return retrying.with_retries(script, config, unless_closed=lambda rest: rest)


async def test_without_a_strategy_there_is_one_try_and_no_deadline():
    for config in (RetryConfig("none"), RetryConfig("none", QUICK)):
        script = Script(503)
        reply, tries = await with_retries(script, config)
        assert (reply.status_code, tries, script.sent) == (503, 1, [(1, None)])


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_these_statuses_are_tried_again(status):
    reply, tries = await with_retries(Script(status, status, 200), RetryConfig("backoff", QUICK))
    assert (reply.status_code, tries) == (200, 3)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 408, 413, 424, 501])
async def test_these_are_not(status):
    reply, tries = await with_retries(Script(status), RetryConfig("backoff", QUICK))
    assert (reply.status_code, tries) == (status, 1)


async def test_each_try_is_told_its_number_and_the_time_that_is_left():
    script = Script(503, 503, 200)
    await with_retries(script, RetryConfig("backoff", QUICK))
    assert [nth for nth, _ in script.sent] == [1, 2, 3]
    left = [left for _, left in script.sent]
    assert 60 >= left[0] > left[1] > left[2] > 0


async def test_connection_errors_are_tried_again_only_if_configured():
    script = Script(ConnectError("refused"), 200)
    with pytest.raises(ConnectError) as raised:
        await with_retries(script, RetryConfig("backoff", QUICK))
    assert raised.value.tries == 1

    script = Script(ConnectError("refused"), 503, ConnectError("refused"), 200)
    reply, tries = await with_retries(script, RetryConfig("backoff", QUICK, True))
    assert (reply.status_code, tries) == (200, 4)


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_there_are_no_more_tries_than_allowed_and_the_last_outcome_is_that_of_the_call(most):
    config = RetryConfig("backoff", QUICK, True, max_tries=most)
    reply, tries = await with_retries(Script(*[503] * most), config)
    assert (reply.status_code, tries) == (503, most)

    refusals = [ConnectError(f"{nth}") for nth in range(most)]
    with pytest.raises(ConnectError) as raised:
        await with_retries(Script(*refusals), config)
    assert raised.value is refusals[-1]
    assert raised.value.tries == most

    reply, tries = await with_retries(Script(*[503] * (most - 1), 200), config)
    assert (reply.status_code, tries) == (200, most)


@pytest.mark.parametrize("more", [1, 3, Fraction(3), 3.0])
def test_a_number_stands_for_a_config_with_so_many_further_tries(more):
    config = check_retries("retries", more)
    assert config.max_tries == more + 1
    assert config.retry_connection_errors
    assert config.retries_status(503)
    assert waits(config.backoff, UNAVAILABLE)[0] < 1


@pytest.mark.parametrize("given", [None, UNSET, 0])
def test_a_single_try_has_no_config(given):
    assert check_retries("retries", given) is None


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (
            True,
            TypeError,
            "retries: must be a langcache.RetryConfig or a whole number of further tries, but is bool",
        ),
        ("3", TypeError, "or a whole number of further tries, but is str"),
        ({"max_tries": 3}, TypeError, "or a whole number of further tries, but is dict"),
        (QUICK, TypeError, "or a whole number of further tries, but is BackoffStrategy"),
        *(
            (number, TypeError, f"a langcache.RetryConfig or a whole number of further tries, but is {kind}")
            for number, kind in [
                (2.5, "float"),
                (math.nan, "float"),
                (-math.inf, "float"),
                (Fraction(5, 2), "Fraction"),
                (Decimal("2.5"), "Decimal"),
                (np.float64(0.5), "float64"),
                (np.array([1, 2]), "ndarray"),
            ]
        ),
        (-1, ValueError, "retries: must be at least 0, but is -1"),
        (2**70, ValueError, "retries: must be at most"),
    ],
)
def test_what_says_nothing_of_retries_is_refused(given, error, words):
    with pytest.raises(error) as raised:
        check_retries("retries", given)
    assert words in str(raised.value)


async def test_the_last_connection_error_is_the_one_raised_with_its_cause():
    cause = OSError("errno and all")
    refused = ConnectError("refused")
    refused.__cause__ = cause
    config = RetryConfig("backoff", BackoffStrategy(90_000, 90_000, 1, 60_000, 0), True)
    with pytest.raises(ConnectError) as raised:
        await with_retries(Script(refused), config)
    assert raised.value is refused
    assert raised.value.__cause__ is cause


async def test_other_errors_are_never_tried_again():
    for error in (ZeroDivisionError(), error_from_reply(Reply(404, {}, b""))):
        with pytest.raises((ZeroDivisionError, NotFoundError)):
            await with_retries(Script(error), RetryConfig("backoff", QUICK, True))


@pytest.mark.parametrize(
    ("codes", "retried", "not_retried"),
    [
        (("503",), (503,), (500, 502, 429)),
        (("5XX",), (500, 501, 599), (429, 400)),
        (("5xx", "404"), (500, 404), (400,)),
        ([429, 424], (429, 424), (503,)),
        ("503", (503,), (500,)),
        ("5xx", (503,), (429,)),
        (503, (503,), (500,)),
        (HTTPStatus.BAD_GATEWAY, (502,), (500,)),
        ([HTTPStatus.BAD_GATEWAY], (502,), (500,)),
        (iter(["503"]), (503,), (500,)),
        ((), (429, 503), (404,)),
    ],
)
def test_status_patterns(codes, retried, not_retried):
    config = RetryConfig("backoff", QUICK, False, codes)
    assert all(config.retries_status(status) for status in retried)
    assert not any(config.retries_status(status) for status in not_retried)


@pytest.mark.parametrize(
    "codes", [["50"], ["5X0"], ["XXX"], "50", "5030", 5030, [5030], [""], [10**400], [10**6000], ["\u0665XX"]]
)
def test_a_pattern_that_matches_nothing_is_refused(codes):
    with pytest.raises(ValueError, match="status_codes_override: must be "):
        RetryConfig("backoff", QUICK, False, codes)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((-1, 1, 1, 1), ValueError, "initial_interval: must be at least 0"),
        ((1, -1, 1, 1), ValueError, "max_interval: must be at least 0"),
        ((1, 1, 0.5, 1), ValueError, "exponent: must be at least 1"),
        ((1, 1, 1, 0), ValueError, "max_elapsed_time: must be at least 1"),
        ((1, 1, 1, 1, -1), ValueError, "jitter_ms: must be at least 0"),
        ((1, 1, 1, float("inf")), ValueError, "max_elapsed_time: must be at least 1 and finite"),
        ((float("nan"), 1, 1, 1), ValueError, "initial_interval"),
        ((10**400, 1, 1, 1), ValueError, "initial_interval"),
        (("1", 1, 1, 1), TypeError, "initial_interval: must be a number, but is str"),
        ((1, True, 1, 1), TypeError, "max_interval: must be a number, but is bool"),
    ],
)
def test_a_strategy_that_makes_no_sense_is_refused(arguments, error, words):
    with pytest.raises(error) as raised:
        BackoffStrategy(*arguments)
    assert words in str(raised.value)


def test_a_config_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="max_tries: must be at least 1, but is 0"):
        RetryConfig("backoff", QUICK, max_tries=0)
    with pytest.raises(TypeError, match="max_tries: must be int, but is str"):
        RetryConfig("backoff", QUICK, max_tries="3")
    with pytest.raises(ValueError, match='strategy: must be "backoff" or "none", but is \'linear\''):
        RetryConfig("linear", QUICK)
    with pytest.raises(TypeError, match="backoff: must be a BackoffStrategy, but is NoneType"):
        RetryConfig("backoff")
    with pytest.raises(TypeError, match="backoff: must be a BackoffStrategy, but is dict"):
        RetryConfig("backoff", {"initial_interval": 1})


def test_the_established_import_path_has_the_same_names():
    assert utils.RetryConfig is RetryConfig
    assert utils.BackoffStrategy is BackoffStrategy
