"""The bodies of errors: problem details as in RFC 9457."""

from __future__ import annotations

from typing import ClassVar

from .base import Model

__all__ = [
    "AuthenticationErrorResponseContentData",
    "BadRequestErrorResponseContentData",
    "FailedDependencyErrorResponseContentData",
    "FieldError",
    "ForbiddenErrorResponseContentData",
    "NotFoundErrorResponseContentData",
    "PayloadTooLargeErrorResponseContentData",
    "ProblemDetails",
    "ResourceUnavailableErrorResponseContentData",
    "TooManyRequestsErrorResponseContentData",
    "UnexpectedErrorResponseContentData",
]


class FieldError(Model, kw_only=True, omit_defaults=True):
    """What the service says is wrong with one field of a request."""

    field: str = ""
    """The field's name on the wire."""

    rule: str = ""
    """The short name of the rule that the field breaks."""

    message: str = ""
    """What is wrong with the field."""


class ProblemDetails(Model, kw_only=True, omit_defaults=True):
    """The body of an error. Fields that the body does not have are None."""

    _type_enum: ClassVar[str | None] = None
    """The name of the enumeration that ``type`` is a member of, None if it is a plain string."""

    title: str | None = None
    """The kind of problem, in a few words."""

    type: str | None = None
    """The kind of problem, as a URI reference. The service has changed these before; to tell problems apart,
    the status is more reliable."""

    status: int | None = None
    """The HTTP status."""

    detail: str | None = None
    """What happened in this case."""

    instance: str | None = None
    """Where it happened, as a URI reference."""

    fields: list[FieldError] | None = None
    """What is wrong with the request, field by field."""

    def __post_init__(self) -> None:
        if self._type_enum is not None and self.type is not None:
            from . import error_types  # which programs without an error do not need

            self.type = getattr(error_types, self._type_enum)(self.type)


class BadRequestErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 400."""

    _type_enum: ClassVar[str | None] = "BadRequestErrorType"
    status: int | None = 400


class AuthenticationErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 401."""

    _type_enum: ClassVar[str | None] = "AuthenticationErrorType"
    status: int | None = 401


class ForbiddenErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 403."""

    _type_enum: ClassVar[str | None] = "ForbiddenErrorType"
    status: int | None = 403


class NotFoundErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 404."""

    _type_enum: ClassVar[str | None] = "NotFoundErrorType"
    status: int | None = 404


class PayloadTooLargeErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 413."""

    _type_enum: ClassVar[str | None] = "PayloadTooLargeErrorType"
    status: int | None = 413


class FailedDependencyErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 424."""

    _type_enum: ClassVar[str | None] = "FailedDependencyErrorType"
    status: int | None = 424


ResourceUnavailableErrorResponseContentData = FailedDependencyErrorResponseContentData


class TooManyRequestsErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 429."""

    _type_enum: ClassVar[str | None] = "TooManyRequestsErrorType"
    status: int | None = 429


class UnexpectedErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 500."""

    _type_enum: ClassVar[str | None] = "UnexpectedErrorType"
    status: int | None = 500


_BY_STATUS: dict[int | None, type[ProblemDetails]] = {
    kind().status: kind for kind in ProblemDetails.__subclasses__()
}


def problem_class(status: int) -> type[ProblemDetails]:
    """The struct for the body of an error with this status."""
    return _BY_STATUS.get(status, ProblemDetails)
