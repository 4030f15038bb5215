"""A process that has used a client forks: both processes go on, each with connections of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .conftest import PREAMBLE, Ended

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

SETTING = """
import asyncio, gc, multiprocessing, os, sys, threading, warnings
from langcache import AsyncLangCache, LangCache
from langcache.errors import BadRequestError

# Python 3.12 warns of every fork in a process that has threads.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

client = LangCache()

def ask(name, calls):
    for number in range(calls):
        assert client.search(f"{name} {number}").response == f"{name.upper()} {number}", "crossed"

def refused():
    try:
        client.search("refused")
    except BadRequestError:
        return
    raise AssertionError("it was not refused")

def fork(child):
    pid = os.fork()
    if not pid:
        child()
        sys.exit(0)
    return pid

def join(pid):
    assert os.waitpid(pid, 0)[1] == 0, "the child failed"
"""

PROGRAMS = {
    "1,000 interleaved calls": """
        ask("first", 1)
        pid = fork(lambda: ask("child", 500))
        ask("parent", 500)
        join(pid)
        ask("parent", 1)
    """,
    "a child that never uses the client": """
        ask("first", 1)
        join(fork(lambda: None))
        ask("parent", 10)
    """,
    "a child that collects garbage": """
        ask("first", 1)
        def child():
            global client
            del client
            gc.collect()
        join(fork(child))
        ask("parent", 10)
    """,
    "a child that closes the client": """
        ask("first", 1)
        join(fork(lambda: client.close()))
        ask("parent", 10)
    """,
    "a child that uses the client, closes it and collects garbage": """
        ask("first", 1)
        def child():
            global client
            ask("child", 10)
            client.close()
            del client
            gc.collect()
        join(fork(child))
        ask("parent", 10)
    """,
    "a grandchild": """
        ask("first", 1)
        def child():
            ask("child", 10)
            join(fork(lambda: ask("grandchild", 10)))
            ask("child", 10)
        join(fork(child))
        ask("parent", 10)
    """,
    "a fork before the first call": """
        join(fork(lambda: ask("child", 10)))
        ask("parent", 10)
    """,
    "a fork in a thread": """
        ask("first", 1)
        thread = threading.Thread(target=lambda: join(fork_and_leave(lambda: ask("child", 10))))
        thread.start()
        ask("parent", 100)
        thread.join()
    """,
    "forks while other threads are in calls": """
        stop = threading.Event()
        def work(name):
            while not stop.is_set():
                ask(name, 10)
        threads = [threading.Thread(target=work, args=(f"thread {n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for n in range(5):
            join(fork_and_leave(lambda: ask("child", 10)))
        stop.set()
        for thread in threads:
            thread.join()
        ask("parent", 10)
    """,
    "a fork while another thread's first call starts the loop": """
        thread = threading.Thread(target=ask, args=("thread", 10))
        thread.start()
        join(fork_and_leave(lambda: ask("child", 10)))
        thread.join()
    """,
    "multiprocessing": """
        ask("first", 1)
        context = multiprocessing.get_context("fork")
        processes = [context.Process(target=ask, args=(f"child {n}", 50)) for n in range(2)]
        for process in processes:
            process.start()
        ask("parent", 100)
        for process in processes:
            process.join()
            assert process.exitcode == 0
    """,
    "a multiprocessing pool": """
        ask("first", 1)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            pool.starmap(ask, [(f"child {n}", 10) for n in range(10)])
            pool.close()
            pool.join()
        ask("parent", 10)
    """,
    "an async client, under asyncio.run in both": """
        async def ask_async(name):
            for number in range(20):
                assert (await client.search(f"{name} {number}")).response == f"{name.upper()} {number}"
        client = AsyncLangCache()
        async def parent():
            await ask_async("first")
            pid = fork_and_leave(lambda: asyncio.run(ask_async("child")))
            await ask_async("parent")
            join(pid)
        asyncio.run(parent())
    """,
}

USES = {
    "langcache.aside.core": "client.stats()",
    "langcache.aside.blocking_streams": "client.get_or_stream('q', ['a'])",
    "langcache.aside.steps": "client.look_up('q')",
    "langcache.aside.round_trip": "client.stats()",
    "langcache.aside.decorator": "client.cached(lambda q: 'a')",
    "langcache._wire.error_types": "refused()",
}
"""What is imported in a call, and a call that needs it."""

PROGRAMS |= {
    f"a fork while another thread's first use loads {module}": f"""
        loading, go_on = threading.Event(), threading.Event()
        class Slow:
            def find_spec(self, name, path=None, target=None):
                if name == "{module}":
                    loading.set()
                    go_on.wait()
        sys.meta_path.insert(0, Slow())
        os.register_at_fork(before=go_on.set)  # which is done before what is registered already
        def use():
            {use}
        thread = threading.Thread(target=use)
        thread.start()
        loading.wait()
        join(fork_and_leave(use))
        thread.join()
        use()
    """
    for module, use in USES.items()
}

FORK_AND_LEAVE = """
def fork_and_leave(child):
    # As multiprocessing does it: a child that was forked by a thread has no main thread to return to.
    pid = os.fork()
    if pid:
        return pid
    try:
        child()
        gc.collect()
        os._exit(0)
    finally:
        os._exit(1)
"""


CONFIGURATION = """
bind = "127.0.0.1:0"
preload_app = True
workers = 2
threads = 2
timeout = 120

def when_ready(server):
    host, port = server.LISTENERS[0].sock.getsockname()
    print(f"{host}:{port}", flush=True)
"""


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_after_a_fork_both_work_and_end_in_silence(run: Callable[..., Ended], program: str) -> None:
    ended = run(SETTING + FORK_AND_LEAVE + textwrap.dedent(program))
    assert ended.err == ""
    assert ended.status == 0


APPLICATION = """
import json, os
from langcache import LangCache

client = LangCache()
client.search("loaded")

def application(environ, start_response):
    prompt = environ["QUERY_STRING"]
    found = [client.search(f"{prompt} {n}").response for n in range(50)]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([os.getpid(), found]).encode()]
"""


def test_gunicorn_workers_share_a_preloaded_client(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PREAMBLE + APPLICATION)
    (tmp_path / "gunicorn.conf.py").write_text(CONFIGURATION)
    # Python 3.12 and newer warn of every fork in a process that has threads.
    quiet = ["-W", "ignore:This process:DeprecationWarning"]
    command = [sys.executable, "-X", "dev", *quiet, "-m", "gunicorn", "shop:application"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**environment, "HOME": str(tmp_path)},  # where it puts a socket of its own
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()

        def ask(name: str) -> int:
            with urllib.request.urlopen(f"http://{address}/?{name}", timeout=60) as reply:
                pid, found = json.load(reply)
            assert found == [f"{name.upper()} {number}" for number in range(50)]
            return int(pid)

        with ThreadPoolExecutor(4) as pool:
            pids: set[int] = set()
            while len(pids) < 2:  # either worker may be the only one to answer at first
                pids.update(pool.map(ask, [f"caller-{number}" for number in range(20)]))
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(pids) == 2
    assert "langcache" not in err.lower()
    assert "Traceback" not in err
    assert "Warning" not in err
