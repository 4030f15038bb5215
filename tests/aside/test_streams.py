"""Answers in chunks."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from langcache import AsyncLangCache
from langcache.aside import JsonCodec
from langcache.aside.streams import read_ahead

QUESTION = "Tell me a story"


class Source:
    """An async generator function whose every step is counted, and which notes that it was closed."""

    def __init__(self, *chunks, error=None):
        self.chunks = chunks or ("Once ", "upon ", "a time")
        self.error = error
        self.calls = 0
        self.given = 0
        self.closed = 0

    async def __call__(self, prompt):
        self.calls += 1
        try:
            for chunk in self.chunks:
                self.given += 1
                yield chunk
            if self.error is not None:
                raise self.error
        finally:
            self.closed += 1


async def all_of(stream):
    return [chunk async for chunk in stream]


async def test_chunks_pass_through_on_a_miss_and_the_whole_is_replayed(cache):
    source = Source()
    miss = cache.get_or_stream(QUESTION, source)
    assert miss.status is None
    assert await all_of(miss) == ["Once ", "upon ", "a time"]
    assert miss.status == "miss"
    hit = cache.get_or_stream(QUESTION, source)
    assert "".join(await all_of(hit)) == "Once upon a time"
    assert (hit.status, hit.lookup.entry.prompt, source.calls) == ("hit", QUESTION, 1)
    assert (cache.stats().hits, cache.stats().misses) == (1, 1)


async def test_a_stream_of_nothing_is_replayed_as_one(cache):
    async def source(prompt):
        for chunk in ():
            yield chunk

    assert [await all_of(cache.get_or_stream(QUESTION, source)) for _ in "ab"] == [[], []]
    assert (cache.stats().misses, cache.stats().hits) == (1, 1)


async def test_chunks_come_as_they_are_made(cache):
    source = Source()
    async with aclosing(cache.get_or_stream(QUESTION, source)) as stream:
        assert await stream.__anext__() == "Once "
        assert source.given == 1, "the source is never read ahead"


async def test_a_stream_cut_midway_stores_nothing_and_closes_its_source(cache):
    source = Source()
    async with aclosing(cache.get_or_stream(QUESTION, source)) as stream:
        async for _ in stream:
            break
    assert source.closed == 1
    assert not await cache.search(QUESTION)


@pytest.mark.parametrize("options", [{}, {"bypass": True}])
async def test_a_stream_that_is_dropped_closes_its_source_without_a_word(cache, until, options):
    problems = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, problem: problems.append(problem))
    source = Source()
    stream = cache.get_or_stream(QUESTION, source, **options)
    await stream.__anext__()
    del stream
    await until(lambda: source.closed == 1)
    in_a_cycle = [cache.get_or_stream(QUESTION, source, **options)]
    await in_a_cycle[0].__anext__()
    in_a_cycle.append(in_a_cycle)
    del in_a_cycle
    gc.collect()
    await until(lambda: source.closed == 2)
    await until(lambda: len(asyncio.all_tasks()) == 1)
    assert problems == []
    assert not await cache.search(QUESTION)


@pytest.mark.parametrize("closes", ["itself", "the event loop"])
async def test_a_stream_that_is_garbage_together_with_its_reader_is_closed_without_an_error(
    cache, until, closes
):
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, failure: failures.append(failure))
    source, left = Source(), asyncio.Event()

    async def read(stream):
        try:
            async for chunk in stream:
                yield chunk
        finally:
            if closes == "itself":
                await stream.aclose()
            left.set()

    stream = cache.get_or_stream(QUESTION, source)
    reader = read(stream)
    stream.reader = reader  # a cycle, so that both are garbage at once
    assert await anext(reader) == "Once "
    del stream, reader
    gc.collect()
    await left.wait()
    await until(lambda: not cache._aside.state.streams)
    gc.collect()
    assert (source.closed, failures) == (1, [])


async def test_a_cancelled_reader_stores_nothing_and_closes_its_source(cache):
    begun, closed = asyncio.Event(), asyncio.Event()

    async def source(prompt):
        try:
            yield "Once "
            begun.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    reader = asyncio.create_task(all_of(cache.get_or_stream(QUESTION, source)))
    await begun.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert closed.is_set()
    assert not await cache.search(QUESTION)


async def test_a_stream_that_fails_gives_what_came_and_the_error_and_stores_nothing(cache):
    error = ValueError("mine")
    stream = cache.get_or_stream(QUESTION, Source(error=error))
    assert [await stream.__anext__() for _ in range(3)] == ["Once ", "upon ", "a time"]
    with pytest.raises(ValueError, match="mine") as raised:
        await stream.__anext__()
    assert raised.value is error
    assert not await cache.search(QUESTION)


async def test_readers_of_the_same_moment_share_one_source_from_its_first_chunk_on(cache):
    source = Source()
    early = cache.get_or_stream(QUESTION, source)
    first = await early.__anext__()
    late = cache.get_or_stream(QUESTION, source)
    assert await all_of(late) == ["Once ", "upon ", "a time"]
    assert [first, *await all_of(early)] == ["Once ", "upon ", "a time"]
    assert (source.calls, cache.stats().shared) == (1, 1)


async def test_a_reader_who_leaves_leaves_the_others_theirs(cache):
    source = Source()
    leaving, staying = (cache.get_or_stream(QUESTION, source) for _ in range(2))
    await leaving.__anext__()
    await staying.__anext__()
    await leaving.aclose()
    assert await all_of(staying) == ["upon ", "a time"]
    assert (await cache.search(QUESTION)).response == "Once upon a time"


async def test_a_source_that_reads_its_own_question_does_not_wait_for_itself(cache):
    async def source(prompt):
        yield "outer "
        async for chunk in cache.get_or_stream(QUESTION, Source("inner")):
            yield chunk

    chunks = await asyncio.wait_for(all_of(cache.get_or_stream(QUESTION, source)), 5)
    assert chunks == ["outer ", "inner"]


async def test_chunks_of_another_type_come_back_as_they_were(cache):
    codec = JsonCodec(list[dict[str, int]])
    source = Source({"a": 1}, {"b": 2})
    for _ in range(2):
        assert await all_of(cache.get_or_stream(QUESTION, source, codec=codec)) == [{"a": 1}, {"b": 2}]
    assert source.calls == 1


async def test_a_stream_goes_past_a_dead_cache(dead_url):
    async with AsyncLangCache(dead_url, "key", "cache") as cache:
        stream = cache.get_or_stream(QUESTION, Source())
        assert len(await all_of(stream)) == 3
        assert stream.status == "error"


async def test_a_disabled_cache_passes_the_source_through():
    async with AsyncLangCache(enabled=False) as cache:
        stream = cache.get_or_stream(QUESTION, Source())
        assert len(await all_of(stream)) == 3
        assert (stream.status, stream.lookup.reason) == ("bypass", "disabled")


async def test_the_source_may_be_awaited_for_or_given(cache):
    async def opens(prompt):
        return Source("awaited")(prompt)

    assert await all_of(cache.get_or_stream(QUESTION, opens, bypass=True)) == ["awaited"]
    assert await all_of(cache.get_or_stream(QUESTION, Source("given")(None), bypass=True)) == ["given"]


async def test_a_source_that_is_none_is_refused(cache):
    with pytest.raises(TypeError, match="async iterable"):
        await all_of(cache.get_or_stream(QUESTION, lambda prompt: ["a list"]))


async def test_a_generator_function_can_be_cached(cache):
    calls = []

    @cache.cached()
    async def tell(question: str) -> AsyncIterator[str]:
        calls.append(question)
        yield "Once "
        yield "upon"

    assert [await all_of(tell(QUESTION)) for _ in range(2)] == [["Once ", "upon"], ["Once upon"]]
    assert await all_of(tell.bypass(QUESTION)) == ["Once ", "upon"]
    assert await all_of(tell.refresh(QUESTION)) == ["Once ", "upon"]
    assert len(calls) == 3
    assert len(await cache.search(QUESTION, max_results=9)) == 1


async def test_a_coroutine_function_that_gives_a_stream_can_be_cached(cache):
    source = Source()

    @cache.cached()
    async def tell(question: str) -> AsyncIterator[str]:
        return source(question)

    assert await all_of(await tell(QUESTION)) == ["Once ", "upon ", "a time"]
    assert await all_of(await tell(QUESTION)) == ["Once upon a time"]
    assert source.calls == 1


@pytest.mark.parametrize("ahead", [0, 2, 64])
async def test_a_source_that_may_be_read_ahead_is_read_so_far_and_stored_when_a_reader_wants_its_end(
    cache, until, ahead
):
    source = Source(*"abcdef")
    async with aclosing(cache.get_or_stream(QUESTION, source)) as stream:
        read_ahead(stream, ahead)
        assert await stream.__anext__() == "a"
        await until(lambda: source.given >= min(1 + ahead, 6))
        for _ in range(10):
            await asyncio.sleep(0)
        assert source.given == min(1 + ahead, 6)
        rest = []
        while len(rest) < 5:
            rest += await stream.next_chunks()
        assert "".join(rest) == "bcdef"
        assert cache.stats().stores == 0, "the answer is complete when its end is asked for"
        with pytest.raises(StopAsyncIteration):
            await stream.next_chunks()
    assert (cache.stats().stores, source.closed) == (1, 1)


async def test_what_was_read_ahead_comes_before_the_error_of_the_source(cache):
    source = Source(*"abc", error=OSError("cut"))
    stream = cache.get_or_stream(QUESTION, source)
    read_ahead(stream, 64)
    assert [await stream.__anext__() for _ in "abc"] == [*"abc"]
    with pytest.raises(OSError, match="cut"):
        await stream.__anext__()
    assert not await cache.search(QUESTION)
