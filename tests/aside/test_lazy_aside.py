"""Cache-aside is made when a client first uses it, once for the client and its scopes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from either_client import Either

from langcache import AsyncLangCache, LangCache, Limits
from langcache.aside import AsideConfig, NearCache, core, lazy_aside
from langcache.errors import ClosedError

OPERATIONS = {
    "search": lambda client: client.search("A question?"),
    "set": lambda client: client.set("A question?", "An answer."),
    "delete_query": lambda client: client.delete_query({"tenant": "acme"}),
    "flush": lambda client: client.flush(),
    "health": lambda client: client.health(),
    "set_many": lambda client: client.set_many([("A question?", "An answer.")]),
    "scoped flush": lambda client: client.scoped(tenant="acme").flush(),
}


@pytest.fixture(params=[AsyncLangCache, LangCache], ids=["async", "blocking"])
async def client(request, connection):
    """A client without settings for cache-aside."""
    async with request.param(**connection) as made:
        yield made


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_operations_do_not_use_it(client, operation):
    if isinstance(client, LangCache):
        await asyncio.to_thread(operation, client)
    else:
        await operation(client)
    assert client._lazy_aside.made is None


async def test_the_awaitable_twins_do_not_use_it(connection):
    async with LangCache(**connection) as cache:
        await cache.set_async("A question?", "An answer.")
        await cache.scoped(tenant="acme").flush_async()
        assert cache._lazy_aside.made is None


async def test_the_first_use_is_as_any_other(client):
    either = Either(client)
    first = await either.get("What is Redis?", "A database.")
    again = await either.get("What is Redis?", "A database.")
    assert [(each.value, each.status) for each in (first, again)] == [
        ("A database.", "miss"),
        ("A database.", "hit"),
    ]
    assert (client.stats().misses, client.stats().hits) == (1, 1)


def answer(question: str) -> str:
    return "An answer."


USES = {
    "get_or_set": (lambda cache: cache.get_or_set("A question?", answer).value, "An answer."),
    "get_or_stream": (
        lambda cache: [*cache.get_or_stream("A question?", ["An ", "answer."])],
        ["An ", "answer."],
    ),
    "look_up": (lambda cache: cache.look_up("A question?").status, "bypass"),
    "cached": (lambda cache: cache.cached(answer)("A question?"), "An answer."),
    "stats": (lambda cache: cache.stats().calls, 0),
}


@pytest.mark.parametrize(("use", "returned"), USES.values(), ids=USES)
def test_each_use_may_be_the_first(use, returned):
    with LangCache(enabled=False) as cache:
        assert use(cache) == returned
        assert cache._lazy_aside.made is not None


@pytest.mark.parametrize("kind", [AsyncLangCache, LangCache])
def test_scopes_share_it_whether_they_are_made_before_or_after(kind):
    client = kind(enabled=False)
    before = client.scoped(tenant="acme")
    made = before._aside
    assert client._aside is client.scoped(tenant="other")._aside is before.scoped(user="1")._aside is made


async def test_what_changes_entries_for_a_blocking_client_is_known_to_its_cache_aside(connection):
    """The clients that it makes its requests by share what it has, which they would not use themselves."""
    cache = LangCache(**connection)
    parts = [*(cache._portal_client, cache._async_client), cache.scoped(tenant="acme")._async_client]
    assert {part._lazy_aside for part in parts} == {cache._lazy_aside}
    await cache.aclose()


def test_of_threads_that_use_it_first_one_makes_it(monkeypatch):
    at_lock, second_is_there, made = [], threading.Event(), []

    class Watched:
        lock = threading.RLock()

        def __enter__(self):
            at_lock.append(threading.get_ident())
            if len(at_lock) == 2:
                second_is_there.set()
            self.lock.acquire()

        def __exit__(self, *_):
            self.lock.release()

    class Slow(core.Aside):
        def __init__(self, *args, **kwargs):
            made.append(self)
            assert second_is_there.wait(60)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(lazy_aside, "importing", Watched())
    monkeypatch.setattr(core, "Aside", Slow)
    client = AsyncLangCache(enabled=False)
    with ThreadPoolExecutor(2) as threads:
        got = {*threads.map(lambda each: each._aside, [client, client.scoped(tenant="acme")])}
    assert got == {*made}
    assert len(made) == 1


def test_what_could_not_be_made_is_made_by_the_next_use(monkeypatch):
    client = AsyncLangCache(enabled=False)
    with monkeypatch.context() as broken:
        broken.delattr(core, "Aside")
        with pytest.raises(ImportError):
            client.stats()
    assert client.stats().calls == 0


@pytest.mark.parametrize("kind", [AsyncLangCache, LangCache])
def test_what_makes_it_does_not_keep_the_client(kind):
    """A client without references is freed at once, by no garbage collection."""
    client = kind(enabled=False)
    freed = weakref.ref(client)
    del client
    assert freed() is None


ALL_AT_ONCE = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from langcache import LangCache

sys.setswitchinterval(1e-6)
THREADS = 16
cache = LangCache(enabled=False)
clients = [cache if number % 2 else cache.scoped(tenant=number) for number in range(THREADS)]
barrier = threading.Barrier(THREADS)

def first(client):
    barrier.wait()
    return client.get_or_set("A question?", "An answer.").value

with ThreadPoolExecutor(THREADS) as threads:
    assert [*threads.map(first, clients)] == ["An answer."] * THREADS
assert cache.stats().calls == THREADS, cache.stats()
"""


def test_threads_may_make_the_first_call_at_once_while_it_is_not_yet_imported():
    command = [sys.executable, "-W", "error", "-c", ALL_AT_ONCE]
    subprocess.run(command, check=True, timeout=60)


def test_it_serves_one_event_loop_after_another():
    client = AsyncLangCache(enabled=False)

    async def ask():
        return (await client.get_or_set("A question?", "An answer.")).value

    async def nested():  # a first use in a thread with a loop of its own, beside a running one
        return await asyncio.to_thread(asyncio.run, ask())

    assert [asyncio.run(nested()), asyncio.run(ask())] == ["An answer."] * 2
    assert client.stats().calls == 2


@pytest.mark.parametrize("used", [False, True], ids=["unused", "used"])
@pytest.mark.parametrize("kind", [AsyncLangCache, LangCache])
async def test_after_closing_the_first_use_is_as_a_later_one(kind, used, connection):
    client = kind(**connection)
    if used:
        await Either(client).get("What is Redis?", "A database.")
    await client.aclose()
    await client.aclose()
    answer = await Either(client).get("What is Redis?", "A database.")
    assert (answer.value, answer.status) == ("A database.", "error")
    assert isinstance(answer.error, ClosedError)
    with pytest.raises(ClosedError):
        await Either(client).get("What is Redis?", "A database.", on_error="raise")


@pytest.mark.parametrize("kind", [AsyncLangCache, LangCache])
def test_settings_are_checked_with_the_client_so_it_is_made_at_once(kind):
    assert kind(enabled=False, aside=AsideConfig())._lazy_aside.made is not None
    narrow = Limits(attributes=0)
    for setting in ("function_attribute", "source_attribute", "time_attribute"):
        with pytest.raises(ValueError, match="attributes: "):
            kind(enabled=False, limits=narrow, aside=AsideConfig(**{setting: "declared"}))
    with pytest.raises(TypeError, match=r"aside: must be a langcache\.aside\.AsideConfig, but is dict"):
        kind(enabled=False, aside={})


def test_a_config_that_can_not_fail_needs_no_check():
    """What is made later, by default settings, can't raise for any limits."""
    for limits in (Limits(attributes=0), Limits(attributes=None)):
        assert AsyncLangCache(enabled=False, limits=limits)._aside is not None


async def test_a_near_cache_is_there_from_the_start_so_that_no_change_is_missed(connection):
    async with LangCache(**connection, aside=AsideConfig(near=NearCache())) as cache:
        near = cache._lazy_aside.made.state.near
        for change in (cache.set_async("a", "b"), cache.scoped(tenant="acme").flush_async()):
            before = near.epoch
            await change
            assert near.epoch is not before
