"""Proxies that the environment names. The scripted service plays the proxy."""

from __future__ import annotations

import aiohttp
import pytest

from langcache import AsyncLangCache
from langcache.errors import ConnectError

FAR = "http://cache.invalid"


@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_a_proxy_of_the_environment_is_used(monkeypatch, connect, service, scheme):
    monkeypatch.setenv("HTTP_PROXY", scheme + service.url.removeprefix("http://").rstrip("/"))
    client = connect(server_url=FAR)
    await client.flush()
    await client.flush()
    assert [seen.headers["Host"] for seen in service.seen] == ["cache.invalid"] * 2
    assert service.seen[0].path.endswith("/v1/caches/c/flush")


async def test_a_host_that_the_environment_exempts_is_reached_directly(monkeypatch, connect, service):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    await connect().flush()
    assert len(service.seen) == 1


async def test_a_session_of_ones_own_decides_about_proxies_itself(monkeypatch, service):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with aiohttp.ClientSession() as session:
        await AsyncLangCache(service.url, "k", "c", session).flush()
    assert len(service.seen) == 1


async def test_a_proxy_that_nobody_runs_is_a_connect_error(monkeypatch, connect):
    monkeypatch.setenv("HTTP_PROXY", "http://user:hunter2@127.0.0.1:1")
    with pytest.raises(ConnectError, match="no connection to the service") as raised:
        await connect(server_url=FAR).flush()
    assert "hunter2" not in str(raised.value)


async def test_a_proxy_that_refuses_is_a_connect_error_without_its_password(monkeypatch, connect, service):
    service.hangs_up(b"HTTP/1.1 407 Who are you?\r\nContent-Length: 0\r\n\r\n")
    proxy = service.url.replace("http://", "http://user:hunter2@")
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConnectError, match=r"the proxy answered 407 Who are you\?") as raised:
        await connect(server_url="https://cache.invalid").flush()
    assert "hunter2" not in str(raised.value) + repr(raised.value.__cause__)
    assert "Basic" not in repr(raised.value.__cause__)
