"""Proxies that the environment names, over real sockets. The rules are tested in test_proxy_rules.py."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sys

import aiohttp
import pytest

from langcache import AsyncLangCache
from langcache.errors import ConnectError

FAR = "http://cache.invalid"

USER = "us%40er:hunt%2Fer2"
AUTHORIZATION = "Basic " + base64.b64encode(b"us@er:hunt/er2").decode()


class ForwardProxy:
    """Connects its clients with one service, whatever host they ask for; keeps what they ask."""

    def __init__(self, service):
        self.heads = []
        self._service_port = int(service.url.rpartition(":")[2].strip("/"))
        self._tasks = set()

    async def start(self, ssl=None):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=ssl)
        self.place = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def stop(self):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head.decode())
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._service_port)
            with contextlib.closing(up_writer):
                if head.startswith(b"CONNECT "):
                    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                else:
                    up_writer.write(head)
                await asyncio.gather(_copy(reader, up_writer), _copy(up_reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _copy(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.close()


@pytest.fixture
def start_proxy(server_loop):
    started = []

    def start(service, ssl=None):
        proxy = ForwardProxy(service)
        started.append(proxy)
        return asyncio.run_coroutine_threadsafe(proxy.start(ssl), server_loop).result()

    yield start
    for proxy in started:
        asyncio.run_coroutine_threadsafe(proxy.stop(), server_loop).result()


def everything_about(error):
    """The error and all that led to it, as they are shown anywhere."""
    while error is not None:
        yield f"{error} {error!r} {error.args!r} {vars(error)!r}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_a_proxy_of_the_environment_is_used(monkeypatch, connect, service, scheme):
    monkeypatch.setenv("HTTP_PROXY", scheme + service.url.removeprefix("http://").rstrip("/"))
    client = connect(server_url=FAR)
    await client.flush()
    await client.flush()
    assert [seen.headers["Host"] for seen in service.seen] == ["cache.invalid"] * 2
    assert service.seen[0].path.endswith("/v1/caches/c/flush")
    assert "Proxy-Authorization" not in service.seen[0].headers


async def test_a_proxy_for_plain_http_gets_user_and_password_with_each_request(monkeypatch, connect, service):
    monkeypatch.setenv("http_proxy", service.url.replace("http://", f"http://{USER}@"))
    client = connect(server_url=FAR)
    await client.set("Hi?", "!")
    await client.search("Hi?")
    assert [seen.headers.getall("Proxy-Authorization") for seen in service.seen] == [[AUTHORIZATION]] * 2
    assert service.seen[0].path.startswith("http://cache.invalid/v1/")


async def test_a_tunnel_to_a_service_that_speaks_tls(monkeypatch, connect, tls_service, start_proxy, key):
    proxy = start_proxy(tls_service)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{USER}@{proxy.place}")
    client = connect(server_url="https://cache.invalid")
    await client.set("Hi?", "!")
    await client.search("Hi?")
    assert len(proxy.heads) == 1, "the tunnel is used again"
    assert proxy.heads[0].startswith("CONNECT cache.invalid:443 HTTP/1.1\r\n")
    assert f"Proxy-Authorization: {AUTHORIZATION}\r\n" in proxy.heads[0]
    assert key not in proxy.heads[0]
    assert [seen.headers["Host"] for seen in tls_service.seen] == ["cache.invalid"] * 2
    assert not any("Proxy-Authorization" in seen.headers for seen in tls_service.seen)


async def test_a_proxy_that_speaks_tls(monkeypatch, connect, service, start_proxy, server_tls):
    proxy = start_proxy(service, server_tls)
    monkeypatch.setenv("ALL_PROXY", f"https://{USER}@{proxy.place}")
    await connect(server_url=FAR).flush()
    assert service.seen[0].headers["Proxy-Authorization"] == AUTHORIZATION


async def test_a_service_and_a_proxy_that_both_speak_tls(
    monkeypatch, connect, tls_service, start_proxy, server_tls
):
    proxy = start_proxy(tls_service, server_tls)
    monkeypatch.setenv("ALL_PROXY", f"https://{USER}@{proxy.place}")
    client = connect(server_url="https://cache.invalid")
    if sys.version_info < (3, 11):
        with pytest.raises(ConnectError, match=r"^ALL_PROXY: .* needs Python 3\.11"):
            await client.flush()
        assert proxy.heads == []
    else:
        await client.flush()
        await client.flush()
        assert len(proxy.heads) == 1
        assert len(tls_service.seen) == 2


async def test_a_host_that_the_environment_exempts_is_reached_directly(monkeypatch, connect, service):
    monkeypatch.setenv("HTTP_PROXY", service.url)
    monkeypatch.setenv("NO_PROXY", "cache.invalid:8080")
    with pytest.raises(ConnectError, match=r"cache\.invalid"):
        await connect(server_url=f"{FAR}:8080").flush()
    assert service.seen == []
    await connect(server_url=FAR).flush()
    assert len(service.seen) == 1


async def test_this_machine_is_reached_directly(monkeypatch, connect, service):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    await connect().flush()
    await connect(server_url=service.url.replace("127.0.0.1", "localhost")).flush()
    assert len(service.seen) == 2


async def test_a_session_of_ones_own_decides_about_proxies_itself(monkeypatch, service):
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:1")
    async with aiohttp.ClientSession() as session:
        await AsyncLangCache(service.url, "k", "c", session).flush()
    assert len(service.seen) == 1


async def test_the_environment_is_read_when_the_client_is_made(monkeypatch, connect, service):
    monkeypatch.setenv("HTTP_PROXY", service.url)
    client = connect(server_url=FAR)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    await client.flush()
    assert len(service.seen) == 1


async def test_a_proxy_that_nobody_runs_is_a_connect_error(monkeypatch, connect, lines):
    monkeypatch.setenv("ALL_PROXY", "http://user:hunter2@127.0.0.1:1")
    for url in (FAR, "https://cache.invalid"):
        with pytest.raises(ConnectError, match="no connection to the service") as raised:
            await connect(server_url=url, debug_logger=lines).flush()
        assert "hunter2" not in " ".join([*everything_about(raised.value), *lines])


async def test_a_proxy_that_refuses_is_a_connect_error_without_its_password(monkeypatch, connect, service):
    service.hangs_up(b"HTTP/1.1 407 Who are you?\r\nContent-Length: 0\r\n\r\n")
    proxy = service.url.replace("http://", "http://user:hunter2@")
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConnectError, match=r"the proxy answered 407 Who are you\?") as raised:
        await connect(server_url="https://cache.invalid").flush()
    assert "hunter2" not in " ".join(everything_about(raised.value))
    assert "Basic" not in " ".join(everything_about(raised.value))


REFUSED = {
    "SOCKS": "socks5://user:hunter2@{place}",
    "SOCKS without a user": "socks5h://{place}",
    "a # in the password": "http://user:hunter2#@{place}",
    "a / in the password": "http://user:hunter2/@{place}",
    "a ? in the password": "http://user:hunter2?@{place}",
    "no port": "http://user:hunter2@{place}x",
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("url", [FAR, "https://cache.invalid"])
async def test_what_is_no_http_proxy_is_refused_before_anything_is_sent(
    monkeypatch, connect, service, start_proxy, lines, value, url
):
    proxy = start_proxy(service)
    monkeypatch.setenv("ALL_PROXY", value.format(place=proxy.place))
    with pytest.raises(ConnectError, match=r"^ALL_PROXY: ") as raised:
        await connect(server_url=url, debug_logger=lines).set("Hi?", "!")
    assert proxy.heads == service.seen == []
    assert "hunter2" not in " ".join([*everything_about(raised.value), *lines])
    assert "ConnectError" in lines[-1]


@pytest.mark.parametrize("password", ["hunt@er2", "hunt[er2", "hunt]er2", "hunt%er2", "hunt er2"])
async def test_what_is_clear_without_percent_encoding_is_understood(monkeypatch, connect, service, password):
    monkeypatch.setenv("HTTP_PROXY", service.url.replace("http://", f"http://user:{password}@"))
    await connect(server_url=FAR).flush()
    sent = service.seen[0].headers["Proxy-Authorization"].partition(" ")[2]
    assert base64.b64decode(sent).decode() == f"user:{password}"
