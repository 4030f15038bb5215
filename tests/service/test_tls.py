"""The service over TLS."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import ssl
import subprocess
import sys

import aiohttp
import pytest
import trustme

from langcache import AsyncLangCache
from langcache.cli import main
from langcache.service import ServerConfig
from langcache.service.server import serving


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def issue(authority, tmp_path):
    """Puts a certificate in files, and gives its serial number."""

    def issue():
        made = authority.issue_cert("127.0.0.1", "localhost")
        made.private_key_pem.write_to_path(tmp_path / "key.pem")
        made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")

    issue()
    return issue


@pytest.fixture
def config(issue, tmp_path):
    return ServerConfig(tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem")


@pytest.fixture
def context(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def certificate_of(url, context):
    """The certificate that a new connection gets."""
    host, port = url.removeprefix("https://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.settimeout(60)
        with context.wrap_socket(raw, server_hostname=host) as wrapped:
            return wrapped.getpeercert(binary_form=True)


async def test_clients_are_answered_over_tls(config, embedder, context):
    async with serving(config, embedder) as running:
        assert running.url.startswith("https://127.0.0.1:")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            async with session.get(f"{running.url}/health/readiness") as reply:
                assert (reply.status, await reply.json()) == (200, {"status": "ok"})
            large = {"prompt": "p", "response": "r" * 1_000_000}
            key = {"Authorization": "Bearer langcache-local-key"}
            path = f"{running.url}/v1/caches/local/entries"
            async with session.post(path, json=large, headers=key) as reply:
                assert reply.status == 201
            async with session.post(f"{path}/search", json={"prompt": "p"}, headers=key) as reply:
                assert len((await reply.json())["data"][0]["response"]) == 1_000_000


async def test_the_certificate_is_exchanged_while_it_runs(config, issue, embedder, context, tmp_path, caplog):
    async with serving(config, embedder) as running:
        first = await asyncio.to_thread(certificate_of, running.url, context)
        issue()
        assert await asyncio.to_thread(certificate_of, running.url, context) == first
        running.reload()
        second = await asyncio.to_thread(certificate_of, running.url, context)
        assert second != first
        (tmp_path / "key.pem").write_text("nonsense")
        running.reload()
        assert "the certificate stays as it was: tls_cert: " in caplog.text
        assert await asyncio.to_thread(certificate_of, running.url, context) == second


async def test_who_does_not_speak_tls_disturbs_nobody(config, embedder, context):
    async with serving(config, embedder) as running:
        host, port = running.url.removeprefix("https://").split(":")
        with socket.create_connection((host, int(port))) as plain:
            plain.settimeout(60)
            plain.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with socket.create_connection((host, int(port))):  # and one that says nothing
                assert await asyncio.to_thread(certificate_of, running.url, context)
            assert not (await asyncio.to_thread(plain.recv, 4096)).startswith(b"HTTP")


async def test_those_that_begin_and_say_nothing_make_room_for_others(config, embedder, context):
    limited = ServerConfig(tls_cert=config.tls_cert, tls_key=config.tls_key, max_connections=3)
    async with serving(limited, embedder) as running:
        host, port = running.url.removeprefix("https://").split(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(10)]
        try:
            assert await asyncio.to_thread(certificate_of, running.url, context)
            silent[0].settimeout(60)
            assert await asyncio.to_thread(silent[0].recv, 1) == b"", "the oldest was ended"
        finally:
            for each in silent:
                each.close()


def files(tmp_path, issue):
    (tmp_path / "nonsense.pem").write_text("nonsense")
    (tmp_path / "locked.pem").write_bytes(
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    other = trustme.CA().issue_cert("127.0.0.1")
    other.private_key_pem.write_to_path(tmp_path / "other.pem")


@pytest.mark.parametrize(
    ("cert", "key", "reason"),
    [
        ("nowhere.pem", "key.pem", "--tls-cert: can't read '.*nowhere.pem': No such file"),
        ("cert.pem", "nowhere.pem", "--tls-key: can't read '.*nowhere.pem': No such file"),
        (".", "key.pem", "--tls-cert: can't read .*: Is a directory"),
        ("nonsense.pem", "key.pem", "--tls-cert: '.*nonsense.pem' and the key in '.*' can't be used: "),
        ("cert.pem", "nonsense.pem", "--tls-cert: '.*' and the key in '.*nonsense.pem' can't be used: "),
        ("cert.pem", "other.pem", "--tls-cert: .* can't be used: "),
        ("cert.pem", "locked.pem", "--tls-cert: .* can't be used: "),
        ("cert.pem", None, "--tls-cert: .* can't be used: "),
        (None, "key.pem", "--tls-key: is of no use without a certificate"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="other systems have other words")
def test_files_that_can_not_be_used_are_named(cert, key, reason, issue, tmp_path, capsys):
    files(tmp_path, issue)
    options = [*(("--tls-cert", str(tmp_path / cert)) if cert else ())]
    options += [*(("--tls-key", str(tmp_path / key)) if key else ())]
    assert main(["serve", "--port", "0", *options]) == 2
    errors = capsys.readouterr().err
    assert re.match(f"langcache: {reason}", errors)
    assert errors.count("\n") == 1


async def test_our_client_speaks_to_it(config, embedder, context):
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session, serving(config, embedder) as running:
        cache = AsyncLangCache(running.url, "langcache-local-key", "local", client=session)
        await cache.set(prompt="p", response="r")
        assert (await cache.search(prompt="p")).response == "r"


HUNG_UP = """
import os, signal, sys
from langcache.cli import main, serve
from langcache.service import MiniLMEmbedder

def after_hanging_up(function):
    def wrapped(*args):
        os.kill(os.getpid(), signal.SIGHUP)
        return function(*args)
    return wrapped

serve.plan_of = after_hanging_up(serve.plan_of)
MiniLMEmbedder.start = after_hanging_up(MiniLMEmbedder.start)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no such signal")
def test_a_service_that_is_told_to_read_its_files_again_while_it_starts_goes_on_and_does(issue, tmp_path):
    options = [
        *("--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem"),
        "--log-level",
        "info",
    ]
    with subprocess.Popen(
        [sys.executable, "-c", HUNG_UP, "serve", "--port", "0", *map(str, options)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline().startswith("LangCache at https://")
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "the certificate was read again" in errors
