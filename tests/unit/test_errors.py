"""Which error a reply becomes, what it says, and what it survives."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from langcache import errors
from langcache._wire.exchange import Reply
from langcache.models import FieldError, ProblemDetails

PROBLEM = {
    "title": "Invalid data",
    "type": "/errors/invalid-data",
    "status": 400,
    "detail": "attributes: no attributes are configured for this cache.",
    "instance": "/v1/caches/c/entries/search",
    "fields": [{"field": "attributes", "rule": "blank", "message": "none configured"}],
}


def reply(status, body=b"", **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(
        status, CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()}), content
    )


def every_error():
    gone = ValueError("not JSON")
    yield from (errors.error_from_reply(reply(status, PROBLEM)) for status in (400, 404, 418, 503))
    yield errors.ResponseValidationError("search", reply(200, b"<html>"), gone)
    yield errors.NoResponseError()
    for kind in (errors.RequestError, errors.ConnectError, errors.TimeoutException, errors.ClosedError):
        yield kind("something happened")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequestErrorResponseContent),
        (401, errors.AuthenticationErrorResponseContent),
        (403, errors.ForbiddenErrorResponseContent),
        (404, errors.NotFoundErrorResponseContent),
        (413, errors.PayloadTooLargeErrorResponseContent),
        (424, errors.FailedDependencyErrorResponseContent),
        (424, errors.ResourceUnavailableErrorResponseContent),
        (429, errors.TooManyRequestsErrorResponseContent),
        (500, errors.UnexpectedErrorResponseContent),
        (502, errors.GatewayError),
        (504, errors.GatewayError),
        (302, errors.APIError),
        (418, errors.APIError),
        (505, errors.APIError),
        (999, errors.APIError),
    ],
)
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (PROBLEM, "application/json"),
        (PROBLEM, "application/problem+json"),
        ({**PROBLEM, "type": "/errors/of/a/newer/service"}, "application/json"),
        (b"<html><h1>Sorry</h1></html>", "text/html"),
        (b"", "application/json"),
    ],
)
def test_the_class_follows_from_the_status_whatever_the_body(status, kind, body, content_type):
    error = errors.error_from_reply(reply(status, body, Content_Type=content_type))
    assert type(error) is kind
    assert isinstance(error, errors.LangCacheError)
    assert error.status_code == status
    assert error.headers["content-type"] == content_type
    assert error.body == error.raw_response.text
    assert str(error).startswith(str(status))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({**PROBLEM, "type": "/errors/service-unavailable"}, errors.ServiceUnavailableError),
        ({"type": "/errors/of/a/newer/service"}, errors.ServiceUnavailableError),
        ({"title": "Service unavailable", "status": 503}, errors.ServiceUnavailableError),
        ({"title": "Service unavailable", "type": 5}, errors.ServiceUnavailableError),
        ({"message": "no healthy upstream"}, errors.GatewayError),
        ({"type": "", "title": None}, errors.GatewayError),
        ({"type": ["/errors/service-unavailable"]}, errors.GatewayError),
        ({"statusCode": 503}, errors.GatewayError),
        ([PROBLEM], errors.GatewayError),
        ("service-unavailable", errors.GatewayError),
        (b"<html><title>503</title></html>", errors.GatewayError),
        (b'{"type": "/errors/service-una', errors.GatewayError),
        (b"", errors.GatewayError),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "application/problem+json", "text/html"])
def test_a_503_with_a_problem_is_the_services_own(body, kind, content_type):
    error = errors.error_from_reply(reply(503, body, Content_Type=content_type))
    assert type(error) is kind
    assert error.status_code == 503
    assert isinstance(error, errors.GatewayError)
    assert isinstance(error, errors.APIError)
    assert type(pickle.loads(pickle.dumps(error))) is kind


def test_data_has_every_field_of_the_problem():
    assert errors.error_from_reply(reply(400, PROBLEM)).data == errors.BadRequestErrorResponseContentData(
        title="Invalid data",
        type="/errors/invalid-data",
        status=400,
        detail="attributes: no attributes are configured for this cache.",
        instance="/v1/caches/c/entries/search",
        fields=[FieldError(field="attributes", rule="blank", message="none configured")],
    )


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (PROBLEM, f"400 Bad Request: {PROBLEM['detail']}: attributes: none configured"),
        ({"title": "Invalid data"}, "400 Bad Request: Invalid data"),
        ({"title": "Bad Request"}, "400 Bad Request"),
        ({"detail": "line one\r\n  line two"}, "400 Bad Request: line one line two"),
        ({"detail": "\x1b[2J\x00gone"}, "400 Bad Request: [2J gone"),
        ({"detail": "prompt: too long", "fields": [{"field": "prompt", "message": "too long"}]},
         "400 Bad Request: prompt: too long"),
        ({"title": "Bad", "fields": [{"field": "prompt", "rule": "max"}, {"field": "ttl"}]},
         "400 Bad Request: Bad: prompt: max"),
        (b"<html>\n<h1>Sorry</h1>\n</html>", "400 Bad Request: <html> <h1>Sorry</h1> </html>"),
        (b"", "400 Bad Request"),
        (b"   \n ", "400 Bad Request"),
        (b'{"detail": "cut sho', '400 Bad Request: {"detail": "cut sho'),
    ],
)  # fmt: skip
def test_the_message_is_one_readable_line(body, line):
    assert str(errors.error_from_reply(reply(400, body))) == line


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe\x00",
        b'"just text"',
        b"[1, 2]",
        b"null",
        b'{"detail": 7, "title": ["x"], "status": "x", "fields": {}}',
        b'{"detail": {"a": 1}, "fields": [{"field": 1}], "instance": null}',
        b'{"detail": "\\ud800"}',
        b"[" * 100_000,
        b'{"detail":' * 100_000,
        b"x" * 1_000_000,
    ],
    ids=range(10),
)
def test_odd_bodies_still_give_the_error_of_the_status(body):
    error = errors.error_from_reply(reply(404, body))
    assert type(error) is errors.NotFoundError
    assert error.data == errors.NotFoundErrorResponseContentData()
    assert str(error).startswith("404 Not Found")
    assert len(str(error)) < 600
    assert str(error).isprintable()


def test_one_odd_field_does_not_hide_the_others():
    error = errors.error_from_reply(reply(404, {"title": 7, "detail": "no such entry", "fields": "?"}))
    assert error.data == errors.NotFoundErrorResponseContentData(detail="no such entry")


@given(body=st.binary(max_size=200), status=st.integers(300, 999), content_type=st.text(max_size=60))
def test_no_body_and_no_content_type_raises_anything_else(body, status, content_type):
    error = errors.error_from_reply(reply(status, body, Content_Type=content_type))
    assert error.status_code == status
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("latin-1", "é"),
        ("utf-8", "\ufffd"),
        ("unheard-of", "\ufffd"),
        ("undefined", "\ufffd"),
        ("idna", "\ufffd"),
    ],
)
def test_text_is_read_by_the_charset_that_the_reply_names(charset, text):
    assert reply(500, b"\xe9", Content_Type=f"text/html; charset={charset}").text == text


def test_a_reply_can_be_read_as_json():
    assert reply(200, {"a": [1]}).json() == {"a": [1]}


def test_a_redirect_says_where_to_and_what_to_do():
    error = errors.error_from_reply(reply(307, b"", Location="https://new.example/"))
    assert str(error) == (
        "307 Temporary Redirect: redirects are not followed; "
        "if https://new.example/ is the service, give it as server_url"
    )


def test_a_location_matters_only_on_a_redirect():
    assert str(errors.error_from_reply(reply(503, b"", Location="/x"))) == "503 Service Unavailable"


def test_an_unreadable_success_says_what_the_decoder_said():
    cause = ValueError("expected object\nbut got array")
    error = errors.ResponseValidationError("search", reply(200, b"[]"), cause)
    assert str(error) == "search: expected object but got array"
    assert error.cause is cause
    assert error.__cause__ is cause
    assert (error.status_code, error.body) == (200, "[]")


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.ConnectError, ConnectionError),
        (errors.NoResponseError, ConnectionError),
        (errors.TimeoutException, TimeoutError),
        (errors.ClosedError, RuntimeError),
    ],
)
def test_failures_are_also_the_matching_builtin(kind, builtin):
    with pytest.raises(builtin):
        raise kind("it failed")
    assert issubclass(kind, errors.LangCacheError)


@pytest.mark.parametrize(
    "kind", [errors.LangCacheError, errors.RequestError, errors.ConnectError, errors.TimeoutException]
)
def test_what_a_reply_would_have_given_has_safe_defaults(kind):
    error = kind("nobody answered")
    assert str(error) == error.message == "nobody answered"
    assert (error.status_code, dict(error.headers), error.body) == (0, {}, "")
    assert error.raw_response is None
    assert error.data == ProblemDetails()
    assert error.tries == 1


def test_an_error_can_be_made_as_the_established_client_makes_it():
    assert str(errors.NoResponseError()) == "No response received"
    made = errors.APIError("API error occurred", reply(418), "teapot")
    assert (str(made), made.body, made.status_code) == ("API error occurred", "teapot", 418)
    assert str(errors.NotFoundError(ProblemDetails(detail="gone"), reply(404), "")) == "404 Not Found: gone"
    assert errors.NotFoundError(None, reply(404), message="just gone").message == "just gone"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("error", list(every_error()), ids=lambda error: type(error).__name__)
def test_an_error_survives_copying_and_pickling(error, again):
    error.tries = 3
    twin = again(error)
    assert type(twin) is type(error)
    assert (str(twin), twin.args, twin.tries) == (str(error), error.args, 3)
    assert (twin.status_code, dict(twin.headers), twin.body) == (
        error.status_code,
        dict(error.headers),
        error.body,
    )
    assert twin.raw_response == error.raw_response
    assert twin.data == error.data


def test_every_status_of_the_service_has_a_class_under_both_names():
    for name in vars(errors):
        if name.endswith("ErrorResponseContent"):
            assert issubclass(getattr(errors, name), errors.StatusError)
    assert sorted(kind.status for kind in errors.StatusError.__subclasses__() if kind.status) == [
        400, 401, 403, 404, 413, 424, 429, 500,
    ]  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"404: Not Found", b"<html>none</html>", {"message": "no route"}, [1]])
def test_a_404_without_a_problem_says_what_to_check(body):
    error = errors.error_from_reply(reply(404, body))
    assert type(error) is errors.NotFoundError
    assert str(error).startswith("404 Not Found")
    assert str(error).endswith("(not an answer of the service: check server_url)")


@pytest.mark.parametrize("body", [PROBLEM, {"title": "No such cache"}, {"detail": "Not Found"}])
def test_a_404_of_the_service_says_what_the_service_says(body):
    assert "server_url" not in str(errors.error_from_reply(reply(404, body)))
