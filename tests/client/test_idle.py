"""Connections on which something happens while they are idle: none of them carries another call."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import socket
import struct
import sys
import threading
import time

import aiohttp
import pytest
from yarl import URL

from langcache import AsyncLangCache, BackoffStrategy, LangCache, RetryConfig
from langcache._call.pool import CheckingConnector, close_stale


def http(body):
    content = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)


def found(answer):
    entry = {"id": "1", "prompt": "q", "response": answer, "similarity": 1, "searchStrategy": "exact"}
    return {"data": [entry], "entryId": answer, "deletedEntriesCount": 1}


SURPLUS = http(found("of somebody else"))


class Peer:
    """A service that answers each request with the number of its connection, and does more when told to."""

    def __init__(self, loop):
        self._loop = loop
        self.requests = []
        self.with_first_reply = b""
        self._writers = []

    async def start(self, ssl=None):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self):
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader, writer):
        self._writers.append(writer)
        number = len(self._writers)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = head.lower().partition("content-length: ")[2].partition("\r\n")[0]
                await reader.readexactly(int(length or 0))
                path = head.split()[1].rpartition("/")[2]
                self.requests.append((number, path))
                extra = self.with_first_reply if len(self.requests) == 1 else b""
                writer.write(http(found(f"of connection {number}")) + extra)

    def act(self, action, *, newest=False):
        """Do this on the connections there are, or on the newest; return when the client's system knows."""
        arrived = threading.Event()

        async def do():
            still_open = [writer for writer in self._writers if not writer.transport.is_closing()]
            for writer in still_open[-1:] if newest else still_open:
                sock = writer.get_extra_info("socket")
                action(writer)
                await asyncio.sleep(0)  # the turn in which a reset closes the socket
                if sock.fileno() != -1:
                    await asyncio.to_thread(until_delivered, sock)
            arrived.set()

        asyncio.run_coroutine_threadsafe(do(), self._loop)
        assert arrived.wait(10)


def until_delivered(sock):
    """Wait until the other side has acknowledged all that was sent, an end included."""
    if sys.platform == "linux":
        import fcntl
        import termios

        deadline = time.monotonic() + 10
        while struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4)) != (0,):
            assert time.monotonic() < deadline


def sends(data):
    return lambda writer: writer.write(data)


def ends(writer):
    writer.write_eof()


def closes(writer):
    writer.close()


def resets(writer):
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def both(first, second):
    def act(writer):
        first(writer)
        second(writer)

    return act


ACTIONS = {
    "a surplus reply": sends(SURPLUS),
    "the beginning of a surplus reply": sends(SURPLUS[:20]),
    "a line end": sends(b"\r\n"),
    "bytes that are not HTTP": sends(b"\x16\x03\x01 who goes there\r\n\r\n"),
    "an end": ends,
    "a surplus reply and an end": both(sends(SURPLUS), ends),
    "a reset": resets,
    "a surplus reply and a reset": both(sends(SURPLUS), resets),
}


async def turns():
    """As many turns of the event loop as it takes to read what has arrived."""
    for _ in range(5):
        await asyncio.sleep(0)


class Async:
    """An async client, whose loop has a turn only when a method here gives it one."""

    new_loop = staticmethod(asyncio.new_event_loop)

    def __init__(self, port, client=None, scheme="http", **settings):
        self._loop = self.new_loop()
        self.client = AsyncLangCache(f"{scheme}://127.0.0.1:{port}", "k", "c", client, **settings)

    def call(self, operation, *arguments):
        return self._loop.run_until_complete(getattr(self.client, operation)(*arguments))

    def turn(self):
        self._loop.run_until_complete(turns())

    def frozen(self):
        return contextlib.nullcontext()

    def close(self):
        self._loop.run_until_complete(self.client.aclose())
        self._loop.close()


class AsyncUvloop(Async):
    @staticmethod
    def new_loop():
        import uvloop

        return uvloop.new_event_loop()


class Sync:
    """A blocking client, whose loop runs on its own thread unless it is frozen."""

    def __init__(self, port, client=None, scheme="http", **settings):
        self.client = LangCache(f"{scheme}://127.0.0.1:{port}", "k", "c", client, **settings)

    @property
    def _loop(self):
        return self.client._portal._thread._loop

    def call(self, operation, *arguments):
        return getattr(self.client, operation)(*arguments)

    def turn(self):
        asyncio.run_coroutine_threadsafe(turns(), self._loop).result(10)

    @contextlib.contextmanager
    def frozen(self):
        begun, over = threading.Event(), threading.Event()
        self._loop.call_soon_threadsafe(lambda: (begun.set(), over.wait(10)))
        assert begun.wait(10)
        yield
        over.set()

    def close(self):
        self.client.close()


needs_uvloop = pytest.mark.skipif(not importlib.util.find_spec("uvloop"), reason="uvloop is not installed")
SIDES = [Async, pytest.param(AsyncUvloop, marks=needs_uvloop), Sync]


@pytest.fixture
def peer(server_loop):
    peer = asyncio.run_coroutine_threadsafe(Peer(server_loop).start(), server_loop).result()
    yield peer
    asyncio.run_coroutine_threadsafe(peer.stop(), server_loop).result()


@pytest.fixture
def tls_peer(server_loop, server_tls):
    peer = asyncio.run_coroutine_threadsafe(Peer(server_loop).start(server_tls), server_loop).result()
    yield peer
    asyncio.run_coroutine_threadsafe(peer.stop(), server_loop).result()


@pytest.fixture(params=SIDES)
def side(request, peer):
    side = request.param(peer.port)
    yield side
    side.close()


@pytest.fixture(params=SIDES)
def side_of_users_session(request, peer):
    side = request.param(peer.port, aiohttp.ClientSession)
    yield side
    side.close()


CALLS = [(("set", "q", "a"), "entry_id", "entries"), (("search", "q"), "response", "search")]


def check_next_call(peer, side, call, attribute, path):
    """The next call gets its own reply, over a new connection, from its only request."""
    result = side.call(*call)
    assert getattr(result, attribute) == "of connection 2"
    assert result.tries == 1
    assert peer.requests[1:] == [(2, path)]
    assert getattr(side.call(*call), attribute) == "of connection 2", "the new one is used again"


@pytest.mark.parametrize(("call", "attribute", "path"), CALLS, ids=["set", "search"])
@pytest.mark.parametrize("frozen", [True, False], ids=["while the loop is blocked", "while the loop runs"])
@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_a_connection_on_which_something_arrives_while_idle(
    peer, side, action, frozen, call, attribute, path
):
    assert side.call("search", "q").response == "of connection 1"
    if frozen:
        with side.frozen():
            peer.act(action)
    else:
        peer.act(action)
        side.turn()
    check_next_call(peer, side, call, attribute, path)


@pytest.mark.parametrize(("call", "attribute", "path"), CALLS, ids=["set", "search"])
@pytest.mark.parametrize("frozen", [True, False], ids=["while the loop is blocked", "while the loop runs"])
@pytest.mark.parametrize(
    "what",
    ["a surplus reply", "the beginning of a surplus reply", "bytes that are not HTTP", "an end", "a reset"],
)
def test_a_connection_of_the_users_own_session(
    peer, side_of_users_session, what, frozen, call, attribute, path
):
    side = side_of_users_session
    assert side.call("search", "q").response == "of connection 1"
    with side.frozen() if frozen else contextlib.nullcontext():
        peer.act(ACTIONS[what])
    if not frozen:
        side.turn()
    check_next_call(peer, side, call, attribute, path)


@pytest.mark.parametrize(("call", "attribute", "path"), CALLS, ids=["set", "search"])
def test_two_replies_to_one_request(peer, side, call, attribute, path):
    peer.with_first_reply = SURPLUS
    assert side.call("search", "q").response == "of connection 1"
    check_next_call(peer, side, call, attribute, path)


OPERATIONS = {
    "set": ("set", "q", "a"),
    "a large set": ("set", "q", "a" * 3_000_000),
    "search": ("search", "q"),
    "delete_by_id": ("delete_by_id", "e"),
    "delete_query": ("delete_query", {"a": "b"}),
    "flush": ("flush",),
    "health": ("health",),
}
RETRIES = RetryConfig("backoff", BackoffStrategy(1, 1, 1, 10_000), True)


@pytest.mark.parametrize("retries", [None, RETRIES], ids=["no retries", "retries"])
@pytest.mark.parametrize("action", [ends, resets])
@pytest.mark.parametrize("kind", SIDES)
def test_every_operation_after_its_loop_stood_still(peer, kind, action, retries):
    side = kind(peer.port, retry_config=retries)
    for number, call in enumerate(OPERATIONS.values(), 1):
        side.call(*call)
        assert peer.requests[-1][0] == number
        with side.frozen():
            peer.act(action)
        result = side.call(*call)
        assert peer.requests[-1][0] == number + 1
        assert result is None or result.tries == 1
    assert len(peer.requests) == 2 * len(OPERATIONS), "each was sent once"
    side.close()


@pytest.mark.parametrize("users_own", [False, True], ids=["own session", "user's session"])
@pytest.mark.parametrize("action", [sends(b"HTTP/1.1 408 Too slow\r\n"), closes, resets])
@pytest.mark.parametrize("kind", SIDES)
def test_a_connection_over_tls_after_its_loop_stood_still(tls_peer, kind, action, users_own):
    side = kind(tls_peer.port, aiohttp.ClientSession if users_own else None, scheme="https")
    for number in range(1, 4):
        assert side.call("search", "q").response == f"of connection {number}"
        assert side.call("search", "q").response == f"of connection {number}", "it is used again"
        with side.frozen():
            tls_peer.act(action, newest=True)
        assert side.call("set", "q", "a").entry_id == f"of connection {number + 1}"
    side.close()


def test_a_connection_on_which_nothing_happens_is_used_again(peer, side):
    for _ in range(3):
        assert side.call("search", "q").response == "of connection 1"
        side.turn()


def test_all_that_are_stale_are_passed_over(peer):
    side = Async(peer.port)

    async def at_once(count):
        results = await asyncio.gather(*[side.client.search("q") for _ in range(count)])
        return {result.response for result in results}

    side._loop.run_until_complete(at_once(3))
    assert {number for number, _ in peer.requests} == {1, 2, 3}
    peer.act(ends)
    assert side._loop.run_until_complete(at_once(3)) == {f"of connection {number}" for number in (4, 5, 6)}
    side.close()


async def test_aiohttp_has_what_the_check_relies_on(peer):
    assert callable(aiohttp.TCPConnector._release)
    async with aiohttp.ClientSession(connector=CheckingConnector()) as session:
        async with session.get(f"http://127.0.0.1:{peer.port}/") as response:
            await response.read()
        (((protocol, idle_since),),) = session.connector._conns.values()
        assert protocol._parser is None
        assert protocol.is_connected()
        assert not protocol.should_close
        assert 0 <= time.monotonic() - idle_since < session.connector._keepalive_timeout
        protocol.data_received(b"\r\n")
        assert protocol.should_close
        assert not protocol.is_connected(), "it is a connection of ours, which the connector made"


async def test_a_pool_of_another_shape_is_left_alone(peer, key):
    async with aiohttp.ClientSession() as session:
        client = AsyncLangCache(f"http://127.0.0.1:{peer.port}", key, "c", session)
        await client.search("q")
        pool = session.connector._conns
        for other in ({"127.0.0.1": [1]}, [1]):
            session.connector._conns = other
            close_stale(session, URL(f"http://127.0.0.1:{peer.port}"))
        session.connector._conns = pool
        assert (await client.search("q")).response == "of connection 1"
