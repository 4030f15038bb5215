"""The limit on connections: first come, first served, and nobody and no connection is lost."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from langcache._call.connection_limit import ConnectionLimit
from langcache.errors import TimeoutException


async def in_queue(limit: ConnectionLimit, name: str, served: list[str]) -> asyncio.Task[None]:
    """A task that waits for a connection and then says so."""

    async def wait() -> None:
        await limit.acquire(None)
        served.append(name)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    return task


def free(limit: ConnectionLimit) -> int:
    """How many connections are free."""
    count = 0
    while limit.acquire_now():
        count += 1
    return count


async def test_there_are_as_many_connections_as_were_asked_for():
    assert free(ConnectionLimit(3)) == 3


async def test_who_came_first_is_served_first():
    limit, served = ConnectionLimit(1), []
    limit.acquire_now()
    tasks = [await in_queue(limit, name, served) for name in "abc"]
    for task in tasks:
        limit.release()
        await task
    assert served == ["a", "b", "c"]
    limit.release()
    assert free(limit) == 1


async def test_a_connection_goes_to_who_waits_and_not_to_who_comes_later():
    limit, served = ConnectionLimit(1), []
    limit.acquire_now()
    task = await in_queue(limit, "a", served)
    limit.release()
    assert not limit.acquire_now()
    await task


async def test_the_wait_is_taken_from_the_timeout():
    limit = ConnectionLimit(1)
    limit.acquire_now()
    waiting = asyncio.create_task(limit.acquire(60))
    await asyncio.sleep(0)
    limit.release()
    left = await waiting
    assert left is not None
    assert 0 < left < 60


async def test_without_a_timeout_none_is_left():
    limit = ConnectionLimit(1)
    limit.acquire_now()
    waiting = asyncio.create_task(limit.acquire(None))
    await asyncio.sleep(0)
    limit.release()
    assert await waiting is None


async def test_who_waits_too_long_gets_a_timeout_and_leaves_the_queue():
    limit = ConnectionLimit(1)
    limit.acquire_now()
    with pytest.raises(TimeoutException, match=r"within 0\.001 s: all 1 are in use"):
        await limit.acquire(0.001)
    limit.release()
    assert free(limit) == 1


def test_two_event_loops_may_time_out_at_once(monkeypatch):
    both, end_waits = threading.Barrier(2, timeout=60), ConnectionLimit._end_waits

    def end_waits_in_both(limit, loop):
        both.wait()  # both timers run now, each in its context; in one for both, the second could not
        end_waits(limit, loop)

    monkeypatch.setattr(ConnectionLimit, "_end_waits", end_waits_in_both)

    async def wait_in_vain():
        limit = ConnectionLimit(1)
        limit.acquire_now()
        with pytest.raises(TimeoutException):
            await asyncio.wait_for(limit.acquire(0.001), 60)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(asyncio.run, wait_in_vain()) for _ in range(2)]:
            done.result()


@pytest.mark.parametrize(
    "timeouts",
    [(0.001, 60, None), (60, 0.001, None), (None, 60, 0.001), (0.001, 0.003, 60), (0.003, 60, 0.001)],
)
async def test_each_wait_ends_at_its_own_time(timeouts):
    limit = ConnectionLimit(1)
    limit.acquire_now()
    waits = {asyncio.create_task(limit.acquire(timeout)): timeout for timeout in timeouts}
    short = [wait for wait, timeout in waits.items() if timeout is not None and timeout < 1]
    for wait in short:
        with pytest.raises(TimeoutException):
            await wait
    for wait in waits.keys() - set(short):
        assert not wait.done()
    for wait in [wait for wait in waits if wait not in short]:
        limit.release()
        await wait
    limit.release()
    assert free(limit) == 1


async def test_a_timer_that_comes_too_early_ends_the_wait_all_the_same(monkeypatch):
    loop = asyncio.get_running_loop()
    limit = ConnectionLimit(1)
    limit.acquire_now()
    monkeypatch.setattr(loop, "call_at", lambda when, call, *given, context: loop.call_soon(call, *given))
    with pytest.raises(TimeoutException):
        await limit.acquire(60)


@pytest.mark.parametrize("how", ["served", "cancelled"])
async def test_all_who_wait_share_one_timer_that_ends_with_the_last(how, monkeypatch):
    loop = asyncio.get_running_loop()
    timers, call_at = [], loop.call_at

    def kept(*given, **named):
        timers.append(call_at(*given, **named))
        return timers[-1]

    monkeypatch.setattr(loop, "call_at", kept)
    limit = ConnectionLimit(1)
    limit.acquire_now()
    waits = [asyncio.create_task(limit.acquire(60)) for _ in range(100)]
    await asyncio.sleep(0)
    assert len(timers) == 1
    for wait in waits:
        assert not timers[0].cancelled()
        limit.release() if how == "served" else wait.cancel()
        await asyncio.wait([wait])
    assert timers[0].cancelled()
    assert not limit._waiting


async def test_a_cancelled_waiter_leaves_the_queue():
    limit, served = ConnectionLimit(1), []
    limit.acquire_now()
    first, second = await in_queue(limit, "a", served), await in_queue(limit, "b", served)
    first.cancel()
    limit.release()
    await second
    assert (first.cancelled(), served) == (True, ["b"])


async def test_a_connection_given_to_a_task_that_is_cancelled_meanwhile_goes_to_the_next():
    limit, served = ConnectionLimit(1), []
    limit.acquire_now()
    first, second = await in_queue(limit, "a", served), await in_queue(limit, "b", served)
    limit.release()
    first.cancel()
    await second
    assert (first.cancelled(), served) == (True, ["b"])
