"""Calls of an embedded cache that wait for nothing: made where they are called, and not different else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import angle_embedder
import pytest
import test_embedded
from angle_embedder import AngleEmbedder
from test_embedded import KINDS, Driver, script

from langcache import AsyncLangCache, LangCache
from langcache.errors import ClosedError, ConnectError, LangCacheError, TimeoutException
from langcache.retries import BackoffStrategy, RetryConfig
from langcache.service import EmbedderError, LocalServer, WordLlamaEmbedder
from langcache.service.stores.exclusive import Exclusive
from langcache.service.stores.index import Index
from langcache.service.stores.memory import MemoryStore
from langcache.service.stores.searches import Searches
from langcache.service.stores.store import Entry
from langcache.telemetry import Telemetry

NEVER_ENDS = 60
EXACT = ["exact"]
RETRIES = RetryConfig("backoff", BackoffStrategy(1, 1, 1.0, 100), retry_connection_errors=True)


class Angle(AngleEmbedder):
    """Embeds in the thread that calls, and notes which threads these were."""

    def __init__(self):
        super().__init__()
        self.threads = []

    def embed_now(self, texts):
        self.threads.append(threading.get_ident())
        with contextlib.closing(super().embed(texts)) as embedding:
            try:
                embedding.send(None)
            except StopIteration as done:
                return done.value
        raise AssertionError("it waits")


class Waits(Angle):
    """Waits in `embed` until its call is cancelled, so that a call has to go on elsewhere."""

    embed_now = None

    async def embed(self, texts):
        if texts == ["wait"]:
            await asyncio.sleep(NEVER_ENDS)
        return await super().embed(texts)


def store_of(client):
    """The store of an embedded cache that is open."""
    return getattr(client, "_portal_client", client)._transport._given._client._home._cache.store


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(params=["memory", "sqlite"])
def db(request, tmp_path):
    return None if request.param == "memory" else tmp_path / "cache.db"


def embedded(kind, db=None, **settings):
    return test_embedded.embedded(kind, db, **{"embedder": Angle(), **settings})


def test_every_operation_does_what_the_service_does(kind, db):
    with LocalServer(attributes=("topic",), embedder=AngleEmbedder()) as server:
        driver = Driver(kind, KINDS[kind](server.url, server.api_key, server.cache_id))
        expected = list(script(driver))
        driver.close()
    embedder = Angle()
    with embedded(kind, db, embedder=embedder) as call:
        assert list(script(call)) == expected
    assert embedder.threads
    assert {*embedder.threads} == {threading.get_ident()}


@pytest.mark.parametrize("rows", [1, 1_999, 2_001, 20_000, 20_001])
def test_what_is_found_is_the_same_however_many_entries_there_are(rows, monkeypatch):
    found = []
    for embedder in (AngleEmbedder(), Angle()):
        with LangCache.embedded(embedder=embedder, attributes=("topic",)) as cache:
            cache.set("first @7", "first", attributes={"topic": "a"})
            store = store_of(cache)
            vectors = asyncio.run(AngleEmbedder().embed([f"@{number * 7 % 360}" for number in range(360)]))
            others = range(rows - 1)
            entries = [Entry(f"e{each}", f"p{each}", "r", {"topic": "ab"[each % 2]}, None) for each in others]
            store.index.add(entries, vectors[[each % 360 for each in others]])
            options = [
                {},
                {"max_results": 20},
                {"attributes": {"topic": "a"}},
                {"search_strategies": ["exact"]},
            ]
            ask = [cache.search(f"x @{angle}", **each).data for angle in (7, 100) for each in options]
            found.append([[(each.prompt, each.similarity) for each in data] for data in ask])
    assert found[0] == found[1]


def test_words_are_compared_as_in_the_service():
    pytest.importorskip("wordllama")

    class Elsewhere:
        """The same model, whose calls go by the event loop of the cache."""

        name, dimensions = WordLlamaEmbedder.name, WordLlamaEmbedder.dimensions

        def __init__(self):
            model = WordLlamaEmbedder()
            self.can_read, self.start, self.embed, self.close = (
                model.can_read,
                model.start,
                model.embed,
                model.close,
            )

    found = []
    for embedder in (Elsewhere, WordLlamaEmbedder):
        with LangCache.embedded(embedder=embedder()) as cache:
            for prompt in ("How do I reset my password?", "How do I enable it?", "Что такое?", "中"):
                cache.set(prompt, prompt)
            found.append(
                [
                    [(each.prompt, each.similarity) for each in cache.search(prompt, **options).data]
                    for prompt in ("How can I reset my password?", "How do I disable it?", "中", "...")
                    for options in ({}, {"max_results": 3, "similarity_threshold": 0.1})
                ]
            )
    assert found[0] == found[1]
    assert found[0][0]


def test_a_failure_of_the_embedder_is_what_the_service_makes_of_it(kind, db):
    embedder = Angle()
    with embedded(kind, db, embedder=embedder) as call:
        call("set", "one", "1")
        for failure, status in ((EmbedderError("down"), 424), (ZeroDivisionError(), 500)):
            embedder.failure = failure
            with pytest.raises(LangCacheError) as caught:
                call("search", "one")
            assert caught.value.status_code == status
        embedder.failure = None
        assert call("search", "one").response == "1"


@pytest.mark.parametrize("row", [[2.0, 0.0], [float("nan"), 0.0], [[1.0, 0.0]] * 2, [1.0], "text"])
def test_a_vector_that_breaks_the_rule_is_refused(kind, row):
    class Wrong(AngleEmbedder):
        wrong = False

        def embed_now(self, texts):
            return row if self.wrong else [[1.0, 0.0]] * len(texts)

        async def embed(self, texts):
            return self.embed_now(texts)

    embedder = Wrong()
    with embedded(kind, embedder=embedder) as call:
        call("set", "one", "1")
        embedder.wrong = True
        for name, arguments in (("search", ["one"]), ("set", ["two", "2"])):
            with pytest.raises(LangCacheError, match="can't be embedded") as caught:
                call(name, *arguments)
            assert caught.value.status_code == 424
        embedder.wrong = False
        assert len(call("search", "one", max_results=9).data) == 1


def test_cache_aside_answers_where_it_is_called(kind, db):
    embedder = Angle()
    with embedded(kind, db, embedder=embedder) as call:
        hits = [call("get_or_set", "one @0", lambda prompt: "answer", function="f").hit for _ in range(3)]
        assert hits == [False, True, True]
        embedder.threads.clear()
        assert call("get_or_set", "one @0", lambda prompt: "answer", function="f").hit
        assert embedder.threads == [threading.get_ident()]


def test_calls_with_retries_and_with_a_time_are_as_before(kind, db):
    with embedded(kind, db) as call:
        call("set", "one", "1", timeout_ms=60_000)
        assert call("search", "one", retries=RETRIES, timeout_ms=60_000).response == "1"
        with pytest.raises(LangCacheError):
            call("delete_by_id", "none", retries=RETRIES)


def test_a_call_that_has_to_wait_takes_no_longer_than_its_time(kind):
    with embedded(kind, embedder=Waits()) as call:
        call("set", "one", "1")
        with pytest.raises(TimeoutException):
            call("search", "wait", timeout_ms=50)
        assert call("search", "one", timeout_ms=60_000).response == "1"


def test_a_closed_client_is_closed(kind, db):
    embedder = Angle()
    driver = Driver(kind, KINDS[kind].embedded(db, embedder=embedder))
    driver("set", "one", "1")
    Driver(kind, driver.client).close()
    embedder.threads.clear()
    for name, arguments in (("search", ["one"]), ("set", ["one", "1"]), ("flush", [])):
        with pytest.raises(ClosedError):
            driver(name, *arguments)
    assert not embedder.threads
    driver.close()


def test_threads_and_loops_at_once_lose_nothing(db):
    """Each keeps a list of what it has stored and deleted, which is what there is in the end."""
    with LangCache.embedded(db, embedder=Angle(), attributes=("topic",)) as cache:

        def work(number):
            generator, own, loop = random.Random(number), {}, asyncio.new_event_loop()

            def call(name, *arguments, **options):
                if number % 2:
                    return getattr(cache, name)(*arguments, **options)
                return loop.run_until_complete(getattr(cache, f"{name}_async")(*arguments, **options))

            with contextlib.closing(loop):
                for step in range(40):
                    prompt = f"worker {number} step {step} @{generator.randrange(360)}"
                    topic = {"topic": str(number)}
                    own[call("set", prompt, "r", attributes=topic).entry_id] = prompt
                    found = call("search", prompt, attributes=topic, similarity_threshold=0, max_results=100)
                    assert {each.id for each in found.data} == {*own}
                    if generator.random() < 0.5:
                        gone = generator.choice([*own])
                        call("delete_by_id", gone)
                        del own[gone]
                        assert (
                            not call("search", prompt, search_strategies=["exact"], attributes=topic) or True
                        )
            return own

        with ThreadPoolExecutor(6) as threads:
            left = list(threads.map(work, range(6)))
        for number, own in enumerate(left):
            found = cache.search(
                "x", attributes={"topic": str(number)}, similarity_threshold=0, max_results=100
            )
            assert {each.id: each.prompt for each in found.data} == own


class Interrupt(BaseException):
    """What a signal handler raises, as that of Ctrl-C raises KeyboardInterrupt."""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
@pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning")  # of coroutines not begun
def test_an_interrupt_at_any_moment_leaves_the_cache_whole():
    generator, armed = random.Random(1), False

    def interrupt(*_):
        if armed:
            raise Interrupt

    before = signal.signal(signal.SIGVTALRM, interrupt)
    interrupted = 0
    certain, possible = set(), 0
    try:
        with LangCache.embedded(embedder=Angle()) as cache:
            cache.search("first")
            for number in range(400):
                signal.setitimer(signal.ITIMER_VIRTUAL, generator.uniform(1e-5, 2e-3))
                try:
                    armed = True
                    for each in range(20):
                        possible += 1
                        entry_id = cache.set(f"{number}-{each} @{each}", "r").entry_id
                        certain.add(entry_id)
                        cache.search(f"{number}-{each} @{each}")
                except Interrupt:
                    interrupted += 1
                finally:
                    armed = False
                    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
                if len(certain) > 1_500:
                    break
            data = cache.search("x", similarity_threshold=0, max_results=100)
            assert len(data.data) == 100
            store = store_of(cache)
            kept = {entry.id for entry in store.index._entries}
            assert certain <= kept
            assert len(kept) <= possible
            for entry_id in certain:
                cache.delete_by_id(entry_id)
            assert cache._portal.call("size", "", store.size) == len(kept - certain)
            cache.flush()
            assert not cache.search("x", similarity_threshold=0)
    finally:
        signal.signal(signal.SIGVTALRM, before)
    assert interrupted


@pytest.mark.parametrize("name", ["search", "set", "flush", "get_or_set"])
def test_a_call_that_interrupts_another_of_its_thread_is_refused(name):
    arguments = {"search": ["x"], "set": ["x", "y"], "flush": [], "get_or_set": ["x", lambda _: "y"]}[name]
    with LangCache.embedded(embedder=Angle()) as cache:
        cache.set("one", "1")
        store = store_of(cache)
        outcomes = []

        def nested():
            try:
                getattr(cache, name)(*arguments)
            except Exception as error:
                outcomes.append(error)

        store._alone.run(nested)  # as a signal handler would run
        if name == "get_or_set":  # it does without the cache
            assert outcomes == []
        else:
            (error,) = outcomes
            assert type(error) is RuntimeError
            assert str(error).startswith(f"{name}() was called by a signal handler or a finalizer")
        assert cache.search("one").response == "1"


def test_a_signal_finds_the_entries_held_as_soon_as_the_lock_is():
    exclusive, held = Exclusive(), []

    class Lock:
        def __enter__(self):
            held.append(exclusive.is_held_here)

        def __exit__(self, *_):
            held.append(exclusive.is_held_here)

    exclusive._lock = Lock()
    exclusive.run(held.append, "run")
    assert held == [True, "run", True]
    assert not exclusive.is_held_here


def test_one_thread_at_a_time_uses_the_entries():
    exclusive, order = Exclusive(), []
    inside, go = threading.Event(), threading.Event()

    def hold():
        inside.set()
        assert exclusive.is_held_here
        assert go.wait(NEVER_ENDS)
        order.append("first")

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(exclusive.run, hold)
        assert inside.wait(NEVER_ENDS)
        assert exclusive.is_busy
        assert not exclusive.is_held_here
        second = threads.submit(exclusive.run, order.append, "second")
        go.set()
        first.result(NEVER_ENDS)
        second.result(NEVER_ENDS)
    assert order == ["first", "second"]
    with pytest.raises(ZeroDivisionError):
        exclusive.run(lambda: 1 // 0)
    assert not exclusive.is_busy


def test_a_call_goes_on_elsewhere_while_another_thread_uses_the_entries(kind):
    embedder = Angle()
    with embedded(kind, embedder=embedder) as call:
        call("set", "one", "1")
        store = store_of(call.client)
        inside, go = threading.Event(), threading.Event()

        def hold():
            inside.set()
            assert go.wait(NEVER_ENDS)

        with ThreadPoolExecutor(1) as threads:
            holding = threads.submit(store._alone.run, hold)
            assert inside.wait(NEVER_ENDS)
            threading.Timer(0.05, go.set).start()
            assert call("search", "one").response == "1"
            holding.result(NEVER_ENDS)


async def test_tasks_of_a_loop_get_their_turn_and_a_cancellation_arrives():
    async with AsyncLangCache.embedded(embedder=Angle()) as cache:
        await cache.set("one", "1")
        turns = 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def busy():
            while True:
                await cache.search("one")

        tasks = [asyncio.create_task(other()), asyncio.create_task(busy())]
        for _ in range(100):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=NEVER_ENDS)
        assert all(task.cancelled() for task in tasks)
        assert turns > 50


@pytest.mark.parametrize(("rows", "together"), [(2_000, False), (2_001, True)])
async def test_searches_of_many_tasks_share_passes_where_that_pays(rows, together, monkeypatch):
    passes = []
    begin = Searches._begin_pass
    monkeypatch.setattr(
        Searches, "_begin_pass", lambda self, searches: passes.append(len(searches)) or begin(self, searches)
    )
    async with AsyncLangCache.embedded(embedder=Angle()) as cache:
        await cache.set("p0 @0", "r")
        others = [Entry(f"e{each}", f"p{each} @{each % 360}", "r", {}, None) for each in range(1, rows)]
        vectors = await AngleEmbedder().embed([each.prompt for each in others])
        store_of(cache).index.add(others, vectors)
        found = await asyncio.gather(*(cache.search(f"x @{each}", max_results=3) for each in range(32)))
        assert not [each for each in found if len(each.data) != 3]
        assert bool(passes) is together
        passes.clear()
        assert await cache.search("x @7")
        assert not passes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_is_told_to_make_a_client_of_its_own():
    with LangCache.embedded(embedder=Angle()) as cache:
        cache.set("one", "1")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
            child = os.fork()
        if child == 0:
            try:
                cache.search("one")
            except ConnectError:
                os._exit(7)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert cache.search("one").response == "1"


def test_what_has_expired_is_gone_and_let_go_of_by_and_by():
    with LangCache.embedded(embedder=Angle()) as cache:
        cache.set("stays", "1")
        store = store_of(cache)
        now = [store.index._clock()]
        store.index._clock = lambda: now[0]
        for number in range(2_500):
            cache.set(f"p{number}", "r", ttl_millis=10)
        now[0] += 10**6
        for _ in range(5):
            found = cache.search("stays", similarity_threshold=0, max_results=9)
            assert [each.response for each in found.data] == ["1"]
        assert store.index.rows == 1


def test_the_spans_of_calls_that_go_on_elsewhere_end(caplog):
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    for embedder in (AngleEmbedder(), Angle()):
        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        cache = LangCache.embedded(embedder=embedder, telemetry=Telemetry(tracer_provider=provider))
        cache.set("one", "1")
        with provider.get_tracer("test").start_as_current_span("outer"):
            assert cache.search("one").response == "1"
        cache.close()
        with pytest.raises(ClosedError):
            cache.search("one")
        spans = {span.name: span for span in exporter.get_finished_spans()}
        assert len(spans) >= 3
        search = next(span for name, span in spans.items() if "search" in name and span.parent)
        assert search.parent.span_id == spans["outer"].context.span_id
    gc.collect()
    assert not caplog.records


def test_a_store_that_is_not_at_rest_is_used_by_its_event_loop():
    store = MemoryStore(Index(2))
    assert store.at_once(0) is not None
    store.index._entries = range(20_001)
    assert store.at_once(20_001) is not None
    assert store.at_once(20_000) is None


LOADED = """
import sys
sys.path.insert(0, {folder!r})
from angle_embedder import AngleEmbedder
from langcache import LangCache
with LangCache.embedded({db!r}, embedder=AngleEmbedder()) as cache:
    cache.set("one", "1")
    assert cache.search("one").response == "1"
print(*[name for name in {modules!r} if name in sys.modules])
"""


@pytest.mark.parametrize(("where", "loaded"), [(None, ""), ("cache.db", "sqlite3")])
def test_only_what_it_uses_is_loaded(where, loaded, tmp_path):
    """No server, no SQLite for a cache in memory, no model that is not used, none of what makes chat keys."""
    modules = ["aiohttp.web", "sqlite3", "onnxruntime", "tokenizers", "redis", "langcache.chat", "pydantic"]
    code = LOADED.format(
        folder=str(Path(angle_embedder.__file__).parent),
        db=where and str(tmp_path / where),
        modules=modules,
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, stdout=subprocess.PIPE)
    assert done.stdout.decode().strip() == loaded
