"""What the service tells of requests: ids, log lines and figures; never a prompt, a response or a key."""

from __future__ import annotations

import io
import json
import logging
import re
import struct
import subprocess
import sys
from contextlib import contextmanager

import pytest

from langcache.service import CacheConfig, ServerConfig
from langcache.service.logs import _ID, set_up
from langcache.service.server import serving

pytest.importorskip("prometheus_client")

SECRETS = ("hunter2", "metrics-hunter2", "the secret prompt", "the secret response", "secret-attribute")


@contextmanager
def log_of(form, level):
    """What is logged to stderr."""
    root, ours = logging.getLogger(), logging.getLogger("langcache")
    before = root.handlers[:], root.level, ours.level
    lines = io.StringIO()
    stderr, sys.stderr = sys.stderr, lines
    try:
        set_up(form, level)
        yield lines
    finally:
        sys.stderr = stderr
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])
        logging.captureWarnings(False)


@pytest.fixture
async def url(embedder):
    cache = CacheConfig(cache_id="c", api_key="hunter2", attributes=("topic",))
    async with serving(ServerConfig(caches=(cache,), metrics_key="metrics-hunter2"), embedder) as running:
        yield running.url


@pytest.fixture
def ask(url, session):
    async def ask(method, path, body=None, key="hunter2", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            named["Authorization"] = f"Bearer {key}"
        async with session.request(method, url + path, json=body, headers=named) as reply:
            return reply, await reply.text()

    return ask


async def some_requests(ask):
    entry = {"prompt": "the secret prompt", "response": "the secret response"}
    entry["attributes"] = {"topic": "secret-attribute"}
    await ask("POST", "/v1/caches/c/entries", entry)
    await ask("POST", "/v1/caches/c/entries/search", {"prompt": "the secret prompt"})
    await ask("POST", "/v1/caches/c/entries/search", {"prompt": "the secret prompt @90"})
    await ask("POST", "/v1/caches/c/entries/search", {"prompt": "the secret prompt"}, key="hunter2-not")
    await ask("POST", "/v1/caches/hunter2/entries/search", {"prompt": "the secret prompt"})
    await ask("DELETE", "/v1/caches/c/entries/hunter2")
    await ask("GET", "/hunter2")
    await ask("PUT", "/v1/caches/c/entries", {"prompt": 5})
    await ask("POST", "/v1/caches/c/entries", {"prompt": 5})


@pytest.mark.parametrize("given", ["a", "0af7651916cd43dd8448eb211c80319c", "x-1:2/3=4+5@6._7", "a" * 128])
async def test_a_well_formed_id_is_kept(given, ask):
    reply, _ = await ask("GET", "/health", X_Request_ID=given)
    assert reply.headers.getall("X-Request-ID") == [given]


@pytest.mark.parametrize("given", ["", " ", "a b", "-a", "a" * 129, "é", 'a"b', "a;b", "{}", "a\tb", "a,b"])
async def test_another_gets_a_new_one(given, ask):
    reply, _ = await ask("GET", "/health", X_Request_ID=given)
    assert re.fullmatch("[0-9a-f]{32}", reply.headers["X-Request-ID"])


def test_no_line_end_is_part_of_an_id():
    assert not _ID.fullmatch("a\n")
    assert not _ID.fullmatch("a\r\nb")


async def test_each_reply_has_an_id_errors_too(ask):
    ids = set()
    for method, path, key in [
        ("GET", "/health", None),
        ("GET", "/nowhere", None),
        ("PUT", "/health", None),
        ("GET", "/v1/caches/c/health", "wrong"),
        ("GET", "/v1/caches/d/health", "hunter2"),
        ("POST", "/v1/caches/c/entries", "hunter2"),
    ]:
        reply, _ = await ask(method, path, key=key)
        ids.add(reply.headers["X-Request-ID"])
    assert len(ids) == 6


@pytest.mark.parametrize("form", ["json", "text"])
async def test_the_log_has_every_request_and_no_secret(form, ask):
    with log_of(form, "debug") as lines:
        await some_requests(ask)
        logged = lines.getvalue()
    for secret in SECRETS:
        assert secret not in logged
    if form == "text":
        assert re.search(r"INFO langcache\.service\.requests request operation=search status=200 ms=", logged)
        return
    found = [json.loads(line) for line in logged.splitlines()]
    ours = [each for each in found if each["logger"] == "langcache.service.requests"]
    assert [(each["operation"], each["status"], each.get("cache"), each.get("found")) for each in ours] == [
        ("set_entry", 201, "c", None),
        ("search", 200, "c", 1),
        ("search", 200, "c", 0),
        ("search", 401, None, None),
        ("search", 404, None, None),
        ("delete_by_id", 404, None, None),
        ("none", 404, None, None),
        ("none", 405, None, None),
        ("set_entry", 400, "c", None),
    ]
    assert len({each["request_id"] for each in ours}) == len(ours)
    for each in ours:
        assert {
            "time",
            "level",
            "logger",
            "process",
            "message",
            "request_id",
            "operation",
            "ms",
        } <= each.keys()


async def test_a_failure_is_logged_with_the_id_of_its_request(ask, embedder):
    from langcache.service import EmbedderError

    embedder.failure = EmbedderError("no model today")
    with log_of("json", "warning") as lines:
        reply, _ = await ask("POST", "/v1/caches/c/entries/search", {"prompt": "p"}, X_Request_ID="me-1")
        (line,) = map(json.loads, lines.getvalue().splitlines())
    assert reply.status == 424
    assert line["request_id"] == "me-1"
    assert "no model today" in line["message"]
    embedder.failure = RuntimeError("boom")
    with log_of("json", "warning") as lines:
        await ask("POST", "/v1/caches/c/entries/search", {"prompt": "p"}, X_Request_ID="me-2")
        (line,) = map(json.loads, lines.getvalue().splitlines())
    assert line["request_id"] == "me-2"
    assert "RuntimeError: boom" in line["exception"]


async def test_the_figures_are_right_and_have_no_secret(ask):
    await some_requests(ask)
    reply, text = await ask("GET", "/metrics", key="metrics-hunter2")
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/plain; version=")
    figures = dict(re.findall(r"^(\S+(?:\{.*\})?) (\S+)$", text, re.MULTILINE))
    assert figures['langcache_requests_total{operation="search",status="200"}'] == "2.0"
    assert figures['langcache_requests_total{operation="search",status="401"}'] == "1.0"
    assert figures['langcache_requests_total{operation="none",status="404"}'] == "1.0"
    assert figures['langcache_searches_total{cache="c",result="hit"}'] == "1.0"
    assert figures['langcache_searches_total{cache="c",result="miss"}'] == "1.0"
    assert figures['langcache_request_seconds_count{operation="search"}'] == "4.0"
    assert figures["langcache_requests_under_way"] == "1.0", "this one"
    for secret in SECRETS:
        assert secret not in text


@pytest.mark.parametrize(("failures", "status"), [(2, 200), (1000, 503)])
async def test_the_figures_wait_for_a_process_that_is_about_to_begin_its_file(
    ask, monkeypatch, failures, status
):
    from langcache.service import metrics

    left = iter([True] * failures)
    generate = metrics.generate_latest

    def begun(registry):
        if next(left, False):
            raise struct.error("unpack_from requires a buffer of at least 4 bytes")
        return generate(registry)

    monkeypatch.setattr(metrics, "generate_latest", begun)
    monkeypatch.setattr(metrics, "_PAUSE_SECONDS", 0.001)
    reply, _ = await ask("GET", "/metrics", key="metrics-hunter2")
    assert reply.status == status


@pytest.mark.parametrize("key", ["hunter2", "wrong", None, "metrics-hunter", "metrics-hunter2x"])
async def test_other_keys_do_not_read_the_figures(key, ask):
    reply, text = await ask("GET", "/metrics", key=key)
    assert reply.status == 401
    assert "langcache_" not in text


async def test_without_the_setting_there_are_none_and_with_it_alone_all_may_read_them(embedder, session):
    for setting, status in ((False, 404), (True, 200)):
        async with serving(ServerConfig(metrics=setting), embedder) as running:
            reply = await session.get(f"{running.url}/metrics")
            assert reply.status == status


def test_caches_that_come_and_go_do_not_make_the_figures_grow_without_end(monkeypatch):
    from langcache.service import metrics

    monkeypatch.setattr(metrics, "_MOST_CACHES", 2)
    figures = metrics.Metrics()
    for number in (0, 1, 2, 3, 0):
        figures.searched(f"cache-{number}", True)
    text = metrics.generate_latest(figures._collected()).decode()
    counts = re.findall(r'langcache_searches_total\{cache="(.*)",result="hit"\} (.*)', text)
    assert dict(counts) == {"cache-0": "2.0", "cache-1": "1.0", "other": "2.0"}


async def test_two_services_of_a_process_count_apart(embedder, session):
    config = ServerConfig(metrics=True)
    async with serving(config, embedder) as one, serving(config, embedder) as other:
        for _ in range(3):
            await session.get(f"{one.url}/health")
        reply = await session.get(f"{other.url}/metrics")
        assert 'operation="alive"' not in await reply.text()


def test_keys_are_not_in_the_representation_of_the_settings():
    config = ServerConfig(caches=(CacheConfig(api_key="hunter2"),), metrics_key="metrics-hunter2")
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"metrics_key": ""}, "metrics_key: is empty"),
        ({"metrics_key": "a b"}, "metrics_key: has a character that no key has"),
        ({"metrics_key": 5}, "metrics_key: must be"),
        ({"metrics_key": "langcache-local-key"}, "metrics_key: must be another key"),
        ({"tls_key": "k.pem"}, "tls_key: is of no use without a certificate"),
    ],
)
def test_settings_that_are_not_possible(settings, reason):
    with pytest.raises((ValueError, TypeError), match=reason):
        ServerConfig(**settings)


def test_without_the_extra_it_says_how_to_install_it():
    code = (
        "import sys; sys.modules['prometheus_client'] = None; "
        "from langcache.cli import main; sys.exit(main(['serve', '--port', '0', '--metrics']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "pip install '.[metrics]'" in done.stderr
    assert done.stderr.count("\n") == 1
