"""Which connections are begun, when more come at once than can be."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys

import pytest

from langcache.service import accepting
from langcache.service.accepting import Listener


class Counting(asyncio.Protocol):
    """Says hello, and counts."""

    def __init__(self, made):
        self._made = made

    def connection_made(self, transport):
        self._made.append(transport)
        transport.write(b"hello")


@pytest.fixture
async def listener():
    made = []
    listener = Listener(lambda: Counting(made))
    listener.made = made
    listener.address = await listener.listen("127.0.0.1", 0)
    yield listener
    listener.close()
    for transport in made:
        transport.abort()


def connect(listener, count):
    """Connections that wait, since the event loop has no turn in between."""
    return [socket.create_connection(listener.address, timeout=60) for _ in range(count)]


async def greeting(client):
    return await asyncio.to_thread(client.recv, 5)


async def test_all_that_wait_are_begun_however_many(listener):
    clients = connect(listener, 300)
    assert [await greeting(client) for client in clients] == [b"hello"] * 300
    for client in clients:
        client.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n\r\n"])
async def test_those_that_were_closed_while_they_waited_are_not_begun(listener, sent):
    gone = connect(listener, 200)
    for client in gone:
        client.sendall(sent)
        client.close()
    clients = connect(listener, accepting._BEGUN_AT_ONCE)
    assert [await greeting(client) for client in clients] == [b"hello"] * len(clients)
    assert len(listener.made) == len(clients)
    for client in clients:
        client.close()


async def test_one_that_only_ends_its_request_is_begun_when_few_wait(listener):
    (client,) = connect(listener, 1)
    client.shutdown(socket.SHUT_WR)
    assert await greeting(client) == b"hello"
    client.close()


async def test_when_no_file_is_left_connections_wait_until_there_is(listener, monkeypatch):
    monkeypatch.setattr(accepting, "_RETRY_SECONDS", 0.01)
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["message"]))
    accept, failures = socket.socket.accept, [OSError(errno.EMFILE, "no file is left")] * 2

    def failing(listening):
        if failures:
            raise failures.pop()
        return accept(listening)

    monkeypatch.setattr(socket.socket, "accept", failing)
    (client,) = connect(listener, 1)
    assert await greeting(client) == b"hello"
    assert told == ["a connection could not be accepted"] * 2
    client.close()


async def test_those_that_were_accepted_before_no_file_was_left_are_begun(listener):
    """It is they that hold files, so that none would ever be left."""
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["message"]))
    accept, accepted = socket.socket.accept, []

    def accepting_few(listening):
        if len(accepted) >= 40:
            raise OSError(errno.EMFILE, "no file is left")
        accepted.append(accept(listening))
        return accepted[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket.socket, "accept", accepting_few)
        clients = connect(listener, 50)
        assert [await greeting(client) for client in clients[:40]] == [b"hello"] * 40
    assert await greeting(clients[-1]) == b"hello"
    assert set(told) == {"a connection could not be accepted"}
    for client in clients:
        client.close()


async def test_after_the_end_nothing_is_accepted_and_those_that_wait_are_closed(listener):
    waiting = connect(listener, 2)
    listener.close()
    for client in waiting:
        with pytest.raises(ConnectionResetError):
            client.recv(5)
        client.close()
    with pytest.raises(ConnectionRefusedError):
        connect(listener, 1)
    assert listener.made == []


@pytest.mark.parametrize("turns", range(4))
async def test_at_the_end_no_accepted_connection_is_left_open_in_whichever_turn_it_is(listener, turns):
    clients = connect(listener, 40)
    for _ in range(turns):  # they are accepted, their tasks made, begun, and ended
        await asyncio.sleep(0)
    accepted = [*listener._waiting, *listener._tasks.values()]
    listener.close()
    for _ in range(3):  # in which it ends what it has begun
        await asyncio.sleep(0)
    begun = {transport.get_extra_info("peername") for transport in listener.made}
    left = [each for each in accepted if each.fileno() >= 0 and each.getpeername() not in begun]
    assert left == []
    for client in clients:
        client.close()
