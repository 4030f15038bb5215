"""Interrupts of tasks: handed on where a loop is shared, and let through where it is the program's own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from langcache._portal.tasks import result_or_exit


def run(work):
    """As the first step of a task would."""
    with pytest.raises(StopIteration) as returned:
        result_or_exit(work).send(None)
    return returned.value.value


@pytest.fixture
def thread():
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_handed_on_in_a_thread_and_let_through_in_the_main_one(thread, interrupt):
    async def work():
        raise interrupt("while working")

    outcome = thread.submit(run, work).result()
    assert outcome.is_exit
    with pytest.raises(interrupt, match="while working"):
        outcome.get()
    with pytest.raises(interrupt, match="while working"):
        result_or_exit(work).send(None)


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, GeneratorExit])
def test_other_errors_are_as_they_are(thread, error):
    async def work():
        raise error("while working")

    with pytest.raises(error):
        thread.submit(result_or_exit(work).send, None).result()


def test_a_value_is_a_value(thread):
    async def work():
        return "done"

    outcome = thread.submit(run, work).result()
    assert (outcome.is_exit, outcome.get()) == (False, "done")
