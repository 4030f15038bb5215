"""A program that uses a sync client ends without waiting and in silence, however it treats the client."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest

from .conftest import Ended

EXIT_SECONDS = 30.0
"""Generous for a busy machine, and far below what a program that waits for something would take."""

LAST_WORD = """
def last_word():
    import time
    print(f"last word at {time.monotonic()}", flush=True)
"""

PROGRAMS = {
    "never used": """
        client = LangCache()
        last_word()
    """,
    "used and never closed": """
        print(LangCache().search("hi").response)
        last_word()
    """,
    "closed twice": """
        with LangCache() as client:
            client.search("hi")
        client.close()
        client.close()
        last_word()
    """,
    "a global of a module": """
        import types
        sys.modules["shop"] = shop = types.ModuleType("shop")
        shop.client = LangCache()
        shop.client.search("hi")
        last_word()
    """,
    "held in a cycle": """
        class Owner:
            def __init__(self):
                self.client, self.me = LangCache(), self
        Owner().client.search("hi")
        last_word()
    """,
    "held in a cycle and collected": """
        class Owner:
            def __init__(self):
                self.client, self.me = LangCache(), self
        import gc
        Owner().client.search("hi")
        gc.collect()
        last_word()
    """,
    "alive at sys.exit": """
        client = LangCache()
        client.search("hi")
        last_word()
        sys.exit(0)
    """,
    "used by a daemon thread": """
        client = LangCache()
        thread = threading.Thread(target=lambda: client.search("hi"), daemon=True)
        thread.start()
        thread.join()
        last_word()
    """,
    "in a daemon thread's call": """
        client = LangCache()
        threading.Thread(target=lambda: client.search("wait"), daemon=True).start()
        wait_for_request()
        last_word()
    """,
    "in the calls of daemon threads without end": """
        client = LangCache()
        def work():
            while True:
                client.search("hi")
        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        client.search("hi")
        last_word()
    """,
    "used by a thread that outlives main": """
        client = LangCache()
        client.search("hi")
        def work():
            threading.main_thread().join()
            assert client.search("hi").response == "HI"
            last_word()
        threading.Thread(target=work).start()
    """,
    "used for the first time by a thread that outlives main, at a host with a name": """
        client = LangCache(os.environ["LANGCACHE_SERVER_URL"].replace("127.0.0.1", "localhost"))
        def work():
            threading.main_thread().join()
            with no_late_threads():
                assert client.search("hi").response == "HI"
            last_word()
        threading.Thread(target=work).start()
    """,
    "used by an exit handler": """
        import atexit
        client = LangCache()
        @atexit.register
        def say_goodbye():
            with no_late_threads():
                assert client.search("hi").response == "HI"
            last_word()
    """,
    "its loop blocked by a callback": """
        blocked = threading.Event()
        def key():
            blocked.set()
            threading.Event().wait()
        client = LangCache(api_key=key)
        threading.Thread(target=lambda: client.search("hi"), daemon=True).start()
        blocked.wait()
        last_word()
    """,
    "dropped while its loop starts": """
        client = LangCache()
        threading.Thread(target=lambda: client.search("hi"), daemon=True).start()
        last_word()
    """,
    "awaited under asyncio.run and dropped": """
        import asyncio
        client = LangCache()
        assert asyncio.run(client.search_async("hi")).response == "HI"
        assert client.search("hi").response == "HI"
        last_word()
    """,
}

SETTING = """
import contextlib, os, sys, threading, urllib.request
from langcache import LangCache
from langcache.errors import ConnectError

@contextlib.contextmanager
def no_late_threads():
    # Python 3.12 starts no thread once main has ended, and a client's first call then says so.
    try:
        yield
    except ConnectError as error:
        if sys.version_info[:2] != (3, 12) or "can't create new thread" not in str(error):
            raise

def wait_for_request():
    urllib.request.urlopen(os.environ["LANGCACHE_SERVER_URL"] + "/waiting?for=1", timeout=60).close()
"""


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_exit_waits_for_nothing_and_is_silent(run: Callable[..., Ended], program: str) -> None:
    ended = run(SETTING + LAST_WORD + textwrap.dedent(program))
    assert ended.err == ""
    assert ended.status == 0
    assert ended.exit_seconds < EXIT_SECONDS


def test_the_exit_waits_for_a_thread_that_is_just_starting(run: Callable[..., Ended]) -> None:
    # Were the interpreter gone when the thread comes to life, that would be a crash, now and then.
    ended = run(
        """
        import atexit, threading
        about_to_start, exiting, started = threading.Event(), threading.Event(), threading.Event()
        atexit.register(lambda: print(started.is_set()))  # runs after the client's own handler
        """
        + textwrap.indent(SETTING, " " * 8)
        + """
        from langcache._portal.loopthread import LoopThread
        atexit.register(exiting.set)  # runs before it
        start = LoopThread.start
        def start_late(thread):
            about_to_start.set()
            exiting.wait()
            try:
                start(thread)
            finally:
                started.set()
        LoopThread.start = start_late
        def work():
            with no_late_threads():
                LangCache().search("hi")
        threading.Thread(target=work, daemon=True).start()
        about_to_start.wait()
        """
    )
    assert (ended.status, ended.out, ended.err) == (0, "True\n", "")


def test_an_exception_that_ends_the_program_is_all_that_is_said(run: Callable[..., Ended]) -> None:
    ended = run(
        SETTING
        + LAST_WORD
        + "client = LangCache()\nclient.search('hi')\nlast_word()\nraise ValueError('mine')"
    )
    assert ended.status == 1
    assert [line for line in ended.err.splitlines() if line and not line.startswith("  ")] == [
        "Traceback (most recent call last):",
        "ValueError: mine",
    ]
    assert ended.exit_seconds < EXIT_SECONDS
