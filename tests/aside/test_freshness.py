"""Stale answers: which are, and how they are computed anew in the background."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig, Shadow, age
from langcache.limits import LimitError

QUESTION = "How do I reset my password?"
TIMED = {"time_attribute": "stored_at"}
STALE = {"stale_after": 60}


@pytest.fixture
def clock(monkeypatch):
    """The time of day, which stands still unless it is moved."""
    now = SimpleNamespace(seconds=1_800_000_000.5)
    monkeypatch.setattr(age, "time", SimpleNamespace(time=lambda: now.seconds))
    return now


class Answers:
    """A function that answers each call with the next of these answers, the second one when it is let."""

    def __init__(self, *answers):
        self.answers = answers
        self.calls = 0
        self.go_on = threading.Event()
        self.go_on.set()
        self.begun = threading.Event()

    def __call__(self, prompt):
        self.calls += 1
        answer = self.answers[min(self.calls, len(self.answers)) - 1]
        if self.calls > 1:
            self.begun.set()
            assert self.go_on.wait(60)
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def renewed(until):
    """Waits until a client has renewed, or failed to renew, this many answers."""

    async def wait(cache, count=1):
        await until(lambda: cache.stats().renewals + cache.stats().renewal_failures >= count)

    return wait


@pytest.mark.parametrize(
    ("stored_at", "stale"),
    [
        ("int~1800000000", False),
        ("int~1799999941", False),
        ("int~1799999940", True),
        ("int~1799990000", True),
        ("int~1800009999", False),  # by a clock that is ahead
        (None, True),
        ("", True),
        ("yesterday", True),
        ("1800000000", True),
        ("bool~true", True),
        ("float~1800000000.0", True),
        ("int~", True),
    ],
)
def test_which_entries_are_stale(clock, stored_at, stale):
    attributes = {"tenant": "acme"} if stored_at is None else {"stored_at": stored_at}
    assert age.is_stale(attributes, "stored_at", 60) is stale
    assert age.now_attribute() == "int~1800000000"


async def test_a_stale_answer_is_given_at_once_and_computed_anew_once(either, clock, renewed):
    cache, make = either(**TIMED), Answers("old", "new")
    assert (await cache.get(QUESTION, make, **STALE)).status == "miss"
    assert not (await cache.get(QUESTION, make, **STALE)).stale
    assert make.calls == 1
    clock.seconds += 61
    make.go_on.clear()
    hits = [await cache.get(QUESTION, make, **STALE) for _ in range(3)]
    hits += await asyncio.gather(*(cache.get(QUESTION, make, **STALE) for _ in range(4)))
    assert {(hit.value, hit.status.value, hit.stale) for hit in hits} == {("old", "hit", True)}
    make.go_on.set()
    await renewed(cache)
    hit = await cache.get(QUESTION, make, **STALE)
    assert (hit.value, hit.stale, hit.attributes["stored_at"]) == ("new", False, 1_800_000_061)
    assert make.calls == 2
    assert [entry.response for entry in await cache.entries(QUESTION)] == ["new"]
    stats = cache.stats()
    assert (stats.renewals, stats.renewal_failures, stats.misses, stats.hits) == (1, 0, 1, 9)


async def test_a_stream_is_renewed_too(either, clock, renewed):
    cache, calls = either(**TIMED), []

    def make(prompt):
        calls.append(prompt)
        yield f"{len(calls)}, "
        yield "done"

    await cache.stream(QUESTION, make, **STALE)
    clock.seconds += 61
    chunks, stream = await cache.stream(QUESTION, make, **STALE)
    assert ("".join(chunks), stream.lookup.stale) == ("1, done", True)
    await renewed(cache)
    assert "".join((await cache.stream(QUESTION, make, **STALE))[0]) == "2, done"
    assert len(calls) == 2


async def test_a_cached_function_is_renewed_with_its_arguments_as_they_were(connection, clock, renewed):
    async with AsyncLangCache(**connection, aside=AsideConfig(lookup_timeout=60, **TIMED)) as cache:
        seen = []

        @cache.cached(stale_after=timedelta(minutes=1), ignore="tags")
        async def ask(question: str, tags: list[str]) -> str:
            seen.append(list(tags))
            return f"answer {len(seen)}"

        tags = ["a"]
        await ask(QUESTION, tags)
        clock.seconds += 61
        assert await ask(QUESTION, tags) == "answer 1"
        tags.append("b")
        await renewed(cache)
        assert await ask(QUESTION, tags) == "answer 2"
        assert seen == [["a"], ["a"]]


def twice(depth):
    value = ["x"]
    for _ in range(depth):
        value = [value, value]
    return value


def in_itself():
    value = {"messages": []}
    value["messages"].append(value)
    return value


def deep():
    value = ["x"]
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize("made", [lambda: twice(60), in_itself, deep])
async def test_a_prompt_of_any_shape_is_renewed(either, clock, renewed, made):
    cache, prompt, given = either(**TIMED), made(), []
    options = {**STALE, "key": lambda prompt: QUESTION, "function": "f"}
    await cache.get(prompt, lambda prompt: given.append(prompt) or "old", **options)
    clock.seconds += 61
    assert (await cache.get(prompt, lambda prompt: given.append(prompt) or "new", **options)).value == "old"
    await renewed(cache)
    assert (await cache.get(prompt, "another", **options)).value == "new"
    while isinstance(prompt, list):  # or Python would take its stack to free what is nested
        prompt = prompt.pop()


async def test_a_renewal_that_comes_too_late_keeps_no_probe(either, clock, renewed):
    cache = either(**TIMED, breaker_failures=1, breaker_cooldown=1e-9)
    make, breaker = Answers("old", "renewed"), cache.client._aside.state.breaker
    await cache.get(QUESTION, make, **STALE)
    clock.seconds += 61
    make.go_on.clear()
    await cache.get(QUESTION, make, **STALE)
    await asyncio.to_thread(make.begun.wait, 60)
    await cache.get(QUESTION, "refreshed", **STALE, refresh=True)
    assert breaker.failed()
    make.go_on.set()
    await renewed(cache)
    assert breaker._probing_since is None


@pytest.mark.parametrize("stored_at", [None, "long ago"])
async def test_entries_of_unknown_age_are_renewed_and_replaced(either, clock, renewed, stored_at):
    cache, make = either(**TIMED), Answers("new")
    make.begun.set()
    attributes = {} if stored_at is None else {"attributes": {"stored_at": stored_at}}
    await cache._run(cache.client.set, QUESTION, "old", **attributes)
    assert (await cache.get(QUESTION, make, **STALE)).stale
    await renewed(cache)
    assert [entry.response for entry in await cache.entries(QUESTION)] == ["new"]


@pytest.mark.parametrize("asked", ["how do I  reset my password?", QUESTION])
async def test_an_entry_that_differs_in_case_and_spacing_is_replaced(either, clock, renewed, asked):
    cache, make = either(**TIMED), Answers("old", "new")
    await cache.get(QUESTION, make, **STALE)
    clock.seconds += 61
    options = {**STALE, "similarity_threshold": 0.5}
    assert (await cache.get(asked, make, **options)).value == "old"
    await renewed(cache)
    left = await cache.entries(QUESTION) + await cache.entries(asked)
    assert {entry.response for entry in left} == {"new"}


async def test_an_entry_of_another_question_stays(either, clock, renewed):
    cache, make = either(**TIMED), Answers("old", "new")
    await cache.get(QUESTION, make, **STALE)
    clock.seconds += 61
    asked = "How do I get a new password?"
    options = {**STALE, "similarity_threshold": 0.0, "accept": "any"}
    assert (await cache.get(asked, make, **options)).value == "old"
    await renewed(cache)
    assert [entry.response for entry in await cache.entries(QUESTION)] == ["old"]
    assert [entry.response for entry in await cache.entries(asked)] == ["new"]


@pytest.mark.parametrize(
    ("second", "options", "counts"),
    [
        (ValueError("nobody may see"), {}, (0, 1, 0)),
        (ValueError("nobody may see"), {"on_error": "raise"}, (0, 1, 0)),
        (17, {}, (0, 1, 0)),  # which the codec can't store
        (17, {"on_error": "raise"}, (0, 1, 0)),
        ("refused", {"store_if": lambda answer: answer != "refused"}, (0, 1, 1)),
    ],
)
async def test_what_can_not_be_renewed_stays(either, clock, renewed, caplog, second, options, counts):
    cache, make = either(**TIMED), Answers("old", second)
    options = {**STALE, **options}
    await cache.get(QUESTION, make, **options)
    clock.seconds += 61
    assert (await cache.get(QUESTION, make, **options)).value == "old"
    await renewed(cache)
    stats = cache.stats()
    assert (stats.renewals, stats.renewal_failures, stats.declined) == counts
    assert [entry.response for entry in await cache.entries(QUESTION)] == ["old"]
    assert "nobody may see" not in caplog.text
    assert bool(caplog.records) == (second != "refused")  # as it was asked for
    assert (await cache.get(QUESTION, make, **options)).stale  # and it is tried again
    await renewed(cache, 2)
    assert make.calls == 3


@pytest.mark.parametrize("options", [{"no_store": True}, {"bypass": True}, {"refresh": True}, {}])
@pytest.mark.parametrize("either", [AsyncLangCache], indirect=True)
async def test_what_is_not_stored_or_not_stale_is_not_renewed(either, clock, options):
    cache, make = either(**TIMED), Answers("old")
    await cache.get(QUESTION, make, **STALE)
    clock.seconds += 61
    stale_after = {} if not options else STALE
    await cache.get(QUESTION, make, **stale_after, **options)
    assert not cache.client._aside.state.renewing
    assert cache.stats().renewals == cache.stats().renewals_dropped == 0


async def test_a_refresh_that_began_later_is_not_undone(either, clock, renewed):
    cache, make = either(**TIMED), Answers("old", "renewed", "refreshed")
    await cache.get(QUESTION, make, **STALE)
    clock.seconds += 61
    make.go_on.clear()
    await cache.get(QUESTION, make, **STALE)
    await asyncio.to_thread(make.begun.wait, 60)
    assert (await cache.get(QUESTION, "refreshed", **STALE, refresh=True)).status == "miss"
    stored = await cache.entries(QUESTION)
    make.go_on.set()
    await renewed(cache)
    assert await cache.entries(QUESTION) == stored
    assert [entry.response for entry in stored] == ["refreshed"]


async def test_the_two_steps_replace_a_stale_answer(either, clock):
    cache = either(**TIMED)
    await cache.store(await cache.look_up(QUESTION, **STALE), "old")
    fresh = await cache.look_up(QUESTION, **STALE)
    assert (fresh.value, fresh.stale) == ("old", False)
    await cache.store(fresh, "not stored")
    clock.seconds += 61
    stale = await cache.look_up(QUESTION, **STALE)
    assert (stale.value, stale.hit, stale.stale) == ("old", True, True)
    assert await cache.store(stale, "new") is None
    assert [entry.response for entry in await cache.entries(QUESTION)] == ["new"]
    assert not (await cache.look_up(QUESTION, **STALE)).stale


async def test_no_more_than_the_limit_are_renewed_at_once(either, clock, renewed):
    cache, make = either(**TIMED, max_renewals=2), Answers("old", "new")
    questions = ["What is DNS?", "Who wrote Hamlet?", "Where is my parcel?"]
    make.calls = -2
    for question in questions:
        await cache.get(question, make, **STALE)
    clock.seconds += 61
    make.go_on.clear()
    for question in questions:
        assert (await cache.get(question, make, **STALE)).stale
    assert cache.stats().renewals_dropped == 1
    make.go_on.set()
    await renewed(cache, 2)
    await cache.get(questions[2], make, **STALE)
    await renewed(cache, 3)
    assert cache.stats().renewals == 3


async def test_a_stale_hit_is_renewed_and_not_measured_as_well(either, clock, renewed):
    cache, make = either(**TIMED, shadow=Shadow(share=1, when="before")), Answers("old", "new")
    await cache.get(QUESTION, make, **STALE)
    clock.seconds += 61
    await cache.get(QUESTION, make, **STALE)
    await renewed(cache)
    assert make.calls == 2
    assert cache.stats().shadow_wrong == cache.stats().shadow_right == 0


async def test_closing_waits_for_renewals(either, clock):
    cache, make = either(**TIMED), Answers("old", "new")
    await cache.get(QUESTION, make, **STALE)
    clock.seconds += 61
    make.go_on.clear()
    await cache.get(QUESTION, make, **STALE)
    asyncio.get_running_loop().call_soon(make.go_on.set)
    await cache.client.aclose()
    assert (cache.stats().renewals, cache.stats().stores) == (1, 2)


async def test_closing_cancels_what_takes_too_long_and_leaves_no_task(connection, clock):
    make, begun = asyncio.Event(), asyncio.Event()
    cancelled = []

    async def slow(prompt):
        if not make.is_set():
            make.set()
            return "old"
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            for _ in range(50):
                await asyncio.sleep(0)  # which closing waits for too
            cancelled.append(prompt)

    cache = AsyncLangCache(**connection, aside=AsideConfig(lookup_timeout=60, close_timeout=0.05, **TIMED))
    await cache.get_or_set(QUESTION, slow, **STALE)
    clock.seconds += 61
    assert (await cache.get_or_set(QUESTION, slow, **STALE)).stale
    await begun.wait()
    await cache.aclose()
    assert cancelled == [QUESTION]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert (cache.stats().renewals, cache.stats().renewal_failures) == (0, 1)


def test_a_renewal_that_never_ends_does_not_keep_the_blocking_client_from_closing(connection, clock):
    make = Answers("old", "new")
    make.go_on.clear()
    try:
        with LangCache(
            **connection, aside=AsideConfig(lookup_timeout=60, close_timeout=0.05, **TIMED)
        ) as cache:
            cache.get_or_set(QUESTION, make, **STALE)
            clock.seconds += 61
            assert cache.get_or_set(QUESTION, make, **STALE).stale
        assert cache.stats().renewals == 0
    finally:
        make.go_on.set()
        cache._aside.state.renewing.join(time.monotonic() + 60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_renews_what_its_parent_was_renewing(connection, clock):
    make = Answers("old", "of the parent")
    with LangCache(**connection, aside=AsideConfig(lookup_timeout=60, close_timeout=60, **TIMED)) as cache:
        cache.get_or_set(QUESTION, make, **STALE, function="f")
        clock.seconds += 61
        make.go_on.clear()
        cache.get_or_set(QUESTION, make, **STALE, function="f")
        child = os.fork()
        if not child:
            status = 1
            try:
                hit = cache.get_or_set(QUESTION, lambda prompt: "of the child", **STALE, function="f")
                cache._aside.state.renewing.join(time.monotonic() + 60)
                status = 0 if hit.stale and cache.stats().renewals == 1 else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        make.go_on.set()


@pytest.mark.parametrize(
    ("settings", "options", "error", "message"),
    [
        ({}, {"stale_after": 60}, ValueError, r"stale_after: needs .*time_attribute='stored_at'"),
        (TIMED, {"stale_after": 0}, ValueError, "stale_after: must be more than 0 seconds"),
        (TIMED, {"stale_after": timedelta(seconds=-1)}, ValueError, "stale_after: must be more than 0"),
        (TIMED, {"stale_after": "60"}, TypeError, "stale_after: must be a number of seconds or a timedelta"),
        (TIMED, {"stale_after": True}, TypeError, "stale_after: must be a number of seconds or a timedelta"),
        (TIMED, {"attributes": {"stored_at": 1}}, ValueError, "'stored_at' is written by the client itself"),
        (
            TIMED,
            {"attributes": dict.fromkeys(("tenant", "model", "user", "language", "plan"), "x")},
            LimitError,
            "attributes: must leave room for 'stored_at', which the client adds, among the 5",
        ),
    ],
)
@pytest.mark.parametrize("either", [AsyncLangCache], indirect=True)
async def test_what_is_refused(either, settings, options, error, message):
    cache, make = either(**settings), Answers("never")
    with pytest.raises(error, match=message):
        await cache.get(QUESTION, make, **options)
    if "attributes" not in options:
        with pytest.raises(error, match=message):
            cache.client.cached(**options)
    assert make.calls == 0


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"time_attribute": ""}, ValueError, "time_attribute: must be the name of an attribute"),
        ({"time_attribute": 3}, TypeError, "time_attribute: must be str"),
        ({"time_attribute": "a", "source_attribute": "a"}, ValueError, "must be different attributes"),
        ({"time_attribute": "a", "function_attribute": "a"}, ValueError, "must be different attributes"),
        ({"max_renewals": 0}, ValueError, "max_renewals: must be at least 1"),
        ({"price": 3}, TypeError, "price: must be a function"),
    ],
)
def test_what_is_refused_as_a_setting(settings, error, message):
    with pytest.raises(error, match=message):
        AsideConfig(**settings)


async def test_an_attribute_that_is_not_declared_is_named(either, caplog):
    cache = either(time_attribute="not_declared")
    answer = await cache.get(QUESTION, "computed", **STALE)
    assert (answer.value, answer.status.value) == ("computed", "miss")
    assert "'not_declared': declare all of these when the cache is made" in str(answer.error)
    assert "declare all of these" in caplog.text


def test_a_name_that_is_no_attribute_is_refused_with_the_client():
    with pytest.raises(LimitError, match="names must be 1 to 32"):
        AsyncLangCache(enabled=False, aside=AsideConfig(time_attribute="stored at"))


async def test_a_time_to_live_by_the_answer_goes_with_all_of_this(either, clock, renewed):
    cache = either(**TIMED, source_attribute="sources")
    make = Answers("old", "new")
    options = {**STALE, "sources": ["doc:42@v1"], "store_if": lambda answer: 3600 if answer == "old" else 0.2}
    await cache.get(QUESTION, make, **options)
    clock.seconds += 61
    assert (await cache.get(QUESTION, make, **options)).value == "old"
    await renewed(cache)
    stats = cache.stats()
    assert (stats.stores, stats.store_errors, stats.declined) == (2, 0, 0)
    await gone(cache, QUESTION)
    assert (await cache.get(QUESTION, make, **options)).status == "miss"
    assert await cache.invalidate("doc:42") in (0, 1)  # it expires soon as well
    await gone(cache, QUESTION)


async def gone(cache, question):
    async with asyncio.timeout(60) if hasattr(asyncio, "timeout") else contextlib.nullcontext():
        while await cache.entries(question):
            pass
