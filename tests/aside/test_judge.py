"""A judge for the entries in doubt: the ladder, its time limit, its failures, and who shares its verdicts."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from langcache import AsyncLangCache
from langcache.aside import AsideConfig, Judge
from langcache.matching.verifier import confidence
from langcache.models import CacheEntry

STORED = "How do I reset my password?"
ASKED = "What should I do to get a new password?"
ANY = {"similarity_threshold": 0.0}
PATIENT = 60.0


class Ask:
    """An async judge that counts what it is asked, and answers when it is let."""

    def __init__(self, verdict=True):
        self.verdict = verdict
        self.pairs = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, question, entry):
        self.pairs.append((question, entry.prompt))
        self.begun.set()
        await self.go_on.wait()
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


def scored(score, ask, **options):
    return Judge(ask, score=lambda question, entry: score, **{"timeout": PATIENT, **options})


@pytest.mark.parametrize(
    ("score", "verdict", "status", "asked"),
    [
        (0.8, False, "hit", 0),
        (1.0, False, "hit", 0),
        (0.3, True, "hit", 1),
        (0.79, False, "miss", 1),
        (0.29, True, "miss", 0),
        (0.0, True, "miss", 0),
        (None, True, "hit", 1),
        (None, False, "miss", 1),
        (float("nan"), False, "miss", 1),
    ],
)
async def test_it_is_asked_about_what_lies_between_doubt_and_sure(cache, make, score, verdict, status, asked):
    await cache.get_or_set(STORED, make)
    ask = Ask(verdict)
    answer = await cache.get_or_set(ASKED, make, accept=scored(score, ask), **ANY)
    assert answer.status == status
    assert ask.pairs == [(ASKED, STORED)] * asked
    assert (cache.stats().judged, cache.stats().judge_failures) == (asked, 0)


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("blocking", [True, False])
async def test_both_clients_take_both_kinds_of_judge(cache, blocking_cache, blocking, is_async):
    variable = ContextVar("variable", default="unset")
    variable.set("the caller's")
    seen = []

    def ask(question, entry):
        seen.append((question, entry.prompt, variable.get()))
        return True

    async def ask_async(question, entry):
        await asyncio.sleep(0)
        return ask(question, entry)

    def make(prompt):
        return "the answer"

    judge = scored(0.5, ask_async if is_async else ask)
    if blocking:
        await asyncio.to_thread(blocking_cache.get_or_set, STORED, make)
        answer = await asyncio.to_thread(blocking_cache.get_or_set, ASKED, make, accept=judge, **ANY)
    else:
        await cache.get_or_set(STORED, make)
        answer = await cache.get_or_set(ASKED, make, accept=judge, **ANY)
    assert answer.hit
    assert seen == [(ASKED, STORED, "the caller's")]


def raises(question, entry):
    raise ValueError(question)


def raises_stop_iteration(question, entry):
    raise StopIteration


async def raises_later(question, entry):
    raise KeyError(question)


async def is_cancelled(question, entry):
    raise asyncio.CancelledError


@pytest.mark.parametrize("policy", ["miss", "hit"])
@pytest.mark.parametrize(
    "ask",
    [
        raises,
        raises_stop_iteration,
        raises_later,
        is_cancelled,
        lambda question, entry: "no",
        lambda question, entry: 1,
        lambda question, entry: None,
    ],
)
async def test_a_failure_is_what_the_policy_says_counted_and_logged_once_without_content(
    cache, make, caplog, ask, policy
):
    await cache.get_or_set(STORED, make)
    for _ in range(2):
        answer = await cache.get_or_set(
            ASKED, make, accept=scored(0.5, ask, on_failure=policy), no_store=True, **ANY
        )
        assert answer.status == policy
    assert (cache.stats().judged, cache.stats().judge_failures) == (2, 2)
    (record,) = [record for record in caplog.records if "judge" in record.getMessage()]
    assert record.levelname == "WARNING"
    assert not {STORED, ASKED} & {*record.getMessage().split(": ")}
    assert "password" not in record.getMessage()


async def suppresses_cancellation(question, entry):
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return True


@pytest.mark.parametrize("kind", ["async", "stubborn", "sync"])
async def test_the_time_limit_holds_for_every_kind_of_judge(cache, make, kind):
    release = threading.Event()

    def blocks(question, entry):
        return release.wait(60)

    async def hangs(question, entry):
        await asyncio.Event().wait()

    ask = {"async": hangs, "stubborn": suppresses_cancellation, "sync": blocks}[kind]
    await cache.get_or_set(STORED, make)
    try:
        asked = cache.get_or_set(ASKED, make, accept=scored(0.5, ask, timeout=0.05), no_store=True, **ANY)
        assert (await asyncio.wait_for(asked, 30)).status == "miss"
    finally:
        release.set()
    assert cache.stats().judge_failures == 1


async def test_the_time_limit_is_one_for_all_entries_and_no_part_of_the_lookup_timeout(connection, make):
    ask = Ask()
    ask.go_on.clear()
    async with AsyncLangCache(**connection) as cache:
        for word in ("one", "two", "three"):
            await cache.set(f"{STORED} {word}", word)
        judge = scored(0.5, ask, timeout=0.3)
        answer = await cache.get_or_set(ASKED, make, accept=judge, max_results=3, no_store=True, **ANY)
    assert answer.status == "miss"
    assert len(ask.pairs) == 1
    assert cache.stats().judge_failures == 3


async def test_a_judge_may_take_longer_than_the_lookup_timeout(connection, make, cache):
    await cache.get_or_set(STORED, make)
    ask = Ask()
    ask.go_on.clear()
    async with AsyncLangCache(**connection, aside=AsideConfig(lookup_timeout=5)) as other:
        asking = asyncio.ensure_future(
            other.get_or_set(ASKED, make, accept=scored(0.5, ask), lookup_timeout=5, **ANY)
        )
        await ask.begun.wait()
        await asyncio.sleep(0)
        ask.go_on.set()
        assert (await asking).status == "hit"
        assert other.stats().lookup_seconds < PATIENT


async def test_calls_of_one_moment_share_the_verdict(cache, make, until):
    await cache.get_or_set(STORED, make)
    ask = Ask()
    ask.go_on.clear()
    judge = scored(0.5, ask)
    calls = [asyncio.ensure_future(cache.get_or_set(ASKED, make, accept=judge, **ANY)) for _ in range(5)]
    await ask.begun.wait()
    await until(lambda: cache._aside.state.execution.flights.participants == 5)
    ask.go_on.set()
    assert [answer.status for answer in await asyncio.gather(*calls)] == ["hit"] * 5
    assert len(ask.pairs) == 1


async def test_entries_that_are_the_same_pair_are_asked_about_once(cache, make):
    for _ in range(4):
        await cache.set(STORED, "the same")
    await cache.set(STORED, "another")
    ask = Ask(verdict=False)
    answer = await cache.get_or_set(ASKED, make, accept=scored(0.5, ask), max_results=5, **ANY)
    assert answer.status == "miss"
    assert ask.pairs == [(ASKED, STORED)] * 2
    assert cache.stats().rejected == 5


async def test_a_call_that_is_cancelled_cancels_its_judge(cache, make):
    await cache.get_or_set(STORED, make)
    cancelled = asyncio.Event()
    begun = asyncio.Event()

    async def ask(question, entry):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    call = asyncio.ensure_future(cache.get_or_set(ASKED, make, accept=scored(0.5, ask), **ANY))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(cancelled.wait(), 30)


async def test_streams_and_cached_functions_ask_it_too(cache):
    ask = Ask()

    @cache.cached(accept=scored(0.5, ask), attributes={"tenant": "f"}, **ANY)
    async def answer(question: str) -> str:
        return question

    async def tell(question):
        yield question

    await answer(STORED)
    assert (await answer.answer(ASKED)).hit
    options = {"attributes": {"tenant": "s"}, "accept": scored(0.5, ask), **ANY}
    assert [chunk async for chunk in cache.get_or_stream(STORED, tell, **options)] == [STORED]
    assert [chunk async for chunk in cache.get_or_stream(ASKED, tell, **options)] == [STORED]
    assert ask.pairs == [(ASKED, STORED)] * 2


async def test_within_a_function_of_ones_own_it_decides_as_well(cache, make, caplog):
    await cache.get_or_set(STORED, make)
    judge = scored(0.5, raises, on_failure="hit")

    async def accept(question, entry):
        return await judge(question, entry)

    assert (await cache.get_or_set(ASKED, make, accept=accept, **ANY)).hit
    assert scored(0.9, raises)(ASKED, entry_of(STORED)) is True
    assert "ValueError" in caplog.text
    assert "password" not in caplog.text


def test_by_default_the_score_is_what_the_verifier_goes_by():
    judge = Judge(raises)
    entry = entry_of("How do I enable two-factor authentication?")
    assert judge.without_asking("how do I  ENABLE two-factor authentication?", entry) is True
    assert judge.without_asking("How do I disable two-factor authentication?", entry) is False
    assert judge.without_asking("¿Cómo activo la autenticación?", entry) is None
    assert confidence("How do I disable two-factor authentication?", entry) < judge.doubt
    assert confidence("¿Cómo activo la autenticación?", entry) is None


def entry_of(prompt):
    return CacheEntry(
        id="1", prompt=prompt, response="", attributes={}, similarity=0.9, search_strategy="semantic"
    )


@pytest.mark.parametrize(
    ("options", "error", "argument"),
    [
        ({"ask": "no"}, TypeError, "ask"),
        ({"score": 0.5}, TypeError, "score"),
        ({"sure": 1.1}, ValueError, "sure"),
        ({"doubt": -0.1}, ValueError, "doubt"),
        ({"sure": "0.8"}, TypeError, "sure"),
        ({"sure": 0.4, "doubt": 0.5}, ValueError, "doubt"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": None}, TypeError, "timeout"),
        ({"on_failure": "raise"}, ValueError, "on_failure"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(options, error, argument):
    with pytest.raises(error, match=rf"^{argument}: "):
        Judge(**{"ask": raises, **options})
