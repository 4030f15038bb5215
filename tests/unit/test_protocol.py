"""The exact bytes on the wire, where they may go, and what comes of the reply."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from langcache import LimitError, Limits, __version__, errors, models
from langcache._call import head, protocol
from langcache._call.received import Received
from langcache._wire.exchange import ERROR_BODY_BYTES
from langcache.models import HealthResponse

LIMITS = Limits()
BASE = "https://cache.example/v1/caches/c/"


@pytest.mark.parametrize(
    ("request_", "method", "path", "body"),
    [
        (
            protocol.search(LIMITS, "Hi?", None, None, None, None),
            "POST",
            "entries/search",
            b'{"prompt":"Hi?"}',
        ),
        (
            protocol.search(LIMITS, "Hé", 1, ["exact", "semantic"], {"a": "b"}, 3),
            "POST",
            "entries/search",
            '{"prompt":"Hé","similarityThreshold":1.0,"searchStrategies":["exact","semantic"],'
            '"attributes":{"a":"b"},"maxResults":3}'.encode(),
        ),
        (
            protocol.conversational_search(LIMITS, "And?", 0, None, {}, None, ["Hi?"]),
            "POST",
            "conversations/search",
            b'{"prompt":"And?","similarityThreshold":0.0,"context":["Hi?"]}',
        ),
        (
            protocol.set(LIMITS, "Hi?", "", None, None),
            "POST",
            "entries",
            b'{"prompt":"Hi?","response":""}',
        ),
        (
            protocol.set(LIMITS, "Hi?", "Ho!", {"a": "b"}, 5000),
            "POST",
            "entries",
            b'{"prompt":"Hi?","response":"Ho!","attributes":{"a":"b"},"ttlMillis":5000}',
        ),
        (protocol.delete_by_id("a b"), "DELETE", "entries/a%20b", None),
        (
            protocol.delete_query(LIMITS, {"a": "b"}),
            "DELETE",
            "entries",
            b'{"attributes":{"a":"b"}}',
        ),
        (protocol.flush(), "POST", "flush", None),
        (protocol.health(), "GET", "health", None),
    ],
    ids=lambda value: value.operation.name if hasattr(value, "operation") else "",
)
def test_what_an_operation_sends(request_, method, path, body):
    assert (request_.operation.method, request_.path, request_.body) == (method, path, body)


def test_only_what_repeats_without_harm_is_repeatable():
    repeatable = [
        protocol.search(LIMITS, "x", None, None, None, None),
        protocol.flush(),
        protocol.health(),
        protocol.delete_by_id("x"),
        protocol.delete_query(LIMITS, {"a": "b"}),
    ]
    assert all(request.operation.repeatable for request in repeatable)
    assert not protocol.set(LIMITS, "x", "y", None, None).operation.repeatable


@given(entry_id=st.text(max_size=40) | st.text("./%\\2ef?#;\uff0e", max_size=6))
def test_no_entry_id_reaches_another_endpoint(entry_id):
    try:
        url = URL(BASE + protocol.delete_by_id(entry_id).path, encoded=True)
    except LimitError:
        return
    assert url.raw_path.startswith("/v1/caches/c/entries/")
    segment = url.raw_path.removeprefix("/v1/caches/c/entries/")
    assert unquote(segment) == entry_id
    assert segment not in ("", ".", "..")
    assert "/" not in segment
    assert url.raw_query_string == url.raw_fragment == ""


@pytest.mark.parametrize("attributes", [None, {}])
def test_a_delete_query_without_attributes_is_never_made(attributes):
    with pytest.raises(LimitError, match="attributes: cannot be blank"):
        protocol.delete_query(LIMITS, attributes)


@pytest.mark.parametrize("response", [None, 7, b"x", "\udfff"])
def test_a_response_is_text(response):
    with pytest.raises((TypeError, ValueError), match="response: must be"):
        protocol.set(LIMITS, "x", response, None, None)


@pytest.mark.parametrize(
    ("server_url", "base"),
    [
        ("cache.example", "https://cache.example/v1/caches/c/"),
        ("cache.example:8443/", "https://cache.example:8443/v1/caches/c/"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/caches/c/"),
        ("https://[::1]:8080/", "https://[::1]:8080/v1/caches/c/"),
        ("https://cache.example/behind/a/path//", "https://cache.example/behind/a/path/v1/caches/c/"),
        ("  https://cache.example\n", "https://cache.example/v1/caches/c/"),
        ("http://my_service", "http://my_service/v1/caches/c/"),
        ("HTTPS://xn--bcher-kva.example", "https://xn--bcher-kva.example/v1/caches/c/"),
    ],
)
def test_a_server_url_may_be_a_bare_host_and_end_in_a_slash(server_url, base):
    assert head.base_url(server_url, "c") == base


@pytest.mark.parametrize(
    "server_url",
    [
        "",
        " ",
        "://",
        "http://",
        "https:///path",
        "ftp://cache.example",
        "file:///etc/passwd",
        "http://ca che.example",
        "http://cache.example:port",
        "http://cache.example:99999",
        "http://[::1",
        "http://a..b",
        "http://.",
        "http://a\\b",
        "http://cache.example/\\c",
        "http://cache.example/é",
        "http://cache.example:",
        "http:/cache.example",
        f"http://{'a' * 64}.example",
        "http://xn--zz-.example",
        "http://cache.example/\x00",
        "http://cache.example?cache=c",
        "http://cache.example/#c",
        "http://bücher.example",
        "http://℀.example",
        "http://[::1].cache.example",
        "http://cache[::1]",
        "http://[zz]",
        "http://cache|example",
        "http://cache%2Fexample",
        "\ud800",
    ],
)
def test_what_cannot_be_a_url_is_refused(server_url):
    with pytest.raises(ValueError, match=r"^server_url: "):
        head.base_url(server_url, "c")


@pytest.mark.parametrize(
    "before", ["https://cache.example", "127.0.0.1:8787", "http://cache.example/behind/a/path"]
)
@pytest.mark.parametrize(
    "end",
    ["/v1", "/v1/", "/V1", "/v1//", "/v1/caches", "/v1/caches/c", "/v1/caches/other"],
)
def test_a_server_url_ends_before_what_the_client_appends(before, end):
    with pytest.raises(ValueError, match=r"^server_url: must end before the /v1.*cache_id"):
        head.base_url(before + end, "c")


@pytest.mark.parametrize("path", ["/v1x", "/v1/behind", "/api/v10", "/v1/cachesX", "/v2", "/docsify"])
def test_a_path_that_only_looks_like_it_is_kept(path):
    assert head.base_url(f"https://cache.example{path}", "c") == f"https://cache.example{path}/v1/caches/c/"


@pytest.mark.parametrize(
    "server_url",
    [
        "https://redis.io/docs/latest/develop/ai/langcache/",
        "redis.io/langcache",
        "https://cloud.redis.io",
        "http://127.0.0.1:8787/docs",
        "http://127.0.0.1:8787/redoc/",
        "https://cache.example/openapi.json",
        "https://cache.example/index.html",
    ],
)
def test_the_address_of_a_page_is_none_of_a_service(server_url):
    with pytest.raises(ValueError, match=r"^server_url: is the address of a page.*langcache serve"):
        head.base_url(server_url, "c")


def test_a_server_url_is_text():
    with pytest.raises(TypeError, match="server_url: must be str, but is int"):
        head.base_url(7, "c")


@pytest.mark.parametrize(
    "server_url",
    [
        "https://user:hunter2@cache.example",
        "https://hunter2@cache.example",
        "https://cache.example?key=hunter2",
        "https://cache.example#hunter2",
        "redis://cache.example?key=hunter2",
        "https://?key=hunter2",
        "https://user:hunter2#x@cache.example",
        "https://user:hunter2/x@cache.example",
        "https://user:12/hunter2@cache.example",
        "https://user:hunter2@ho℀st",
    ],
)
def test_a_password_in_a_server_url_is_refused_and_not_shown(server_url):
    with pytest.raises(ValueError, match="api_key") as raised:
        head.base_url(server_url, "c")
    assert "hunter2" not in str(raised.value)
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    "server_url",
    [
        "https://cache.example\uff1fkey=hunter2",
        "https://cache.example:hunter2",
        "https://cache.example/hunter 2hunter2",
        "hunter2://cache.example",
        f"{'hunter2' * 10}.example",
    ],
)
def test_what_is_refused_as_a_server_url_is_not_shown(server_url):
    with pytest.raises(ValueError, match=r"^server_url: ") as raised:
        head.base_url(server_url, "c")
    assert "hunter2" not in str(raised.value)
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("", ValueError),
        (" secret", ValueError),
        ("secret\n", ValueError),
        ("secret\r\nX: y", ValueError),
        ("sécret", ValueError),
        (b"secret", TypeError),
        (["secret"], TypeError),
    ],
)
def test_what_cannot_be_a_key_is_refused_and_not_shown(key, error):
    with pytest.raises(error, match=r"^api_key: ") as raised:
        head.authorization(key)
    assert "cret" not in str(raised.value)


def test_the_headers_of_a_request():
    request = protocol.search(LIMITS, "x", None, None, None, None)
    assert head.headers(request, "Bearer k", None) == {
        "Authorization": "Bearer k",
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": f"langcache-python/{__version__}",
    }
    assert "Content-Type" not in head.headers(protocol.flush(), "Bearer k", {})


def test_headers_of_the_user_replace_ours_without_case():
    headers = head.headers(protocol.flush(), "Bearer k", {"user-agent": "mine", "X-Trace": "é 1"})
    assert headers == {
        "Authorization": "Bearer k",
        "Accept": "application/json",
        "user-agent": "mine",
        "X-Trace": "é 1",
    }


@pytest.mark.parametrize(
    ("extra", "error", "words"),
    [
        ([("a", "b")], TypeError, "http_headers: must be a mapping of str to str, but is list"),
        ({1: "b"}, TypeError, "http_headers: names must be str, but one is int"),
        ({"a": 1}, TypeError, "http_headers['a']: must be str, but is int"),
        ({"": "b"}, ValueError, "one of the names can't be the name of a header: it is empty"),
        ({"a b": "c"}, ValueError, "one of the names can't be the name of a header"),
        ({"a\r\nb": "c"}, ValueError, "can't be the name of a header"),
        ({"a": "b\r\nc: d"}, ValueError, "the value of 'a' has a control character"),
        ({"a": "\ud800"}, ValueError, "lone surrogate"),
    ],
)
def test_what_cannot_be_a_header_is_refused(extra, error, words):
    with pytest.raises(error) as raised:
        head.headers(protocol.flush(), "Bearer k", extra)
    assert words in str(raised.value)


def read(request, status, body=b""):
    return protocol.read_reply(request, Received(status, {}, body, {}), tries=2)


def test_a_success_becomes_a_model_that_knows_its_tries():
    result = read(protocol.set(LIMITS, "x", "y", None, None), 201, b'{"entryId":"e1"}')
    assert (result.entry_id, result.tries) == ("e1", 2)


@pytest.mark.parametrize("status", [200, 202, 204])
@pytest.mark.parametrize("body", [b"", b" ", b"{}"])
def test_operations_without_a_result_care_for_no_body(status, body):
    assert read(protocol.flush(), status, body) is None
    assert read(protocol.delete_by_id("e1"), status, body) is None
    assert read(protocol.health(), status, body) == HealthResponse()


@pytest.mark.parametrize("request_", [protocol.flush(), protocol.delete_by_id("e1"), protocol.health()])
def test_a_page_is_no_answer_of_the_service(request_):
    with pytest.raises(errors.ResponseValidationError):
        read(request_, 200, b"<html>sign in</html>")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"entryId":7}', b'{"entryId":"\xff"}', b'{"entryId":' + b"[" * 100_000]
)
def test_a_success_that_cannot_be_read_says_which_operation_and_why(body):
    with pytest.raises(errors.ResponseValidationError, match=r"^set: a 201 whose body") as raised:
        read(protocol.set(LIMITS, "x", "y", None, None), 201, body)
    error = raised.value
    assert isinstance(error.cause, Exception)
    assert error.__cause__ is error.cause
    assert (error.status_code, error.raw_response.content, error.tries) == (201, body[:ERROR_BODY_BYTES], 2)


ENTRY = {"id": "e", "prompt": "p", "response": "r", "similarity": 0.9, "searchStrategy": "semantic"}


@pytest.mark.parametrize(
    ("attributes", "read_as"), [(None, {}), ({"a": None, "b": "x"}, {"b": "x"}), ({"data": None}, {})]
)
def test_a_null_among_the_attributes_is_none(attributes, read_as):
    body = json.dumps({"data": [{**ENTRY, "attributes": attributes}, {**ENTRY, "attributes": {"c": "y"}}]})
    first, second = read(protocol.search(LIMITS, "x", None, None, None, None), 200, body.encode())
    assert (first.attributes, second.attributes) == (read_as, {"c": "y"})


@pytest.mark.parametrize("body", [b'{"data":null}', b'{"data":null,"actualPrompt":"x","newer":null}'])
def test_a_null_in_place_of_the_entries_is_a_miss(body):
    result = read(protocol.search(LIMITS, "x", None, None, None, None), 200, body)
    assert (result, result.data, result.tries) == (models.SearchResponse(data=[]), [], 2)


@pytest.mark.parametrize("body", [b"{}", b"null", b'{"data":[null]}', b'{"data":[{"id":null}]}'])
def test_a_null_in_place_of_what_must_be_there_is_an_error_about_the_null(body):
    with pytest.raises(errors.ResponseValidationError) as raised:
        read(protocol.search(LIMITS, "x", None, None, None, None), 200, body)
    assert ("null" in str(raised.value)) is (b"null" in body)
    assert raised.value.raw_response.content == body


@pytest.mark.parametrize("status", [101, 302, 404, 500, 599])
def test_anything_but_a_success_raises_and_knows_its_tries(status):
    with pytest.raises(errors.StatusError) as raised:
        read(protocol.flush(), status, json.dumps({"detail": "no"}).encode())
    assert (raised.value.status_code, raised.value.data.detail, raised.value.tries) == (status, "no", 2)


FRAMING = [
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Expect",
    "HTTP2-Settings",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
]


@pytest.mark.parametrize("name", FRAMING)
@pytest.mark.parametrize(
    "written", [str, str.lower, str.upper, str.swapcase, lambda name: name.replace("-", "_")]
)
def test_headers_that_frame_the_message_are_refused(name, written):
    for request in (protocol.flush(), protocol.delete_by_id("e")):
        with pytest.raises(ValueError, match=r"http_headers: .* says how the message is sent.*leave it out"):
            head.headers(request, "Bearer k", {"X-Other": "fine", written(name): "chunked"})


@pytest.mark.parametrize(
    "name", [":authority", " Content-Length", "Content-Length ", "Content-Length:", "A\tB", ""]
)
def test_names_around_them_are_no_names(name):
    with pytest.raises(ValueError, match=r"http_headers: .* can't be the name of a header"):
        head.headers(protocol.flush(), "Bearer k", {name: "0"})


@pytest.mark.parametrize("name", ["Host", "Accept-Encoding", "Content-Type", "X-Content-Length"])
def test_other_headers_are_the_users_to_set(name):
    assert head.headers(protocol.flush(), "Bearer k", {name: "a"})[name] == "a"


@pytest.mark.parametrize(
    "extra",
    [
        {"Bearer the-secret": "Authorization"},
        {"X-Api-Key": "the-secret\ud800"},
        {"X-Api-Key": "the-secret\n"},
    ],
)
def test_no_error_about_a_header_has_its_value(extra):
    with pytest.raises(ValueError, match="http_headers") as raised:
        head.headers(protocol.health(), "Bearer k", extra)
    error = raised.value
    assert "the-secret" not in f"{error!r} {error.__cause__!r} {error.__context__!r}"
