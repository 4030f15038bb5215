"""Hits measured by answers that are computed anyway: which, when, how, and what comes of it."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig, JsonCodec, Shadow

STORED = "How do I reset my password?"
ASKED = "What should I do to get a new password?"
ANY = {"similarity_threshold": 0.0, "accept": "any"}


def shadowing(connection, kind=AsyncLangCache, *, labels=None, **settings):
    shadow = Shadow(**{"share": 1, **settings})
    return kind(
        **connection, aside=AsideConfig(lookup_timeout=60, shadow=shadow, labels=labels, close_timeout=60)
    )


def outcomes(cache):
    stats = cache.stats()
    return stats.shadow_right, stats.shadow_wrong, stats.shadow_failures, stats.shadow_dropped


class Answers:
    """A function that answers each call with the next of these answers."""

    def __init__(self, *answers):
        self.answers = [*answers]
        self.calls = []

    def __call__(self, prompt):
        self.calls.append(prompt)
        answer = self.answers[min(len(self.calls), len(self.answers)) - 1]
        if isinstance(answer, BaseException):
            raise answer
        return answer


class AsyncAnswers(Answers):
    async def __call__(self, prompt):
        return Answers.__call__(self, prompt)


@pytest.mark.parametrize("when", ["after", "before"])
@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("An answer", (1, 0, 0, 0)),
        (" an  ANSWER\n", (1, 0, 0, 0)),
        ("Another answer", (0, 1, 0, 0)),
        (ValueError("An answer"), (0, 0, 1, 0)),
    ],
)
@pytest.mark.parametrize("blocking", [False, True])
async def test_a_hit_is_given_and_measured(connection, caplog, when, second, expected, blocking):
    make = (Answers if blocking else AsyncAnswers)("An answer", second)
    if blocking:

        def run():
            with shadowing(connection, LangCache, when=when) as cache:
                return cache, [cache.get_or_set(STORED, make), cache.get_or_set(STORED, make)]

        cache, (miss, hit) = await asyncio.to_thread(run)
    else:
        async with shadowing(connection, when=when) as cache:
            miss, hit = [await cache.get_or_set(STORED, make) for _ in range(2)]
    assert (miss.status, hit.status, hit.value) == ("miss", "hit", "An answer")
    assert make.calls == [STORED] * 2
    assert outcomes(cache) == expected
    assert cache.stats().hits == 1
    assert cache.stats().stores == 1
    assert "An answer" not in caplog.text
    assert ("ValueError" in caplog.text) == (expected[2] == 1)


async def test_after_the_call_does_not_wait_and_closing_does(connection, make):
    async with shadowing(connection) as cache:
        await cache.get_or_set(STORED, make)
        make.go_on.clear()
        make.begun.clear()
        assert (await asyncio.wait_for(cache.get_or_set(STORED, make), 60)).hit
        await make.begun.wait()
        assert outcomes(cache) == (0, 0, 0, 0)
        asyncio.get_running_loop().call_soon(make.go_on.set)
    assert outcomes(cache) == (1, 0, 0, 0)


def test_after_the_thread_that_calls_does_not_wait_and_closing_does(connection):
    go_on = threading.Event()
    threads = []

    def make(prompt):
        threads.append(threading.current_thread())
        if len(threads) > 1:
            assert go_on.wait(60)
        return "the answer"

    with shadowing(connection, LangCache) as cache:
        cache.get_or_set(STORED, make)
        assert cache.get_or_set(STORED, make).hit
        assert outcomes(cache) == (0, 0, 0, 0)
        go_on.set()
    assert outcomes(cache) == (1, 0, 0, 0)
    assert threads[1] is not threads[0]
    assert threads[1].daemon


def test_a_computation_that_never_ends_does_not_keep_the_client_from_closing(connection):
    go_on = threading.Event()
    calls = []

    def make(prompt):
        calls.append(prompt)
        if len(calls) > 1:
            go_on.wait(60)
        return "the answer"

    config = AsideConfig(lookup_timeout=60, shadow=Shadow(share=1), close_timeout=0.05)
    try:
        with LangCache(**connection, aside=config) as cache:
            cache.get_or_set(STORED, make)
            cache.get_or_set(STORED, make)
        assert outcomes(cache) == (0, 0, 0, 0)
    finally:
        go_on.set()


async def test_a_share_of_the_hits_is_measured_and_calls_that_share_count_once(connection, make):
    throws = iter([0.0, 0.49, 0.5, 0.99])
    async with shadowing(connection, share=0.5, when="before", random=lambda: next(throws)) as cache:
        for _ in range(5):
            await cache.get_or_set(STORED, make)
    assert outcomes(cache) == (2, 0, 0, 0)
    async with shadowing(connection, when="before") as cache:
        hits = await asyncio.gather(*(cache.get_or_set(STORED, make) for _ in range(4)))
    assert all(hit.hit for hit in hits)
    assert outcomes(cache) == (1, 0, 0, 0)


async def test_no_more_than_the_limit_are_measured_at_once(connection, make):
    async with shadowing(connection, max_pending=2) as cache:
        await cache.get_or_set(STORED, make)
        make.go_on.clear()
        for _ in range(5):
            assert (await cache.get_or_set(STORED, make)).hit
        make.go_on.set()
    assert outcomes(cache) == (2, 0, 0, 3)


async def test_what_the_program_changes_after_the_call_is_not_what_is_computed(connection):
    async def chat(messages):
        return f"{len(messages)} messages, {len(messages[0]['content'])} characters"

    def last(messages):
        return messages[-1]["content"]

    async with shadowing(connection) as cache:
        for _ in range(2):
            messages = [{"role": "user", "content": STORED}]
            await cache.get_or_set(messages, chat, key=last)
            messages[0]["content"] = "Changed"
            messages.append({"role": "user", "content": ASKED})
    assert outcomes(cache) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("compare", "computed", "expected"),
    [
        (0.75, "you reset it under account settings today", (1, 0, 0, 0)),
        (0.85, "you reset it under account settings today", (0, 1, 0, 0)),
        (lambda cached, computed: cached != computed, "b", (1, 0, 0, 0)),
        (lambda cached, computed: "yes", "b", (0, 0, 1, 0)),
        (lambda cached, computed: 1 / 0, "b", (0, 0, 1, 0)),
    ],
)
async def test_answers_are_compared_as_told(connection, compare, computed, expected):
    make = AsyncAnswers("You reset it under the page Account today", computed)
    async with shadowing(connection, compare=compare, when="before") as cache:
        for _ in range(2):
            await cache.get_or_set(STORED, make)
    assert outcomes(cache) == expected


@pytest.mark.parametrize("when", ["after", "before"])
def test_the_comparison_may_be_async_in_the_blocking_client_too(connection, when):
    async def compare(cached, computed):
        await asyncio.sleep(0)
        return cached == [1] and computed == [2]

    with shadowing(connection, LangCache, compare=compare, when=when) as cache:
        make = Answers([1], [2])
        for _ in range(2):
            assert cache.get_or_set(STORED, make, codec=JsonCodec(list[int])).value == [1]
    assert outcomes(cache) == (1, 0, 0, 0)


async def test_the_pair_is_written_with_its_source(connection, tmp_path):
    labels = tmp_path / "pairs.jsonl"
    make = AsyncAnswers("one", "one", "two")
    async with shadowing(connection, labels=labels, when="before") as cache:
        await cache.get_or_set(STORED, make)
        for asked in (ASKED, f"{ASKED}!", STORED):
            assert (await cache.get_or_set(asked, make, **ANY)).value == "one"
    lines = [json.loads(line) for line in labels.read_text("utf-8").splitlines()]
    assert [(line["question"], line["prompt"], line["same"], line["source"]) for line in lines] == [
        (ASKED, STORED, True, "shadow"),
        (f"{ASKED}!", STORED, False, "shadow"),
    ]
    assert cache.stats().verdicts_wrong == 0


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_dry_run_asks_and_fills_the_cache_and_never_answers(connection, blocking):
    make = (Answers if blocking else AsyncAnswers)("first", "second", "first")
    if blocking:

        def run():
            with shadowing(connection, LangCache, dry_run=True, share=0) as cache:
                answers = [cache.get_or_set(STORED, make) for _ in range(3)]
                answers[1].wrong()
                return cache, answers, cache.search(STORED)

        cache, answers, found = await asyncio.to_thread(run)
    else:
        async with shadowing(connection, dry_run=True, share=0) as cache:
            answers = [await cache.get_or_set(STORED, make) for _ in range(3)]
            await answers[1].wrong()
            found = await cache.search(STORED)
    assert [answer.value for answer in answers] == ["first", "second", "first"]
    assert [answer.status for answer in answers] == ["miss"] * 3
    assert [answer.reason for answer in answers] == [None, "dry run", "dry run"]
    assert found.response == "first"
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.dry_run_hits, stats.stores) == (0, 3, 2, 1)
    assert outcomes(cache) == (1, 1, 0, 0)


async def test_a_dry_run_raises_what_the_function_raises(connection):
    make = AsyncAnswers("first", KeyError("mine"))
    async with shadowing(connection, dry_run=True) as cache:
        await cache.get_or_set(STORED, make)
        with pytest.raises(KeyError, match="mine"):
            await cache.get_or_set(STORED, make)
    assert outcomes(cache) == (0, 0, 0, 0)


@pytest.mark.parametrize("when", ["after", "before"])
@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("blocking", [False, True])
async def test_streams_are_measured_by_their_whole_text(connection, blocking, dry_run, when):
    begun = []

    def chunks():
        begun.append(1)
        return ("Once ", "upon ") if len(begun) == 1 else ("Once", " upon ")

    if blocking:

        def tell(question):
            yield from chunks()

        def run():
            with shadowing(connection, LangCache, dry_run=dry_run, when=when) as cache:
                streams = [cache.get_or_stream(STORED, tell) for _ in range(2)]
                return cache, [[*stream] for stream in streams], streams[1]

        cache, read, last = await asyncio.to_thread(run)
    else:

        async def tell(question):
            for chunk in chunks():
                yield chunk

        async with shadowing(connection, dry_run=dry_run, when=when) as cache:
            streams = [cache.get_or_stream(STORED, tell) for _ in range(2)]
            read = []
            for stream in streams:
                read.append([chunk async for chunk in stream])
            last = streams[1]
    assert read == [["Once ", "upon "], ["Once", " upon "] if dry_run else ["Once upon "]]
    assert last.hit is not dry_run
    assert last.lookup.reason == ("dry run" if dry_run else None)
    assert len(begun) == 2
    assert cache.stats().stores == 1
    assert outcomes(cache) == (1, 0, 0, 0)


async def test_a_function_that_asks_the_cache_itself_is_no_part_of_the_call(connection):
    async with shadowing(connection) as cache:

        @cache.cached(attributes={"tenant": "inner"})
        async def inner(question: str) -> str:
            return "inner"

        @cache.cached(attributes={"tenant": "outer"})
        async def outer(question: str) -> str:
            return await inner(question)

        for _ in range(3):
            assert await outer(STORED) == "inner"
    assert cache.stats().flight_timeouts == 0
    right, *rest = outcomes(cache)
    assert right >= 2
    assert rest == [0, 0, 0]


@pytest.mark.parametrize(
    ("settings", "error", "argument"),
    [
        ({"share": 1.5}, ValueError, "share"),
        ({"share": "all"}, TypeError, "share"),
        ({"when": "later"}, ValueError, "when"),
        ({"compare": "equal"}, TypeError, "compare"),
        ({"compare": 2}, ValueError, "compare"),
        ({"dry_run": 1}, TypeError, "dry_run"),
        ({"max_pending": 0}, ValueError, "max_pending"),
        ({"random": 0.5}, TypeError, "random"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(settings, error, argument):
    with pytest.raises(error, match=rf"^{argument}: "):
        Shadow(**settings)


def test_the_setting_itself_must_be_a_shadow():
    with pytest.raises(TypeError, match=r"^shadow: "):
        AsideConfig(shadow=0.05)
