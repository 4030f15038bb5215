"""The echo server on its own process, and programs that use a client and end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from langcache import LangCache

ECHO_SERVER = Path(__file__).with_name("echo_server.py")

PREAMBLE = """
import logging
# Under -X dev asyncio complains of callbacks that a busy machine makes slow. Its errors still show.
logging.getLogger("asyncio").setLevel(logging.ERROR)
"""


class Ended(NamedTuple):
    """A program that has ended."""

    status: int
    out: str
    err: str
    exit_seconds: float
    """From its last word to its end."""


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    """The URL of an echo server."""
    with subprocess.Popen(
        [sys.executable, str(ECHO_SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate("")


@pytest.fixture
def client(service: str) -> Iterator[LangCache]:
    """A sync client of the echo server."""
    with LangCache(service, "key", "cache") as client:
        yield client


@pytest.fixture
def wait_until_waiting(service: str) -> Callable[[int], None]:
    """Returns when as many requests as given are waiting at the server; fails after a minute."""

    def wait(number: int) -> None:
        with urllib.request.urlopen(f"{service}/waiting?for={number}", timeout=60) as reply:
            assert reply.read() == str(number).encode()

    return wait


@pytest.fixture
def environment(service: str) -> dict[str, str]:
    """For a program: what makes ``LangCache()`` a client of the echo server."""
    return {
        **os.environ,
        "LANGCACHE_SERVER_URL": service,
        "LANGCACHE_API_KEY": "key",
        "LANGCACHE_CACHE_ID": "cache",
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Callable[..., Ended]:
    """Runs a program under ``-X dev -W error``, to its end."""

    def run(program: str, *arguments: str) -> Ended:
        source = PREAMBLE + textwrap.dedent(program)
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", source, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        out, _, last_word = done.stdout.partition("last word at ")
        seconds = time.monotonic() - float(last_word) if last_word else 0.0
        return Ended(done.returncode, out, done.stderr, seconds)

    return run
