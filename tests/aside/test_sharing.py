"""What calls of one moment may share: keys, threads, forks, interruptions, and waits that end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar

import pytest

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig
from langcache.aside.computing import run_to_end
from langcache.aside.flight import LeaderLeft
from langcache.aside.thread_flight import ThreadFlights
from langcache.errors import AuthenticationError, ConnectError, TimeoutException, UnexpectedError

QUESTION = "How do I reset my password?"
SOON = AsideConfig(flight_timeout=0.05)

user: ContextVar[str] = ContextVar("user")


class KeyOfUser:
    """A callable for the key that depends on the context."""

    def __init__(self, key):
        self.keys = {"good": key, "bad": "x" * 20}

    def __call__(self):
        return self.keys[user.get()]


async def test_a_caller_whose_key_is_refused_gets_nobody_elses_answer(connection, make, until):
    key = KeyOfUser(connection["api_key"])
    make.go_on.clear()
    async with AsyncLangCache(**connection | {"api_key": key}) as cache:

        async def ask(name):
            user.set(name)
            return await cache.get_or_set(QUESTION, make)

        tasks = [asyncio.create_task(ask(name)) for name in ("good", "bad", "good")]
        await until(lambda: make.calls == 2 and cache._aside.state.execution.flights.participants == 3)
        make.go_on.set()
        good, bad, also_good = await asyncio.gather(*tasks)
    assert [answer.shared for answer in (good, bad, also_good)] == [False, False, True]
    assert (good.status, bad.status) == ("miss", "error")
    assert isinstance(bad.error, AuthenticationError)


def test_threads_with_other_keys_do_not_share(connection):
    key, calls = KeyOfUser(connection["api_key"]), []
    both = threading.Barrier(2, timeout=30)

    def make(prompt):
        calls.append(user.get())
        both.wait()
        return f"for {user.get()}"

    with LangCache(**connection | {"api_key": key}) as cache, ThreadPoolExecutor(2) as pool:

        def ask(name):
            user.set(name)
            return cache.get_or_set(QUESTION, make)

        good, bad = pool.map(ask, ("good", "bad"))
    assert (good.value, bad.value) == ("for good", "for bad")
    assert isinstance(bad.error, AuthenticationError)


async def test_streams_with_other_keys_do_not_share(connection):
    key = KeyOfUser(connection["api_key"])

    async def source(prompt):
        yield user.get()

    async with AsyncLangCache(**connection | {"api_key": key}) as cache:

        async def read(name):
            user.set(name)
            stream = cache.get_or_stream(QUESTION, source)
            return [chunk async for chunk in stream], stream.status.value

        assert await asyncio.gather(read("good"), read("bad")) == [(["good"], "miss"), (["bad"], "error")]


async def test_a_key_callable_that_fails_makes_each_caller_compute_alone(broken, make):
    def no_key():
        raise OSError("the vault is sealed")

    async with AsyncLangCache(broken.url, no_key, "cache") as cache:
        answers = await asyncio.gather(*(cache.get_or_set(QUESTION, make) for _ in range(3)))
    assert make.calls == 3
    assert {str(answer.error) for answer in answers} == {"the vault is sealed"}


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_key_callables_own_timeout_is_told_as_its_own(broken, make, is_async):
    def times_out():
        raise asyncio.TimeoutError("the vault is slow")  # up to Python 3.10 not the built-in one

    async def times_out_async():
        times_out()

    async with AsyncLangCache(broken.url, times_out_async if is_async else times_out, "cache") as cache:
        answer = await cache.get_or_set(QUESTION, make)
        assert answer.value == "the answer"
        # Of one that was awaited, whose message might hold a key, our own error tells only the class.
        assert ("raised TimeoutError" if is_async else "the vault is slow") in str(answer.error)
        assert "the lookup took more" not in str(answer.error)


def test_the_first_use_by_many_threads_is_one_use(connection):
    for _ in range(5):
        calls, everybody = [], threading.Barrier(8, timeout=30)

        def make(prompt, calls=calls):
            calls.append(prompt)
            while cache._aside.state.execution.flights.participants < 8:
                threading.Event().wait(0.001)
            return "made"

        with LangCache(**connection) as cache, ThreadPoolExecutor(8) as pool:

            def ask(_, everybody=everybody, make=make):
                everybody.wait()
                return cache.get_or_set(QUESTION, make, no_store=True).value

            assert set(pool.map(ask, range(8))) == {"made"}
            assert (len(calls), cache.stats().calls) == (1, 8)


# Waits that end


def test_a_make_that_waits_for_a_thread_that_asks_the_same_ends(connection):
    with LangCache(**connection, aside=SOON) as cache, ThreadPoolExecutor(2) as pool:
        depth = []

        def make(prompt):
            depth.append(prompt)
            if len(depth) == 1:
                return "outer " + pool.submit(cache.get_or_set, QUESTION, make).result(30).value
            return "inner"

        assert cache.get_or_set(QUESTION, make).value == "outer inner"
        assert cache.stats().flight_timeouts == 1


def test_two_makes_that_wait_for_each_other_through_threads_end(connection, caplog):
    questions = ("The first question entirely", "Something else altogether")
    with LangCache(**connection, aside=SOON) as cache, ThreadPoolExecutor(4) as pool:
        both = threading.Barrier(2, timeout=30)
        calls = dict.fromkeys(questions, 0)

        def make(prompt):
            calls[prompt] += 1
            if calls[prompt] > 1:
                return f"alone {prompt}"
            both.wait()
            other = questions[1 - questions.index(prompt)]
            return pool.submit(cache.get_or_set, other, make, similarity_threshold=1).result(30).value

        answers = [
            pool.submit(cache.get_or_set, question, make, similarity_threshold=1) for question in questions
        ]
        assert all(answer.result(30).value.startswith("alone") for answer in answers)
    assert "computes alone" in caplog.text


async def test_tasks_that_wait_for_each_other_out_of_sight_end(connection):
    async with AsyncLangCache(**connection, aside=SOON) as cache:
        depth = []

        async def make(prompt):
            depth.append(prompt)
            if len(depth) == 1:
                # A fresh context knows nothing of what this task is part of.
                ask = asyncio.get_running_loop().create_task
                task = Context().run(ask, cache.get_or_set(QUESTION, make))
                return "outer " + (await task).value
            return "inner"

        assert (await cache.get_or_set(QUESTION, make)).value == "outer inner"
        assert cache.stats().flight_timeouts == 1


FOR_EVER = [1e10, sys.maxsize, 1e300]
"""Seconds that are more than a thread can wait, which programs give for no limit."""


@pytest.mark.parametrize("seconds", FOR_EVER)
@pytest.mark.parametrize("setting", ["flight_timeout", "lookup_timeout", "close_timeout", "breaker_cooldown"])
def test_a_time_that_is_longer_than_a_thread_can_wait_is_taken(connection, setting, seconds):
    timed = {"time_attribute": "stored_at", setting: seconds}
    with LangCache(**connection, aside=AsideConfig(**timed)) as cache, ThreadPoolExecutor(2) as pool:
        go_on = threading.Event()

        def make(prompt):
            assert go_on.wait(60)
            return "made"

        def read():
            return "".join(cache.get_or_stream(QUESTION, lambda prompt: iter([make(prompt)]), function="f"))

        def follower_is_there():
            state = cache._aside.state
            streams = sum(stream.participants for stream in list(state.streams.values()))
            return state.execution.flights.participants + streams == 2

        for ask in (lambda: cache.get_or_set(QUESTION, make, function="f", refresh=True).value, read):
            go_on.clear()
            given = [pool.submit(ask), pool.submit(ask)]
            deadline = time.monotonic() + 60
            while not follower_is_there() and not all(each.done() for each in given):
                assert time.monotonic() < deadline
            go_on.set()
            assert [each.result(60) for each in given] == ["made", "made"]
        cache.get_or_set(QUESTION, make, function="f", stale_after=1e-9)  # closing waits for it to be renewed


@pytest.mark.parametrize("is_stream", [False, True], ids=["answer", "stream"])
async def test_a_call_may_wait_for_another_for_less_long_than_the_client_says(connection, until, is_stream):
    async with AsyncLangCache(**connection, aside=AsideConfig(flight_timeout=1e6)) as cache:
        begun, never = [], asyncio.Event()

        async def make(prompt):
            begun.append(prompt)
            if len(begun) == 1:
                await never.wait()
            return "alone"

        async def source(prompt):
            yield await make(prompt)

        async def ask(**options):
            if is_stream:
                return [chunk async for chunk in cache.get_or_stream(QUESTION, source, **options)] == [
                    "alone"
                ]
            return (await cache.get_or_set(QUESTION, make, **options)).value == "alone"

        first = asyncio.create_task(ask())
        await until(lambda: begun)
        assert await asyncio.wait_for(ask(flight_timeout=0.05), 60)
        assert cache.stats().flight_timeouts == 1
        first.cancel()


def test_a_thread_may_wait_for_another_for_less_long_than_the_client_says(connection):
    with LangCache(**connection, aside=AsideConfig(flight_timeout=1e6)) as cache:
        begun, go_on = [], threading.Event()

        def make(prompt):
            begun.append(prompt)
            if len(begun) % 2:
                assert go_on.wait(60)
            return "made"

        def read(**options):
            return "".join(cache.get_or_stream(QUESTION, lambda prompt: iter([make(prompt)]), **options))

        def ask(**options):
            return cache.get_or_set(QUESTION, make, **options).value

        for way in (ask, read):
            given = {"function": "f", "no_store": True}
            go_on.clear()
            with ThreadPoolExecutor(1) as pool:
                first = pool.submit(way, **given)
                while not begun:
                    assert not first.done()
                assert way(**given, flight_timeout=0.05) == "made"
                assert not first.done()
                go_on.set()
                assert first.result(60) == "made"
            begun.clear()
        assert cache.stats().flight_timeouts == 2


async def test_a_stream_that_gives_nothing_is_not_waited_for(connection, until):
    async with AsyncLangCache(**connection, aside=SOON) as cache:
        calls, never = [], asyncio.Event()

        async def source(prompt):
            calls.append(prompt)
            if len(calls) == 1:
                await never.wait()
            yield "alone"

        first = asyncio.create_task(anext(cache.get_or_stream(QUESTION, source)))
        await until(lambda: calls)
        follower = cache.get_or_stream(QUESTION, source)
        assert [chunk async for chunk in follower] == ["alone"]
        assert (follower.status, cache.stats().flight_timeouts) == ("miss", 1)
        first.cancel()


async def test_a_stream_that_stops_giving_is_an_error_for_those_who_share_it(connection, until):
    async with AsyncLangCache(**connection, aside=SOON) as cache:
        never = asyncio.Event()

        async def source(prompt):
            yield "once"
            await never.wait()

        leader, follower = (cache.get_or_stream(QUESTION, source) for _ in "ab")
        assert [await anext(leader), await anext(follower)] == ["once", "once"]
        with pytest.raises(TimeoutException, match="several share"):
            await anext(follower)
        await leader.aclose()


def test_a_blocking_stream_read_by_its_own_source_in_another_thread_ends(connection):
    with LangCache(**connection, aside=SOON) as cache, ThreadPoolExecutor(2) as pool:
        calls = []

        def source(prompt):
            calls.append(prompt)
            if len(calls) == 1:
                yield from pool.submit(lambda: list(cache.get_or_stream(QUESTION, source))).result(30)
            yield "end"

        assert list(cache.get_or_stream(QUESTION, source)) == ["end", "end"]


# Cancellations


async def test_a_make_that_raises_cancelled_error_cancels_nobody_else(cache, until):
    calls, go_on = [], asyncio.Event()

    async def make(prompt):
        calls.append(prompt)
        if len(calls) == 1:
            await go_on.wait()
            raise asyncio.CancelledError
        return "made"

    leader, *followers = (asyncio.create_task(cache.get_or_set(QUESTION, make)) for _ in range(3))
    await until(lambda: calls and cache._aside.state.execution.flights.participants == 3)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert {answer.value for answer in await asyncio.gather(*followers)} == {"made"}
    assert len(calls) == 2


async def test_a_source_that_raises_cancelled_error_cancels_nobody_else(cache, until):
    calls, go_on = [], asyncio.Event()

    async def source(prompt):
        calls.append(prompt)
        if len(calls) == 1:
            await go_on.wait()
            raise asyncio.CancelledError
        yield "made"

    async def read():
        return [chunk async for chunk in cache.get_or_stream(QUESTION, source)]

    leader, *followers = (asyncio.create_task(read()) for _ in range(3))
    await until(
        lambda: sum(stream.participants for stream in cache._aside.state.streams.values()) == 3 and calls
    )
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert await asyncio.gather(*followers) == [["made"]] * 2


# Forks and event loops that are gone


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_was_being_stored_at_a_fork_does_not_count_in_the_child(connection):
    with LangCache(**connection, aside=AsideConfig(max_pending_stores=1)) as cache:
        cache.get_or_set(QUESTION, "made", store="background")
        state = cache._aside.state
        while state.pending_stores:
            threading.Event().wait(0.001)
        state.pending_stores.add("a task of the parent")
        state.streams["key"] = "a stream of the parent"
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert not state.pending_stores
                assert not state.streams
                assert not cache._aside.pending
                cache.get_or_set("In the child?", "stored")
                status = cache.stats().stores - 2
                cache.close()
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert state.pending_stores == {"a task of the parent"}
        state.pending_stores.clear()


def test_what_was_being_stored_on_a_loop_that_is_closed_does_not_count(connection):
    cache = AsyncLangCache(**connection, aside=AsideConfig(max_pending_stores=1))
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(cache.get_or_set(QUESTION, "made"))
        never = loop.create_task(asyncio.Event().wait())
        never._log_destroy_pending = False  # so that asyncio says nothing of it
        cache._aside.state.pending_stores.add(never)
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()

    async def again():
        async with cache:
            await cache.get_or_set("And on another loop?", "stored")
            return cache.stats().stores

    assert asyncio.run(again()) == 2


# Interruptions and streams that are left


def test_a_leader_that_is_dropped_has_left():
    flights = ThreadFlights()
    _, leader = flights.join("key")
    flight, _ = flights.join("key")
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(lambda: run_to_end(flight.follow(60)))
        while flight.participants < 1:
            threading.Event().wait(0.001)
        del leader
        with pytest.raises(LeaderLeft):
            following.result(60)
    assert flights.join("key")[0] is None


def test_a_leader_that_finishes_twice_hangs_nobody():
    flights = ThreadFlights()
    _, leader = flights.join("key")
    flight, _ = flights.join("key")
    leader.finish("made")
    leader.finish("made")
    assert [run_to_end(flight.follow(60)) for _ in range(3)] == ["made"] * 3


@pytest.mark.parametrize("step", ["look_up", "first chunk"])
async def test_a_stream_that_was_interrupted_begins_anew_and_is_not_empty(cache, until, step):
    calls, never = [], asyncio.Event()

    async def source(prompt):
        calls.append(prompt)
        if len(calls) == 1:
            await never.wait()
        yield "made"

    async def accept(question, entry):
        calls.append(question)
        await never.wait()

    if step == "look_up":
        await cache.set(QUESTION, "stored")
        stream = cache.get_or_stream(
            QUESTION, source, accept=lambda *args: accept(*args) if not calls else False
        )
        task = asyncio.create_task(stream.look_up())
    else:
        stream = cache.get_or_stream(QUESTION, source)
        task = asyncio.create_task(anext(stream))
    await until(lambda: calls)
    task.cancel()
    await asyncio.wait([task])
    assert (await stream.look_up()).status == "miss"
    assert [chunk async for chunk in stream] == ["made"]


async def test_a_stream_whose_lookup_failed_fails_again(broken, until):
    async def source(prompt):
        yield "made"

    async with AsyncLangCache(broken.url, "key", "cache") as cache:
        stream = cache.get_or_stream(QUESTION, source, on_error="raise")
        for _ in range(2):
            with pytest.raises(UnexpectedError):
                await stream.look_up()
            with pytest.raises(UnexpectedError):
                await anext(stream)
        broken.status = 200
        assert [chunk async for chunk in stream] == ["made"]
        await stream.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await stream.look_up()
        assert [chunk async for chunk in stream] == []


def test_a_blocking_stream_whose_lookup_failed_fails_again(dead_url):
    with LangCache(dead_url, "key", "cache") as cache:
        with cache.get_or_stream(QUESTION, lambda prompt: iter("x"), on_error="raise") as stream:
            for _ in range(2):
                with pytest.raises(ConnectError):
                    stream.look_up()
                with pytest.raises(ConnectError):
                    next(stream)
        with pytest.raises(RuntimeError, match="closed"):
            stream.look_up()
        assert list(stream) == []


async def test_a_source_that_does_not_stop_holds_up_nobody(cache):
    async def stubborn(prompt):
        yield "a"
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        yield "b"

    async with cache.get_or_stream(QUESTION, stubborn) as stream:
        assert await anext(stream) == "a"
        task = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=60)
        assert done


# Refresh beside others


async def test_a_miss_that_began_before_a_refresh_does_not_store_its_older_answer(cache, until):
    answers, begun, go_on = ["old", "new"], asyncio.Event(), asyncio.Event()

    @cache.cached()
    async def ask(question: str) -> str:
        answer = answers.pop(0)
        if answer == "old":
            begun.set()
            await go_on.wait()
        return answer

    slow = asyncio.create_task(ask(QUESTION))
    await begun.wait()
    assert await ask.refresh(QUESTION) == "new"
    go_on.set()
    assert await slow == "old"
    assert await ask(QUESTION) == "new"


async def test_a_refresh_that_is_not_stored_leaves_nothing_stale(cache):
    answers = ["stale", "refused", "fresh"]

    @cache.cached(store_if=lambda answer: answer != "refused")
    async def ask(question: str) -> str:
        return answers.pop(0)

    assert await ask(QUESTION) == "stale"
    assert await ask.refresh(QUESTION) == "refused"
    assert await ask(QUESTION) == "fresh"


async def test_prompts_that_differ_in_white_space_are_refreshed_each(cache):
    versions = iter(range(9))
    one, other = "What is alpha beta?", "What is alpha  beta?"

    @cache.cached()
    async def ask(question: str) -> str:
        return f"v{next(versions)}"

    await ask.refresh(one)
    await ask.refresh(other)
    await asyncio.gather(ask.refresh(one), ask.refresh(other))
    found = await cache.search(one, search_strategies=["exact"], max_results=9)
    assert {entry.prompt: entry.response for entry in found}.keys() <= {one, other}
    assert {entry.response for entry in found} <= {"v2", "v3"}
