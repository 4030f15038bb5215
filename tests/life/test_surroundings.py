"""Other surroundings than `asyncio.run`: eager tasks, debug mode, nest_asyncio, trio, and none at all."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import trio

from langcache import AsyncLangCache, BackoffStrategy, LangCache, RetryConfig
from langcache.aside import AsideConfig
from langcache.errors import ClosedError
from langcache.service import LocalServer

from .conftest import Ended

PATIENT = AsideConfig(lookup_timeout=60, function_attribute="function")
SEVERAL = 6

BEFORE_3_12 = sys.version_info < (3, 12)


async def use_everything(server: LocalServer) -> None:
    """Call each kind of method, several at once."""
    made: list[str] = []

    async def slow(prompt: str) -> str:
        made.append(prompt)
        await asyncio.sleep(0.05)
        return prompt.upper()

    async def instant(prompt: str) -> str:
        made.append(prompt)
        return prompt.upper()

    async def chunks(prompt: str) -> AsyncIterator[str]:
        made.append(prompt)
        for word in prompt.split():
            await asyncio.sleep(0)
            yield word

    async def chunks_at_once(prompt: str) -> AsyncIterator[str]:
        made.append(prompt)
        for word in prompt.split():
            yield word

    async with AsyncLangCache(server.url, server.api_key, server.cache_id, aside=PATIENT) as cache:

        def at_once(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
            return asyncio.gather(*(call() for _ in range(SEVERAL)))

        await cache.set("What is DNS?", "Names to numbers.")
        found = await at_once(lambda: cache.search("What is DNS?"))
        assert {result.response for result in found} == {"Names to numbers."}
        for function in (slow, instant):

            def ask(function: Any = function) -> Any:
                return cache.get_or_set("a question", function, function=function.__name__)

            for status in ("miss", "hit"):
                answers = await at_once(ask)
                assert [answer.value for answer in answers] == ["A QUESTION"] * SEVERAL
                assert {answer.status.value for answer in answers} == {status}
            cached = cache.cached(function, function=function.__name__)
            assert await at_once(lambda cached=cached: cached("another one")) == ["ANOTHER ONE"] * SEVERAL
            assert made == ["a question", "another one"]
            made.clear()
        for source in (chunks, chunks_at_once):

            async def read(source: Any = source) -> str:
                stream = cache.get_or_stream("a b c", source, function=source.__name__)
                return "".join([chunk async for chunk in stream])

            for _ in range(2):
                assert await at_once(read) == ["abc"] * SEVERAL
            assert made == ["a b c"]
            made.clear()
        stored = await cache.set_many([(f"prompt {n}", "r") for n in range(SEVERAL)])
        assert all(result.ok for result in stored)
        assert [found.ok async for found in cache.search_many(["a", "b", "c"])] == [True] * 3
        assert (await cache.delete_query({"function": "nobody's"})).deleted_entries_count == 0
        await cache.flush()


async def close_during_a_wait() -> None:
    """A wait before a retry, and one for a key, end when the client is closed."""
    waits = RetryConfig("backoff", BackoffStrategy(60_000, 60_000, 1, 600_000), retry_connection_errors=True)

    async def no_key() -> str:
        await asyncio.sleep(60)
        return "key"

    for client in (
        AsyncLangCache("http://127.0.0.1:1", "key", "cache", retry_config=waits),
        AsyncLangCache("http://127.0.0.1:1", no_key, "cache", timeout_ms=60_000),
    ):
        call = asyncio.ensure_future(client.search("hi"))
        while not client._transport._waiting:  # noqa: ASYNC110  # nothing tells that it waits
            await asyncio.sleep(0)
        await client.aclose()
        with pytest.raises(ClosedError):
            await call


@pytest.mark.skipif(BEFORE_3_12, reason="eager tasks came with Python 3.12")
@pytest.mark.langcache(attributes=("function",))
def test_everything_works_with_eager_tasks(langcache_server: LocalServer) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        await use_everything(langcache_server)
        await close_during_a_wait()

    asyncio.run(main())


@pytest.mark.langcache(attributes=("function",))
def test_everything_works_in_asyncios_debug_mode(langcache_server: LocalServer) -> None:
    async def main() -> None:
        await use_everything(langcache_server)
        await close_during_a_wait()

    asyncio.run(main(), debug=True)


NEST = """
import asyncio, sys, warnings
import nest_asyncio
from langcache import AsyncLangCache, LangCache

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
nest_asyncio.apply(loop)
warnings.simplefilter("ignore", RuntimeWarning)  # that a blocking call blocks the loop
kept = []

async def cell():
    for _ in range(2):
        asynchronous, blocking = AsyncLangCache(), LangCache()
        assert asyncio.run(asynchronous.search("nested")).response == "NESTED"
        assert (await asynchronous.search("hi")).response == "HI"
        assert blocking.search("hi").response == "HI"
        assert loop.run_until_complete(blocking.search_async("both")).response == "BOTH"
        assert blocking.get_or_set("hi", str.upper).value == "HI"
        if sys.argv[1] == "closed":
            await asynchronous.aclose()
            blocking.close()
            await blocking.aclose()
        elif sys.argv[1] == "kept":
            kept.append((asynchronous, blocking))

if sys.argv[1] == "closed":
    asyncio.run(cell())
else:
    loop.run_until_complete(cell())
print("done")
"""


@pytest.mark.parametrize("clients_are", ["closed", "dropped", "kept"])
def test_nested_event_loops_and_their_end_are_quiet(run: Callable[..., Ended], clients_are: str) -> None:
    assert run(NEST, clients_are)[:3] == (0, "done\n", "")


def awaited(client: Any) -> list[Callable[[], Coroutine[Any, Any, Any]]]:
    """All that a program may await, each as a function that makes the coroutine."""

    async def read() -> list[Any]:
        return [chunk async for chunk in client.get_or_stream("q", lambda prompt: iter("ab"))]

    async def many() -> Any:
        return await client.set_many([("p", "r")])

    async def enter() -> None:
        async with client:
            pass

    if isinstance(client, LangCache):
        return [lambda: client.search_async("q"), lambda: client.flush_async(), client.aclose, enter]
    return [
        lambda: client.search("q"),
        lambda: client.set("p", "r"),
        lambda: client.flush(),
        lambda: client.get_or_set("q", "a"),
        lambda: client.cached(key_for)("q"),
        read,
        many,
        client.aclose,
        enter,
    ]


async def key_for(prompt: str) -> str:
    return prompt


async def key() -> str:
    return "key"


@pytest.mark.parametrize("api_key", ["key", key], ids=["key", "async key"])
@pytest.mark.parametrize("kind", [AsyncLangCache, LangCache])
def test_what_is_awaited_under_trio_says_what_to_do(kind: Any, api_key: Any) -> None:
    client = kind("http://127.0.0.1:1", api_key, "cache")
    for make in awaited(client):
        with pytest.raises(RuntimeError, match=r"(?s)asyncio event loop.*trio\.to_thread\.run_sync\(cache\."):
            trio.run(make)
        with pytest.raises(RuntimeError, match=r"(?s)asyncio event loop.*asyncio\.run"):
            make().send(None)


def test_the_blocking_client_works_under_trio(run: Callable[..., Ended]) -> None:
    # In a process of its own, as trio keeps its threads for a while.
    program = """
        import trio
        from langcache import LangCache

        client = LangCache()
        found = []

        async def search(prompt):
            found.append((await trio.to_thread.run_sync(client.search, prompt)).response)

        async def main():
            async with trio.open_nursery() as nursery:
                for n in range(6):
                    nursery.start_soon(search, f"n{n}")

        trio.run(main)
        assert sorted(found) == [f"N{n}" for n in range(6)]
        print("done")
    """
    assert run(program)[:3] == (0, "done\n", "")
