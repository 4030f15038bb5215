"""Many threads on one client, many clients dropped, and the moment of closing."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from langcache import LangCache
from langcache._portal import loopthread
from langcache.errors import ClosedError, ConnectError

DESCRIPTORS = Path("/proc/self/fd")
MEMORY_MB = 16
"""What a thousand dropped clients may leave behind."""


def portal_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "langcache-portal"]


def join_portals() -> None:
    for thread in portal_threads():
        thread.join(60)


def descriptors() -> int:
    return len(list(DESCRIPTORS.iterdir()))


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


needs_proc = pytest.mark.skipif(not DESCRIPTORS.exists(), reason="descriptors are counted under /proc")


@pytest.fixture
def leaves_nothing(service: str) -> Iterator[None]:
    """After the test there are as many threads and open descriptors as before it."""
    with LangCache(service, "key", "cache") as first:
        first.search("hi")  # which opens what a process opens once, such as libuv's pipe for signals
    gc.collect()
    join_portals()
    threads, files = threading.active_count(), descriptors()
    yield
    gc.collect()
    join_portals()
    assert (threading.active_count(), descriptors()) == (threads, files)


@needs_proc
@pytest.mark.usefixtures("leaves_nothing")
def test_64_threads_get_each_their_own_replies_over_one_portal_thread(service: str) -> None:
    threads, calls = 64, 20_000
    start = threading.Barrier(threads)

    def work(name: int) -> int:
        start.wait()
        own = 0
        for number in range(calls // threads + 1):
            prompt = f"thread {name} call {number}"
            own += client.search(prompt).response == prompt.upper()
        return own

    with LangCache(service, "key", "cache", timeout_ms=60_000) as client:
        with ThreadPoolExecutor(threads) as pool:
            own = sum(pool.map(work, range(threads)))
        assert len(portal_threads()) == 1
    assert own == threads * (calls // threads + 1) >= calls


@needs_proc
@pytest.mark.usefixtures("leaves_nothing")
def test_a_thousand_dropped_clients_leave_nothing_behind(service: str) -> None:
    def make_use_and_drop(count: int) -> None:
        for _ in range(count):
            client = LangCache(service, "key", "cache")
            assert client.search("hi").response == "HI"
            del client
            if len(portal_threads()) >= 50:  # they end by themselves, but a busy machine may take its time
                join_portals()
                assert not portal_threads()
        join_portals()
        gc.collect()

    make_use_and_drop(200)
    before = resident_mb()
    make_use_and_drop(1000)
    assert resident_mb() - before < MEMORY_MB


@needs_proc
@pytest.mark.usefixtures("leaves_nothing")
def test_a_client_whose_last_reference_goes_on_the_portal_thread_is_closed(service: str) -> None:
    held: list[LangCache] = []
    dropped = threading.Event()

    def ask_for_key() -> str:
        held.clear()
        gc.collect()
        dropped.set()
        return "key"

    def call(name: str) -> str | None:
        client = LangCache(service, ask_for_key, "cache")
        held.append(client)
        return client.search(name).response

    assert call("hi") == "HI"
    assert dropped.is_set()


@needs_proc
@pytest.mark.usefixtures("leaves_nothing")
def test_a_client_whose_last_reference_goes_on_anothers_portal_thread_is_closed(service: str) -> None:
    victims = [LangCache(service, "key", "cache")]
    victims[0].search("hi")

    def ask_for_key() -> str:
        victims.clear()
        return "key"

    with LangCache(service, ask_for_key, "cache") as client:
        assert client.search("hi").response == "HI"


def test_calls_end_in_closed_error_when_another_thread_closes(
    service: str, wait_until_waiting: Callable[[int], None]
) -> None:
    client = LangCache(service, "key", "cache")
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(client.search, "wait") for _ in range(8)]
        wait_until_waiting(8)
        client.close()
        for call in calls:
            with pytest.raises(ClosedError, match="closed during the call"):
                call.result(timeout=60)
    wait_until_waiting(0)
    with pytest.raises(ClosedError, match="closed; make a new one"):
        client.search("hi")


def test_a_call_is_ended_by_close_even_if_a_callback_blocks_the_loop(service: str) -> None:
    blocked, release = threading.Event(), threading.Event()

    def ask_for_key() -> str:
        blocked.set()
        release.wait()
        return "key"

    client = LangCache(service, ask_for_key, "cache")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.search, "hi")
        blocked.wait()
        client._portal.discard()
        with pytest.raises(ClosedError):
            call.result(timeout=60)
        release.set()
        client.close()


def test_calls_that_race_with_close_end_with_a_reply_or_in_closed_error(service: str) -> None:
    for _ in range(50):
        client = LangCache(service, "key", "cache")
        start = threading.Barrier(9)

        def work(client: LangCache = client, start: threading.Barrier = start) -> int:
            start.wait()
            replies = 0
            try:
                while True:
                    assert client.search("hi").response == "HI"
                    replies += 1
            except ClosedError:
                return replies

        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(work) for _ in range(8)]
            start.wait()
            client.close()
            for call in calls:
                call.result(timeout=60)


def test_closing_from_many_threads_at_once_is_fine(client: LangCache) -> None:
    client.search("hi")
    with ThreadPoolExecutor(8) as pool:
        for closed in [pool.submit(client.close) for _ in range(8)]:
            closed.result(timeout=60)
    assert not portal_threads()


def test_no_thread_to_be_had_is_a_connect_error_and_the_next_call_works(
    client: LangCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(loopthread.LoopThread, "start", refuse)
        with pytest.raises(ConnectError, match="can't start new thread"):
            client.search("hi")
    assert client.search("hi").response == "HI"


def test_no_event_loop_to_be_had_is_a_connect_error_and_the_next_call_works(
    client: LangCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    import anyio

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(anyio, "run", fail)
        with pytest.raises(ConnectError, match="Too many open files"):
            client.search("hi")
    assert client.search("hi").response == "HI"


def test_a_loop_that_is_ended_from_within_is_replaced(service: str) -> None:
    import asyncio

    doomed = threading.Event()

    async def ask_for_key() -> str:
        if not doomed.is_set():
            doomed.set()
            asyncio.get_running_loop().call_soon(sys.exit)
            await asyncio.sleep(60)
        return "key"

    with LangCache(service, ask_for_key, "cache") as client:
        with pytest.raises(ConnectionError, match="event loop was ended"):
            client.search("hi")
        join_portals()
        assert client.search("hi").response == "HI"
