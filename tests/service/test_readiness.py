"""`/health/readiness`, and the end of a service that finishes what it has accepted."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest

from langcache.service import EmbedderError, ServerConfig, StoreError
from langcache.service.readiness import Readiness, Remembered
from langcache.service.server import serving

KEY = {"Authorization": "Bearer langcache-local-key"}


class Stores:
    """A store that fails when told to, and counts how often it is asked."""

    def __init__(self):
        self.failure = None
        self.asked = 0

    async def check(self):
        self.asked += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def store():
    return Stores()


@pytest.fixture
def readiness(store, embedder, monkeypatch):
    monkeypatch.setattr("langcache.service.readiness._FRESH_SECONDS", 0.0)
    return Readiness(lambda: [store], Remembered(embedder))


async def reason(readiness):
    from langcache.service.problems import Problem

    try:
        reply = await readiness.readiness(None)
    except Problem as problem:
        return problem.detail if problem.status == 503 else problem
    assert (reply.status, reply.body) == (200, b'{"status":"ok"}')
    return None


async def test_it_is_ready_as_long_as_store_and_embedder_are(readiness, store, embedder):
    assert await reason(readiness) is None
    store.failure = StoreError("redis://user:hunter2@h can't be reached")
    assert await reason(readiness) == "the entries can't be used at the moment"
    store.failure = None
    assert await reason(readiness) is None
    readiness.draining = True
    assert await reason(readiness) == "the service is about to end"


async def test_an_embedder_is_asked_again_only_after_it_has_failed(readiness, embedder):
    asked = []
    embed = embedder.embed

    async def counting(texts):
        asked.append(texts)
        return await embed(texts)

    embedder.embed = counting
    assert await reason(readiness) is None
    assert asked == []
    embedder.failure = EmbedderError("the key hunter2 is not known")
    with pytest.raises(EmbedderError):
        await readiness._embedder.embed(["p"])
    assert await reason(readiness) == "prompts can't be embedded at the moment"
    embedder.failure = None
    assert await reason(readiness) is None
    assert await reason(readiness) is None
    assert len(asked) == 3


async def test_a_crowd_asks_the_store_once(store, embedder):
    readiness = Readiness(lambda: [store], Remembered(embedder))
    assert await asyncio.gather(*(reason(readiness) for _ in range(50))) == [None] * 50
    assert await reason(readiness) is None
    assert store.asked == 1


async def test_who_leaves_does_not_disturb_who_asks_too(readiness, store):
    first = asyncio.create_task(reason(readiness))
    second = asyncio.create_task(reason(readiness))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is None


async def test_a_store_that_does_not_answer_is_not_ready(readiness, store, monkeypatch):
    monkeypatch.setattr("langcache.service.readiness._CHECK_SECONDS", 0.01)
    store.check = asyncio.Event().wait
    assert await reason(readiness) == "the entries can't be used at the moment"


class Slow:
    """Makes an embedder wait until it is let go."""

    def __init__(self, embedder):
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        embed = embedder.embed

        async def slow(texts):
            if "slow" in texts[0]:
                self.begun.set()
                await self.go.wait()
            return await embed(texts)

        embedder.embed = slow


@asynccontextmanager
async def slow_request(embedder, session, **settings):
    """A service with a request under way."""
    slow = Slow(embedder)
    async with serving(ServerConfig(**settings), embedder) as running:
        request = asyncio.create_task(search(session, running.url, "slow"))
        await slow.begun.wait()
        yield slow, running, request


async def search(session, url, prompt):
    async with session.post(
        f"{url}/v1/caches/local/entries/search", json={"prompt": prompt}, headers=KEY
    ) as reply:
        return reply.status, reply.headers.get("Connection")


async def get(session, url):
    async with session.get(url) as reply:
        return reply.status


async def test_an_end_finishes_what_was_accepted_and_meanwhile_is_not_ready(embedder, session):
    async with slow_request(embedder, session) as (slow, running, request):
        draining = asyncio.create_task(running.drain(60))
        await asyncio.sleep(0)
        assert await get(session, f"{running.url}/health/readiness") == 503
        assert await get(session, f"{running.url}/health/liveness") == 200
        assert await search(session, running.url, "p") == (200, "close"), "new requests are answered"
        assert not request.done()
        slow.go.set()
        assert await request == (200, "close")
        await draining
        with socket.socket() as probe:
            port = int(running.url.rpartition(":")[2])
            assert probe.connect_ex(("127.0.0.1", port)) != 0, "and then none"


async def test_an_end_waits_for_no_longer_than_it_may(embedder, session):
    async with slow_request(embedder, session) as (_, running, request):
        await running.drain(0.01)
        with pytest.raises(aiohttp.ClientConnectionError):
            await request


async def test_what_waits_in_the_system_is_accepted_before_the_end(embedder):
    async with serving(ServerConfig(), embedder) as running:
        host, port = running.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await running.drain(10)
            reply = await asyncio.to_thread(client.recv, 4096)
    assert reply.startswith(b"HTTP/1.1 200 OK")


async def test_clients_that_go_on_asking_do_not_prevent_the_end(embedder, session):
    async with serving(ServerConfig(), embedder) as running:

        async def ask():
            statuses = set()
            while True:
                try:
                    statuses.add((await search(session, running.url, "p"))[0])
                except aiohttp.ClientConnectorError:
                    return statuses

        asking = [asyncio.create_task(ask()) for _ in range(8)]
        await asyncio.sleep(0)
        await running.drain(0.5)
        assert await asyncio.gather(*asking) == [{200}] * 8


@pytest.mark.skipif(sys.platform == "win32", reason="no signals of this kind")
def test_a_second_signal_ends_at_once():
    code = """if 1:
        import asyncio, os, sys, threading
        from langcache.cli import main
        from langcache.service import MiniLMEmbedder
        async def nothing(self): pass
        async def hang(self, texts):
            print("hangs", flush=True)
            await asyncio.Event().wait()
        MiniLMEmbedder.start, MiniLMEmbedder.embed = nothing, hang
        MiniLMEmbedder.can_read = lambda self, text: True
        sys.exit(main(["serve", "--port", "0", "--drain", "600"]))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        port = int(re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())[1])
        with socket.create_connection(("127.0.0.1", port)) as client:
            body = b'{"prompt": "p"}'
            client.sendall(
                b"POST /v1/caches/local/entries/search HTTP/1.1\r\nHost: localhost\r\n"
                b"Authorization: Bearer langcache-local-key\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            while process.stdout.readline() != "hangs\n":
                pass
            process.send_signal(signal.SIGTERM)
            with socket.create_connection(("127.0.0.1", port)) as probe:
                probe.settimeout(60)
                while True:  # until the signal has arrived
                    probe.sendall(b"GET /health/readiness HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    if b" 503 " in probe.recv(4096):
                        break
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert output.endswith("Stopped.\n")
