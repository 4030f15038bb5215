"""What the constructors take, from where, and what they refuse."""

from __future__ import annotations

import inspect
import logging
import sys
import traceback
from decimal import Decimal

import aiohttp
import pytest

from langcache import AsyncLangCache, BackoffStrategy, LangCache, LimitError, Limits, RetryConfig
from langcache.errors import ConnectError

CLIENTS = pytest.mark.parametrize("client", [AsyncLangCache, LangCache])
VARIABLES = {
    "server_url": "LANGCACHE_SERVER_URL",
    "api_key": "LANGCACHE_API_KEY",
    "cache_id": "LANGCACHE_CACHE_ID",
}


def test_the_positional_order_is_that_of_existing_programs():
    expected = ["server_url", "api_key", "cache_id", "client", "retry_config", "timeout_ms", "debug_logger"]
    assert positional(AsyncLangCache) == expected
    assert positional(LangCache) == [*expected[:4], "async_client", *expected[4:]]


def positional(client):
    parameters = inspect.signature(client).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]


@CLIENTS
def test_what_is_not_given_comes_from_the_environment(monkeypatch, client):
    monkeypatch.setenv("LANGCACHE_SERVER_URL", "env.example")
    monkeypatch.setenv("LANGCACHE_API_KEY", "k")
    monkeypatch.setenv("LANGCACHE_CACHE_ID", "env-cache")
    assert repr(client()) == f"<{client.__name__} https://env.example/v1/caches/env-cache/>"
    assert "https://mine.example/v1/caches/env-cache/" in repr(client("mine.example"))


async def test_a_key_from_the_environment_is_sent(monkeypatch, connect, service):
    monkeypatch.setenv("LANGCACHE_API_KEY", "env-key")
    await connect(api_key=None).flush()
    assert service.seen[0].headers["Authorization"] == "Bearer env-key"


async def test_white_space_around_a_variable_is_no_part_of_it(monkeypatch, connect, service):
    monkeypatch.setenv("LANGCACHE_API_KEY", "env-key\n")
    monkeypatch.setenv("LANGCACHE_CACHE_ID", " env-cache\r\n")
    await connect(api_key=None, cache_id=None).flush()
    assert service.seen[0].headers["Authorization"] == "Bearer env-key"
    assert service.seen[0].path == "/v1/caches/env-cache/flush"


@CLIENTS
@pytest.mark.parametrize("missing", VARIABLES)
@pytest.mark.parametrize("variable", [None, "", " \n"])
def test_what_is_missing_is_named_with_its_variable(monkeypatch, client, missing, variable):
    if variable is not None:
        monkeypatch.setenv(VARIABLES[missing], variable)
    arguments = {"server_url": "cache.example", "api_key": "k", "cache_id": "c", missing: None}
    with pytest.raises(
        ValueError, match=f"{missing}: is missing; pass {missing}= or set {VARIABLES[missing]}"
    ):
        client(**arguments)


@CLIENTS
@pytest.mark.parametrize("given", [set(), {"api_key"}, {"server_url"}, {"cache_id"}])
def test_all_that_is_missing_is_named_at_once(client, given):
    arguments = {"server_url": "cache.example", "api_key": "the-key-itself", "cache_id": "c"}
    with pytest.raises(ValueError, match="is missing") as raised:
        client(**{name: value for name, value in arguments.items() if name in given})
    for name, variable in VARIABLES.items():
        line = f"{name}: is missing; pass {name}= or set {variable}"
        assert (line in str(raised.value)) is (name not in given)
    assert ("python -m langcache serve" in str(raised.value)) is (not given)
    assert "the-key-itself" not in str(raised.value)


@CLIENTS
@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("server_url", "http://", ValueError),
        ("server_url", 7, TypeError),
        ("api_key", "", ValueError),
        ("api_key", b"k", TypeError),
        ("cache_id", "", LimitError),
        ("cache_id", "..", LimitError),
        ("cache_id", "c/flush", LimitError),
        ("timeout_ms", 0, ValueError),
        ("timeout_ms", -1, ValueError),
        ("timeout_ms", float("nan"), ValueError),
        ("timeout_ms", float("inf"), ValueError),
        ("timeout_ms", 10**400, ValueError),
        ("timeout_ms", "100", TypeError),
        ("timeout_ms", True, TypeError),
        ("retry_config", {"strategy": "backoff"}, TypeError),
        ("retry_config", BackoffStrategy(1, 1, 1, 1), TypeError),
        ("client", object(), TypeError),
        ("debug_logger", print, TypeError),
        ("limits", 1024, TypeError),
        ("aside", {"on_error": "raise"}, TypeError),
        ("telemetry", True, TypeError),
    ],
)
def test_what_makes_no_sense_fails_at_construction_and_is_named(client, argument, value, error):
    arguments = {"server_url": "cache.example", "api_key": "k", "cache_id": "c", argument: value}
    with pytest.raises(error, match=rf"^{argument}: "):
        client(**arguments)


@CLIENTS
def test_a_timeout_is_a_number_of_any_kind(client):
    assert client("cache.example", "k", "c", timeout_ms=Decimal("1500"))


class Tenant(AsyncLangCache):
    """A client of a program's own."""

    def __init__(self, *args, tenant, **kwargs):
        super().__init__(*args, **kwargs)
        self.tenant = tenant

    async def search(self, prompt, **options):
        return await super().search(prompt, attributes={"tenant": self.tenant}, **options)


async def test_a_subclass_may_add_to_what_an_operation_does(service):
    async with Tenant(service.url, "k", "c", tenant="acme") as client:
        service.replies(200, {"data": []})
        assert not await client.search("Hi?")
        assert client.tenant == "acme"
    assert service.seen[0].json == {"prompt": "Hi?", "attributes": {"tenant": "acme"}}


@CLIENTS
def test_the_key_is_not_in_the_representation(client):
    assert "hunter2" not in repr(client("cache.example", "hunter2", "c"))


async def test_a_traceback_with_local_variables_does_not_show_the_key():
    client = AsyncLangCache("http://127.0.0.1:1", "hunter2", "c")
    with pytest.raises(ConnectError) as raised:
        await client.search("p")
    frames = traceback.walk_tb(raised.value.__traceback__)
    shown = [repr(frame.f_locals) for frame, _ in frames if frame.f_code is not sys._getframe().f_code]
    assert any("'Authorization': '***'" in each for each in shown)
    assert not any("hunter2" in each for each in shown)


async def test_the_environment_turns_debugging_on(monkeypatch, connect, service, caplog, key):
    monkeypatch.setenv("LANGCACHE_DEBUG", "1")
    caplog.set_level(logging.DEBUG, "langcache")
    await connect().flush()
    assert [record.name for record in caplog.records if "/flush (try 1)" in record.getMessage()] == [
        "langcache"
    ] * 2
    assert key not in caplog.text


async def test_limits_of_your_own_take_effect(connect, service):
    with pytest.raises(LimitError):
        await connect().search("x" * 2000)
    await connect(limits=Limits(prompt_chars=None)).search("x" * 2000)
    assert len(service.seen) == 1


async def test_a_retry_config_may_be_none(connect, service):
    for config in (None, RetryConfig("none")):
        await connect(retry_config=config).flush()
    assert len(service.seen) == 2


async def test_a_session_for_blocking_calls_is_refused_with_a_way_out():
    async with aiohttp.ClientSession() as session:
        with pytest.raises(TypeError, match=r"client=aiohttp\.ClientSession"):
            LangCache("cache.example", "k", "c", session)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_refused_connection_to_this_machine_asks_whether_the_service_runs(host, unused_tcp_port):
    async with AsyncLangCache(f"http://{host}:{unused_tcp_port}", "k", "c") as cache:
        with pytest.raises(ConnectError, match=r"does the service run there\? python -m langcache serve"):
            await cache.flush(timeout_ms=60_000)
