"""The proxy, and servers of aiohttp for tests: what they leave behind."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import warnings
from collections.abc import Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from .proxy import FaultProxy, Wire


def just_connects(proxy: FaultProxy, connection: socket.socket) -> list[socket.socket]:
    """The event loop accepts these in the turn in which it is told to stop."""
    stopping = threading.Event()
    proxy._loop.call_soon_threadsafe(stopping.wait, 60)
    threading.Timer(0.2, stopping.set).start()  # by then the proxy is told to stop
    return [socket.create_connection(connection.getpeername()) for _ in range(20)]


def sends_half_a_request(proxy: FaultProxy, connection: socket.socket) -> list[socket.socket]:
    connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    return []


def reads_nothing(proxy: FaultProxy, connection: socket.socket) -> list[socket.socket]:
    sending = threading.Event()

    async def send(wire: Wire) -> None:
        sending.set()
        await wire.send(b"x" * (1 << 24))

    proxy.pick = lambda wire: send
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert sending.wait(60)
    return []


@pytest.mark.parametrize(
    "client", [just_connects, sends_half_a_request, reads_nothing], ids=lambda client: client.__name__
)
def test_whatever_its_clients_do_the_proxy_leaves_no_socket_open(
    client: Callable[[FaultProxy, socket.socket], list[socket.socket]],
) -> None:
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        with FaultProxy("http://127.0.0.1:9") as proxy:
            port = int(proxy.url.rpartition(":")[2])
            ours = [socket.create_connection(("127.0.0.1", port))]
            ours += client(proxy, ours[0])
        for each in ours:
            each.close()
        del proxy
        gc.collect()
    assert [str(each.message) for each in left if "unclosed" in str(each.message)] == []


@pytest.mark.parametrize("turns", range(5))
def test_in_whichever_turn_a_server_for_tests_is_closed_it_leaves_no_socket_open(turns: int) -> None:
    async def close_while_clients_connect() -> list[socket.socket]:
        async with TestServer(web.Application()) as server:
            ours = [socket.create_connection(("127.0.0.1", server.port or 0)) for _ in range(20)]
            for _ in range(turns):
                await asyncio.sleep(0)
        return ours

    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        for each in asyncio.run(close_while_clients_connect()):
            each.close()
        gc.collect()
    assert [str(each.message) for each in left if "unclosed" in str(each.message)] == []
