"""The sync client under gevent: greenlets take turns while one of them waits for the service."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from langcache import LangCache
from langcache.service import LocalServer

from .conftest import Ended

pytest.importorskip("gevent")

FIRST = """
from gevent import monkey
monkey.patch_all()
from langcache import LangCache
from langcache.aside import AsideConfig
"""

LATE = """
import warnings
from langcache import LangCache, errors
from langcache.aside import AsideConfig
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # gevent's, that ssl was imported before
    from gevent import monkey
    monkey.patch_all()
"""

THREADS_UNPATCHED = FIRST.replace("patch_all()", "patch_all(thread=False)")

STARTS = {"patched first": FIRST, "patched late": LATE, "threads unpatched": THREADS_UNPATCHED}


def after(*starts: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("start", [STARTS[start] for start in starts], ids=starts)


CLIENTS = """
import gevent, time
clients = [LangCache() for _ in range(3)]
for client in clients:
    assert client.search("hi").response == "HI"
calls = [gevent.spawn(client.search, f"{n}a") for client in clients for n in range(20)]
gevent.joinall(calls, raise_error=True)
assert [call.value.response for call in calls] == [f"{n}A" for n in range(20)] * 3

turns = 0
def take_turns():
    global turns
    while True:
        gevent.sleep(0.001)
        turns += 1
other = gevent.spawn(take_turns)
try:
    clients[0].search("wait", timeout_ms=300)
except TimeoutError:
    assert turns > 5, turns
else:
    raise AssertionError("it got a reply")
found = clients[1].search_many([f"{n}b" for n in range(20)])
assert [one.value.response for one in found] == [f"{n}B" for n in range(20)]

with gevent.Timeout(0.2, False):
    clients[0].search("wait")
    raise AssertionError("it got a reply")
assert clients[0].search("hi").response == "HI"
def search_until_closed():
    try:
        return clients[0].search("wait")
    except Exception as error:
        return error
call = gevent.spawn(search_until_closed)
gevent.sleep(0.2)
clients[0].close()
assert type(call.get()).__name__ == "ClosedError", call.value
other.kill()
print("done")
"""


@after("patched first", "threads unpatched")
def test_greenlets_share_clients_and_take_turns(run: Callable[..., Ended], start: str) -> None:
    ended = run(start + CLIENTS)
    assert ended[:3] == (0, "done\n", "")


@after("patched first")
def test_the_thread_of_the_client_imports_nothing(run: Callable[..., Ended], start: str) -> None:
    # gevent replaces the locks of imports. Threads that import one module at once get KeyError, or hang.
    ended = run(
        start
        + """
import importlib.abc, os, sys
from gevent.monkey import get_original
from langcache import BackoffStrategy, RetryConfig
from langcache.errors import BadRequestError
thread = get_original("_thread", "get_ident")
main, elsewhere = thread(), []
class Watcher(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if thread() != main:
            elsewhere.append(name)
sys.meta_path.insert(0, Watcher())
with LangCache(os.environ["LANGCACHE_SERVER_URL"].replace("127.0.0.1", "localhost")) as client:
    assert client.search("hi").response == "HI"
    client.search_many(["a", "b"])
    retries = RetryConfig("backoff", BackoffStrategy(1, 1, 1, 60_000, 0))
    assert client.search("refused first", retries=retries).tries == 2
    try:
        client.search("refused")
    except BadRequestError as error:
        assert error.data.type.name == "ROOT_ERRORS_INVALID_DATA"
assert elsewhere == [], elsewhere
print("done")
"""
    )
    assert ended[:3] == (0, "done\n", "")


ASIDE = """
import gevent, sys
url, key, cache = sys.argv[1:]
client = LangCache(url, key, cache, aside=AsideConfig(lookup_timeout=60, function_attribute="function"))
made = []
def llm(prompt):
    made.append(prompt)
    gevent.sleep(0.2)
    return prompt.upper()

def many(function, *arguments):
    calls = [gevent.spawn(function, *arguments) for _ in range(8)]
    gevent.joinall(calls, raise_error=True)
    return [call.value for call in calls]

answers = many(client.get_or_set, "what is gevent?", llm)
assert [answer.value for answer in answers] == ["WHAT IS GEVENT?"] * 8
assert made == ["what is gevent?"], made
assert client.get_or_set("what is gevent?", llm).status.value == "hit"

cached = client.cached(llm)
assert many(cached, "what is a hub?") == ["WHAT IS A HUB?"] * 8
assert made[1:] == ["what is a hub?"], made

def chunks(prompt):
    made.append(prompt)
    for word in prompt.split():
        gevent.sleep(0.02)
        yield word
def read(prompt):
    return list(client.get_or_stream(prompt, chunks))
assert many(read, "what is a greenlet") == [["what", "is", "a", "greenlet"]] * 8
assert made[2:] == ["what is a greenlet"], made
client.close()
print("done")
"""


@pytest.mark.langcache(attributes=("function",))
@after("patched late")
def test_greenlets_that_ask_the_same_share_one_answer(
    run: Callable[..., Ended], langcache_server: LocalServer, start: str
) -> None:
    server = langcache_server
    ended = run(start + ASIDE, server.url, server.api_key, server.cache_id)
    assert ended[:3] == (0, "done\n", "")


def test_clients_leave_nothing_behind_and_a_greenlet_that_waits_delays_no_exit(
    run: Callable[..., Ended],
) -> None:
    ended = run(
        FIRST
        + """
import gevent, os, time
def use():
    with LangCache() as client:
        client.search("hi")
    return len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
first = use()
for _ in range(5):
    last = use()
assert last <= first, (first, last)
client = LangCache()
client.search("hi")
gevent.spawn(client.search, "wait")
gevent.sleep(0.1)
print("last word at", time.monotonic(), flush=True)
"""
    )
    assert (ended.status, ended.err) == (0, "")
    assert ended.exit_seconds < 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_uses_the_client_anew(run: Callable[..., Ended]) -> None:
    ended = run(
        FIRST
        + """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a fork with threads
client = LangCache()
assert client.search("hi").response == "HI"
child = os.fork()
assert client.search("both").response == "BOTH"
if child:
    assert os.waitpid(child, 0)[1] == 0
    print("done")
client.close()
"""
    )
    assert ended[:3] == (0, "done\n", "")


def test_eventlet_is_refused_with_what_to_use_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    patcher: Any = types.ModuleType("eventlet.patcher")  # a stand-in, since eventlet itself is at its end
    patcher.is_monkey_patched = lambda module: module == "thread"
    monkeypatch.setitem(sys.modules, "eventlet.patcher", patcher)
    with pytest.raises(RuntimeError, match=r"eventlet\.monkey_patch.*gthread.*gevent"):
        LangCache("http://127.0.0.1:1", "key", "cache")
