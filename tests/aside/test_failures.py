"""A cache that is down, slow or wrongly set up."""

from __future__ import annotations

import asyncio
import logging
import time

import aiohttp
import pytest
from aiohttp import web
from broken_services import Broken

from langcache import AsyncLangCache, BackoffStrategy, LangCache, RetryConfig
from langcache._portal import portal
from langcache._portal.loopthread import LoopThread
from langcache.aside import AsideConfig, JsonCodec, TextCodec
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
        answer = await cache.get_or_set(QUESTION, make, lookup_timeout=0.05)
    assert (answer.value, answer.status) == ("the answer", "error")
    assert isinstance(answer.error, TimeoutException)
    assert "0.05 s" in str(answer.error)
    assert set(broken.asked) <= {"search"}, "what could not be looked up is not stored"


@pytest.mark.parametrize("what", ["key callable", "session", "retries"])
async def test_the_lookup_timeout_holds_for_all_of_a_lookup(broken, make, what):
    """Also where the client's own timeout bounds a part of it alone."""
    broken.hangs_on = ("search",)
    retries = RetryConfig("backoff", BackoffStrategy(1, 1, 1, 600_000), True)
    settings = {
        "key callable": {"api_key": lambda: "key"},
        "session": {"client": aiohttp.ClientSession},
        "retries": {"retry_config": retries},
    }[what]
    async with AsyncLangCache(broken.url, **{"api_key": "key", "cache_id": "cache", **settings}) as cache:
        answer = await cache.get_or_set(QUESTION, make, lookup_timeout=0.05)
    assert (answer.value, answer.status) == ("the answer", "error")
    assert isinstance(answer.error, TimeoutException)


async def test_a_store_that_hangs_is_waited_for_no_longer_than_a_lookup(broken, make):
    broken.status, broken.hangs_on = 200, ("entries",)
    async with client(broken.url, close_timeout=0.01) as cache:
        answer = await cache.get_or_set(QUESTION, make, lookup_timeout=1)
    assert (answer.value, answer.status, answer.error) == ("the answer", "miss", None), "it goes on storing"
    assert broken.asked == ["search", "entries"]


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (400, BadRequestError)])
async def test_what_is_set_up_wrongly_is_logged_once_a_minute_and_does_not_stop_the_answer(
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
        deadline = time.monotonic() + 60
        while (await cache.get_or_set(QUESTION, make)).status == "bypass":
            assert time.monotonic() < deadline
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


# What stands in the way of a blocking client


@pytest.fixture(params=["thread", "loop", "closed"])
def no_portal(request, monkeypatch):
    """A way to have no event loop for a blocking client: no thread to be had, no loop, a closed client."""

    def refuse(*args, **kwargs):
        raise RuntimeError("can't start new thread") if request.param == "thread" else OSError(24, "EMFILE")

    if request.param == "thread":
        monkeypatch.setattr(LoopThread, "start", refuse)
    elif request.param == "loop":
        monkeypatch.setattr("anyio.run", refuse)
    return request.param


def test_a_client_without_an_event_loop_still_gives_answers(connection, no_portal):
    cache = LangCache(**connection)
    if no_portal == "closed":
        cache.close()
    calls = []

    def make(prompt):
        calls.append(prompt)
        return "made"

    answer = cache.get_or_set(QUESTION, make)
    assert (answer.value, answer.status, len(calls)) == ("made", "error", 1)
    assert isinstance(answer.error, ClosedError if no_portal == "closed" else ConnectError)
    stream = cache.get_or_stream(QUESTION, lambda prompt: iter(["made"]))
    assert (list(stream), stream.status) == (["made"], "error")
    with pytest.raises((ClosedError, ConnectError)):
        cache.get_or_set(QUESTION, make, on_error="raise")
    assert len(calls) == 1


def test_an_error_of_make_that_looks_like_one_of_the_cache_is_the_callers(blocking_cache):
    for error in (ClosedError("mine"), ConnectError("mine"), TimeoutException("mine")):

        def make(prompt, error=error):
            raise error

        with pytest.raises(type(error), match="mine") as raised:
            blocking_cache.get_or_set(QUESTION, make)
        assert raised.value is error
    assert blocking_cache.stats().errors == 0


class Answers(Broken):
    """A service that finds one entry, as told."""

    def __init__(self, similarity):
        super().__init__()
        self.similarity = similarity

    async def handle(self, request):
        await request.read()
        entry = (
            f'{{"id": "e", "prompt": "p", "response": "found", "attributes": {{}}, '
            f'"similarity": {self.similarity}, "searchStrategy": "semantic"}}'
        )
        body = f'{{"data": [{entry}], "entryId": "e"}}'
        return web.Response(text=body, content_type="application/json")


@pytest.mark.parametrize(
    "similarity", ["1e308", "-1e308", "-0.0", "1", "1.0000001", "0.999999999", "12345678901234567890"]
)
async def test_no_similarity_stands_in_the_way(make, similarity):
    service = Answers(similarity)
    async with service.running() as url, client(url) as cache:
        assert (await cache.get_or_set(QUESTION, make, accept="any")).value == "found"
        assert sum(cache.stats().similarities) == 1


# The circuit breaker


async def test_a_refresh_whose_make_fails_takes_no_probe(broken, make):
    broken.status = 503
    async with client(broken.url, breaker_failures=1, breaker_cooldown=60) as cache:
        now = [0.0]
        cache._aside.state.breaker._clock = lambda: now[0]
        assert (await cache.get_or_set(QUESTION, make)).status == "error"
        broken.status, now[0], make.answer = 200, 60.0, ValueError("mine")
        with pytest.raises(ValueError, match="mine"):
            await cache.get_or_set(QUESTION, make, refresh=True)
        make.answer = "made"
        assert (await cache.get_or_set(QUESTION, make)).status == "miss"
        assert not cache._aside.state.breaker.is_open


async def test_a_refresh_probes_when_it_stores(broken, make):
    broken.status = 503
    async with client(broken.url, breaker_failures=1, breaker_cooldown=60) as cache:
        now = [0.0]
        cache._aside.state.breaker._clock = lambda: now[0]
        await cache.get_or_set(QUESTION, make)
        assert (await cache.get_or_set(QUESTION, make, refresh=True)).reason == "circuit open"
        broken.status, now[0] = 200, 60.0
        assert (await cache.get_or_set(QUESTION, make, refresh=True)).status == "miss"
        assert not cache._aside.state.breaker.is_open


async def test_a_probe_that_is_cancelled_leaves_room_for_another(broken, make, until):
    async with client(broken.url, breaker_failures=1, breaker_cooldown=60) as cache:
        now = [0.0]
        cache._aside.state.breaker._clock = lambda: now[0]
        await cache.get_or_set(QUESTION, make)
        broken.status, broken.hangs_on, now[0] = 200, ("search",), 60.0
        probe = asyncio.create_task(cache.get_or_set(QUESTION, make, lookup_timeout=30))
        await until(lambda: len(broken.asked) == 2)
        probe.cancel()
        await asyncio.wait([probe])
        broken.hangs_on = ()
        assert (await cache.get_or_set(QUESTION, make)).status == "miss"


# What is taken for an answer by mistake


@pytest.mark.parametrize("call", ["get_or_set", "get_or_stream"])
async def test_a_coroutine_task_or_future_is_no_make(cache, make, call):
    async def llm(prompt):
        return "made"

    future = asyncio.get_running_loop().create_future()
    for wrong in (llm(QUESTION), asyncio.ensure_future(llm(QUESTION)), future):
        with pytest.raises(TypeError, match=rf"pass the function itself, say {call}\(prompt, llm\)"):
            await getattr(cache, call)(QUESTION, wrong)
    assert not await cache.search(QUESTION)


async def test_what_gives_chunks_is_for_streams(cache, blocking_cache):
    async def chunks(prompt):
        yield "chunk"

    def blocking_chunks(prompt):
        yield "chunk"

    for wrong in (chunks, blocking_chunks, chunks(QUESTION), blocking_chunks(QUESTION)):
        with pytest.raises(TypeError, match="get_or_stream"):
            await cache.get_or_set(QUESTION, wrong)
    with pytest.raises(TypeError, match="get_or_stream"):
        blocking_cache.get_or_set(QUESTION, blocking_chunks)


# What is said, and where


async def test_a_revoked_key_is_said_again_after_a_minute(broken, make, caplog):
    broken.status = 401
    async with client(broken.url) as cache:
        now = [0.0]
        cache._aside.state.log._clock = lambda: now[0]
        for now[0] in (0.0, 1.0, 59.0, 60.0, 61.0, 119.0, 120.0):
            await cache.get_or_set(QUESTION, make)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 3
    assert all(
        "conftest.Make: the cache is not used: AuthenticationError" in each.getMessage() for each in warnings
    )


@pytest.mark.parametrize("call", ["get_or_set", "cached", "get_or_stream", "set_many"])
async def test_a_warning_about_blocking_points_at_the_program(connection, monkeypatch, call):
    monkeypatch.setattr(portal, "_warned", False)
    with LangCache(**connection) as cache:
        calls = {
            "get_or_set": lambda: cache.get_or_set(QUESTION, "made"),
            "cached": lambda: cache.cached()(lambda question: "made")(QUESTION),
            "get_or_stream": lambda: next(cache.get_or_stream(QUESTION, lambda prompt: iter("made"))),
            "set_many": lambda: cache.set_many([(QUESTION, "made")]),
        }
        with pytest.warns(
            RuntimeWarning, match="blocks the running event loop.* use AsyncLangCache"
        ) as caught:
            calls[call]()
    assert caught[0].filename == __file__
    assert f"LangCache.{call}()" in str(caught[0].message)


async def test_a_key_function_can_say_that_there_is_no_question(cache, make):
    def first_question(messages):
        return messages[0] if len(messages) == 1 else None

    assert (await cache.get_or_set([QUESTION], make, key=first_question)).status == "miss"
    answer = await cache.get_or_set([QUESTION, "And on Sundays?"], make, key=first_question)
    assert (answer.status, answer.reason) == ("bypass", "no question")
    ask = cache.cached(key=first_question)(make)
    assert (await ask.answer([QUESTION, "And on Sundays?"])).reason == "no question"


async def test_figures_print_readably(cache, make):
    await cache.get_or_set(QUESTION, make)
    await cache.get_or_set(QUESTION, make)
    shown = str(cache.stats())
    assert "1, 50.0% of those that the cache was asked for" in shown
    assert "similarities  0.99 x 1" in shown
    assert max(map(len, shown.splitlines())) <= 80


async def test_no_answer_is_in_a_warning(cache, caplog):
    class Numbers(TextCodec):
        def encode(self, value):
            return str(int(value))

    def quotes(answer):
        raise ValueError(f"not {answer}")

    caplog.set_level(logging.WARNING)
    for options in ({"codec": Numbers()}, {"store_if": quotes}):
        answer = await cache.get_or_set(QUESTION, "the secret", **options)
        assert isinstance(answer.error, ValueError)
    assert "ValueError" in caplog.text
    assert "the secret" not in caplog.text


@pytest.mark.parametrize("codec", [dict, JsonCodec, "json", TextCodec])
async def test_what_is_no_codec_is_refused(cache, make, codec):
    for call in (
        lambda: cache.get_or_set(QUESTION, make, codec=codec),
        lambda: cache.get_or_stream(QUESTION, make, codec=codec).look_up(),
        lambda: cache.cached(codec=codec)(make)(QUESTION),
    ):
        with pytest.raises(TypeError, match=r"codec: must have encode and decode.*JsonCodec\(Type\)"):
            await call()


async def test_what_is_no_key_function_is_refused(cache, make):
    async def key(question):
        return question

    for wrong in (5, "question", key):
        with pytest.raises(TypeError, match="key: "):
            await cache.get_or_set(QUESTION, make, key=wrong)
        with pytest.raises(TypeError, match="key: "):
            cache.cached(key=wrong)(make)
    with pytest.raises(TypeError, match="attributes: may not be an async"):
        cache.cached(attributes=key)(make)
    ask = cache.cached(attributes=lambda question: None)(make)
    with pytest.raises(TypeError, match=r"attributes: the function must return a mapping.*NoneType"):
        await ask(QUESTION)


async def test_arguments_that_do_not_fit_name_the_function(cache, make):
    ask = cache.cached()(make)
    with pytest.raises(TypeError, match=r"Make\(\): missing a required argument"):
        await ask()


def test_a_blocking_make_that_raises_stop_iteration_raises_it(blocking_cache):
    with pytest.raises(StopIteration):
        blocking_cache.get_or_set(QUESTION, lambda prompt: next(iter(())))


async def test_a_batch_runs_once(cache):
    batch = cache.set_many([(QUESTION, "x")])
    await batch
    with pytest.raises(RuntimeError, match="a batch runs once"):
        await batch
    assert len(await cache.search(QUESTION, max_results=9)) == 1
