"""What holds for the room as a whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

import langcache.aside

SCRIPT = """
import sys, threading
from langcache import LangCache

cache = LangCache(*sys.argv[1:])
wait = threading.Event()

def slow(prompt):
    print("begun", flush=True)
    wait.wait()

try:
    cache.get_or_set("How do I reset my password?", slow)
except KeyboardInterrupt:
    print(cache.get_or_set("How do I reset my password?", "next").value, flush=True)
"""


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    ).stdout


def test_a_client_loads_nothing_that_only_some_calls_use():
    loaded = run("import sys; from langcache import LangCache; print(*sys.modules)").split()
    unused = {"langcache.matching.guard", "langcache.matching.features", "opentelemetry", "pydantic", "numpy"}
    assert not unused.intersection(loaded)


@pytest.mark.parametrize("name", langcache.aside.__all__)
def test_every_public_name_is_there(name):
    assert getattr(langcache.aside, name) is not None


def test_no_other_name_is():
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = langcache.aside.nothing_of_the_kind


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_ends_a_make_and_leaves_a_client_that_works(langcache_server):
    server = langcache_server
    program = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, server.url, server.api_key, server.cache_id],
        stdout=subprocess.PIPE,
        text=True,
    )
    overdue = threading.Timer(20, program.kill)
    overdue.start()
    with program:
        assert program.stdout.readline() == "begun\n"
        program.send_signal(signal.SIGINT)
        assert program.stdout.read() == "next\n"
    overdue.cancel()
    assert program.returncode == 0
