"""Which requests a service at a loopback address takes for its own, over raw sockets."""

from __future__ import annotations

import asyncio
import json

import pytest

from langcache.service import CacheConfig, LocalServer, ServerConfig
from langcache.service.hosts import AllowedHosts, is_loopback

OWN = CacheConfig(api_key="own-key")


async def exchange(server, head, body=b""):
    """Status and decoded body of the reply to this head, byte for byte."""
    port = int(server.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.replace("PORT", str(port)).encode("latin-1") + b"\r\n\r\n" + body)
        reply_head, _, content = (await asyncio.wait_for(reader.read(), 60)).partition(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
    assert b"access-control" not in reply_head.lower()
    return int(reply_head.split()[1]), json.loads(content) if content.startswith(b"{") else content


def health(server, *lines, target="/v1/caches/local/health", version="1.1"):
    key = f"Authorization: Bearer {server.api_key}"
    return "\r\n".join([f"GET {target} HTTP/{version}", *lines, key, "Connection: close"])


LOOPBACK = [
    *("localhost", "localhost:PORT", "LOCALHOST:PORT", "localhost.:PORT", "127.0.0.1:PORT", "127.0.0.1"),
    *("127.8.9.10:1", "[::1]:PORT", "[::1]", "[0:0:0:0:0:0:0:1]:PORT", "[::ffff:127.0.0.1]", "localhost:"),
]

FOREIGN = [
    *("evil.example", "evil.example:PORT", "localhost.evil.example", "127.0.0.1.evil.example:PORT", ""),
    *("127.0.0.1@evil.example", "evil.example@127.0.0.1:PORT", "localhost:80@evil.example", "192.168.1.5"),
    *(
        "10.0.0.1:PORT",
        "[2001:db8::1]",
        "0.0.0.0:PORT",
        "[::]",
        "localhost..",
        "notlocalhost",
        "sub.localhost",
    ),
    *("localhost/evil", "localhost evil", "localhost, evil.example", "localhost:99999999", "127.1", "::1"),
    *("2130706433", "0x7f.0.0.1", "localhost#", "localhost?", "http://localhost", "[::1", "loc\xe4lhost"),
]


@pytest.mark.parametrize("host", LOOPBACK)
async def test_a_loopback_name_is_answered(server, host):
    assert await exchange(server, health(server, f"Host: {host}")) == (200, {"status": "ok"})


@pytest.mark.parametrize("host", FOREIGN)
async def test_a_request_for_another_host_is_refused(server, host):
    status, problem = await exchange(server, health(server, f"Host: {host}"))
    assert (status, problem["status"]) == (421, 421)
    assert "allowed_hosts" in problem["detail"]


ORIGINS = {
    "http://localhost:3000": 200,
    "http://127.0.0.1:PORT": 200,
    "https://LOCALHOST": 200,
    "http://[::1]:8080": 200,
    "http://evil.example": 403,
    "https://evil.example:PORT": 403,
    "http://localhost.evil.example": 403,
    "http://localhost@evil.example": 403,
    "null": 403,
    "": 403,
    "file://": 403,
    "file://localhost": 403,
    "chrome-extension://localhost": 403,
    "localhost": 403,
    "http://localhost http://evil.example": 403,
}


@pytest.mark.parametrize(("origin", "expected"), ORIGINS.items())
async def test_a_web_page_of_another_host_is_refused(server, origin, expected):
    status, problem = await exchange(server, health(server, "Host: localhost:PORT", f"Origin: {origin}"))
    assert status == expected
    assert expected == 200 or problem["type"] == "/errors/insufficient-permissions"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Host: localhost", "Origin: http://localhost", "Origin: http://evil.example"], 403),
        (["Host: localhost", "Sec-Fetch-Site: cross-site"], 403),
        (["Host: localhost", "Sec-Fetch-Site: same-origin"], 200),
        (["Host: localhost", "Sec-Fetch-Site: none"], 200),
        # Two loopback names are two sites to a browser; the Origin says more.
        (["Host: 127.0.0.1", "Origin: http://localhost:3000", "Sec-Fetch-Site: cross-site"], 200),
        (["Host: evil.example", "X-Forwarded-Host: localhost"], 421),
        (["Host: evil.example", "Forwarded: host=localhost"], 421),
        (["Host: localhost", "X-Forwarded-Host: evil.example"], 200),
        (["Host: localhost", "Host: evil.example"], 400),
        (["Host: evil.example", "Host: localhost"], 400),
        ([], 400),
    ],
)
async def test_several_lines_are_judged_together(server, lines, expected):
    assert (await exchange(server, health(server, *lines)))[0] == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("http://localhost/health", 200),
        ("http://127.0.0.1:PORT/health", 200),
        ("http://evil.example/health", 421),
        ("http://localhost@evil.example/health", 421),
        ("http://evil.example:PORT/v1/caches/local/health", 421),
        ("//evil.example/health", 404),
    ],
)
async def test_a_host_in_the_first_line_counts_too(server, target, expected):
    assert (await exchange(server, health(server, "Host: localhost", target=target)))[0] == expected


async def test_a_request_without_a_host_is_refused(server):
    assert (await exchange(server, health(server, version="1.0")))[0] == 421
    assert (await exchange(server, health(server, "Host: localhost", version="1.0")))[0] == 200


ATTACKS = [
    ("POST /v1/caches/local/flush", b""),
    ("POST /v1/caches/local/entries", b'{"prompt": "p", "response": "poison"}'),
    ("POST /v1/caches/local/entries/search", b'{"prompt": "p"}'),
    ("DELETE /v1/caches/local/entries", b'{"attributes": {"topic": "t"}}'),
    ("GET /v1/caches/local/health", b""),
    ("GET /health", b""),
    ("GET /nothing", b""),
    ("PUT /v1/caches/local/entries", b""),
]


@pytest.mark.parametrize(
    ("line", "expected"),
    [("Host: evil.example", 421), ("Host: localhost\r\nOrigin: http://evil.example", 403)],
)
@pytest.mark.parametrize(("request_line", "body"), ATTACKS)
async def test_no_operation_is_open_to_a_web_page(api, server, request_line, body, line, expected):
    await api.set("p", "right", attributes={"topic": "t"})
    for key in (server.api_key, "wrong"):
        head = f"{request_line} HTTP/1.1\r\n{line}\r\nAuthorization: Bearer {key}\r\nConnection: close"
        status, _ = await exchange(server, f"{head}\r\nContent-Length: {len(body)}", body)
        assert status == expected
    (entry,) = await api.search("p", maxResults=9)
    assert entry["response"] == "right"


async def test_a_browser_that_asks_first_is_given_no_leave(server):
    lines = ["Host: localhost:PORT", "Origin: http://localhost:3000", "Connection: close"]
    lines += ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization"]
    for target in ("/v1/caches/local/entries", "*", "/health"):
        status, _ = await exchange(server, "\r\n".join([f"OPTIONS {target} HTTP/1.1", *lines]))
        assert status in (404, 405)


async def test_more_names_can_be_allowed(embedder):
    names = ("Cache.Example.", "192.168.1.5", "[fd00::1]")
    with LocalServer(allowed_hosts=names, embedder=embedder) as server:
        for host in ("cache.example", "CACHE.example.:PORT", "192.168.1.5:80", "[fd00:0::1]", "localhost"):
            assert (await exchange(server, health(server, f"Host: {host}")))[0] == 200
            origin = f"Origin: http://{host}"
            assert (await exchange(server, health(server, "Host: localhost", origin)))[0] == 200
        for host in ("example", "other.cache.example", "192.168.1.6"):
            assert (await exchange(server, health(server, f"Host: {host}")))[0] == 421


async def test_at_another_address_any_host_will_do_unless_there_are_names(embedder):
    """Its names can't be known there, and its key is no public one."""
    with LocalServer(host="0.0.0.0", api_key="own-key", embedder=embedder) as server:
        for host in ("localhost", "192.168.1.5:PORT", "cache.example", "anything"):
            assert (await exchange(server, health(server, f"Host: {host}")))[0] == 200
        own = ("Host: cache.example", "Origin: https://cache.example")
        assert (await exchange(server, health(server, *own)))[0] == 200
        for origin in ("https://evil.example", "null"):
            lines = ("Host: cache.example", f"Origin: {origin}")
            assert (await exchange(server, health(server, *lines)))[0] == 403
    settings = {"host": "0.0.0.0", "api_key": "own-key", "allowed_hosts": ["cache.example"]}
    with LocalServer(**settings, embedder=embedder) as server:
        for host, expected in (("cache.example", 200), ("localhost", 200), ("evil.example", 421)):
            assert (await exchange(server, health(server, f"Host: {host}")))[0] == expected


def test_the_host_that_was_configured_is_allowed():
    assert AllowedHosts("my-machine", ["x"])._allows("my-machine")
    assert is_loopback("localhost.")
    assert is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("0.0.0.0")


@pytest.mark.parametrize("names", ["cache.example", b"x", None, 3, [3], [None]])
def test_what_is_no_collection_of_names_is_refused(names):
    for make in (LocalServer, ServerConfig):
        with pytest.raises(TypeError, match=r"allowed_hosts: must be names, such as \('cache.example',\)"):
            make(allowed_hosts=names)


@pytest.mark.parametrize("name", ["", "a:80", "http://a", "a b", "a/b", "*", "*.example", "ä.example", "["])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match="allowed_hosts: must be names or addresses without a scheme"):
        ServerConfig(allowed_hosts=[name])
