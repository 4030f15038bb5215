"""The REST API, over real HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import threading

import msgspec
import pytest
from redis_servers import STORES

from langcache import AsyncLangCache, Limits
from langcache.aside import entries
from langcache.models import CacheEntry, SearchResponse
from langcache.service import CacheConfig, EmbedderError, LocalServer, StoreError, operations
from langcache.service.app import MAX_BODY_BYTES
from langcache.service.bodies import Bodies
from langcache.service.operations import MAX_REPLY_BYTES, MAX_RESULTS, MAX_SEMANTIC_RESULTS, chars_of


@pytest.fixture(params=STORES)
def kept(request, kept_in):
    return kept_in(request.param)


def problem(status, body):
    """Check what every problem body has, and give the rest."""
    assert body["status"] == status
    assert body["title"]
    return body["type"], body.get("detail")


async def raw(server, request, authorization):
    """The reply to a request that goes out byte for byte, without a client that tidies it up."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, port)
    head = f"{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    writer.write(f"{head}Authorization: {authorization}\r\n\r\n".encode("utf-8", "surrogateescape"))
    reply = await reader.read()
    writer.close()
    await writer.wait_closed()
    return reply


async def test_every_operation_speaks_the_contract(api):
    assert await api("GET", "health") == (200, {"status": "ok"})
    set_body = {"prompt": "Hi @0", "response": "Hello", "attributes": {"topic": "a"}, "ttlMillis": 60_000}
    status, body = await api("POST", "entries", set_body)
    assert (status, list(body)) == (201, ["entryId"])
    entry_id = body["entryId"]

    search_body = {
        "prompt": "Hey @60",
        "similarityThreshold": 0.7,
        "searchStrategies": ["exact", "semantic"],
        "attributes": {"topic": "a"},
        "maxResults": 3,
    }
    entry = {
        "id": entry_id,
        "prompt": "Hi @0",
        "response": "Hello",
        "attributes": {"topic": "a"},
        "similarity": 0.75,
        "searchStrategy": "semantic",
    }
    assert await api("POST", "entries/search", search_body) == (200, {"data": [entry]})
    conversation = await api("POST", "conversations/search", {**search_body, "context": ["Good morning"]})
    assert conversation == (200, {"actualPrompt": "Hey @60", "data": [entry]})

    assert await api("POST", "entries/search", {"prompt": "else @180"}) == (200, {"data": []})
    assert await api("DELETE", f"entries/{entry_id}") == (204, None)
    status, body = await api("DELETE", f"entries/{entry_id}")
    assert problem(status, body) == (
        "/errors/cache/entry/not-found",
        f"there is no entry {entry_id!r} in this cache",
    )

    await api.set("p", attributes={"topic": "b", "tenant": "1"})
    await api.set("p", attributes={"topic": "b", "tenant": "2"})
    await api.set("p")
    assert await api("DELETE", "entries", {"attributes": {"topic": "b", "tenant": "1"}}) == (
        200,
        {"deletedEntriesCount": 1},
    )
    assert len(await api.search("p", maxResults=9)) == 2
    assert await api("POST", "flush") == (204, None)
    assert await api.search("p", maxResults=9) == []


@pytest.mark.parametrize(
    ("path", "body", "field", "rule"),
    [
        ("entries/search", {}, "prompt", "required"),
        ("entries/search", {"prompt": None}, "prompt", "type"),
        ("entries/search", {"prompt": ""}, "prompt", "min"),
        ("entries/search", {"prompt": "p" * 1025}, "prompt", "max"),
        ("entries/search", {"prompt": "p", "similarityThreshold": 1.1}, "similarityThreshold", "range"),
        ("entries/search", {"prompt": "p", "searchStrategies": ["fuzzy"]}, "searchStrategies", "oneof"),
        ("entries/search", {"prompt": "p", "searchStrategies": [1]}, "searchStrategies", "type"),
        ("entries/search", {"prompt": "p", "maxResults": 0}, "maxResults", "min"),
        ("entries/search", {"prompt": "p", "maxResults": MAX_SEMANTIC_RESULTS + 1}, "maxResults", "max"),
        (
            "entries/search",
            {"prompt": "p", "searchStrategies": ["exact"], "maxResults": MAX_RESULTS + 1},
            "maxResults",
            "max",
        ),
        (
            "entries/search",
            {
                "prompt": "p",
                "searchStrategies": ["exact", "semantic"],
                "maxResults": MAX_SEMANTIC_RESULTS + 1,
            },
            "maxResults",
            "max",
        ),
        ("entries/search", {"prompt": "p", "maxResults": 2**63 - 1}, "maxResults", "max"),
        ("entries/search", {"prompt": "p", "searchStrategies": []}, "searchStrategies", "min"),
        ("entries/search", {"prompt": "p", "searchStrategies": ["exact"] * 2}, "searchStrategies", "unique"),
        ("entries/search", {"prompt": "p", "searchStrategies": ["exact"] * 3}, "searchStrategies", "max"),
        ("entries/search", {"prompt": "p", "searchStrategies": {}}, "searchStrategies", "type"),
        ("entries/search", {"prompt": "p", "attributes": []}, "attributes", "type"),
        (
            "entries/search",
            {"prompt": "p", "attributes": dict.fromkeys("abcdefg", ",")},
            "attributes",
            "max",
        ),
        ("conversations/search", {"prompt": "p", "context": ["text"] * 1001}, "context", "max"),
        ("entries/search", {"prompt": "p", "attributes": {"colour": "red"}}, "attributes", "unknown"),
        ("conversations/search", {"prompt": "p", "context": "text"}, "context", "type"),
        ("entries", {"prompt": "p"}, "response", "required"),
        ("entries", {"prompt": "p", "response": "r", "ttlMillis": 0}, "ttlMillis", "min"),
        ("entries", {"prompt": "p", "response": "r", "ttlMillis": 31_556_952_001}, "ttlMillis", "max"),
        ("entries", {"prompt": "p", "response": "r", "attributes": {"topic": 1}}, "attributes", "type"),
        ("entries", {"prompt": "p", "response": "r", "attributes": {"a b": "c"}}, "attributes", "pattern"),
        (
            "entries",
            {"prompt": "p", "response": "r", "attributes": {"topic": "a,b"}},
            "attributes",
            "pattern",
        ),
        (
            "entries",
            {"prompt": "p", "response": "r", "attributes": dict.fromkeys("abcdef", "v")},
            "attributes",
            "max",
        ),
    ],
)
async def test_a_request_outside_the_limits_is_refused_with_its_field(api, path, body, field, rule):
    status, answer = await api("POST", path, body)
    assert problem(status, answer)[0] == "/errors/invalid-data"
    assert status == 400
    (error,) = answer["fields"]
    assert (error["field"], error["rule"]) == (field, rule)
    assert answer["detail"] == f"{field}: {error['message']}"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"prompt": "\xff"}', b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_refused(api, content):
    status, answer = await api("POST", "entries/search", content=content)
    assert problem(status, answer)[0] == "/errors/invalid-data"
    assert answer["detail"].startswith("the body is not")


@pytest.mark.parametrize("body", [None, {}, {"attributes": None}, {"attributes": {}}])
async def test_delete_query_without_attributes_deletes_nothing(api, body):
    await api.set("p")
    status, answer = await api("DELETE", "entries", body)
    assert (status, answer["detail"]) == (400, "attributes: cannot be blank")
    assert answer["fields"] == [{"field": "attributes", "rule": "required", "message": "cannot be blank"}]
    assert await api.search("p")


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Basic abc", "Bearer wrong", "Bearer \udcff"]
)
async def test_a_missing_or_wrong_key_is_a_401_on_every_operation(server, authorization):
    for operation in ("GET {}health", "POST {}flush", "POST {}entries/search", "DELETE {}entries/x"):
        reply = await raw(server, operation.format(f"/v1/caches/{server.cache_id}/"), authorization)
        assert reply.startswith(b"HTTP/1.1 401 ")
        answer = json.loads(reply.partition(b"\r\n\r\n")[2])
        assert problem(401, answer)[0] == "/errors/authentication-failed"


async def test_several_caches_keep_apart_and_have_keys_of_their_own(embedder, session):
    caches = [
        CacheConfig(cache_id="plain", api_key="k1"),
        CacheConfig(cache_id="tagged", api_key="k2", attributes=("topic",), threshold=1.0),
        CacheConfig(cache_id="shared", api_key="k2"),
    ]
    with LocalServer(caches=caches, embedder=embedder) as server:
        assert (server.cache_id, server.api_key) == ("plain", "k1")

        async def search(cache_id, key, **fields):
            url = f"{server.url}/v1/caches/{cache_id}/entries"
            headers = {"Authorization": f"bearer {key}"}
            body = {"prompt": "p @10", "response": "from " + cache_id}
            async with session.post(url, json=body, headers=headers) as reply:
                set_status = reply.status
            async with session.post(
                f"{url}/search", json={"prompt": "p @0", "maxResults": 5, **fields}, headers=headers
            ) as reply:
                answer = await reply.json()
                assert reply.status == set_status or (reply.status, set_status) == (200, 201)
                return reply.status, answer.get("type") or [entry["response"] for entry in answer["data"]]

        assert await search("plain", "k1") == (200, ["from plain"])
        assert await search("tagged", "k2") == (200, [])
        assert await search("tagged", "k2", similarityThreshold=0.5) == (200, ["from tagged"] * 2)
        assert await search("shared", "k2") == (200, ["from shared"])
        assert await search("shared", "k1") == (403, "/errors/insufficient-permissions")
        assert await search("plain", "k2") == (403, "/errors/insufficient-permissions")
        assert await search("nowhere", "k1") == (404, "/errors/cache/not-found")
        assert await search("nowhere", "k3") == (401, "/errors/authentication-failed")


def test_the_key_is_not_in_the_representation_of_a_cache():
    assert repr(CacheConfig(cache_id="c", api_key="hunter2", attributes=("topic",))) == (
        "CacheConfig(cache_id='c', attributes=('topic',), threshold=0.85, ttl_millis=None, max_entries=None, "
        "strategies=())"
    )


async def test_what_is_no_operation_gets_a_problem_too(api, server, session):
    assert problem(*await api("GET", "nothing")) == ("/errors/resource/not-found", None)
    assert problem(*await api("DELETE", "entries/")) == ("/errors/resource/not-found", None)
    assert problem(*await api("PUT", "entries", {})) == ("about:blank", None)
    async with session.get(f"{server.url}/v1/caches/{server.cache_id}/flush") as reply:
        assert (reply.status, reply.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("entry_id", ["..%2Fflush", "%2e%2e", "a%2Fb", "%00"])
async def test_no_entry_id_reaches_another_operation(api, server, entry_id):
    await api.set("p")
    request = f"DELETE /v1/caches/{server.cache_id}/entries/{entry_id}"
    status_line = (await raw(server, request, f"Bearer {server.api_key}")).partition(b"\r\n")[0]
    assert status_line.split()[1] in (b"404", b"405", b"400")
    assert await api.search("p")


async def test_a_body_that_is_too_large_is_a_413(api, server):
    content = b'{"prompt": "p", "response": "' + b"r" * MAX_BODY_BYTES + b'"}'

    def post():
        # A blocking client has sent the whole body before it reads the reply, and keeps nothing to be sent.
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
        headers = {"Authorization": f"Bearer {server.api_key}"}
        try:
            connection.request("POST", f"/v1/caches/{server.cache_id}/entries", content, headers)
            with connection.getresponse() as reply:
                return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    status, answer = await asyncio.to_thread(post)
    assert problem(status, answer)[0] == "/errors/payload-too-large"
    assert await api.search("p") == []


async def test_a_body_in_another_encoding_than_it_says_is_refused(server, session):
    reply = await session.post(
        f"{server.url}/v1/caches/{server.cache_id}/entries",
        data=b"this is not gzip",
        headers={"Authorization": f"Bearer {server.api_key}", "Content-Encoding": "gzip"},
    )
    kind, detail = problem(400, await reply.json())
    assert (reply.status, kind) == (400, "/errors/invalid-data")
    assert "can't be read" in detail


@pytest.mark.parametrize("nonsense", [b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nX: \0\r\n\r\n"])
async def test_what_is_no_http_gets_a_400_and_no_traceback(server, caplog, nonsense):
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(nonsense)
    assert (await reader.read()).startswith(b"HTTP/1.0 400 ")
    writer.close()
    await writer.wait_closed()
    assert not caplog.records


async def test_a_client_that_leaves_in_the_middle_of_its_request_is_no_failure(embedder, caplog, monkeypatch):
    reading = threading.Event()
    really_read = Bodies.read

    async def read(*args):
        reading.set()
        return await really_read(*args)

    monkeypatch.setattr(Bodies, "read", read)
    async with LocalServer(embedder=embedder) as server:
        host, port = server.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, port)
        head = f"POST /v1/caches/{server.cache_id}/entries HTTP/1.1\r\nHost: localhost\r\n"
        writer.write(f"{head}Content-Length: 9\r\nAuthorization: Bearer {server.api_key}\r\n\r\n{{".encode())
        await asyncio.to_thread(reading.wait)
        writer.close()
        await writer.wait_closed()
    assert not caplog.records


async def test_a_large_response_comes_back_whole(api):
    response = "wörd " * 400_000
    await api.set("p", response)
    assert (await api.search("p"))[0]["response"] == response


@pytest.mark.parametrize(
    ("strategies", "most"),
    [(["exact"], MAX_RESULTS), (["semantic"], MAX_SEMANTIC_RESULTS), (None, MAX_SEMANTIC_RESULTS)],
)
async def test_as_many_results_may_be_asked_for(api, strategies, most):
    await api.set("p")
    body = {"prompt": "p", "searchStrategies": strategies, "maxResults": most}
    status, answer = await api("POST", "entries/search", body)
    assert (status, len(answer["data"])) == (200, 1)


@pytest.mark.parametrize("failure", [EmbedderError("inner.example said no"), StoreError("/srv/a.db is full")])
async def test_a_failing_dependency_is_a_424_that_names_no_file_and_no_host(api, embedder, failure, caplog):
    embedder.failure = failure
    status, answer = await api("POST", "entries/search", {"prompt": "p"})
    assert problem(status, answer)[0] == "/errors/database/resource-database-unavailable"
    assert status == 424
    assert str(failure) not in answer["detail"]
    assert str(failure) in caplog.text


NEWER = {404: "/errors/resource-not-found", 424: "/errors/resource-unavailable"}
OLDER = {404: "/errors/cache/entry/not-found", 424: "/errors/database/resource-database-unavailable"}


@pytest.mark.parametrize(
    ("user_agent", "types"),
    [
        ("speakeasy-sdk/python 0.14.0 2.932.9 langcache", NEWER),
        ("speakeasy-sdk/python 0.12.0 2.800.0 langcache", NEWER),
        ("speakeasy-sdk/python 1.0.0 3.0.0 langcache", NEWER),
        ("langcache-python/0.15.0", NEWER),
        ("speakeasy-sdk/python 0.11.1 2.755.9 langcache", OLDER),
        ("speakeasy-sdk/python 0.9.0 2.700.0 langcache", OLDER),
        ("speakeasy-sdk/typescript 0.11.1 2.760.2 @redis-ai/langcache", OLDER),
        ("speakeasy-sdk/typescript 0.14.0 2.760.2 @redis-ai/langcache", OLDER),
        ("curl/8.5.0", OLDER),
        ("", OLDER),
        (None, OLDER),
    ],
)
async def test_each_client_gets_the_types_of_problem_that_it_knows(
    server, embedder, session, user_agent, types
):
    headers = {"Authorization": f"Bearer {server.api_key}"}
    if user_agent is not None:
        headers["User-Agent"] = user_agent
    url = f"{server.url}/v1/caches/{server.cache_id}/entries"
    embedder.failure = EmbedderError("no")
    skipped = ("User-Agent",)
    async with session.delete(f"{url}/unknown", headers=headers, skip_auto_headers=skipped) as reply:
        assert problem(404, await reply.json())[0] == types[404]
    async with session.post(
        f"{url}/search", json={"prompt": "p"}, headers=headers, skip_auto_headers=skipped
    ) as reply:
        assert problem(424, await reply.json())[0] == types[424]


async def test_a_reply_is_no_larger_than_a_client_takes_in(api):
    for number in range(3):
        await api.set("p", str(number) * (MAX_REPLY_BYTES // 2))
    found = await api.search("p", maxResults=9)
    assert [entry["response"][0] for entry in found] == ["2", "1"]
    await api("POST", "flush")
    await api.set("p", "r" * (MAX_BODY_BYTES - 1000))
    assert len(await api.search("p", maxResults=9)) == 1
    assert Limits().reply_bytes - 100_000 > MAX_REPLY_BYTES + MAX_BODY_BYTES


def test_all_texts_of_an_entry_count_in_its_size():
    entry = CacheEntry(
        id="1", prompt="12", response="345", attributes={"a": "bc"}, similarity=1, search_strategy="exact"
    )
    assert chars_of(entry) == 8


def test_cache_aside_knows_how_much_a_reply_may_leave_out():
    assert (entries._FULL_REPLY_BYTES, entries._LAST_PAGE) == (MAX_REPLY_BYTES, MAX_RESULTS)


TEXTS = {
    "ascii": "a",
    "latin": "é",
    "chinese": "語",
    "emoji": "\U0001f600",
    "quotes": '"\n',
    "controls": "\1",
}


@pytest.mark.parametrize("text", TEXTS)
async def test_a_reply_is_bounded_whatever_its_texts_are_made_of(api, server, monkeypatch, text):
    monkeypatch.setattr(operations, "MAX_REPLY_BYTES", 6_000)
    monkeypatch.setattr(entries, "_FULL_REPLY_BYTES", 6_000)
    long = TEXTS[text] * 200
    for _ in range(9):
        await api.set(long, long, attributes={"topic": long})
    found = await api.search(long, maxResults=9, searchStrategies=["exact"])
    sizes = [len(json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode()) for entry in found]
    assert sum(sizes[:-1]) < 6_000 <= sum(sizes)
    async with AsyncLangCache(server.url, server.api_key, server.cache_id) as cache:
        told = entries.Entries(cache._caller, cache._limits, frozenset(), lambda: None)
        assert await told.exact(long, {}) == ([CacheEntry.model_validate(entry) for entry in found], False)


async def test_a_failure_of_our_own_is_a_500_that_tells_nothing(api, embedder, caplog):
    embedder.failure = RuntimeError("secret inside")
    with caplog.at_level(logging.ERROR, "langcache.service"):
        status, answer = await api("POST", "entries/search", {"prompt": "p"})
    assert problem(status, answer) == ("/errors/unexpected-error", None)
    assert "secret" not in json.dumps(answer)
    assert "secret inside" in caplog.text


async def test_the_reply_is_what_the_client_s_models_read(api, server, session):
    await api.set("p @10")
    async with session.post(
        f"{server.url}/v1/caches/{server.cache_id}/entries/search",
        json={"prompt": "p @0"},
        headers={"Authorization": f"Bearer {server.api_key}"},
    ) as reply:
        result = msgspec.json.decode(await reply.read(), type=SearchResponse)
    assert result[0].similarity == pytest.approx(0.9924, abs=1e-4)
