"""Callers that ask the same thing at once."""

from __future__ import annotations

import asyncio

import pytest

from langcache import AsyncLangCache
from langcache.aside import JsonCodec

QUESTION = "How do I reset my password?"


async def waiting(cache, make, number, prompt=QUESTION, **options):
    """Tasks that wait for one `make`, which has begun and is held."""
    make.go_on.clear()
    tasks = [asyncio.create_task(cache.get_or_set(prompt, make, **options)) for _ in range(number)]
    await make.begun.wait()
    return tasks


async def test_a_hundred_callers_share_one_lookup_and_one_make(cache, make):
    tasks = await waiting(cache, make, 100)
    make.go_on.set()
    answers = await asyncio.gather(*tasks)
    assert make.calls == 1
    assert {answer.value for answer in answers} == {"the answer"}
    assert sum(answer.shared for answer in answers) == cache.stats().shared == 99
    assert len(await cache.search(QUESTION, max_results=9)) == 1


async def test_white_space_and_unicode_forms_make_no_difference(cache, make):
    tasks = [
        *(await waiting(cache, make, 1, "Où est  le café ?")),
        asyncio.create_task(cache.get_or_set(" Ou\u0300 est le cafe\u0301\n?", make)),
    ]
    await asyncio.sleep(0)
    make.go_on.set()
    await asyncio.gather(*tasks)
    assert make.calls == 1


@pytest.mark.parametrize(
    "options",
    [
        {"attributes": {"tenant": "other"}},
        {"similarity_threshold": 0.99},
        {"codec": JsonCodec(str)},
        {"refresh": True},
        {"bypass": True},
        {"accept": lambda question, entry: True},
    ],
)
async def test_callers_that_ask_for_something_else_do_not_share(cache, make, until, options):
    first = await waiting(cache, make, 1)
    other = asyncio.create_task(cache.get_or_set(QUESTION, make, **options))
    await until(lambda: make.calls == 2)
    make.go_on.set()
    assert not any(answer.shared for answer in await asyncio.gather(*first, other))


async def test_equal_scopes_share_and_different_ones_never_do(cache, make, until):
    make.go_on.clear()
    scopes = [cache.scoped(tenant=name) for name in ("a", "a", "b")]
    tasks = [asyncio.create_task(scope.get_or_set(QUESTION, make)) for scope in scopes]
    await until(lambda: make.calls == 2)
    make.go_on.set()
    answers = await asyncio.gather(*tasks)
    assert [answer.shared for answer in answers] == [False, True, False]


async def test_cancelling_one_caller_leaves_the_others_their_answer(cache, make):
    first, *others = await waiting(cache, make, 3)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    make.go_on.set()
    assert [answer.value for answer in await asyncio.gather(*others)] == ["the answer"] * 2
    assert make.calls == 1


async def test_when_the_last_caller_is_gone_make_is_cancelled(cache):
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def make(prompt):
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    tasks = [asyncio.create_task(cache.get_or_set(QUESTION, make)) for _ in range(2)]
    await begun.wait()
    for task in tasks:
        task.cancel()
    await asyncio.wait_for(cancelled.wait(), 5)
    assert (await cache.get_or_set(QUESTION, "anew")).value == "anew"


async def test_if_make_fails_all_get_its_error(cache, make):
    make.answer = error = ValueError("mine")
    tasks = await waiting(cache, make, 5)
    make.go_on.set()
    assert await asyncio.gather(*tasks, return_exceptions=True) == [error] * 5
    make.answer = "now it works"
    assert (await cache.get_or_set(QUESTION, make)).value == "now it works"


async def test_a_make_that_asks_its_own_question_does_not_wait_for_itself(cache):
    async def outer(prompt):
        return "outer " + (await cache.get_or_set(QUESTION, "inner")).value

    answer = await asyncio.wait_for(cache.get_or_set(QUESTION, outer), 5)
    assert answer.value == "outer inner"


async def test_two_makes_that_ask_each_others_question_do_not_wait_for_each_other(cache):
    both = {"first": asyncio.Event(), "second": asyncio.Event()}

    def asks(own, other):
        async def make(prompt):
            both[own].set()
            await both[other].wait()
            return (await cache.get_or_set(f"The {other} question", "the end", refresh=False)).value

        return make

    await asyncio.wait_for(
        asyncio.gather(
            cache.get_or_set("The first question", asks("first", "second"), similarity_threshold=1),
            cache.get_or_set("The second question", asks("second", "first"), similarity_threshold=1),
        ),
        5,
    )


async def test_callers_share_while_the_cache_is_down(dead_url, make):
    async with AsyncLangCache(dead_url, "key", "cache") as cache:
        tasks = await waiting(cache, make, 10)
        make.go_on.set()
        assert {answer.status for answer in await asyncio.gather(*tasks)} == {"error"}
    assert make.calls == 1


async def test_nothing_is_left_of_a_flight(cache, make):
    first, *others = await waiting(cache, make, 3)
    first.cancel()
    make.go_on.set()
    await asyncio.gather(*others)
    for options in ({"attributes": {"tenant": "a"}}, {}, {}):
        await cache.get_or_set(QUESTION, make, **options)
    assert (
        cache._aside.state.execution.flights._flights,
        cache._aside.state.execution.flights.participants,
    ) == (
        {},
        0,
    )


async def test_when_the_caller_who_looks_up_is_cancelled_another_does(broken, make, until):
    broken.status, broken.hangs_on = 200, ("search",)
    async with AsyncLangCache(broken.url, "key", "cache") as cache:
        leader, follower = (asyncio.create_task(cache.get_or_set(QUESTION, make)) for _ in range(2))
        await until(lambda: broken.asked == ["search"])
        broken.hangs_on = ()
        leader.cancel()
        assert (await follower).value == "the answer"
    assert leader.cancelled()
    assert broken.asked == ["search", "search", "entries"]


class Interrupt(BaseException):
    pass


async def test_whatever_ends_the_caller_who_looks_up_another_does(cache, make, until):
    await cache.set(QUESTION, "stored")
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def accept(question, entry):
        if not begun.is_set():
            begun.set()
            await go_on.wait()
            raise Interrupt
        return True

    leader, follower = (asyncio.create_task(cache.get_or_set(QUESTION, make, accept=accept)) for _ in "ab")
    await until(lambda: cache._aside.state.execution.flights.participants == 2 and begun.is_set())
    go_on.set()
    assert (await asyncio.wait_for(follower, 5)).value == "stored"
    with pytest.raises(Interrupt):
        await leader
