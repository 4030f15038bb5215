"""The errors that a call can end with.

::

    LangCacheError
    ├── StatusError                     the service answered, with an error status
    │   ├── BadRequestError             400   BadRequestErrorResponseContent
    │   ├── AuthenticationError         401   AuthenticationErrorResponseContent
    │   ├── ForbiddenError              403   ForbiddenErrorResponseContent
    │   ├── NotFoundError               404   NotFoundErrorResponseContent
    │   ├── PayloadTooLargeError        413   PayloadTooLargeErrorResponseContent
    │   ├── FailedDependencyError       424   FailedDependency…, ResourceUnavailableErrorResponseContent
    │   ├── TooManyRequestsError        429   TooManyRequestsErrorResponseContent
    │   ├── UnexpectedError             500   UnexpectedErrorResponseContent
    │   └── APIError                    any other status
    │       └── GatewayError            502, 503, 504: from a proxy in front of the service
    │           └── ServiceUnavailableError    503, with a problem: from the service itself
    ├── ResponseValidationError         a 2xx status, but the body can't be read
    ├── RequestError                    no reply came
    │   ├── ConnectError                no connection (also a ConnectionError)
    │   ├── NoResponseError             the connection ended before the reply did (also a ConnectionError)
    │   └── TimeoutException            out of time (also a TimeoutError)
    └── ClosedError                     the client was closed (also a RuntimeError)

The names on the right are those of the established client, for the same classes. An argument that breaks a
rule of the service raises `langcache.LimitError` before anything is sent: a `BadRequestError` (400) that is
also a `ValueError`. An argument of a wrong type raises `TypeError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec

from ._established.paths import alias_modules
from ._wire.exchange import UNREADABLE, Reply
from ._wire.problems import (
    AuthenticationErrorResponseContentData,
    BadRequestErrorResponseContentData,
    FailedDependencyErrorResponseContentData,
    ForbiddenErrorResponseContentData,
    NotFoundErrorResponseContentData,
    PayloadTooLargeErrorResponseContentData,
    ProblemDetails,
    ResourceUnavailableErrorResponseContentData,
    TooManyRequestsErrorResponseContentData,
    UnexpectedErrorResponseContentData,
    problem_class,
)

__all__ = [
    "APIError",
    "AuthenticationError",
    "AuthenticationErrorResponseContent",
    "AuthenticationErrorResponseContentData",
    "BadRequestError",
    "BadRequestErrorResponseContent",
    "BadRequestErrorResponseContentData",
    "ClosedError",
    "ConnectError",
    "FailedDependencyError",
    "FailedDependencyErrorResponseContent",
    "FailedDependencyErrorResponseContentData",
    "ForbiddenError",
    "ForbiddenErrorResponseContent",
    "ForbiddenErrorResponseContentData",
    "GatewayError",
    "LangCacheError",
    "NoResponseError",
    "NotFoundError",
    "NotFoundErrorResponseContent",
    "NotFoundErrorResponseContentData",
    "PayloadTooLargeError",
    "PayloadTooLargeErrorResponseContent",
    "PayloadTooLargeErrorResponseContentData",
    "Reply",
    "RequestError",
    "ResourceUnavailableErrorResponseContent",
    "ResourceUnavailableErrorResponseContentData",
    "ResponseValidationError",
    "ServiceUnavailableError",
    "StatusError",
    "TimeoutException",
    "TooManyRequestsError",
    "TooManyRequestsErrorResponseContent",
    "TooManyRequestsErrorResponseContentData",
    "UnexpectedError",
    "UnexpectedErrorResponseContent",
    "UnexpectedErrorResponseContentData",
]

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_MESSAGE_CHARS = 500
_MOST_FIELDS = 1000
_MOST_FIELDS_IN_MESSAGE = 20


class LangCacheError(Exception):
    """The base class of all errors that a call can end with."""

    message: str
    """What happened, in one line."""

    status_code: int
    """The HTTP status, 0 if no reply came."""

    body: str
    """The reply's body as text, at most the first 64 KiB of it; empty if no reply came."""

    raw_response: Reply | None
    """The reply, None if no reply came."""

    data: ProblemDetails
    """The problem that the body describes: a ``…ErrorResponseContentData`` for a status that has one. Fields
    that the body does not have are None, except for the status."""

    tries: int
    """How many times the request was sent."""

    def __init__(self, message: str = "", raw_response: Reply | None = None, body: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.raw_response = raw_response
        # Compared with None, since the tests of programs pass replies of other types, which may be false.
        self.status_code = 0 if raw_response is None else raw_response.status_code
        self.body = body if body is not None else "" if raw_response is None else raw_response.text
        self.data = ProblemDetails()
        self.tries = 1

    @property
    def headers(self) -> Mapping[str, str]:
        """The reply's headers, empty if no reply came. Their names are case-insensitive."""
        return _NO_HEADERS if self.raw_response is None else self.raw_response.headers

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # By state, not by arguments: those of the subclasses differ, and OSError takes the first of two for
        # an errno.
        return _restore, (type(self), self.args), self.__dict__


def _restore(kind: type[LangCacheError], args: tuple[Any, ...]) -> LangCacheError:
    error = kind.__new__(kind)
    error.args = args
    return error


class StatusError(LangCacheError):
    """The service, or a proxy in front of it, answered with an error status."""

    status: ClassVar[int | None] = None
    """The status of this class; None if there are several."""

    def __init__(
        self,
        data: ProblemDetails | None,
        raw_response: Reply,
        body: str | None = None,
        *,
        message: str | None = None,
    ) -> None:
        super().__init__("", raw_response, body)
        self.data: ProblemDetails = data or ProblemDetails()
        # The tests of programs may give the details only in the body, or a mock as the data.
        told = isinstance(data, ProblemDetails) and bool(data.detail or not body)
        problem = self.data if told else ProblemDetails()
        self.message: str = message or _describe(self.status_code, problem, self.body)
        self.args: tuple[Any, ...] = (self.message,)


class BadRequestError(StatusError):
    """400: the service refused the request; ``data.detail`` and ``data.fields`` say why."""

    status: ClassVar[int | None] = 400


class AuthenticationError(StatusError):
    """401: the API key is missing or wrong."""

    status: ClassVar[int | None] = 401


class ForbiddenError(StatusError):
    """403: the API key is not allowed to do this on this cache."""

    status: ClassVar[int | None] = 403


class NotFoundError(StatusError):
    """404: there is no such cache or entry."""

    status: ClassVar[int | None] = 404


class PayloadTooLargeError(StatusError):
    """413: the request is larger than the service accepts."""

    status: ClassVar[int | None] = 413


class FailedDependencyError(StatusError):
    """424: something that the service depends on failed: its database or its embedding provider."""

    status: ClassVar[int | None] = 424


class TooManyRequestsError(StatusError):
    """429: too many requests; a ``Retry-After`` header may say how long to wait."""

    status: ClassVar[int | None] = 429


class UnexpectedError(StatusError):
    """500: the service failed."""

    status: ClassVar[int | None] = 500


class APIError(StatusError):
    """Any status that has no class of its own."""

    def __init__(self, message: str, raw_response: Reply, body: str | None = None) -> None:
        super().__init__(None, raw_response, body, message=message)


class GatewayError(APIError):
    """502, 503 or 504: a proxy in front of the service could not reach it."""


class ServiceUnavailableError(GatewayError):
    """503, and the body is a problem: the service itself says that it can't answer now.

    It is a `GatewayError` too, so that code that handles a 503 needs no second case. A 503 without a problem
    in JSON comes from a proxy, and is a plain `GatewayError`.
    """


class ResponseValidationError(LangCacheError):
    """The service answered with a 2xx status, but the body can't be read."""

    cause: Exception
    """The error of the decoder."""

    def __init__(self, message: str, raw_response: Reply, cause: Exception, body: str | None = None) -> None:
        super().__init__(f"{message}: {_one_line(str(cause))}", raw_response, body)
        self.cause = cause
        self.__cause__: BaseException | None = cause


class RequestError(LangCacheError):
    """No reply came."""


class ConnectError(RequestError, ConnectionError):
    """No connection to the service: refused, unknown host, or a failed TLS handshake. Nothing was sent."""


class NoResponseError(RequestError, ConnectionError):
    """The connection ended before the reply did. Whether the service carried out the request is unknown."""

    def __init__(
        self,
        message: str = "No response received",
        raw_response: Reply | None = None,
        body: str | None = None,
    ) -> None:
        super().__init__(message, raw_response, body)


class TimeoutException(RequestError, TimeoutError):
    """The time allowed for the call ran out. Whether the service carried out the request is unknown."""


class ClosedError(LangCacheError, RuntimeError):
    """The client was closed, before the call or during it."""


BadRequestErrorResponseContent = BadRequestError
AuthenticationErrorResponseContent = AuthenticationError
ForbiddenErrorResponseContent = ForbiddenError
NotFoundErrorResponseContent = NotFoundError
PayloadTooLargeErrorResponseContent = PayloadTooLargeError
FailedDependencyErrorResponseContent = FailedDependencyError
ResourceUnavailableErrorResponseContent = FailedDependencyError
TooManyRequestsErrorResponseContent = TooManyRequestsError
UnexpectedErrorResponseContent = UnexpectedError

_BY_STATUS: dict[int, type[StatusError]] = {
    kind.status: kind for kind in StatusError.__subclasses__() if kind.status is not None
}


def error_from_reply(reply: Reply) -> StatusError:
    """The error for a reply. Its class depends on the status alone, but for a 503."""
    problem = _problem(reply)
    kind = _BY_STATUS.get(reply.status_code)
    if kind is NotFoundError and not (problem.type or problem.title or problem.detail):
        message = f"{_describe(404, problem, reply.text)} (not an answer of the service: check server_url)"
        return kind(problem, reply, message=message)
    if kind is not None:
        return kind(problem, reply)
    fallback = GatewayError if reply.status_code in (502, 503, 504) else APIError
    if reply.status_code == 503 and (problem.type or problem.title):
        fallback = ServiceUnavailableError
    error = fallback(_describe(reply.status_code, problem, reply.text, reply.headers.get("Location")), reply)
    error.data = problem
    return error


class _Said(msgspec.Struct):
    """The members of a problem, none of them parsed. Other members are skipped, and cost no memory."""

    title: msgspec.Raw = msgspec.Raw()
    type: msgspec.Raw = msgspec.Raw()
    status: msgspec.Raw = msgspec.Raw()
    detail: msgspec.Raw = msgspec.Raw()
    instance: msgspec.Raw = msgspec.Raw()
    fields: msgspec.Raw = msgspec.Raw()


_read_said = msgspec.json.Decoder(_Said).decode


def _problem(reply: Reply) -> ProblemDetails:
    """The problem in the body, read field by field, so that one invalid field does not discard the others."""
    kind = problem_class(reply.status_code)
    try:
        said = _read_said(reply.content)
    except UNREADABLE:
        return kind()
    if bytes(said.fields).count(b"{") > _MOST_FIELDS:
        said.fields = msgspec.Raw()
    read: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        with suppress(*UNREADABLE):  # it is empty or not of the type
            value = msgspec.json.decode(getattr(said, field.name), type=field.type)
            if value is not None:
                read[field.name] = value
    return kind(**read)


def _describe(status: int, problem: ProblemDetails, body: str, location: str | None = None) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    what = problem.detail or problem.title or _one_line(body)
    if what == phrase:
        what = ""
    fields = "; ".join(
        f"{field.field}: {field.message or field.rule}"
        for field in (problem.fields or ())[:_MOST_FIELDS_IN_MESSAGE]
        if field.rule or field.message
        if not (field.message and field.message in what)
    )
    if location is not None and 300 <= status < 400:
        what = f"redirects are not followed; if {location} is the service, give it as server_url"
    return _one_line(": ".join(filter(None, (f"{status} {phrase}".strip(), what, fields))))


def _one_line(text: str) -> str:
    # Unprintable characters could control a terminal, or be lone surrogates that no log file can store.
    shown = (character if character.isprintable() else " " for character in str(text)[: 2 * _MESSAGE_CHARS])
    line = " ".join("".join(shown).split())
    return line if len(line) <= _MESSAGE_CHARS else f"{line[:_MESSAGE_CHARS]}…"


alias_modules(
    __name__,
    """
    apierror authenticationerrorresponsecontent badrequesterrorresponsecontent
    faileddependencyerrorresponsecontent forbiddenerrorresponsecontent langcacheerror
    notfounderrorresponsecontent no_response_error payloadtoolargeerrorresponsecontent
    resourceunavailableerrorresponsecontent responsevalidationerror toomanyrequestserrorresponsecontent
    unexpectederrorresponsecontent
    """,
)
