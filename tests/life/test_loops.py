"""Clients on several event loops, which end in every way, and a sync client inside event loops."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import importlib.util
import logging
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest

from langcache import AsyncLangCache, LangCache
from langcache._portal import portal
from langcache.errors import ClosedError

from .conftest import Ended

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


# What follows is about loops that end without a word to the client.

NEW_LOOP = {
    "asyncio": "asyncio.new_event_loop",
    "uvloop": "__import__('uvloop').new_event_loop",
}

JOBS = """
import asyncio, gc, os, threading
import aiohttp
from langcache import AsyncLangCache, LangCache

new_loop = {new_loop}
shared, blocking = AsyncLangCache(), LangCache()

def descriptors():
    return len(os.listdir("/proc/self/fd" if os.path.exists("/proc/self/fd") else "/dev/fd"))

def run(*works):
    loop = new_loop()
    for work in works:
        loop.run_until_complete(work)
    loop.close()

async def search(client):
    assert (await client.search("hi")).response == "HI"

async def use_and_drop():
    await search(AsyncLangCache())

def a_client_for_all_loops():
    run(search(shared))

def two_clients_in_a_loop():
    run(search(shared), search(AsyncLangCache()), blocking.search_async("hi"))

def the_async_side_of_a_sync_client():
    run(blocking.search_async("hi"))

def a_client_for_each_loop():
    client = AsyncLangCache()
    run(search(client))

def a_client_dropped_before_its_loop_is_closed():
    loop, client = new_loop(), AsyncLangCache()
    loop.run_until_complete(search(client))
    del client
    loop.close()

def a_client_dropped_in_the_last_turn():
    run(use_and_drop())

def a_client_that_only_the_collector_can_free():
    client = AsyncLangCache()
    client.itself = client
    run(search(client))

def a_client_discarded_before_its_loop_is_closed():
    loop, client = new_loop(), AsyncLangCache()
    loop.run_until_complete(search(client))
    client.discard()
    loop.close()

def a_client_discarded_after_its_loop_is_closed():
    client = AsyncLangCache()
    run(search(client))
    client.discard()

def a_client_closed_in_another_loop():
    client = AsyncLangCache()
    run(search(client))
    run(client.aclose())

def a_session_of_the_users_making():
    run(search(AsyncLangCache(client=aiohttp.ClientSession)))

def a_thread_for_each_loop():
    thread = threading.Thread(target=a_client_for_all_loops)
    thread.start()
    thread.join()

def the_runner_of_asyncio():
    asyncio.run(search(shared))

for job in [value for name, value in list(globals().items()) if name.startswith(("a_", "the_", "two_"))]:
    job()
    gc.collect()
    gc.disable()  # so that nothing is closed by chance
    before = descriptors()
    for _ in range({times}):
        job()
    print(job.__name__, descriptors() - before)
    gc.enable()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are counted as Unix shows them")
@pytest.mark.parametrize("kind", NEW_LOOP)
def test_a_loop_for_each_job_leaves_no_descriptor_and_no_word(run: Callable[..., Ended], kind: str) -> None:
    if kind == "uvloop" and not importlib.util.find_spec("uvloop"):
        pytest.skip("uvloop is not installed")
    ended = run(JOBS.replace("{new_loop}", NEW_LOOP[kind]).replace("{times}", "4"))
    assert ended.err == ""
    assert ended.status == 0
    grown = dict(line.split() for line in ended.out.splitlines())
    assert len(grown) == 13
    assert set(grown.values()) == {"0"}, grown


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd" if os.path.exists("/proc/self/fd") else "/dev/fd"))


@pytest.fixture
def shared(service: str) -> Iterator[AsyncLangCache]:
    """An async client."""
    client = AsyncLangCache(service, "key", "cache")
    yield client
    client.discard()


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are counted as Unix shows them")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # asyncio's own, of the loop
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_loops_that_are_never_closed_and_whose_threads_have_ended(
    shared: AsyncLangCache, caplog: pytest.LogCaptureFixture
) -> None:
    def work() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        assert asyncio.get_event_loop_policy().get_event_loop().run_until_complete(shared.search("hi"))

    def in_threads(number: int) -> int:
        for _ in range(number):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        gc.collect()
        return descriptors()

    before = in_threads(2)
    assert in_threads(20) <= before
    assert [line.message for line in caplog.records if line.levelno >= logging.ERROR] == []


def test_the_connection_of_a_loop_whose_thread_has_ended_is_closed_by_the_next(
    shared: AsyncLangCache,
) -> None:
    loops = [asyncio.new_event_loop() for _ in range(2)]

    def work() -> None:
        loops[0].run_until_complete(shared.search("hi"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    before = descriptors()
    loops[1].run_until_complete(shared.search("hi"))
    assert descriptors() <= before
    assert loops[0].run_until_complete(shared.search("again")).response == "AGAIN"
    for loop in loops:
        loop.close()


def test_a_closed_loop_is_free_at_once(shared: AsyncLangCache) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(shared.search("hi"))
    gone = weakref.ref(loop)
    loop.close()
    loop.close()
    gc.collect()
    gc.disable()
    try:
        del loop
        assert gone() is None
    finally:
        gc.enable()


def test_a_running_loop_refuses_to_be_closed_as_ever(shared: AsyncLangCache) -> None:
    async def close() -> None:
        await shared.search("hi")
        with pytest.raises(RuntimeError, match="running"):
            asyncio.get_running_loop().close()
        assert (await shared.search("again")).response == "AGAIN"

    loop = asyncio.new_event_loop()
    loop.run_until_complete(close())
    loop.close()
    assert loop.is_closed()


@pytest.mark.filterwarnings("ignore:asynchronous generator .* was scheduled after:ResourceWarning")
def test_a_loop_goes_on_after_its_generators_were_closed(shared: AsyncLangCache) -> None:
    loop = asyncio.new_event_loop()
    for _ in range(2):
        assert loop.run_until_complete(shared.search("hi")).response == "HI"
        loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
