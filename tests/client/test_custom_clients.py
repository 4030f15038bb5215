"""An HTTP client of the user's own: a session, an AsyncHttpClient, or a callable that makes one."""

from __future__ import annotations

import asyncio
import inspect
import json
import pickle
from types import SimpleNamespace

import aiohttp
import pytest
from aioresponses import CallbackResult, aioresponses

from langcache import AsyncLangCache, BackoffStrategy, LangCache, RetryConfig
from langcache._call.connections import AiohttpClient
from langcache._wire.exchange import Reply
from langcache.errors import (
    ClosedError,
    ConnectError,
    NoResponseError,
    NotFoundError,
    RequestError,
    TimeoutException,
)
from langcache.httpclient import AsyncHttpClient

QUICK = RetryConfig("backoff", BackoffStrategy(1, 1, 1, 60_000, 0), True)


class Canned:
    """An AsyncHttpClient that answers as it was told to, with nothing but what the protocol asks for."""

    class Response:
        def __init__(self, status_code, headers, content):
            self.status_code, self.headers, self.content = status_code, headers, content

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.sent = []
        self.closed = 0

    async def request(self, method, url, *, headers, content, timeout):
        self.sent.append((method, url, headers, content, timeout))
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return self.Response(*outcome)

    async def aclose(self):
        self.closed += 1


def test_what_the_tests_and_the_package_offer_satisfies_the_protocol():
    assert isinstance(Canned(), AsyncHttpClient)
    assert issubclass(AiohttpClient, AsyncHttpClient)


async def test_a_session_of_ones_own_is_used_and_never_closed(service):
    async with aiohttp.ClientSession(headers={"X-Mine": "yes"}) as session:
        async with AsyncLangCache(service.url, "k", "c", session) as client:
            await client.flush()
        async with LangCache(service.url, "k", "c", async_client=session) as client:
            await client.flush_async()
        assert not session.closed
    assert [seen.headers["X-Mine"] for seen in service.seen] == ["yes", "yes"]


async def test_a_session_of_ones_own_is_asked_in_the_ways_that_aiohttp_documents(service, monkeypatch):
    requests, chunks = [], []
    traces = aiohttp.TraceConfig()

    async def on_chunk(session, context, params):
        chunks.append(params.chunk)

    traces.on_response_chunk_received.append(on_chunk)
    plain = aiohttp.ClientSession.request

    def request(session, method, url, **options):
        requests.append((method, url.path))
        return plain(session, method, url, **options)

    monkeypatch.setattr(aiohttp.ClientSession, "request", request)
    async with aiohttp.ClientSession(trace_configs=[traces]) as session:
        await AsyncLangCache(service.url, "k", "c", session).set("q", "a")
    assert requests == [("POST", "/v1/caches/c/entries")]
    assert json.loads(b"".join(chunks))["entryId"] == "e1"


def test_aiohttp_has_what_saves_our_own_session_time():
    assert inspect.iscoroutinefunction(aiohttp.ClientSession._request)


async def test_a_tool_may_read_each_reply_before_the_client_does(service, monkeypatch):
    plain = aiohttp.ClientSession._request
    logged = []

    async def request(session, *arguments, **options):
        response = await plain(session, *arguments, **options)
        logged.append(await response.read())
        return response

    monkeypatch.setattr(aiohttp.ClientSession, "_request", request)
    service.replies(201, {"entryId": "e1"})
    async with AsyncLangCache(service.url, "k", "c") as client:
        assert (await client.set("q", "a")).entry_id == "e1"
    assert b"e1" in logged[0]


async def test_a_request_that_a_program_replaced_is_used_by_our_own_session_too(service, monkeypatch):
    plain = aiohttp.ClientSession.request
    asked = []

    def request(session, method, url, **options):
        asked.append(method)
        return plain(session, method, url, **options)

    monkeypatch.setattr(aiohttp.ClientSession, "request", request)
    service.replies(201, {"entryId": "e1"})
    async with AsyncLangCache(service.url, "k", "c") as client:
        await client.set("q", "a")
    assert asked == ["POST"]


async def test_a_session_that_is_closed_says_so(service):
    session = aiohttp.ClientSession()
    await session.close()
    with pytest.raises(ClosedError, match="the aiohttp session is closed"):
        await AsyncLangCache(service.url, "k", "c", session).flush()


@pytest.mark.parametrize("timeout", [aiohttp.ClientTimeout(), aiohttp.ClientTimeout(total=None)])
async def test_a_session_of_another_event_loop_says_so(service, timeout):
    async with aiohttp.ClientSession(timeout=timeout) as session:
        client = AsyncLangCache(service.url, "k", "c", session)
        with pytest.raises(RuntimeError, match=r"^client: .* another event loop; pass a callable"):
            await asyncio.to_thread(lambda: asyncio.run(client.flush()))


async def test_the_settings_of_a_session_do_not_break_ours(service):
    service.replies(404, {"detail": "no such entry"})
    async with aiohttp.ClientSession("http://elsewhere.invalid", raise_for_status=True) as session:
        client = AsyncLangCache(service.url, "k", "c", session)
        with pytest.raises(NotFoundError, match="no such entry"):
            await client.delete_by_id("e1")


async def test_the_timeout_of_a_session_holds_unless_a_call_says_otherwise(service):
    service.stalls()
    service.stalls()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.5)) as session:
        with pytest.raises(TimeoutException, match=r"no reply from the service$"):
            await AsyncLangCache(service.url, "k", "c", session).flush()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(TimeoutException, match=r"within 0\.5 s"):
            await AsyncLangCache(service.url, "k", "c", session).flush(timeout_ms=500)


async def test_a_timeout_of_connecting_is_a_timeout(service):
    slow = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=slow, timeout=aiohttp.ClientTimeout(connect=2)) as session:
        client = AsyncLangCache(service.url, "k", "c", session)
        service.stalls()
        holds_the_only_connection = asyncio.create_task(client.flush())
        await service.has_requests()
        with pytest.raises(TimeoutException, match="^no connection to the service"):  # noqa: RUF043
            await client.search("Hi?")
        holds_the_only_connection.cancel()


async def test_middlewares_of_a_session_run(service):
    async def trace(request, handler):
        request.headers["X-Trace"] = "t1"
        response = await handler(request)
        seen.append(response.status)
        return response

    seen = []
    async with aiohttp.ClientSession(middlewares=[trace]) as session:
        await AsyncLangCache(service.url, "k", "c", session).flush()
    assert service.seen[0].headers["X-Trace"] == "t1"
    assert seen == [200]


async def test_a_runtime_error_of_a_middleware_is_the_callers(service):
    async def fail(request, handler):
        raise RuntimeError("mine")

    async with aiohttp.ClientSession(middlewares=[fail]) as session:
        with pytest.raises(RuntimeError, match="mine"):
            await AsyncLangCache(service.url, "k", "c", session).flush()


@pytest.mark.parametrize("style", ["async", "sync", "sync, awaited"])
async def test_what_a_callable_made_is_closed_with_the_client(service, style):
    made = []

    def make():
        made.append(aiohttp.ClientSession(headers={"X-Mine": "yes"}))
        return made[-1]

    if style == "async":
        async with AsyncLangCache(service.url, "k", "c", make) as client:
            await client.flush()
            await client.flush()
    elif style == "sync":
        client = LangCache(service.url, "k", "c", make)
        await asyncio.to_thread(client.flush)
        await asyncio.to_thread(client.flush)
        await asyncio.to_thread(client.close)
    else:
        async with LangCache(service.url, "k", "c", async_client=make) as client:
            await client.flush_async()
            await client.flush_async()
    (session,) = made
    assert session.closed
    assert [seen.headers["X-Mine"] for seen in service.seen] == ["yes", "yes"]


async def test_a_session_class_is_a_callable_that_makes_one(connect, service):
    await connect(client=aiohttp.ClientSession).flush()
    assert len(service.seen) == 1


async def test_an_async_http_client_gets_all_that_a_request_needs():
    canned = Canned((200, {}, b'{"data":[]}'))
    async with AsyncLangCache("cache.example", "k", "c", canned) as client:
        assert not await client.search("Hi?", timeout_ms=1500)
    ((method, url, headers, content, timeout),) = canned.sent
    assert (method, url) == ("POST", "https://cache.example/v1/caches/c/entries/search")
    assert headers["Authorization"] == "Bearer k"
    assert (content, timeout) == (b'{"prompt":"Hi?"}', 1.5)
    assert canned.closed == 0


async def test_an_async_http_client_that_a_callable_made_is_closed():
    canned = Canned((204, {}, b""))
    async with AsyncLangCache("cache.example", "k", "c", lambda: canned) as client:
        await client.flush()
        assert canned.closed == 0
    assert canned.closed == 1


async def test_the_headers_of_any_client_compare_without_case():
    canned = Canned((429, {"retry-AFTER": "3600"}, b""))
    with pytest.raises(RequestError.__base__) as raised:
        await AsyncLangCache("cache.example", "k", "c", canned).flush(retries=QUICK)
    assert raised.value.headers["Retry-After"] == "3600"
    assert raised.value.tries == 1
    assert dict(pickle.loads(pickle.dumps(raised.value)).headers) == {"retry-AFTER": "3600"}


async def test_a_reply_of_ours_is_taken_as_it_is():
    class Direct(Canned):
        Response = Reply

    canned = Direct((404, {"A": "b"}, b"{}"))
    with pytest.raises(NotFoundError) as raised:
        await AsyncLangCache("cache.example", "k", "c", canned).flush()
    assert raised.value.raw_response == Reply(404, {"A": "b"}, b"{}")


@pytest.mark.parametrize(
    ("bare", "kind"),
    [
        (TimeoutError("slow"), TimeoutException),
        (asyncio.TimeoutError("slow"), TimeoutException),
        (OSError("no route"), ConnectError),
        (ConnectionRefusedError("refused"), ConnectError),
        (ConnectionResetError("reset"), NoResponseError),
        (BrokenPipeError("broken"), NoResponseError),
        (RequestError("ours"), RequestError),
        (ConnectError("ours"), ConnectError),
        (TimeoutException("ours"), TimeoutException),
    ],
)
async def test_a_bare_error_of_a_client_becomes_one_of_ours(bare, kind):
    with pytest.raises(kind) as raised:
        await AsyncLangCache("cache.example", "k", "c", Canned(bare)).set("Hi?", "Ho!")
    assert type(raised.value) is kind
    assert raised.value is bare or raised.value.__cause__ is bare


async def test_a_bare_error_of_the_second_sending_becomes_one_of_ours_too():
    canned = Canned(NoResponseError(), OSError("no route"))
    with pytest.raises(ConnectError, match="no route"):
        await AsyncLangCache("cache.example", "k", "c", canned).search("Hi?")
    assert len(canned.sent) == 2


async def test_the_second_sending_has_what_is_left_of_the_time():
    canned = Canned(
        NoResponseError(), (200, {}, b'{"data":[]}'), NoResponseError(), (200, {}, b'{"data":[]}')
    )
    client = AsyncLangCache("cache.example", "k", "c", canned)
    await client.search("Hi?", timeout_ms=60_000)
    await client.search("Hi?")
    first, second, third, fourth = (timeout for *_, timeout in canned.sent)
    assert first == 60 > second > 0
    assert third is fourth is None


@pytest.mark.parametrize("module", ["httpx", "httpx._client"])
@pytest.mark.parametrize("client", [AsyncLangCache, LangCache])
def test_an_httpx_client_is_refused_with_a_way_out(client, module):
    kind = type("AsyncClient", (), {"__module__": module, "build_request": None})
    subclass = type("Mine", (kind,), {"__module__": "mine"})
    for given in (kind(), subclass()):
        with pytest.raises(TypeError, match=r"is an httpx client.*aiohttp\.ClientSession"):
            client("cache.example", "k", "c", given)


async def test_a_callable_that_makes_something_else_is_refused_by_the_first_call(connect):
    client = connect(client=lambda: None)
    for _ in range(2):
        with pytest.raises(TypeError, match=r"client: must be an aiohttp\.ClientSession.*but is NoneType"):
            await client.flush()


async def test_a_callable_that_fails_is_the_callers():
    def make():
        raise LookupError("no settings")

    with pytest.raises(LookupError, match="no settings"):
        await AsyncLangCache("cache.example", "k", "c", make).flush()


class PatchedResponse(aiohttp.ClientResponse):
    """aioresponses 0.7 does not know of an argument that aiohttp 3.14 asks for."""

    def __init__(self, *args, **kwargs):
        if "stream_writer" in inspect.signature(aiohttp.ClientResponse).parameters:
            kwargs.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*args, **kwargs)


async def test_programs_can_test_themselves_with_aioresponses(monkeypatch):
    monkeypatch.setattr("aioresponses.core.ClientResponse", PatchedResponse)
    url = "https://cache.example/v1/caches/c/entries/search"

    def answer(url, *, data, **kwargs):
        return CallbackResult(payload={"data": [], "asked": json.loads(data)["prompt"]})

    with aioresponses() as mocked:
        mocked.post(url, exception=aiohttp.ClientOSError(104, "connection reset"))
        mocked.post(url, callback=answer)
        mocked.post(url, exception=aiohttp.ServerTimeoutError())
        async with AsyncLangCache("cache.example", "k", "c") as client:
            assert not await client.search("Hi?")
            with pytest.raises(TimeoutException):
                await client.search("Hi?")
