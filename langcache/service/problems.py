"""What a client is told of a failure: the status, the ``type`` and the problem body, however it is sent."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal

import msgspec

from .._wire.base import camel_case
from .._wire.exchange import UNREADABLE
from ..limits import LimitError
from ..models import FieldError, ProblemDetails
from .embedders import EmbedderError
from .stores.store import StoreError

__all__ = ["NotFound", "Problem", "body_of", "log_failure", "problem_of"]

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

_NOT_FOUND = {
    "cache": "/errors/cache/not-found",
    "entry": "/errors/cache/entry/not-found",
    "key": "/errors/token/not-found",
}

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


def log_failure(method: str, path: str) -> None:
    """Log the exception that is being handled, and at what it came."""
    _log.exception("the local service failed at %s %s", method, path)


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
