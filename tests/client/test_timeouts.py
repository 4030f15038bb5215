"""What is cut off in time, what is cancelled, and that the client lives on."""

from __future__ import annotations

import asyncio
import socket

import pytest

from langcache import AsyncLangCache, LangCache
from langcache.errors import TimeoutException


async def test_a_stalling_service_ends_in_a_timeout(connect, service):
    client = connect(timeout_ms=2_000)
    await client.flush()  # makes the connection, which is not to be a part of the wait
    service.stalls()
    with pytest.raises(TimeoutException, match=r"no reply from the service within 2 s") as raised:
        await client.flush()
    assert isinstance(raised.value, TimeoutError)
    await service.is_left()


async def test_a_body_that_never_ends_ends_in_a_timeout(connect, service, server_loop):
    async def drip(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.005)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def start():
        return await asyncio.start_server(drip, "127.0.0.1", 0)

    server = asyncio.run_coroutine_threadsafe(start(), server_loop).result()
    host, port = server.sockets[0].getsockname()
    try:
        for timeout_ms in (500, 5_000, 60_000):
            with pytest.raises(TimeoutException) as raised:
                await connect(server_url=f"http://{host}:{port}", timeout_ms=timeout_ms).flush()
            if raised.value.status_code:  # else a busy machine took all that time for the status
                break
        assert raised.value.status_code == 200
    finally:
        server_loop.call_soon_threadsafe(server.close)


async def test_a_call_may_have_a_timeout_of_its_own(connect, service):
    client = connect(timeout_ms=60_000)
    await client.flush()  # makes the connection, so that the request is sent at once
    service.stalls()
    with pytest.raises(TimeoutException):
        await client.search("Hi?", timeout_ms=2_000)
    await service.has_requests(2)
    assert (await client.search("Hi?")).tries == 1


async def test_a_server_that_accepts_nothing_ends_in_a_timeout(connect):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        host, port = deaf.getsockname()
        with pytest.raises(TimeoutException):
            await connect(server_url=f"http://{host}:{port}", timeout_ms=100).flush()


async def test_tls_without_an_answer_ends_in_a_timeout(connect):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        host, port = deaf.getsockname()
        with pytest.raises(TimeoutException):
            await connect(server_url=f"https://{host}:{port}", timeout_ms=100).flush()


@pytest.mark.parametrize("kind", [AsyncLangCache, LangCache])
async def test_a_cancelled_call_closes_its_connection_and_the_client_lives_on(service, kind):
    async with kind(service.url, "k", "c") as client:
        search = client.search if kind is AsyncLangCache else client.search_async
        service.stalls()
        call = asyncio.create_task(search("Hi?"))
        await service.has_requests()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await service.is_left()
        assert (await search("Hi?")).tries == 1


async def test_many_calls_at_once_of_which_some_are_cancelled(service):
    for _ in range(10):
        service.stalls()
    async with AsyncLangCache(service.url, "k", "c") as client:
        calls = [asyncio.create_task(client.search(f"{number}?")) for number in range(10)]
        await service.has_requests(10)
        for call in calls:
            call.cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        assert all(result.tries == 1 for result in await asyncio.gather(*map(client.search, "abcdefghij")))


async def test_a_wait_for_a_connection_that_never_comes_free_ends_in_a_timeout(service, monkeypatch):
    monkeypatch.setattr("langcache._call.connections._POOL_SIZE", 1)
    service.stalls()
    async with AsyncLangCache(service.url, "key", "cache") as client:
        holding = asyncio.create_task(client.flush())
        await service.has_requests()
        with pytest.raises(TimeoutException, match=r"no connection came free within 0\.02 s"):
            await client.flush(timeout_ms=20)
        holding.cancel()
        await service.is_left()
