"""No message, log, repr, pickle, traceback or span has a secret, whatever the network does with it."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import traceback
from typing import Any
from urllib.parse import quote, unquote

import aiohttp
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langcache import AsyncLangCache, LangCache, Limits
from langcache.errors import ConnectError, LangCacheError, ResponseValidationError, TimeoutException
from langcache.telemetry import Telemetry

from .conftest import OPERATIONS, settle
from .proxy import FaultProxy
from .table import CHUNKED, GZIP, head, reply, sends, sends_and_closes, sends_and_resets, sends_and_stalls

pytestmark = pytest.mark.filterwarnings("ignore:LangCache.* blocks the running event loop:RuntimeWarning")

KEY = "sk-live_0123456789/abc+def"
keys = (
    st.text([chr(code) for code in range(0x21, 0x7F)], min_size=6, max_size=38)
    .filter(lambda text: len(set(text)) > 5)
    .map("9~{}".format)  # or Hypothesis tries a word of the program, which every traceback has
)


def in_json(key: str) -> bytes:
    return json.dumps(
        {"title": "no", "detail": f"the key {key} is wrong", "fields": [{"message": key}]}
    ).encode()


def faults(key: str, sends=sends):
    """What a service, or something in front of it, may do with the key that it was sent."""
    raw = key.encode()
    good = {"data": [], "actualPrompt": key, "entryId": key, "deletedEntriesCount": 1}
    unauthorized = "401 Unauthorized"
    yield "a problem", sends(reply(in_json(key), status=unauthorized))
    yield "a page", sends(reply(b"<p>No " + raw, status="502 Bad", kind="text/html"))
    yield "escapes", sends(reply(in_json(key).replace(b"/", rb"\/"), status=unauthorized))
    yield "a URL", sends(reply(quote(key, safe="").encode(), status="404 Not Found", kind="text/plain"))
    yield "Basic", sends(reply(base64.b64encode(b"user:" + raw), status=unauthorized, kind="text/plain"))
    yield (
        "another charset",
        sends(reply(key.encode("utf-16"), status=unauthorized, kind="text/plain; charset=utf-16")),
    )
    yield (
        "a charset that changes all",
        sends(reply(raw, status=unauthorized, kind="text/plain; charset=utf-7")),
    )
    yield "its end cut off", sends(reply(b"x" * (65536 - len(raw) // 2) + raw * 99, status=unauthorized))
    yield "a header", sends(reply(b"", f"X-Seen: Bearer {key}", status=unauthorized))
    yield "a redirect", sends(reply(b"", f"Location: /login?key={key}", status="307 Temporary Redirect"))
    yield (
        "an escaped redirect",
        sends(reply(b"", f"Location: /?key={quote(key, safe='')}", status="307 Temporary Redirect")),
    )
    yield "a reason", sends(reply(b"", status=f"401 {key}"))
    yield "a success that is text", sends(reply(b"Bearer " + raw))
    yield "a success that is cut short", sends(reply(json.dumps(good).encode()[:-1]))
    yield "a success of another shape", sends(reply(json.dumps([key, {"data": key}]).encode()))
    yield (
        "a success that is not UTF-8",
        sends(reply(b'{"entryId":"\xff%b","data":"\xff%b"}' % (raw, raw))),
    )
    yield "a success that is too large", sends(reply(raw + b" " * 9000))
    yield "a status line", sends(f"HTTP/1.1 {key}\r\n\r\n".encode())
    yield "no HTTP", sends(raw + b"\r\n\r\n")
    yield "half of it and no HTTP", sends(raw[: len(raw) // 2] + b"\x00\r\n\r\n")
    yield "a header without a name", sends(head("X: y", f"Bearer {key}", f": {key}"))
    yield "a NUL in a header", sends(head(f"X-Seen: {key}\0"))
    yield "a header that is too long", sends(head(f"X-Seen: {key}" + "x" * 10_000))
    yield "a length", sends(head(f"Content-Length: {key}"))
    yield "two lengths", sends(head("Content-Length: 3", f"Content-Length: {key}"))
    yield "chunks", sends(head(CHUNKED) + raw + b"\r\n")
    yield "chunk extensions", sends(head(CHUNKED) + b"3;" + raw + b"\n\r\n")
    yield "a trailer", sends(head(CHUNKED, status=unauthorized) + b"0\r\n" + raw + b"\r\n\r\n")
    yield "an encoding", sends(reply(raw, GZIP))
    yield "the name of an encoding", sends(reply(b"x", f"Content-Encoding: {key}"))
    yield "headers and the end", sends_and_closes(head(f"X-Seen: {key}", f"X-Too: {key}")[:-6])
    yield "headers and a reset", sends_and_resets(head(f"X-Seen: {key}", "Content-Length: 9") + raw)
    yield "headers and nothing more", sends_and_stalls(head(f"X-Seen: {key}", "Content-Length: 99") + raw)


FAULTS = [what for what, _ in faults(KEY)]


class Lines(list):
    def debug(self, msg: str, *args: object) -> None:
        self.append(msg % args if args else msg)


def chain(error: BaseException | None):
    while error is not None:
        yield error
        if error.__context__ is not None and error.__context__ is not error.__cause__:
            yield from chain(error.__context__)
        error = error.__cause__


def told(error: BaseException) -> str:
    """All that an error can tell to a log, or to a tool that shows the local variables of its frames."""
    said: list[object] = list(traceback.format_exception(error))
    for each in chain(error):
        said += [str(each), repr(each), each.args, vars(each)]
        for frame, _ in traceback.walk_tb(each.__traceback__):
            if "/tests/" not in frame.f_code.co_filename:
                said.append(dict(frame.f_locals))
    if isinstance(error, LangCacheError):
        twin = pickle.loads(pickle.dumps(error))
        for each in (error, twin):
            said += [each.message, each.body, each.data, dict(each.headers), each.raw_response]
            said += [each.raw_response.content] if each.raw_response else []
        said.append(pickle.dumps(error, 0).decode("latin-1"))
    return "\n".join(each if isinstance(each, str) else repr(each) for each in said)


def around(form: str, text: str) -> str:
    at = text.find(form)
    return text[max(at - 300, 0) : at + 100]


def traces(secret: str, text: str) -> list[str]:
    """The forms in which a text has a secret, or the most of one."""
    part = secret[: max(len(secret) // 2, 6)]
    forms = [
        secret,
        part,
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        repr(secret.encode())[2:-1],
        quote(secret, safe=""),
        base64.b64encode(b"user:" + secret.encode()).decode()[8:-4],
        repr(secret.encode("utf-16-le"))[2:-1],
    ]
    flat = text.replace("\\", "")
    return [around(form, text) for form in forms if form in text or form.replace("\\", "") in flat]


class Observed:
    """The arguments of a client that is watched, and what was seen."""

    def __init__(self) -> None:
        self.lines, self.spans = Lines(), InMemorySpanExporter()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.arguments: dict[str, Any] = {
            "debug_logger": self.lines,
            "debug_bodies": True,
            "telemetry": Telemetry(tracer_provider=tracers, capture_content=True),
            "limits": Limits(reply_bytes=8000),
        }

    def seen(self) -> str:
        return "\n".join([*self.lines, *(span.to_json() for span in self.spans.get_finished_spans())])


async def outcome(call, client) -> BaseException | None:
    try:
        await settle(call(client))
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("what", FAULTS)
async def test_a_key_that_comes_back_is_nowhere(kind, proxy: FaultProxy, what: str) -> None:
    fault = dict(faults(KEY))[what]
    observed = Observed()
    timeout = 100 if "nothing more" in what else 60_000
    async with kind(proxy.url, KEY, "c", timeout_ms=timeout, **observed.arguments) as client:
        with proxy.faulty(fault):
            for operation in ("search", "set", "flush", "health"):
                call = OPERATIONS[operation]
                error = await outcome(call, client)
                if operation == "search":
                    assert isinstance(error, LangCacheError)
                if error is not None:
                    assert isinstance(error, LangCacheError)
                    assert traces(KEY, told(error)) == [], operation
    assert len(observed.lines) >= 8
    assert traces(KEY, observed.seen()) == []


@settings(
    max_examples=6,
    phases=[Phase.explicit, Phase.generate],  # an example of all faults takes too long to be shrunk
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(key=keys)
def test_no_key_that_comes_back_is_anywhere(proxy: FaultProxy, key: str) -> None:
    observed = Observed()
    with LangCache(proxy.url, key, "c", timeout_ms=60_000, **observed.arguments) as client:
        for what, fault in faults(key, sends_and_closes):  # some keys begin a chunk without an end
            if "nothing more" in what:
                continue
            with proxy.faulty(fault), pytest.raises(LangCacheError) as raised:
                client.search("hi")
            assert traces(key, told(raised.value)) == [], what
    assert traces(key, observed.seen()) == []


@pytest.mark.parametrize("source", ["callable", "http_headers", "cookie"])
async def test_a_secret_of_one_call_comes_back_nowhere_either(kind, proxy: FaultProxy, source: str) -> None:
    observed = Observed()
    headers = {"http_headers": {"X-Api-Key": KEY}, "cookie": {"Cookie": f"a=b; session={KEY}"}}.get(source)
    key: Any = (lambda: KEY) if source == "callable" else "another-key"
    async with kind(proxy.url, key, "c", **observed.arguments) as client:
        with proxy.faulty(sends(reply(in_json(KEY), f"X-Seen: {KEY}", status="403 Forbidden"))):
            error = await outcome(lambda it: it.search(f"is {KEY} mine?", http_headers=headers), client)
    assert isinstance(error, LangCacheError)
    shown = "\n".join(
        [str(error), error.body, repr(error.data), repr(error.raw_response), repr(error.headers)]
    )
    assert traces(KEY, shown) == []
    assert traces(KEY, observed.seen()) == []


async def test_an_answer_that_has_the_key_comes_back_exactly_and_is_logged_without_it(
    kind, proxy: FaultProxy
) -> None:
    entry = {
        "id": "1",
        "prompt": KEY,
        "response": f"It is {KEY}.",
        "similarity": 1,
        "searchStrategy": "exact",
    }
    observed = Observed()
    async with kind(proxy.url, KEY, "c", **observed.arguments) as client:
        with proxy.faulty(sends(reply(json.dumps({"data": [entry]}).encode()))):
            found = await settle(client.search("hi"))
    assert found.response == f"It is {KEY}."
    assert pickle.loads(pickle.dumps(found)) == found
    assert traces(KEY, observed.seen()) == []
    assert "It is ***." in observed.seen()


PASSWORDS = ["hunter2-hunter2", "p%23ss%2Fw%3Frd", "correct%20horse"]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_password_of_a_proxy_is_nowhere(
    kind, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, password: str, scheme: str
) -> None:
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", proxy.url.replace("//", f"//user:{password}@"))
    basic = base64.b64encode(f"user:{unquote(password)}".encode()).decode()
    replies = [
        reply(in_json(f"{password} Basic {basic}"), f"X-Seen: {basic}", status=f"407 who is {password}"),
        f"HTTP/1.1 {password} {basic}\r\n\r\n".encode(),
        head(f"X-Seen: {password}\0{basic}"),
        b"",
    ]
    observed = Observed()
    async with kind(f"{scheme}://cache.invalid", KEY, "c", **observed.arguments) as client:
        for each in replies:
            with proxy.faulty(sends_and_closes(each)):
                error = await outcome(OPERATIONS["search"], client)
            assert isinstance(error, LangCacheError)
            assert traces(password, told(error)) == []
            assert traces(KEY, told(error)) == []
        await settle(proxy_that_nobody_runs(client, monkeypatch, scheme, password))
    assert traces(password, observed.seen()) == []


async def proxy_that_nobody_runs(client, monkeypatch, scheme, password) -> None:
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://user:{password}@127.0.0.1:1")
    async with AsyncLangCache(f"{scheme}://cache.invalid", KEY, "c") as fresh:
        error = await outcome(OPERATIONS["search"], fresh)
    assert isinstance(error, ConnectError)
    assert traces(password, told(error)) == []


async def test_the_login_of_a_session_of_ones_own_is_nowhere() -> None:
    async with aiohttp.ClientSession(proxy="http://user:hunter2-hunter2@127.0.0.1:1") as session:
        client = AsyncLangCache("http://cache.invalid", KEY, "c", session)
        error = await outcome(OPERATIONS["search"], client)
    assert isinstance(error, ConnectError)
    assert traces("hunter2-hunter2", told(error)) == []
    assert traces(KEY, told(error)) == []


class Failing:
    """A client of the user's whose errors and replies quote what they were sent."""

    def __init__(self, fail) -> None:
        self.fail = fail

    async def request(self, method, url, *, headers, content, timeout):
        raise self.fail(f"{method} {url} {dict(headers, Authorization=str(headers['Authorization']))}")

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize(
    "fail", [OSError, ConnectionResetError, TimeoutError, asyncio.TimeoutError, ConnectError]
)
async def test_an_error_of_a_client_of_ones_own_that_tells_the_key_is_masked(fail) -> None:
    error = await outcome(OPERATIONS["set"], AsyncLangCache("cache.example", KEY, "c", Failing(fail)))
    assert isinstance(error, (ConnectError, TimeoutException, LangCacheError))
    assert traces(KEY, str(error) + repr(error) + "".join(traceback.format_exception(error))) == []


async def test_an_error_without_a_secret_keeps_its_cause(proxy: FaultProxy) -> None:
    async with AsyncLangCache("http://127.0.0.1:1", KEY, "c") as client:
        error = await outcome(OPERATIONS["search"], client)
        assert isinstance(error.__cause__, aiohttp.ClientConnectorError)
        assert isinstance(error.__cause__.os_error, OSError)
    async with AsyncLangCache(proxy.url, KEY, "c") as client:
        with proxy.faulty(sends(reply(b"[]"))):
            error = await outcome(OPERATIONS["search"], client)
        assert isinstance(error, ResponseValidationError)
        assert "Expected `object`, got `array`" in str(error)
        with proxy.faulty(sends(head("Content-Length: many"))):
            error = await outcome(OPERATIONS["set"], client)
        assert isinstance(error.__cause__, aiohttp.ClientResponseError)
        assert "Content-Length" in str(error)
