"""The server's life: start, stop, both kinds of `with`, and what can go wrong on the way."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import urllib.request

import aiohttp
import pytest

from langcache import AsyncLangCache, LangCache
from langcache.service import CacheConfig, LocalServer, ServerConfig, StoreError


def healthy(server) -> bool:
    request = urllib.request.Request(
        f"{server.url}/v1/caches/{server.cache_id}/health",
        headers={"Authorization": f"Bearer {server.api_key}"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return reply.status == 200


def test_it_runs_under_with_and_leaves_nothing_behind(embedder):
    threads = set(threading.enumerate())
    server = LocalServer(embedder=embedder)
    for _ in range(2):
        with server:
            assert healthy(server)
            port = int(server.url.rpartition(":")[2])
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert threads.issuperset(threading.enumerate())
    assert embedder.started == embedder.closed == 2


async def test_it_runs_under_async_with_and_answers_calls_that_block_the_loop(embedder):
    async with LocalServer(embedder=embedder) as server:
        assert healthy(server)
    with pytest.raises(RuntimeError, match="not running"):
        server.url  # noqa: B018


async def test_stopping_does_not_wait_for_idle_connections(embedder, session):
    async with LocalServer(embedder=embedder) as server:
        headers = {"Authorization": f"Bearer {server.api_key}"}
        async with session.get(f"{server.url}/v1/caches/{server.cache_id}/health", headers=headers) as reply:
            await reply.read()
    assert embedder.closed == 1


def test_both_clients_find_what_they_stored(server):
    with LangCache(server.url, server.api_key, server.cache_id) as client:
        client.set(prompt="p @10", response="r", attributes={"topic": "t"})
        assert client.search(prompt="q @0", attributes={"topic": "t"}).response == "r"
        assert not client.search(prompt="q @180")
        assert client.delete_query(attributes={"topic": "t"}).deleted_entries_count == 1
        client.flush()

    async def main():
        async with AsyncLangCache(server.url, server.api_key, server.cache_id) as client:
            entry_id = (await client.set(prompt="p", response="r")).entry_id
            assert (await client.conversational_search(prompt="p", context=["c"])).actual_prompt == "p"
            await client.delete_by_id(entry_id=entry_id)
            assert (await client.health()).status == "ok"

    asyncio.run(main())


def test_entries_in_a_file_outlive_the_server(embedder, tmp_path):
    server = LocalServer(db=tmp_path / "cache.db", embedder=embedder)
    for turn in range(2):
        with server, LangCache(server.url, server.api_key, server.cache_id) as client:
            assert bool(client.search(prompt="p")) == (turn == 1)
            client.set(prompt="p", response="r")


def test_a_port_in_use_is_said_at_the_start(embedder, server):
    with pytest.raises(OSError, match="in use"):
        LocalServer(port=int(server.url.rpartition(":")[2]), embedder=embedder).__enter__()
    assert healthy(server)


async def test_a_bad_database_is_said_at_the_start(embedder, tmp_path):
    with pytest.raises(StoreError, match="can't be used"):
        async with LocalServer(db=tmp_path, embedder=embedder):
            pytest.fail("it must not start")
    assert embedder.closed == 1


def test_an_embedder_that_does_not_start_is_said_and_closed(embedder):
    embedder.start = lambda: asyncio.sleep(0).throw(ImportError("no model"))
    with pytest.raises(ImportError, match="no model"), LocalServer(embedder=embedder):
        pytest.fail("it must not start")
    assert embedder.closed == 1


def test_what_goes_wrong_at_the_end_is_said_too(embedder):
    class CloseFails(type(embedder)):
        async def close(self) -> None:
            raise OSError("could not let go")

    with pytest.raises(OSError, match="could not let go"), LocalServer(embedder=CloseFails()) as server:
        assert healthy(server)


async def test_a_start_that_is_cancelled_leaves_nothing_behind(embedder):
    threads = set(threading.enumerate())
    go = threading.Event()
    entered = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def start() -> None:
        loop.call_soon_threadsafe(entered.set)
        await asyncio.to_thread(go.wait, 60)

    embedder.start = start
    task = asyncio.create_task(LocalServer(embedder=embedder).__aenter__())
    await entered.wait()
    task.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert threads.issuperset(threading.enumerate())
    assert embedder.closed == 1


async def test_stopping_ends_a_request_that_hangs(embedder, session, monkeypatch):
    monkeypatch.setattr("langcache.service.server._SHUTDOWN_SECONDS", 0.05)
    hangs = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def embed(texts):
        loop.call_soon_threadsafe(hangs.set)
        await asyncio.Event().wait()

    embedder.embed = embed
    async with LocalServer(embedder=embedder) as server:
        url = f"{server.url}/v1/caches/{server.cache_id}/entries/search"
        headers = {"Authorization": f"Bearer {server.api_key}"}
        post = session.post(url, json={"prompt": "p"}, headers=headers)
        request = asyncio.ensure_future(post)
        await hangs.wait()
    with pytest.raises(aiohttp.ClientConnectionError):
        await request
    assert embedder.closed == 1


def test_it_can_not_be_entered_twice_at_a_time(server):
    with pytest.raises(RuntimeError, match="running already"):
        server.__enter__()
    assert healthy(server)


def test_leaving_twice_is_fine(embedder):
    with LocalServer(embedder=embedder) as server:
        server.__exit__(None, None, None)


async def test_leaving_twice_is_fine_under_async_with(embedder):
    async with LocalServer(embedder=embedder) as server:
        await server.__aexit__(None, None, None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_leaves_the_server_to_its_parent():
    code = """
import os, warnings
from langcache import LangCache
from langcache.service import LocalServer

warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads, which is what this is about
with LocalServer() as server:
    child = os.fork()
    if child == 0:
        server.__exit__(None, None, None)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with LangCache(server.url, server.api_key, server.cache_id) as cache:
        cache.health()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
def test_an_ipv6_address_makes_a_url(embedder):
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with LocalServer(host="::1", embedder=embedder) as server:
        assert server.url.startswith("http://[::1]:")
        assert healthy(server)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attributes": ["a b"]}, "attributes: names must be"),
        ({"cache_id": "a/b"}, "cache_id: must be"),
        ({"cache_id": "a b"}, "cache_id: must be letters, digits"),
        ({"api_key": "a b"}, "api_key: has a character"),
        ({"api_key": ""}, "api_key: is empty"),
        ({"threshold": 0.4}, "threshold: must be from 0.5 to 1, but is 0.4"),
        ({"threshold": 1.1}, "threshold: must be from 0.5 to 1, but is 1.1"),
        ({"ttl_millis": 0}, "ttl_millis: must be at least 1"),
        ({"port": 65_536}, "port: must be from 0 to 65535"),
        ({"caches": []}, "caches: there must be at least one"),
        ({"caches": [CacheConfig(), CacheConfig()]}, "each with an id of its own"),
        ({"host": "0.0.0.0"}, "api_key: '0.0.0.0' can be reached by others"),
        ({"host": "example.org"}, "give a key of your own"),
    ],
)
def test_settings_that_can_not_be_are_refused_at_construction(settings, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        LocalServer(**settings)


@pytest.mark.parametrize("attributes", ["tenant", b"tenant", None, 3, [1], ["tenant", None]])
@pytest.mark.parametrize("make", [LocalServer, CacheConfig])
def test_what_is_no_collection_of_names_is_refused(make, attributes):
    with pytest.raises(
        TypeError, match=r"attributes: (must be names, such as \('topic',\)|names must be str)"
    ):
        make(attributes=attributes)


@pytest.mark.parametrize("names", [("a", "b"), ["a", "b"], {"a": 1, "b": 2}, (name for name in "ab")])
def test_any_iterable_of_names_will_do(names):
    assert CacheConfig(attributes=names).attributes == ("a", "b")


@pytest.mark.parametrize("caches", ["local", b"local", CacheConfig(), [3], 3])
def test_what_is_no_collection_of_caches_is_refused(caches):
    for make in (LocalServer, ServerConfig):
        with pytest.raises(TypeError, match="caches: must be `CacheConfig`s"):
            make(caches=caches)


def test_an_attribute_may_have_the_name_of_anything(embedder):
    with (
        LocalServer(["function", "id", "attributes"], embedder=embedder) as server,
        LangCache(server.url, server.api_key, server.cache_id) as cache,
    ):
        cache.set("p", "r", attributes={"function": "f", "id": "1", "attributes": "a"})
        assert cache.search("p", attributes={"function": "f"}).response == "r"
        assert not cache.search("p", attributes={"function": "g"})
        assert cache.delete_query({"function": "f"}).deleted_entries_count == 1


def test_a_host_for_others_is_allowed_with_a_key_of_one_s_own():
    assert ServerConfig(host="0.0.0.0", caches=(CacheConfig(api_key="mine"),)).host == "0.0.0.0"
    assert ServerConfig(host="localhost").host == "localhost"
