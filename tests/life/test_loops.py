"""A sync client inside event loops, on several of them, and what its hooks see of the caller."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest

from langcache import LangCache
from langcache._portal import portal
from langcache.errors import ClosedError

caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="nobody")


async def test_a_blocking_call_in_a_running_loop_works_and_warns_once(
    client: LangCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portal, "_warned", False)
    with pytest.warns(RuntimeWarning, match="await search_async") as caught:
        assert client.search("hi").response == "HI"
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert client.search("again").response == "AGAIN"


def test_a_blocking_call_from_the_portals_own_thread_says_so(service: str) -> None:
    def ask_for_key() -> str:
        client.search("for a key")
        return "key"

    with LangCache(service, ask_for_key, "cache") as client:
        with pytest.raises(RuntimeError, match="await search_async"):
            client.search("hi")
        client._portal_client._caller._key_source = lambda: "key"
        assert client.search("hi").response == "HI"


def test_awaiting_from_two_loops_in_two_threads_at_once(service: str) -> None:
    client = LangCache(service, "key", "cache")

    async def ask(name: str) -> None:
        found = await asyncio.gather(*(client.search_async(f"{name} {n}") for n in range(200)))
        assert [result.response for result in found] == [f"{name.upper()} {n}" for n in range(200)]

    with client, ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(asyncio.run, ask(name)) for name in ("one", "two")]:
            done.result(timeout=60)


def test_awaiting_under_asyncio_run_twice_and_blocking_between(client: LangCache) -> None:
    for _ in range(2):
        assert asyncio.run(client.search_async("async")).response == "ASYNC"
        assert client.search("sync").response == "SYNC"


async def test_an_awaited_call_that_is_cancelled_takes_its_request_along(
    client: LangCache, wait_until_waiting: Callable[[int], None]
) -> None:
    before = asyncio.all_tasks()
    call = asyncio.ensure_future(client.search_async("wait"))
    await asyncio.to_thread(wait_until_waiting, 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.to_thread(wait_until_waiting, 0)
    assert asyncio.all_tasks() == before
    assert (await client.search_async("hi")).response == "HI"


def test_closing_from_another_thread_ends_awaited_calls(
    service: str, wait_until_waiting: Callable[[int], None]
) -> None:
    client = LangCache(service, "key", "cache")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(asyncio.run, client.search_async("wait"))
        wait_until_waiting(1)
        client.close()
        with pytest.raises(ClosedError):
            call.result(timeout=60)


def test_hooks_see_the_context_variables_of_the_caller(service: str) -> None:
    seen: list[tuple[str, str]] = []

    class Logger:
        def debug(self, msg: str, /, *args: object) -> None:
            seen.append(("logger", caller.get()))

    async def ask_for_key() -> str:
        seen.append(("key", caller.get()))
        return "key"

    async def middleware(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        seen.append(("middleware", caller.get()))
        return await handler(request)

    def make_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(middlewares=[middleware])

    def call(name: str) -> None:
        caller.set(name)
        client.search("hi")

    async def call_async(name: str) -> None:
        caller.set(name)
        await client.search_async("hi")

    with LangCache(
        service, ask_for_key, "cache", make_session, async_client=make_session, debug_logger=Logger()
    ) as client:
        for name in ("first", "second"):
            thread = threading.Thread(target=call, args=(name,))
            thread.start()
            thread.join()
            assert set(seen) == {("logger", name), ("key", name), ("middleware", name)}
            seen.clear()
        asyncio.run(call_async("third"))
        assert set(seen) == {("logger", "third"), ("key", "third"), ("middleware", "third")}
