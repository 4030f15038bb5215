"""The thread that runs blocking calls: from where it may be called, and what interrupts it."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import threading

import pytest

from langcache import LangCache
from langcache._portal import loopthread, portal
from langcache._portal.portal import Portal
from langcache.errors import ClosedError, ConnectError, NoResponseError

KEPT_ALIVE = "what lives on the loop"


@pytest.fixture
def a_portal():
    a_portal = Portal(KEPT_ALIVE)
    yield a_portal
    a_portal.close()


def call(a_portal, function, *args, **kwargs):
    name = function.__name__
    return a_portal.call(name, f"await {name}_async()", function, KEPT_ALIVE, *args, **kwargs)


async def answer(kept_alive, value=42):
    assert kept_alive is KEPT_ALIVE
    await asyncio.sleep(0)
    return value


async def fail(kept_alive, error):
    raise error


def test_a_call_returns_what_the_coroutine_returns(a_portal):
    assert call(a_portal, answer) == 42
    assert call(a_portal, answer, value=43) == 43


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_an_error_reaches_the_caller_and_the_portal_lives_on(a_portal, error):
    with pytest.raises(error, match="reason"):
        call(a_portal, fail, error("reason"))
    assert call(a_portal, answer) == 42


def test_a_call_runs_in_the_context_of_its_caller(a_portal):
    request_id = contextvars.ContextVar("request_id")
    request_id.set("r1")

    async def read(_):
        return request_id.get()

    assert call(a_portal, read) == "r1"


def test_a_cancellation_within_ends_that_call_alone(a_portal):
    async def cancel(_):
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    with pytest.raises(NoResponseError, match="cancelled"):
        call(a_portal, cancel)
    assert call(a_portal, answer) == 42


def test_a_closed_portal_says_so(a_portal):
    call(a_portal, answer)
    a_portal.close()
    a_portal.close()
    with pytest.raises(ClosedError, match="closed; make a new one"):
        call(a_portal, answer)


def test_a_call_from_the_portals_own_thread_is_refused(a_portal):
    async def call_itself(_):
        call(a_portal, answer)

    with pytest.raises(RuntimeError, match=r"would wait for itself; in async code await answer_async\(\)"):
        call(a_portal, call_itself)


def test_a_portal_can_be_closed_from_its_own_thread(a_portal):
    async def close(_):
        a_portal.close()
        await asyncio.Event().wait()

    with pytest.raises(ClosedError, match="closed during the call"):
        call(a_portal, close)


def test_what_interrupts_a_call_cancels_the_coroutine(a_portal):
    started, cancelled = threading.Event(), threading.Event()

    async def stall(_):
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def interrupt():
        started.wait(60)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        call(a_portal, stall)
    assert cancelled.wait(60)


def test_a_portal_that_cannot_start_says_why(monkeypatch, a_portal):
    def no_loop(*args, **kwargs):
        raise OSError("too many open files")

    monkeypatch.setattr("anyio.run", no_loop)
    with pytest.raises(ConnectError, match="no event loop for the client: too many open files"):
        call(a_portal, answer)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_makes_connections_of_its_own(service):
    with LangCache(service.url, "k", "c") as client:
        client.flush()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = client.search("from the child").tries - 1
                client.close()
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        client.flush()
    parent, forked, parent_again = (seen.peer for seen in service.seen)
    assert parent == parent_again != forked


async def test_a_blocking_call_warns_once_that_it_blocks_the_running_loop(monkeypatch, service):
    monkeypatch.setattr(portal, "_warned", False)
    with LangCache(service.url, "k", "c") as client:
        with pytest.warns(RuntimeWarning, match=r"LangCache\.flush\(\) blocks .* flush_async\(\)") as caught:
            client.flush()
        client.flush()  # any further warning would be an error here
    assert caught[0].filename == __file__


def test_a_signal_handlers_call_is_not_left_waiting_when_it_comes_before_the_wake_up(a_portal, monkeypatch):
    assert call(a_portal, answer) == 42
    call_soon = loopthread._call_soon

    def handle_signal_first(loop, function):
        monkeypatch.setattr(loopthread, "_call_soon", call_soon)
        assert call(a_portal, answer, 1) == 1
        call_soon(loop, function)

    monkeypatch.setattr(loopthread, "_call_soon", handle_signal_first)
    assert call(a_portal, answer, 2) == 2


def test_an_interrupt_before_the_wake_up_leaves_no_later_call_waiting(a_portal, monkeypatch):
    assert call(a_portal, answer) == 42
    call_soon = loopthread._call_soon

    def interrupt(loop, function):
        monkeypatch.setattr(loopthread, "_call_soon", call_soon)
        raise KeyboardInterrupt

    monkeypatch.setattr(loopthread, "_call_soon", interrupt)
    with pytest.raises(KeyboardInterrupt):
        call(a_portal, answer)
    assert call(a_portal, answer) == 42


def test_a_signal_handlers_call_during_the_start_leaves_one_thread(a_portal, monkeypatch):
    start = portal._start_thread

    def handle_signal_first(thread):
        monkeypatch.setattr(portal, "_start_thread", start)
        assert call(a_portal, answer, 1) == 1
        return start(thread)

    monkeypatch.setattr(portal, "_start_thread", handle_signal_first)
    assert call(a_portal, answer, 2) == 2
    kept = a_portal._thread
    for thread in list(loopthread.live_threads):
        if thread._keep_alive is KEPT_ALIVE and thread is not kept:
            thread.join(60)
            assert not thread.is_alive()
    a_portal.close()
    assert not kept.is_alive()
