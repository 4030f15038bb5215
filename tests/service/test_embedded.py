"""A cache in the program's own process: both clients, in memory and in a file."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from angle_embedder import AngleEmbedder
from measured_service import Measured as Measuring

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig
from langcache.errors import (
    ClosedError,
    ConnectError,
    LangCacheError,
    TimeoutException,
)
from langcache.service import EmbedderError, LocalServer

KINDS = {"async": AsyncLangCache, "blocking": LangCache, "async_methods": LangCache}


class Driver:
    """Calls a client of any kind from code that blocks. Coroutines run in an event loop of its own."""

    def __init__(self, kind, client):
        self.kind = kind
        self.client = client
        self.loop = None if kind == "blocking" else asyncio.new_event_loop()

    def __call__(self, name, *arguments, **options):
        if self.kind == "async_methods" and hasattr(LangCache, f"{name}_async"):
            name = f"{name}_async"
        outcome = getattr(self.client, name)(*arguments, **options)
        return self.loop.run_until_complete(outcome) if asyncio.iscoroutine(outcome) else outcome

    def close(self):
        try:
            self("aclose" if self.loop else "close")
        finally:
            if self.loop:
                self.loop.close()


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(params=["memory", "sqlite"])
def db(request, tmp_path):
    return None if request.param == "memory" else tmp_path / "cache.db"


class Measured(Measuring):
    """The embedder of the programs below."""

    async def start(self):
        pass


@contextlib.contextmanager
def embedded(kind, db=None, **settings):
    settings = {"attributes": ("topic",), "embedder": AngleEmbedder(), **settings}
    driver = Driver(kind, KINDS[kind].embedded(db, **settings))
    try:
        yield driver
    finally:
        driver.close()


def shown(outcome):
    """What an outcome says, but for the ids of entries."""
    if isinstance(outcome, LangCacheError):
        data = getattr(outcome, "data", None)
        return type(outcome), str(outcome).partition(" (")[0], getattr(data, "detail", None)
    if hasattr(outcome, "data"):
        return [(each.prompt, each.response, each.attributes, each.similarity) for each in outcome.data]
    return type(outcome), getattr(outcome, "deleted_entries_count", None)


def script(call):
    """What every operation does, as it should and otherwise."""
    topic = {"topic": "a"}
    ids = []

    def add(*arguments, **options):
        ids.append(call("set", *arguments, **options).entry_id)

    add("one @0", "1", attributes=topic)
    add("two @30", "2")
    add("three @60", "3", attributes={"topic": "b"}, ttl_millis=10**9)
    steps = [
        ("search", "other @2", {}),
        ("search", "other @2", {"attributes": {"topic": "b"}}),
        ("search", "other @50", {"similarity_threshold": 0.5, "max_results": 10}),
        ("search", "ONE @0", {"search_strategies": ["exact"]}),
        ("search", "nothing @180", {}),
        ("conversational_search", "other @29", {"context": ["earlier"]}),
        ("health", None, {}),
        ("search", "x", {"attributes": {"unknown": "a"}}),
        ("set", "x", {"response": "r", "attributes": {"unknown": "a"}}),
        ("search", "x", {"max_results": 101}),
        ("search", "", {}),
        ("search", "x" * 1025, {}),
        ("delete_by_id", "no-such-id", {}),
        ("delete_by_id", "100% ä", {}),
        ("delete_by_id", ids[1], {}),
        ("delete_by_id", ids[1], {}),
        ("search", "other @30", {}),
        ("delete_query", topic, {}),
        ("delete_query", {"unknown": "x"}, {}),
        ("delete_query", {}, {}),
        ("flush", None, {}),
        ("search", "other @60", {}),
    ]
    for name, argument, options in steps:
        try:
            outcome = call(name, *([] if argument is None else [argument]), **options)
        except LangCacheError as error:
            outcome = error
        text = f"{argument} {shown(outcome)!r}"
        for number, entry_id in enumerate(ids):
            text = text.replace(entry_id, f"<id {number}>")
        yield name, text


def test_every_operation_does_what_the_service_does(kind, db):
    with LocalServer(attributes=("topic",), embedder=AngleEmbedder()) as server:
        client = KINDS[kind](server.url, server.api_key, server.cache_id)
        driver = Driver(kind, client)
        expected = list(script(driver))
        driver.close()
    with embedded(kind, db) as call:
        assert list(script(call)) == expected


def test_a_failure_of_the_embedder_is_what_the_service_makes_of_it(kind, db):
    broken = AngleEmbedder()
    with embedded(kind, db, embedder=broken) as call:
        call("set", "one", "1")
        broken.failure = EmbedderError("down")
        with pytest.raises(LangCacheError, match="can't be embedded") as caught:
            call("search", "one")
        assert caught.value.status_code == 424
        broken.failure = ZeroDivisionError()
        with pytest.raises(LangCacheError) as caught:
            call("search", "one")
        assert caught.value.status_code == 500
        broken.failure = None
        assert call("search", "one").response == "1"


def test_entries_in_a_file_are_there_for_the_next_client_and_for_a_service(kind, tmp_path):
    path = tmp_path / "cache.db"
    for number in range(3):
        with embedded(kind, path) as call:
            assert len(call("search", "one", max_results=10).data) == number
            call("set", "one", str(number))
    with (
        LocalServer(attributes=("topic",), db=path, embedder=AngleEmbedder()) as server,
        LangCache(server.url, server.api_key, server.cache_id) as cache,
    ):
        assert [entry.response for entry in cache.search("one", max_results=10).data] == ["2", "1", "0"]


def test_entries_in_memory_belong_to_one_client(kind):
    with embedded(kind) as call, embedded(kind) as other:
        call("set", "one", "1")
        assert not other("search", "one")
    with embedded(kind) as call:
        assert not call("search", "one")


def test_several_caches_share_a_file_one_after_another(kind, tmp_path):
    for cache_id in ("a", "b"):
        with embedded(kind, tmp_path / "cache.db", cache_id=cache_id) as call:
            call("set", "one", cache_id)
    with embedded(kind, tmp_path / "cache.db", cache_id="a") as call:
        assert [entry.response for entry in call("search", "one", max_results=9).data] == ["a"]


def test_a_file_is_open_in_one_place_at_a_time(kind, tmp_path):
    path = tmp_path / "cache.db"
    with embedded(kind, path) as second:
        with embedded(kind, path) as first:
            first("set", "one", "1")
            for _ in range(2):
                with pytest.raises(ConnectError, match=r"cache\.db can't be used: it is in use, by another"):
                    second("search", "one")
        assert second("search", "one").response == "1"


def test_a_file_that_cannot_be_used_is_named(kind, tmp_path):
    (tmp_path / "text.db").write_text("this is no database" * 1000)
    for path, why in [
        (tmp_path, "not a file"),
        (tmp_path / "no" / "x.db", "no folder"),
        (tmp_path / "text.db", ""),
    ]:
        with embedded(kind, path) as call, pytest.raises(ConnectError, match=f"can't be opened: .*{why}"):
            call("set", "one", "1")


@pytest.mark.parametrize(
    ("settings", "argument"),
    [
        ({"threshold": 0.2}, "threshold"),
        ({"threshold": "high"}, "threshold"),
        ({"attributes": "topic"}, "attributes"),
        ({"ttl_millis": 0}, "ttl_millis"),
        ({"cache_id": "a/b"}, "cache_id"),
        ({"timeout_ms": -1}, "timeout_ms"),
        ({"limits": 5}, "limits"),
        ({"aside": 5}, "aside"),
    ],
)
def test_an_impossible_setting_is_refused_by_name(kind, settings, argument):
    with pytest.raises((ValueError, TypeError), match=f"^{argument}: "):
        KINDS[kind].embedded(**settings)


def test_nothing_is_sent(kind, db, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("it connects")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with embedded(kind, db) as call:
        call("set", "one", "1")
        assert call("search", "one").response == "1"
        with pytest.raises(ConnectError, match="server_url"):
            call("search", "one", server_url="https://example.com")


class Slow(AngleEmbedder):
    """Takes longer to load than a lookup over a network is given."""

    async def start(self):
        await asyncio.sleep(1.2 * AsideConfig().lookup_timeout)


def test_what_the_first_call_computes_is_kept_though_the_model_takes_long_to_load(kind):
    with embedded(kind, embedder=Slow()) as call:
        hits = [call("get_or_set", "one @0", lambda prompt: "answer", function="f").hit for _ in range(2)]
    assert hits == [False, True]


def test_cache_aside_works_as_with_a_service(kind, db):
    asked = []

    def model(prompt):
        asked.append(prompt)
        return f"answer to {prompt}"

    def get(call):
        return call("get_or_set", "one", model)

    with embedded(kind, db, aside=AsideConfig(on_error="raise")) as call:
        assert [get(call).hit for _ in range(3)] == [False, True, True]
        assert asked == ["one"]
        scoped = Driver(kind, call.client.scoped(topic="a"))
        assert [get(scoped).hit for _ in range(2)] == [False, True]
        scoped("flush")
        assert not get(scoped).hit
        assert get(call).hit
        scoped.close()  # which leaves the client that it was made from open
        assert get(call).hit


class Held(AngleEmbedder):
    """An embedder that waits until it may go on."""

    def __init__(self):
        super().__init__()
        self.begun = threading.Event()
        self._go = None

    async def start(self):
        self._loop = asyncio.get_running_loop()
        self._go = asyncio.Event()

    async def embed(self, texts):
        self.begun.set()
        await self._go.wait()
        return await super().embed(texts)

    def go(self):
        self._loop.call_soon_threadsafe(self._go.set)


def test_a_call_takes_no_longer_than_its_time(kind, db):
    held = Held()
    with embedded(kind, db, embedder=held) as call:
        with pytest.raises(TimeoutException):
            call("search", "one", timeout_ms=100)
        held.go()
        call("set", "one", "1")
        assert call("search", "one", timeout_ms=60_000).response == "1"


def test_a_client_that_is_closed_ends_its_calls_and_lets_go_of_its_file(kind, db):
    held = Held()
    client = KINDS[kind].embedded(db, embedder=held)
    call = Driver(kind, client)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(call, "search", "one")
        assert held.begun.wait(60)
        Driver(kind, client).close()
        with pytest.raises(ClosedError):
            waiting.result(60)
    for name in ("search", "health"):
        with pytest.raises(ClosedError):
            call(name, *(["one"] if name == "search" else []))
    call.close()  # a second time
    with embedded(kind, db) as call:
        call("set", "one", "1")


def test_a_client_that_is_dropped_lets_go_of_its_file(kind, tmp_path):
    def use():
        driver = Driver(kind, KINDS[kind].embedded(tmp_path / "cache.db", embedder=AngleEmbedder()))
        driver("set", "one", "1")
        if driver.loop:
            driver.loop.close()
        return weakref.ref(driver.client)

    dropped = use()
    gc.collect()
    assert dropped() is None
    deadline = time.monotonic() + 60
    while True:
        try:
            with embedded(kind, tmp_path / "cache.db") as call:
                assert call("search", "one").response == "1"
                return
        except ConnectError:  # the thread has not ended yet
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_scoped_client_keeps_the_cache_of_the_one_that_it_was_made_from(kind):
    def scoped():
        return KINDS[kind].embedded(embedder=AngleEmbedder(), attributes=("topic",)).scoped(topic="a")

    call = Driver(kind, scoped())
    call("set", "one", "1")
    gc.collect()
    assert call("search", "one").response == "1"
    if call.loop:
        call.loop.close()


def test_an_async_client_serves_one_event_loop_after_another_and_several_at_once(db):
    client = AsyncLangCache.embedded(db, embedder=AngleEmbedder())

    async def one_loop(number):
        await client.set(f"loop {number} @{number}", str(number))
        return (await client.search(f"loop {number} @{number}", similarity_threshold=1)).response

    assert [asyncio.run(one_loop(number)) for number in range(3)] == ["0", "1", "2"]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda number: asyncio.run(one_loop(number)), range(10, 50)))
    assert found == [str(number) for number in range(10, 50)]

    async def end():
        assert len((await client.search("loop", similarity_threshold=0, max_results=100)).data) == 43
        await client.aclose()

    asyncio.run(end())


def test_a_client_serves_threads_and_event_loops_at_once(db):
    with LangCache.embedded(db, embedder=AngleEmbedder()) as cache:

        def blocking(number):
            cache.set(f"thread {number} @{number}", str(number))
            return cache.search(f"thread {number} @{number}", similarity_threshold=1).response

        async def in_loop(number):
            await cache.set_async(f"loop {number} @{number}", str(number))
            return (await cache.search_async(f"loop {number} @{number}", similarity_threshold=1)).response

        def call(number):
            return blocking(number) if number % 2 else asyncio.run(in_loop(number))

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(call, range(100))) == [str(number) for number in range(100)]
        assert len(cache.search("all", similarity_threshold=0, max_results=100).data) == 100


async def test_a_cancelled_call_leaves_the_cache_as_usable_as_before(db):
    held = Held()
    async with AsyncLangCache.embedded(db, embedder=held) as cache:
        call = asyncio.ensure_future(cache.set("one", "1"))
        await asyncio.to_thread(held.begun.wait, 60)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        held.go()
        assert not await cache.search("one")
        await cache.set("one", "1")
        assert (await cache.search("one")).response == "1"


FORKS = """
import asyncio, os, sys, warnings
sys.path.insert(0, {folder!r})
from measured_service import Measured
from langcache import AsyncLangCache, LangCache
from langcache.errors import ConnectError

class Plain(Measured):
    start = Measured.close  # which does nothing

warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads, which is what this is about

def check(call):
    try:
        call()
    except ConnectError as error:
        assert "forked" in str(error)
        os._exit(7)
    os._exit(1)

with LangCache.embedded({db!r}, embedder=Plain()) as cache:
    cache.set("one", "1")
    child = os.fork()
    if child == 0:
        check(lambda: cache.search("one"))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert cache.search("one", search_strategies=["exact"]).response == "1"

cache = AsyncLangCache.embedded({db!r}, embedder=Plain())
asyncio.run(cache.set("one", "1"))
child = os.fork()
if child == 0:
    check(lambda: asyncio.run(cache.search("one")))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert asyncio.run(cache.search("one", search_strategies=["exact"])).response == "1"
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_is_told_to_make_a_client_of_its_own(tmp_path, request):
    code = FORKS.format(folder=str(request.path.parent), db=str(tmp_path / "cache.db"))
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)


EXIT = """
import sys
sys.path.insert(0, {folder!r})
from measured_service import Measured
from langcache import LangCache

class Plain(Measured):
    start = Measured.close  # which does nothing

cache = LangCache.embedded({db!r}, embedder=Plain())
cache.set("one", "1")
"""


def test_a_program_may_end_without_closing_it(request, tmp_path):
    path = str(tmp_path / "cache.db")
    code = EXIT.format(folder=str(request.path.parent), db=path)
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True)
    assert (done.stdout, done.stderr) == (b"", b"")
    with embedded("blocking", path, embedder=Measured()) as call:
        assert len(call("search", "one", max_results=9).data) == 1


def test_a_missing_package_is_named_with_what_to_install():
    code = """
import sys
sys.modules["numpy"] = None
from langcache import LangCache
try:
    LangCache.embedded()
except ImportError as error:
    assert "numpy" in str(error) and "[local]" in str(error), error
else:
    sys.exit("it was not missed")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_default_embedder_finds_what_a_service_would():
    with embedded("blocking", embedder=None) as call:
        call("set", "How do I reset my password?", "Under Settings.")
        assert call("search", "How can I reset my password?").response == "Under Settings."
        assert not call("search", "Which wine goes with fish?")
