"""Clients from first use to last: event loops, closing, dropping, and calls that are under way meanwhile."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref

import aiohttp
import pytest

from langcache import AsyncLangCache, BackoffStrategy, LangCache, RetryConfig
from langcache.errors import ClosedError


def test_one_client_serves_event_loops_one_after_the_other(service):
    client = AsyncLangCache(service.url, "k", "c")
    for _ in range(3):
        assert asyncio.run(client.search("Hi?")).tries == 1
    asyncio.run(client.aclose())


async def test_a_closed_client_says_that_it_is_closed(connect, service):
    client = connect()
    await client.flush()
    await client.close()
    await client.close()
    with pytest.raises(ClosedError, match="this client is closed; make a new one"):
        await client.flush()
    assert len(service.seen) == 1


async def test_a_client_that_was_never_used_can_be_closed(connect):
    client = connect()
    await client.close()
    with pytest.raises(ClosedError):
        await client.flush()


async def test_both_sides_of_a_sync_client_are_closed_together(service):
    client = LangCache(service.url, "k", "c")
    await client.flush_async()
    await client.aclose()
    with pytest.raises(ClosedError):
        await client.flush_async()
    with pytest.raises(ClosedError):
        await asyncio.to_thread(client.flush)


def test_a_sync_client_works_under_with_and_without(service):
    with LangCache(service.url, "k", "c") as client:
        assert client.search("Hi?").tries == 1
    with pytest.raises(ClosedError):
        client.search("Hi?")
    client = LangCache(service.url, "k", "c")
    assert client.search("Hi?").tries == 1
    client.close()


async def test_calls_under_way_end_in_closed_error(connect, service):
    client = connect()
    for _ in range(3):
        service.stalls()
    calls = [asyncio.create_task(client.set(f"{number}?", "!")) for number in range(3)]
    await service.has_requests(3)
    await client.close()
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(outcome, ClosedError)
        assert str(outcome) == "the client was closed during the call"


async def test_a_call_that_waits_for_a_connection_ends_in_closed_error(service):
    def one_connection():
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))

    client = AsyncLangCache(service.url, "k", "c", one_connection)
    service.stalls()
    calls = [asyncio.create_task(client.set(f"{number}?", "!")) for number in range(2)]
    await service.has_requests()
    await client.aclose()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ClosedError, ClosedError]


async def test_a_call_that_waits_before_another_try_ends_in_closed_error(connect, service):
    replied = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Logger:
        def debug(self, message, *args):
            if "status 503," in message % args:  # not the port, which may have these digits
                loop.call_soon_threadsafe(replied.set)

    hours = RetryConfig("backoff", BackoffStrategy(3_600_000, 3_600_000, 1, 36_000_000), True)
    client = connect(retry_config=hours, debug_logger=Logger())
    service.replies(503)
    call = asyncio.create_task(client.set("Hi?", "!"))
    await replied.wait()
    await client.close()
    with pytest.raises(ClosedError, match="the client was closed during the call"):
        await call
    assert len(service.seen) == 1


async def test_a_call_that_waits_for_its_key_ends_in_closed_error(connect, service):
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def key():
        loop.call_soon_threadsafe(asked.set)
        await asyncio.Event().wait()

    client = connect(api_key=key, timeout_ms=3_600_000)
    call = asyncio.create_task(client.flush())
    await asked.wait()
    await client.close()
    with pytest.raises(ClosedError, match="the client was closed during the call"):
        await call
    assert service.seen == []


async def test_a_call_whose_client_is_closed_already_does_not_wait_for_its_key(service):
    async def key():
        await asyncio.Event().wait()

    client = AsyncLangCache(service.url, key, "c", timeout_ms=3_600_000)
    await client.aclose()
    with pytest.raises(ClosedError):
        await client.flush()


async def test_a_task_that_survived_a_cancellation_learns_of_a_close(service):
    asked = asyncio.Event()

    async def key():
        asked.set()
        await asyncio.Event().wait()

    client = AsyncLangCache(service.url, key, "c", timeout_ms=3_600_000)

    async def goes_on():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await client.flush()

    task = asyncio.create_task(goes_on())
    await asyncio.sleep(0)
    task.cancel()
    await asked.wait()
    await client.aclose()
    with pytest.raises(ClosedError):
        await task


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task does not know yet who cancelled it")
async def test_a_task_that_is_cancelled_while_the_client_closes_stays_cancelled(service):
    client = AsyncLangCache(service.url, "k", "c")
    service.stalls()
    call = asyncio.create_task(client.flush())
    await service.has_requests()
    client.discard()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_client_can_be_closed_from_a_thread_without_a_loop(service):
    client = AsyncLangCache(service.url, "k", "c")
    await client.flush()
    await asyncio.to_thread(client.discard)
    with pytest.raises(ClosedError):
        await client.flush()
    await client.aclose()


async def test_a_call_finishes_although_its_client_was_dropped(service):
    client = AsyncLangCache(service.url, "k", "c")
    call = asyncio.create_task(client.search("Hi?"))
    del client
    gc.collect()
    assert (await call).tries == 1


def test_a_dropped_sync_client_is_collected_and_its_thread_ends(service):
    client = LangCache(service.url, "k", "c")
    client.flush()
    thread, dropped = client._portal._thread, weakref.ref(client)
    del client
    gc.collect()
    assert dropped() is None
    thread.join(60)
    assert not thread.is_alive()


def test_threads_share_a_sync_client(service):
    results = []
    with LangCache(service.url, "k", "c") as client:
        threads = [
            threading.Thread(target=lambda: results.append(client.search("Hi?").tries)) for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [1] * 20


PROGRAMS = {
    "async, dropped after its loop": "asyncio.run(AsyncLangCache(*where).flush())",
    "async, kept until the end": "client = AsyncLangCache(*where); asyncio.run(client.flush())",
    "async, dropped inside its loop": """
async def main():
    client = AsyncLangCache(*where)
    await client.flush()
    del client
    gc.collect()
asyncio.run(main())
""",
    "sync, kept until the end": "client = LangCache(*where); client.flush()",
    "sync, dropped": "client = LangCache(*where); client.flush(); del client; gc.collect()",
    "sync, awaited": "client = LangCache(*where); asyncio.run(client.flush_async()); client.flush()",
    "never used": "AsyncLangCache(*where), LangCache(*where)",
    "sync, and an uncaught exit": "client = LangCache(*where); client.flush(); sys.exit(0)",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_client_that_is_merely_dropped_is_silent(service, program):
    start = "import asyncio, gc, logging, sys\nfrom langcache import AsyncLangCache, LangCache\n"
    start += "logging.getLogger('asyncio').setLevel('ERROR')\n"  # development mode warns of slow machines
    where = f"where = ({service.url!r}, 'k', 'c')\n"
    done = run_python("-X", "dev", "-W", "error", "-c", start + where + program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def run_python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, env=dict(os.environ)
    )
