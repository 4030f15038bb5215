"""A cache that is down, slow or wrongly set up."""

from __future__ import annotations

import asyncio
import logging

import pytest

from langcache import AsyncLangCache
from langcache.aside import AsideConfig
from langcache.aside.breaker import CircuitBreaker
from langcache.errors import AuthenticationError, BadRequestError, ClosedError, ConnectError, TimeoutException

QUESTION = "How do I reset my password?"


def client(url, **config):
    return AsyncLangCache(url, "key", "cache", aside=AsideConfig(**config))


async def test_a_dead_service_does_not_stop_the_answer(dead_url, make):
    async with client(dead_url) as cache:
        answer = await cache.get_or_set(QUESTION, make)
    assert (answer.value, answer.status) == ("the answer", "error")
    assert isinstance(answer.error, ConnectError)


async def test_a_dead_service_can_be_an_error(dead_url, make):
    async with client(dead_url) as cache:
        with pytest.raises(ConnectError):
            await cache.get_or_set(QUESTION, make, on_error="raise")
    assert make.calls == 0


async def test_a_service_that_hangs_costs_the_lookup_timeout_and_no_more(broken, make):
    broken.hangs_on = ("search",)
    async with client(broken.url) as cache:
        answer = await asyncio.wait_for(cache.get_or_set(QUESTION, make, lookup_timeout=0.01), 5)
    assert (answer.value, answer.status) == ("the answer", "error")
    assert isinstance(answer.error, TimeoutException)
    assert broken.asked == ["search"], "what could not be looked up is not stored"


async def test_a_store_that_hangs_is_waited_for_no_longer_than_a_lookup(broken, make):
    broken.status, broken.hangs_on = 200, ("entries",)
    async with client(broken.url, close_timeout=0.01) as cache:
        answer = await asyncio.wait_for(cache.get_or_set(QUESTION, make, lookup_timeout=0.2), 5)
    assert (answer.value, answer.status) == ("the answer", "miss")
    assert broken.asked == ["search", "entries"]


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (400, BadRequestError)])
async def test_what_is_set_up_wrongly_is_logged_once_and_does_not_stop_the_answer(
    broken, make, caplog, status, kind
):
    broken.status = status
    async with client(broken.url) as cache:
        for _ in range(10):
            answer = await cache.get_or_set(QUESTION, make)
            assert (answer.value, answer.status) == ("the answer", "error")
            assert isinstance(answer.error, kind)
        with pytest.raises(kind):
            await cache.get_or_set(QUESTION, make, on_error="raise")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(status) in caplog.text
    assert len(broken.asked) == 11, "the breaker is for outages"


async def test_after_failures_in_a_row_the_cache_is_left_alone(broken, make, caplog):
    async with client(broken.url, breaker_failures=3) as cache:
        statuses = [(await cache.get_or_set(QUESTION, make)).status.value for _ in range(5)]
        assert statuses == ["error"] * 3 + ["bypass"] * 2
        assert (await cache.get_or_set(QUESTION, make)).reason == "circuit open"
        assert len(broken.asked) == 3
        assert caplog.text.count("left alone") == 1


async def test_after_the_cooldown_one_call_tries_again(broken, make):
    async with client(broken.url, breaker_failures=1, breaker_cooldown=0.001) as cache:
        assert (await cache.get_or_set(QUESTION, make)).status == "error"
        broken.status = 200
        while (await cache.get_or_set(QUESTION, make)).status == "bypass":
            pass
        assert (await cache.get_or_set(QUESTION, make)).status == "miss"


def test_the_breaker_lets_one_probe_through_at_a_time():
    now = [0.0]
    breaker = CircuitBreaker(2, 10, lambda: now[0])
    assert [breaker.failed(), breaker.failed()] == [False, True]
    assert not breaker.allows()
    now[0] = 10
    assert [breaker.allows(), breaker.allows()] == [True, False]
    assert breaker.failed()
    now[0] = 19
    assert not breaker.allows()
    now[0] = 20
    assert breaker.allows()
    breaker.succeeded()
    assert breaker.allows()
    assert not breaker.is_open


def test_a_probe_that_never_ends_is_not_the_last():
    now = [0.0]
    breaker = CircuitBreaker(1, 10, lambda: now[0])
    breaker.failed()
    now[0] = 10
    assert breaker.allows()
    now[0] = 20
    assert breaker.allows()


async def test_raising_does_not_ask_the_breaker(broken, make):
    async with client(broken.url, breaker_failures=1, on_error="raise") as cache:
        for _ in range(3):
            with pytest.raises(Exception, match="500"):
                await cache.get_or_set(QUESTION, make)
    assert len(broken.asked) == 3


async def test_a_failed_store_is_told_and_counted(broken, make):
    broken.status = 200

    async def breaks(prompt):
        broken.status = 503
        return "made"

    async with client(broken.url) as cache:
        answer = await cache.get_or_set(QUESTION, breaks)
        assert (answer.value, answer.status, answer.error.status_code) == ("made", "miss", 503)
        assert cache.stats().store_errors == 1


async def test_no_more_answers_wait_to_be_stored_than_allowed(broken, make, caplog):
    broken.status, broken.hangs_on = 200, ("entries",)
    async with client(broken.url, max_pending_stores=2, close_timeout=0.01) as cache:
        for n in range(5):
            answer = await cache.get_or_set(f"{QUESTION} {n}", make, store="background")
            assert answer.value == "the answer"
        assert cache.stats().stores_dropped == 3
    assert caplog.text.count("not stored") == 1


async def test_a_closed_client_still_gives_answers(dead_url, make):
    cache = client(dead_url)
    await cache.aclose()
    answer = await cache.get_or_set(QUESTION, make)
    assert (answer.value, answer.status) == ("the answer", "error")
    assert isinstance(answer.error, ClosedError)


async def test_a_key_callable_that_fails_does_not_stop_the_answer(broken, make):
    def no_key():
        raise OSError("the vault is sealed")

    async with AsyncLangCache(broken.url, no_key, "cache") as cache:
        answer = await cache.get_or_set(QUESTION, make)
    assert (answer.value, str(answer.error)) == ("the answer", "the vault is sealed")


@pytest.mark.parametrize("prompt", ["", "\ud800"])
async def test_a_prompt_that_no_service_takes_does_not_stop_the_answer(broken, make, prompt):
    async with client(broken.url) as cache:
        assert (await cache.get_or_set(prompt, make)).status == "error"
        with pytest.raises(ValueError, match="prompt"):
            await cache.get_or_set(prompt, make, on_error="raise")
    assert broken.asked == []


@pytest.mark.parametrize(
    "config", [{"on_error": "hide"}, {"breaker_failures": 0}, {"close_timeout": 0}, {"max_pending_stores": 0}]
)
def test_settings_that_can_not_be_are_refused(config):
    with pytest.raises(ValueError, match=next(iter(config))):
        AsideConfig(**config)
