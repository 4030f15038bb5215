"""Connections that wait, bodies that are sent in odd ways, and what a fork leaves of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import json
import os
import socket
import subprocess
import sys
import time
import zlib

import pytest
from aiohttp import web

from langcache.service import LocalServer
from langcache.service.app import MAX_BODY_BYTES
from langcache.service.connections import Connection, Connections

KEY = b"Authorization: Bearer langcache-local-key\r\n"
HEAD = b"POST /v1/caches/local/entries HTTP/1.1\r\nHost: localhost\r\n" + KEY
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
ENTRY = json.dumps({"prompt": "p", "response": "r"}).encode()
MODULE = "langcache.service.connections"


class Client:
    """A raw connection to a server."""

    def __init__(self, server):
        self._server = server

    async def __aenter__(self):
        port = int(self._server.url.rpartition(":")[2])
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        return self

    async def __aexit__(self, *error):
        self.writer.transport.abort()

    async def reply(self, data=b""):
        """The status and the body of the next reply to this."""
        self.writer.write(data)
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 60)
        length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        content = await self.reader.readexactly(int(length[0].split(b":")[1]) if length else 0)
        return int(head.split()[1]), content

    async def is_closed(self):
        """Whether the server closes the connection, which it has a minute for."""
        try:
            return await asyncio.wait_for(self.reader.read(), 60) == b""
        except ConnectionError:
            return True


async def write_until_it_fails(writer):
    """Who reads nothing sees only thus that the connection is closed."""
    for _ in range(6000):
        writer.write(b"\r\n")
        await asyncio.wait_for(writer.drain(), 60)
        await asyncio.sleep(0.01)


@pytest.fixture
def impatient(monkeypatch):
    """A service that waits for clients no longer than a moment."""
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "REPLY_SECONDS", "IDLE_SECONDS", "_SWEEP_SECONDS"):
        monkeypatch.setattr(f"{MODULE}.{name}", 0.1)


BEGUN = [
    b"",
    b"G",
    b"GET /health HTTP/1.1\r\n",
    HEALTH[:-2],
    HEALTH[:-1],
    HEAD + b"Content-Length: 10\r\n\r\n",
    HEAD + b"Content-Length: 10\r\n\r\n{",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
]


@pytest.mark.parametrize("begun", BEGUN)
async def test_who_does_not_go_on_is_cut_off(impatient, embedder, begun):
    with LocalServer(embedder=embedder) as server:
        async with Client(server) as client:
            client.writer.write(begun)
            assert await client.is_closed()


async def test_who_sends_byte_by_byte_is_cut_off(impatient, embedder):
    with LocalServer(embedder=embedder) as server:
        for start in (b"GET /", HEAD + b"Content-Length: 1000000\r\n\r\n"):
            async with Client(server) as client:
                client.writer.write(start)
                closed = asyncio.ensure_future(client.is_closed())
                for _ in range(6000):
                    if closed.done():
                        break
                    client.writer.write(b"x")
                    await asyncio.sleep(0.01)
                assert await closed


async def test_an_idle_connection_is_closed(impatient, embedder):
    with LocalServer(embedder=embedder) as server:
        async with Client(server) as client:
            assert await client.reply(HEALTH) == (200, b'{"status":"ok"}')
            assert await client.is_closed()


async def test_who_does_not_read_its_reply_is_cut_off(embedder, monkeypatch):
    with LocalServer(embedder=embedder) as server:
        async with Client(server) as client:
            large = json.dumps({"prompt": "p", "response": "r" * (MAX_BODY_BYTES - 100)}).encode()
            head = b"%sContent-Length: %d\r\n\r\n" % (HEAD, len(large))
            assert (await client.reply(head + large))[0] == 201
        monkeypatch.setattr(f"{MODULE}.REPLY_SECONDS", 0.1)
        async with Client(server) as client:
            client.reader._transport.pause_reading()
            body = b'{"prompt": "p"}'
            head = b"%sContent-Length: %d\r\n\r\n" % (HEAD.replace(b"entries", b"entries/search"), len(body))
            client.writer.write(8 * (head + body))
            with pytest.raises(ConnectionError):
                await write_until_it_fails(client.writer)


async def test_a_request_that_takes_long_is_not_cut_off(impatient, embedder):
    """The times are for clients: the service itself may take longer."""
    go = asyncio.Event()
    loop = asyncio.get_running_loop()
    really_embed = embedder.embed

    async def embed(texts):
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(go.wait(), loop))
        return await really_embed(texts)

    embedder.embed = embed
    with LocalServer(embedder=embedder) as server:
        async with Client(server) as client, Client(server) as other:
            client.writer.write(b"%sContent-Length: %d\r\n\r\n%s" % (HEAD, len(ENTRY), ENTRY))
            assert await other.is_closed()  # so the time is over
            async with Client(server) as third:
                assert await third.is_closed()
            go.set()
            assert (await client.reply())[0] == 201


async def test_a_new_connection_takes_the_place_of_the_one_idle_longest(embedder):
    with LocalServer(embedder=embedder, max_connections=3) as server:
        async with Client(server) as first, Client(server) as second, Client(server) as third:
            for client in (first, second, third, first):
                assert (await client.reply(HEALTH))[0] == 200
            async with Client(server) as fourth:
                assert (await fourth.reply(HEALTH))[0] == 200
                assert await second.is_closed()
                for client in (first, third, fourth):
                    assert (await client.reply(HEALTH))[0] == 200


async def test_many_new_connections_at_once_close_as_many(embedder, monkeypatch):
    monkeypatch.setattr(f"{MODULE}.HEAD_SECONDS", 600.0)
    with LocalServer(embedder=embedder, max_connections=10) as server:
        async with contextlib.AsyncExitStack() as stack:
            clients = [Client(server) for _ in range(100)]
            await asyncio.gather(*map(stack.enter_async_context, clients))
            pending = {asyncio.ensure_future(client.is_closed()) for client in clients}
            while len(pending) > 10:
                done, pending = await asyncio.wait(pending, timeout=60, return_when=asyncio.FIRST_COMPLETED)
                assert done
            for each in pending:
                each.cancel()
            async with Client(server) as client:
                assert (await client.reply(HEALTH))[0] == 200


async def test_a_connection_whose_client_waits_is_closed_last(embedder):
    hangs = asyncio.Event()
    loop = asyncio.get_running_loop()
    really_embed = embedder.embed
    go = asyncio.Event()

    async def embed(texts):
        loop.call_soon_threadsafe(hangs.set)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(go.wait(), loop))
        return await really_embed(texts)

    embedder.embed = embed
    with LocalServer(embedder=embedder, max_connections=2) as server:
        async with Client(server) as working:
            working.writer.write(b"%sContent-Length: %d\r\n\r\n%s" % (HEAD, len(ENTRY), ENTRY))
            await hangs.wait()
            for _ in range(5):
                async with Client(server) as client:
                    assert (await client.reply(HEALTH))[0] == 200
            go.set()
            assert (await working.reply())[0] == 201


@pytest.mark.parametrize("most", [0, -1, 1.5, "3", None, True])
def test_an_impossible_number_of_connections_is_refused(most):
    with pytest.raises((ValueError, TypeError), match="max_connections: must be"):
        LocalServer(max_connections=most)


def packed(kind, content):
    return {
        "gzip": gzip.compress,
        "x-gzip": gzip.compress,
        "GZIP": gzip.compress,
        "deflate": zlib.compress,
        "identity": bytes,
    }[kind](content)


async def entered(client, body, *lines, head=HEAD):
    """The status of a request with this body, and the connection's next."""
    lines = b"".join(b"%s\r\n" % line.encode() for line in lines)
    status, content = await client.reply(b"%s%sContent-Length: %d\r\n\r\n%s" % (head, lines, len(body), body))
    assert (await client.reply(HEALTH))[0] == 200
    return status, json.loads(content)


@pytest.mark.parametrize("kind", ["gzip", "x-gzip", "GZIP", "deflate", "identity"])
async def test_a_body_may_be_packed(server, kind):
    large = json.dumps({"prompt": "p", "response": "".join(map(str, range(400_000)))}).encode()
    async with Client(server) as client:
        for content in (ENTRY, large):
            assert (await entered(client, packed(kind, content), f"Content-Encoding: {kind}"))[0] == 201
        raw = zlib.compressobj(wbits=-15)
        body = raw.compress(ENTRY) + raw.flush()
        assert (await entered(client, body, "Content-Encoding: deflate"))[0] == 201


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Encoding: br"],
        ["Content-Encoding: zstd"],
        ["Content-Encoding: compress"],
        ["Content-Encoding: unheard-of"],
        ["Content-Encoding: gzip, gzip"],
        ["Content-Encoding: gzip, identity"],
        ["Content-Encoding: gzip", "Content-Encoding: gzip"],
        ["Content-Encoding: br", "Content-Encoding: gzip"],
    ],
)
async def test_a_body_that_is_packed_in_another_way_is_a_415(server, lines):
    async with Client(server) as client:
        status, problem = await entered(client, gzip.compress(gzip.compress(ENTRY)), *lines)
    assert (status, problem["status"]) == (415, 415)
    assert "gzip or deflate" in problem["detail"]


BROKEN = {
    "empty": (b"", 400),
    "not packed": (b"nonsense", 400),
    "cut in its sum": (gzip.compress(ENTRY)[:-1], 400),
    "cut in its data": (gzip.compress(ENTRY)[:-9], 400),
    "more behind it": (gzip.compress(ENTRY) + b"x", 400),
    "two members": (gzip.compress(ENTRY[:5]) + gzip.compress(ENTRY[5:]), 400),
    "too large": (gzip.compress(bytes(MAX_BODY_BYTES + 1)), 413),
    "a bomb": (gzip.compress(bytes(1 << 26)), 413),
    "a thousand times what was sent": (gzip.compress(bytes(2 << 20)), 413),
}


@pytest.mark.parametrize(("body", "status"), BROKEN.values(), ids=BROKEN)
async def test_a_packed_body_that_is_broken_or_too_large_is_refused(server, body, status):
    async with Client(server) as client:
        assert (await entered(client, body, "Content-Encoding: gzip"))[0] == status


async def test_nothing_is_unpacked_before_the_key_is_known(server):
    head = HEAD.replace(b"-key", b"-other")
    async with Client(server) as client:
        for encoding in ("gzip", "br", "nonsense"):
            assert (await entered(client, b"broken", f"Content-Encoding: {encoding}", head=head))[0] == 401


@pytest.mark.parametrize("path", ["entries", "entries/search", "conversations/search", ""])
async def test_who_asks_before_it_sends_a_body_learns_first_whether_it_may(server, path):
    path = f"/v1/caches/local/{path}".encode()
    large = b"Expect: 100-continue\r\nContent-Length: 3000000\r\n\r\n"
    head = HEAD.replace(b"/v1/caches/local/entries", path)
    async with Client(server) as client:
        assert (await client.reply(head.replace(b"-key", b"-other") + large))[0] in (401, 404, 100)
    async with Client(server) as client:
        asked = b"%sExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (HEAD, len(ENTRY))
        assert (await client.reply(asked))[0] == 100
        assert (await client.reply(ENTRY))[0] == 201
        asked = asked.replace(b"100-continue", b"something else")
        assert (await client.reply(asked))[0] == 417


@pytest.mark.parametrize("path", ["/health", "/health/liveness", "/health/readiness"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_a_probe_needs_no_key(server, method, path):
    async with Client(server) as client:
        client.writer.write(HEALTH.replace(b"GET /health", b"%s %s" % (method, path.encode())))
        assert (await client.reader.readline()).split()[1] == b"200"


@pytest.mark.parametrize(
    "body",
    [b"5\r\n{\r\n0\r\n\r\n", b"x\r\n{", b"1;x=y;\r\n{\r\n0\r\n\r\n", b"1\r\n{\r\n0\r\nx: y\r\n: :\r\n\r\n"],
)
async def test_a_body_in_broken_chunks_is_refused_at_once(server, body):
    async with Client(server) as client:
        assert (await client.reply(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body))[0] == 400


async def test_a_refused_body_that_is_still_being_sent_does_not_hide_the_reply(server):
    async with Client(server) as client:
        client.writer.write(HEAD.replace(b"-key", b"-other") + b"Content-Length: 30000000\r\n\r\n")
        client.writer.write(bytes(10_000_000))
        assert (await client.reply())[0] == 401
        assert await client.is_closed()


@pytest.mark.parametrize("other", [KEY, b"Authorization: Bearer other\r\n", b"Authorization: \r\n"])
async def test_a_request_with_two_keys_has_none(server, other):
    """A proxy in front may have checked the one, and the service would go by the other."""
    head = b"GET /v1/caches/local/health HTTP/1.1\r\nHost: localhost\r\n"
    async with Client(server) as client:
        assert (await client.reply(head + KEY + b"\r\n"))[0] == 200
        for keys in (KEY + other, other + KEY):
            assert (await client.reply(head + keys + b"\r\n"))[0] == 401


FORKS = """
import os, socket, stat, sys, warnings
sys.path.insert(0, {folder!r})
from measured_service import Measured
from langcache.service import LocalServer

warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads, which is what this is about


def of_server():
    # Whether the port can be had again would not tell: another program may have it by then.
    sockets = []
    for name in os.listdir("/dev/fd"):
        try:
            descriptor = os.dup(int(name))
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                sockets.append(socket.socket(fileno=descriptor))
            else:
                os.close(descriptor)
        except OSError:  # that of the list itself
            pass
    inet = [each for each in sockets if each.family == socket.AF_INET]
    return sum(each.getsockname()[1] == port for each in inet)


over, end_child = os.pipe()
with LocalServer(embedder=Measured()) as server:
    port = int(server.url.rpartition(":")[2])
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.sendall(b"GET /health HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    assert client.recv(12) == b"HTTP/1.1 200"
    assert of_server() >= 2  # one that listens, and one that it has accepted
    child = os.fork()
    if child == 0:
        os.close(end_child)
        kept = of_server()
        os.read(over, 1)
        os._exit(kept)
    # The parent goes on as before.
    client.sendall(b"GET /health HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    while b"HTTP/1.1 200" not in client.recv(4096):
        pass
while client.recv(4096):  # the end of the server is the end of its connections
    pass
client.close()
assert os.waitpid(child, os.WNOHANG) == (0, 0)
os.close(end_child)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_keeps_no_socket_of_the_server(request):
    code = FORKS.format(folder=str(request.path.parent))
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


LEFT = {
    "answered": HEALTH,
    "refused": b"GET /v1/caches/local/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "not found": b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "not understood": b"nothing\r\n\r\n",
    "begun": HEALTH[:-2],
    "many at once": HEALTH * 20,
    "body to come": HEAD + b"Content-Length: 10\r\n\r\n{",
}


@pytest.mark.parametrize("name", LEFT)
async def test_a_connection_is_freed_with_its_end_and_waits_for_no_collection_of_garbage(name):
    # Of thousands of connections such a collection would take a tenth of a second of the event loop.
    def connections():
        return sum(type(each) is Connection for each in gc.get_objects())

    with LocalServer() as server:
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                async with Client(server) as client:
                    client.writer.write(LEFT[name])
                    if name not in ("begun", "body to come"):
                        await client.reader.readuntil(b"\r\n")
            async with Client(server) as last:  # it is begun after the others, so that none is to come
                assert (await last.reply(HEALTH))[0] == 200
            deadline = time.monotonic() + 60
            while connections() and time.monotonic() < deadline:
                await asyncio.to_thread(bool)  # the server's thread has its turn
            assert connections() == 0
        finally:
            gc.enable()


async def turns(count):
    """Let the event loop do all that is due, so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


class Failures:
    """What a running event loop and a server have to say of failures."""

    def __init__(self, caplog):
        self._caplog = caplog
        self._by_loop = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self._by_loop.append(context))

    async def none(self):
        await turns(10)
        gc.collect()  # a task tells at its end of an exception that nobody has seen
        await asyncio.sleep(0)
        return self._by_loop == [] and self._caplog.records == []


@contextlib.asynccontextmanager
async def bare_server(handler):
    """A server in this event loop, and an open connection to it of both sides."""
    server = web.Server(handler)
    connections = Connections(server, 10)
    host, port = await connections.listen("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(host, port)
    while not connections._open:
        await turns(1)
    (connection,) = connections._open
    try:
        yield server, connection, reader, writer
    finally:
        writer.transport.abort()
        await connections.close()
        await server.shutdown(60)


ENDS = {
    "before the time is over": ("reply", "time"),
    "after the time is over": ("time", "reply"),
    "with an error": ("error", "time"),
    "when its client has left": ("left", "reply", "time"),
}


@pytest.mark.parametrize("ends", ENDS)
async def test_a_request_that_ends_with_the_time_of_a_shutdown_does_no_harm(ends, caplog):
    failures = Failures(caplog)
    begun, over = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def handler(request):
        begun.set()
        await over.wait()
        if "error" in ENDS[ends]:
            raise web.HTTPNotFound
        return web.Response()

    async with bare_server(handler) as (server, connection, reader, writer):
        writer.write(HEALTH)
        await begun.wait()
        shutdown = None
        for number, each in enumerate(ENDS[ends]):  # all in one turn, in this order
            if each == "time":
                shutdown = asyncio.ensure_future(server.shutdown(0.05 + number / 1000))
            elif each == "left":
                connection.abort()
            else:
                loop.call_later(0.05 + number / 1000, over.set)
        await turns(5)
        loop.call_soon(time.sleep, 0.2)  # so that all of them are due at once
        await asyncio.wait_for(shutdown, 60)
        assert await failures.none()
        with contextlib.suppress(ConnectionError):
            assert (await reader.read())[:12] in (b"", b"HTTP/1.1 200", b"HTTP/1.1 404")


async def test_a_shutdown_ends_a_request_that_takes_too_long(caplog):
    failures = Failures(caplog)
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def handler(request):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with bare_server(handler) as (server, _, reader, writer):
        writer.write(HEALTH * 3)
        await begun.wait()
        await asyncio.wait_for(server.shutdown(0.01), 60)
        assert cancelled.is_set()
        assert await asyncio.wait_for(reader.read(), 60) == b""
        assert await failures.none()


LOST = {
    "before anything comes": [],
    "with a request": [HEALTH],
    "with many requests": [HEALTH * 30],
    "with a body to come": [HEAD + b"Content-Length: 10\r\n\r\n{"],
    "with nonsense": [b"nonsense\r\n\r\n"],
    "with an upgrade": [HEALTH[:-2] + b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\nmore"],
    "in a request": [HEALTH, None],
    "in the first of many requests": [HEALTH * 30, None],
    "between requests": [HEALTH, None, None, None, None, HEALTH],
}


@pytest.mark.parametrize("when", LOST)
async def test_a_connection_that_ends_in_the_turn_in_which_something_comes_does_no_harm(when, caplog):
    failures = Failures(caplog)

    async def handler(request):
        await asyncio.sleep(0)
        return web.Response(text=await request.text())

    async with bare_server(handler) as (_, connection, _, _):
        for each in LOST[when]:
            if each is None:
                await turns(1)
            else:
                connection.data_received(each)
        connection.connection_lost(None)  # some event loops tell of an end before what came is seen
        assert await failures.none()


async def test_a_connection_may_end_as_soon_as_it_is_made(caplog):
    failures = Failures(caplog)

    class ShortConnection(Connection):
        def connection_made(self, transport):
            super().connection_made(transport)
            self.connection_lost(None)
            transport.abort()

    async def handler(request):
        return web.Response()

    connections = Connections(web.Server(handler), 10)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(
            lambda: ShortConnection(connections, connections._server, loop=loop), ours
        )
        assert await failures.none()
    await connections.close()
