"""Ctrl-C in a blocking call, and exceptions that are not `Exception` out of a user's callables."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from langcache import LangCache

from .conftest import PREAMBLE, Ended

CTRL_C_SECONDS = 30.0
"""Generous for a busy machine, and far below the ten minutes that the server takes for a "wait"."""

INTERRUPTED = """
import time
from langcache import LangCache

with LangCache() as client:
    {before}
    print("ready", flush=True)
    try:
        client.search("wait")
    except KeyboardInterrupt:
        print(time.monotonic(), flush=True)
    input()  # until the server has seen the request go
    assert client.search("hi").response == "HI"
"""

STARTING = """
import os, signal, threading, time
from langcache import LangCache
from langcache._portal import loopthread

def interrupt(self):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.2)
    run(self)

run, loopthread.LoopThread.run = loopthread.LoopThread.run, interrupt
client = LangCache()
try:
    client.search("wait")
except KeyboardInterrupt:
    print("interrupted")
loopthread.LoopThread.run = run
assert client.search("hi").response == "HI"
client.close()
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join(60)
        assert not thread.is_alive()
"""


@pytest.mark.parametrize("before", ["pass", "client.search('hi')"], ids=["first call", "later call"])
def test_ctrl_c_ends_the_call_and_the_request_but_not_the_client(
    environment: dict[str, str], wait_until_waiting: Callable[[int], None], before: str
) -> None:
    source = PREAMBLE + INTERRUPTED.format(before=before)
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", source],
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        wait_until_waiting(1)
        sent = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        assert float(process.stdout.readline()) - sent < CTRL_C_SECONDS
        wait_until_waiting(0)
        _, err = process.communicate("\n", timeout=60)
        assert err == ""
        assert process.returncode == 0


def test_ctrl_c_while_the_loop_starts_leaves_a_client_that_works(
    run: Callable[..., Ended], wait_until_waiting: Callable[[int], None]
) -> None:
    ended = run(STARTING)
    assert ended.err == ""
    assert ended.out == "interrupted\n"
    assert ended.status == 0
    wait_until_waiting(0)


class Unusual(BaseException):
    """What no code expects."""


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, Unusual])
def test_an_unusual_exception_out_of_a_callable_reaches_the_caller_and_spares_the_loop(
    service: str, kind: type[BaseException], is_async: bool
) -> None:
    keys = iter(["key", kind("from the callable"), "key"])

    def ask_for_key() -> str:
        key = next(keys)
        if isinstance(key, BaseException):
            raise key
        return key

    async def await_key() -> str:
        return ask_for_key()

    with LangCache(service, await_key if is_async else ask_for_key, "cache") as client:
        assert client.search("hi").response == "HI"
        thread = client._portal._thread
        with pytest.raises(kind, match="from the callable"):
            client.search("hi")
        assert client.search("hi").response == "HI"
        assert client._portal._thread is thread


def test_an_unusual_exception_out_of_a_logger_reaches_the_caller_and_spares_the_loop(service: str) -> None:
    class Logger:
        def debug(self, msg: str, /, *args: object) -> None:
            if "LAST" in msg % args:
                raise SystemExit("from the logger")

    with LangCache(service, "key", "cache", debug_logger=Logger(), debug_bodies=True) as client:
        assert client.search("hi").response == "HI"
        with pytest.raises(SystemExit, match="from the logger"):
            client.search("last")
        assert client.search("hi").response == "HI"
