"""Places: room for so many at once, and a line that loses nobody and no place."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from langcache import places as places_module
from langcache.errors import TimeoutException
from langcache.places import Places


async def in_line(places: Places, name: str, served: list[str]) -> asyncio.Task[None]:
    """A task that waits for a place and then says so."""

    async def wait() -> None:
        await places.wait(None)
        served.append(name)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    return task


def free(places: Places) -> int:
    """How many places can be taken."""
    count = 0
    while places.take():
        count += 1
    return count


async def test_there_are_as_many_places_as_were_asked_for():
    assert free(Places(3)) == 3


async def test_who_came_first_is_served_first():
    places, served = Places(1), []
    places.take()
    tasks = [await in_line(places, name, served) for name in "abc"]
    for task in tasks:
        places.leave()
        await task
    assert served == ["a", "b", "c"]
    places.leave()
    assert free(places) == 1


async def test_a_place_goes_to_who_waits_and_not_to_who_comes_later():
    places, served = Places(1), []
    places.take()
    task = await in_line(places, "a", served)
    places.leave()
    assert not places.take()
    await task


async def test_the_wait_is_taken_from_the_timeout():
    places = Places(1)
    places.take()
    waiting = asyncio.create_task(places.wait(60))
    await asyncio.sleep(0)
    places.leave()
    left = await waiting
    assert left is not None
    assert 0 < left < 60


async def test_without_a_timeout_none_is_left():
    places = Places(1)
    places.take()
    waiting = asyncio.create_task(places.wait(None))
    await asyncio.sleep(0)
    places.leave()
    assert await waiting is None


async def test_who_waits_too_long_gets_a_timeout_and_leaves_the_line():
    places = Places(1)
    places.take()
    with pytest.raises(TimeoutException, match=r"within 0\.001 s: all 1 are in use"):
        await places.wait(0.001)
    places.leave()
    assert free(places) == 1


def test_two_event_loops_may_time_out_at_once(monkeypatch):
    both, too_late = threading.Barrier(2, timeout=5), places_module._too_late

    def too_late_in_both(turn):
        both.wait()  # both timers run now, each in its context; in one for both, the second could not
        too_late(turn)

    monkeypatch.setattr(places_module, "_too_late", too_late_in_both)

    async def wait_in_vain():
        places = Places(1)
        places.take()
        with pytest.raises(TimeoutException):
            await asyncio.wait_for(places.wait(0.001), 10)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(asyncio.run, wait_in_vain()) for _ in range(2)]:
            done.result()


async def test_a_cancelled_waiter_leaves_the_line():
    places, served = Places(1), []
    places.take()
    first, second = await in_line(places, "a", served), await in_line(places, "b", served)
    first.cancel()
    places.leave()
    await second
    assert (first.cancelled(), served) == (True, ["b"])


async def test_a_place_given_to_a_task_that_is_cancelled_meanwhile_goes_to_the_next():
    places, served = Places(1), []
    places.take()
    first, second = await in_line(places, "a", served), await in_line(places, "b", served)
    places.leave()
    first.cancel()
    await second
    assert (first.cancelled(), served) == (True, ["b"])
