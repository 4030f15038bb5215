"""Failures as replies of the service: the status, the ``type`` and the problem body of each."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Literal

import msgspec
from aiohttp import web

from .._wire.base import camel_case
from .._wire.exchange import UNREADABLE
from ..limits import LimitError
from ..models import FieldError, ProblemDetails
from .embedders import EmbedderError
from .stores.store import StoreError

__all__ = ["NotFound", "Problem", "answer_with_problems", "body_of", "log_failure", "problem_of"]

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode

_TYPES = {
    400: "/errors/invalid-data",
    401: "/errors/authentication-failed",
    403: "/errors/insufficient-permissions",
    404: "/errors/resource/not-found",
    413: "/errors/payload-too-large",
    424: "/errors/database/resource-database-unavailable",
    429: "/errors/too-many-requests",
    500: "/errors/unexpected-error",
}
"""The types in the published description of the API. To clients made from it another type is no 404 or 424 at
all, but a reply that can't be read; this includes every release for JavaScript, 0.11.1 being the newest, and
those for Python before 0.12."""

_NEWER_TYPES = {404: "/errors/resource-not-found", 424: "/errors/resource-unavailable"}
"""The types that established clients for Python know since 0.12, which know no others."""

_KNOWS_NEWER_TYPES = re.compile(r"langcache-python/|speakeasy-sdk/python (?:0\.(?:1[2-9]|[2-9]\d)|[1-9])")
"""The clients, by their User-Agent, that get the newer types. No type would do for all."""

_NOT_FOUND = {
    "cache": "/errors/cache/not-found",
    "entry": "/errors/cache/entry/not-found",
    "key": "/errors/token/not-found",
}

_UNDERSTOOD = {"Accept-Encoding": "gzip, deflate"}

_MISSING_FIELD = re.compile(r"missing required field `(\w+)`")
_WRONG_FIELD = re.compile(r"(.*) - at `\$\.(\w+)")


class Problem(Exception):
    """A failure, with the status, the text and the headers that the client gets."""

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        fields: list[FieldError] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail)
        self.headers = headers
        self.status = status
        self.detail = detail
        self.fields = fields
        self.type: str = _TYPES.get(status, "about:blank")


class NotFound(Problem):
    """There is no such cache, entry or key."""

    def __init__(self, what: Literal["cache", "entry", "key"], detail: str) -> None:
        super().__init__(404, detail)
        self.type: str = _NOT_FOUND[what]


@web.middleware
async def answer_with_problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn an exception of a handler into the reply that the hosted service would give."""
    try:
        return await handler(request)
    except web.HTTPException as error:  # of aiohttp: no such route or method, or a body that is too large
        allow = {name: value for name, value in error.headers.items() if name == "Allow"}
        _forget_frames(error)
        return _reply(request, Problem(error.status), allow)
    except Exception as error:
        problem = problem_of(error)
        client_left = isinstance(error, ConnectionError) and request.transport is None
        if problem.status == 500 and not client_left:  # a client that leaves early is no failure of ours
            resource = request.match_info.route.resource
            log_failure(request.method, "?" if resource is None else resource.canonical)  # without ids
        _forget_frames(error)
        return _reply(request, problem, _UNDERSTOOD if problem.status == 415 else problem.headers)


def log_failure(method: str, path: str) -> None:
    """Log the exception that is being handled, and at what it came."""
    _log.exception("the local service failed at %s %s", method, path)


def _forget_frames(error: BaseException) -> None:
    """Forget where an error, and those behind it, came from: frames that hold the request.

    The request holds the error in turn, so that only a collection of garbage would free the two.
    """
    behind: BaseException | None = error
    while behind is not None and behind.__traceback__ is not None:
        behind.__traceback__ = None
        behind = behind.__cause__ or behind.__context__


def _reply(request: web.Request, problem: Problem, headers: Mapping[str, str] | None = None) -> web.Response:
    kind = problem.type
    if problem.status in _NEWER_TYPES and _KNOWS_NEWER_TYPES.match(request.headers.get("User-Agent", "")):
        kind = _NEWER_TYPES[problem.status]
    return web.Response(
        status=problem.status, body=body_of(problem, kind), content_type="application/json", headers=headers
    )


def body_of(problem: Problem, kind: str | None = None) -> bytes:
    """The body of the reply. ``kind`` is what it has as ``type``; by default, that of the problem."""
    body = ProblemDetails(
        title=HTTPStatus(problem.status).phrase,
        type=problem.type if kind is None else kind,
        status=problem.status,
        detail=problem.detail,
        fields=problem.fields,
    )
    return _encode(body)


def problem_of(error: Exception) -> Problem:
    """What a client is told of an exception of an operation: a 500, unless the exception has a meaning."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, LimitError):
        return _field_problem(camel_case(error.argument), error.rule, error.reason)
    if isinstance(error, msgspec.ValidationError):
        return _validation_problem(str(error))
    if isinstance(error, UNREADABLE):
        return Problem(400, f"the body is not JSON: {error}")
    if isinstance(error, web.RequestPayloadError):
        return Problem(400, "the body can't be read: it is not sent as its headers say")
    if isinstance(error, (EmbedderError, StoreError)):
        _log.warning("a request failed: %s", error)
        # Without the error's own words, which may name a file or a host.
        what = "prompt can't be embedded" if isinstance(error, EmbedderError) else "entries can't be used"
        return Problem(424, f"the {what} at the moment; the log of the service says why")
    return Problem(500)


def _validation_problem(message: str) -> Problem:
    if missing := _MISSING_FIELD.search(message):
        return _field_problem(missing[1], "required", "is missing")
    if wrong := _WRONG_FIELD.match(message):
        return _field_problem(wrong[2], "type", wrong[1])
    return Problem(400, f"the body is not what it should be: {message}")


def _field_problem(field: str, rule: str, message: str) -> Problem:
    return Problem(400, f"{field}: {message}", [FieldError(field=field, rule=rule, message=message)])
