"""Each operation of each client over a real socket, and what a single call may change."""

from __future__ import annotations

import gzip
import warnings

import pytest

from langcache import LimitError, Limits, SearchStrategy
from langcache.errors import (
    AuthenticationError,
    BadRequestError,
    ConnectError,
    GatewayError,
    LangCacheError,
    NotFoundError,
    ResponseValidationError,
    StatusError,
)
from langcache.models import HealthResponse

ENTRY = {
    "id": "e1",
    "prompt": "How do I log in?",
    "response": "With your password.",
    "attributes": {"topic": "login"},
    "similarity": 0.95,
    "searchStrategy": "semantic",
}


async def test_search(connect, service):
    service.replies(200, {"data": [ENTRY]})
    result = await connect().search(
        "How do I sign in?",
        similarity_threshold=0.9,
        search_strategies=[SearchStrategy.EXACT, "semantic"],
        attributes={"topic": "login"},
        max_results=2,
    )
    assert result.response == "With your password."
    assert result.tries == 1
    (seen,) = service.seen
    assert (seen.method, seen.path) == ("POST", "/v1/caches/c/entries/search")
    assert seen.json == {
        "prompt": "How do I sign in?",
        "similarityThreshold": 0.9,
        "searchStrategies": ["exact", "semantic"],
        "attributes": {"topic": "login"},
        "maxResults": 2,
    }


async def test_a_miss_is_false(connect, service):
    service.replies(200, {"data": []})
    assert not await connect().search("Hi?")


async def test_set(connect, service):
    service.replies(201, {"entryId": "e7"})
    result = await connect().set("Hi?", "Ho!", attributes={"a": "b"}, ttl_millis=1000)
    assert result.entry_id == "e7"
    (seen,) = service.seen
    assert (seen.method, seen.path) == ("POST", "/v1/caches/c/entries")
    assert seen.json == {"prompt": "Hi?", "response": "Ho!", "attributes": {"a": "b"}, "ttlMillis": 1000}


async def test_delete_by_id(connect, service):
    service.replies(204)
    assert await connect().delete_by_id("e1") is None
    assert [(seen.method, seen.path, seen.content) for seen in service.seen] == [
        ("DELETE", "/v1/caches/c/entries/e1", b"")
    ]


async def test_delete_query(connect, service):
    service.replies(200, {"deletedEntriesCount": 3})
    result = await connect().delete_query({"topic": "login"})
    assert result.deleted_entries_count == 3
    (seen,) = service.seen
    assert (seen.method, seen.path) == ("DELETE", "/v1/caches/c/entries")
    assert seen.json == {"attributes": {"topic": "login"}}


async def test_flush(connect, service):
    service.replies(204)
    assert await connect().flush() is None
    assert [(seen.method, seen.path, seen.content) for seen in service.seen] == [
        ("POST", "/v1/caches/c/flush", b"")
    ]


async def test_conversational_search(connect, service):
    service.replies(200, {"data": [ENTRY], "actualPrompt": "How do I log in to the shop?"})
    result = await connect().conversational_search("And how do I log in?", context=["Is there a shop?"])
    assert result.actual_prompt == "How do I log in to the shop?"
    assert result[0].similarity == 0.95
    (seen,) = service.seen
    assert (seen.method, seen.path) == ("POST", "/v1/caches/c/conversations/search")
    assert seen.json == {"prompt": "And how do I log in?", "context": ["Is there a shop?"]}


async def test_health(connect, service):
    service.replies(200, b"OK")
    assert await connect().health() == HealthResponse()
    assert [(seen.method, seen.path) for seen in service.seen] == [("GET", "/v1/caches/c/health")]


async def test_a_wrong_argument_sends_nothing(connect, service):
    client = connect()
    with pytest.raises(LimitError):
        await client.search("")
    with pytest.raises(LimitError):
        await client.delete_query({})
    with pytest.raises(TypeError):
        await client.set("Hi?", None)
    with pytest.raises(TypeError, match="retries: must be"):
        await client.flush(retries="3")
    with pytest.raises(ValueError, match="timeout_ms: must be"):
        await client.flush(timeout_ms=0)
    with pytest.raises(ValueError, match="http_headers: "):
        await client.flush(http_headers={"a": "b\r\nc: d"})
    with pytest.raises(ValueError, match="server_url: "):
        await client.flush(server_url="ftp://cache.example")
    assert service.seen == []


@pytest.mark.parametrize("entry_id", ["", ".", "..", "../flush", "e1/../../flush", "..\\flush"])
async def test_an_entry_id_that_could_be_a_path_sends_nothing(connect, service, entry_id):
    with pytest.raises(LimitError, match="entry_id"):
        await connect().delete_by_id(entry_id)
    assert service.seen == []


@pytest.mark.parametrize(
    ("entry_id", "segment"),
    [("%2e%2e", "%252e%252e"), ("..%2fflush", "..%252fflush"), ("é?#", "%C3%A9%3F%23"), ("...", "...")],
)
async def test_an_odd_entry_id_stays_one_segment_on_the_wire(connect, service, entry_id, segment):
    await connect().delete_by_id(entry_id)
    assert [seen.path for seen in service.seen] == [f"/v1/caches/c/entries/{segment}"]


async def test_an_odd_cache_id_stays_one_segment_on_the_wire(connect, service):
    await connect(cache_id="%2e%2e é").flush()
    assert [seen.path for seen in service.seen] == ["/v1/caches/%252e%252e%20%C3%A9/flush"]


async def test_a_call_may_have_headers_of_its_own(connect, service):
    client = connect()
    await client.flush(http_headers={"x-trace": "t1", "authorization": "Basic other"})
    await client.flush()
    first, second = service.seen
    assert (first.headers["X-Trace"], first.headers.getall("Authorization")) == ("t1", ["Basic other"])
    assert "X-Trace" not in second.headers


async def test_a_call_may_go_to_another_server(connect, service):
    client = connect(server_url="http://cache.invalid")
    await client.flush(server_url=service.url + "elsewhere/")
    assert [seen.path for seen in service.seen] == ["/elsewhere/v1/caches/c/flush"]


async def test_connections_are_used_again(connect, service):
    client = connect()
    for _ in range(3):
        await client.search("Hi?")
    assert len({seen.peer for seen in service.seen}) == 1


async def test_cookies_are_not_kept(connect, service):
    service.replies(204, Set_Cookie="session=1; Path=/")
    client = connect()
    await client.flush()
    await client.flush()
    assert "Cookie" not in service.seen[1].headers


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadRequestError), (401, AuthenticationError), (404, NotFoundError), (503, GatewayError)],
)
async def test_an_error_status_raises_its_class(connect, service, status, kind):
    service.replies(status, {"title": "No", "detail": "because"}, X_Request_Id="r1")
    with pytest.raises(kind, match="because") as raised:
        await connect().search("Hi?")
    error = raised.value
    assert (error.status_code, error.headers["x-request-id"], error.data.title) == (status, "r1", "No")
    assert (error.raw_response.json(), error.tries) == ({"title": "No", "detail": "because"}, 1)


async def test_a_redirect_is_not_followed(connect, service):
    service.replies(307, Location=f"{service.url}v1/caches/c/flush")
    with pytest.raises(StatusError, match="redirects are not followed") as raised:
        await connect().search("Hi?")
    assert raised.value.status_code == 307
    assert len(service.seen) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"data": 1}', b"\xff"])
async def test_a_success_that_cannot_be_read_is_an_error_of_ours(connect, service, body):
    service.replies(200, body)
    with pytest.raises(ResponseValidationError, match="^search: ") as raised:  # noqa: RUF043
        await connect().search("Hi?")
    assert raised.value.raw_response.content == body


async def test_a_compressed_reply_is_read(connect, service):
    service.replies(200, gzip.compress(b'{"data": []}'), Content_Encoding="gzip")
    assert len(await connect().search("Hi?")) == 0


async def test_large_texts_go_both_ways_without_a_warning(connect, service):
    text = "é" * 1_000_000
    service.replies(201, {"entryId": "e1"})
    service.replies(200, {"data": [{**ENTRY, "response": text}]})
    client = connect()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await client.set("Hi?", text)
        result = await client.search("Hi?")
    assert service.seen[0].json["response"] == text
    assert result


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"data": []}' + b" " * 1000, {}),
        (gzip.compress(b'{"data": []}' + b" " * 100_000), {"Content_Encoding": "gzip"}),
    ],
    ids=["long", "gzip bomb"],
)
async def test_a_reply_beyond_the_limit_is_refused_and_the_client_stays_usable(
    connect, service, body, headers
):
    service.replies(200, body, **headers)
    client = connect(limits=Limits(reply_bytes=500))
    with pytest.raises(ResponseValidationError, match="the reply is too large: it has more than 500 bytes"):
        await client.search("Hi?")
    assert len(await client.search("Hi?")) == 0


async def test_a_compressed_reply_within_the_limit_is_read(connect, service):
    service.replies(200, gzip.compress(b'{"data": []}'), Content_Encoding="gzip")
    assert len(await connect(limits=Limits(reply_bytes=500)).search("Hi?")) == 0


async def test_without_a_limit_a_reply_may_be_of_any_size(connect, service):
    service.replies(200, b'{"data": []}' + b" " * 1000)
    assert len(await connect(limits=Limits.none()).search("Hi?")) == 0


@pytest.mark.parametrize(
    "fail",
    [
        lambda service: service.replies(500),
        lambda service: service.replies(500, b"x", Content_Type="text/html; charset=undefined"),
        lambda service: service.replies(200, b"<html>"),
        lambda service: service.replies(200, b"not gzip", Content_Encoding="gzip"),
        lambda service: service.replies(200, b"not brotli", Content_Encoding="br"),
        lambda service: service.stalls(),
        lambda service: service.hangs_up(),
        lambda service: service.hangs_up(b"nonsense\r\n\r\n"),
        lambda service: service.hangs_up(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
        lambda service: service.hangs_up(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
        lambda service: service.hangs_up(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        lambda service: service.hangs_up(b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    ],
    ids=range(12),
)
async def test_every_failure_is_one_of_ours_in_one_line_without_the_key(connect, service, key, fail):
    for _ in range(2):  # a search whose connection ends before any reply is sent once more
        fail(service)
    with pytest.raises(LangCacheError) as raised:
        await connect(timeout_ms=200).search("Hi?")
    assert str(raised.value).isprintable()
    error = raised.value
    while error is not None:
        assert key not in str(error) + repr(error)
        error = error.__cause__ or error.__context__


async def test_tls_to_a_service_that_speaks_none_says_what_to_write(connect, service):
    client = connect(server_url=service.url.replace("http://", "https://"))
    with pytest.raises(ConnectError, match="begin server_url with http://"):
        await client.flush()


OPERATIONS = {
    "search": ("p",),
    "set": ("p", "r"),
    "delete_by_id": ("e",),
    "delete_query": ({"a": "b"},),
    "flush": (),
    "conversational_search": ("p",),
    "health": (),
}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_no_operation_sends_a_header_that_frames_the_message(connect, service, operation):
    call = getattr(connect(), operation)
    with pytest.raises(ValueError, match="http_headers: 'transfer-encoding' says how"):
        await call(*OPERATIONS[operation], http_headers={"transfer-encoding": "chunked"})
    assert service.seen == []
