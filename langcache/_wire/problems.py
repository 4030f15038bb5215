"""The bodies of errors: problem details as in RFC 9457, and the types of problem of each status.

The service has had two generations of types. Where they differ, ``…ErrorURI`` has the older and
``…ErrorType`` the newer ones.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from .base import Model, OpenEnum

__all__ = [
    "AuthenticationErrorResponseContentData",
    "AuthenticationErrorType",
    "AuthenticationErrorURI",
    "BadRequestErrorResponseContentData",
    "BadRequestErrorType",
    "BadRequestErrorURI",
    "FailedDependencyErrorResponseContentData",
    "FailedDependencyErrorType",
    "FieldError",
    "ForbiddenErrorResponseContentData",
    "ForbiddenErrorType",
    "ForbiddenErrorURI",
    "NotFoundErrorResponseContentData",
    "NotFoundErrorType",
    "NotFoundErrorURI",
    "PayloadTooLargeErrorResponseContentData",
    "PayloadTooLargeErrorType",
    "PayloadTooLargeErrorURI",
    "ProblemDetails",
    "ResourceUnavailableErrorResponseContentData",
    "ResourceUnavailableErrorURI",
    "TooManyRequestsErrorResponseContentData",
    "TooManyRequestsErrorType",
    "TooManyRequestsErrorURI",
    "UnexpectedErrorResponseContentData",
    "UnexpectedErrorType",
    "UnexpectedErrorURI",
]


_Enumeration: TypeAlias = type[OpenEnum] | None  # an alias, since below `type` is a field


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

    types: ClassVar[_Enumeration] = None
    """The enumeration that ``type`` is a member of, None if it is a plain string."""

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
        if self.types is not None and self.type is not None:
            self.type = self.types(self.type)


class BadRequestErrorType(OpenEnum):
    """The types of a 400."""

    ROOT_ERRORS_INVALID_DATA = "/errors/invalid-data"


class AuthenticationErrorType(OpenEnum):
    """The types of a 401."""

    ROOT_ERRORS_AUTHENTICATION_FAILED = "/errors/authentication-failed"


class ForbiddenErrorType(OpenEnum):
    """The types of a 403."""

    ROOT_ERRORS_INSUFFICIENT_PERMISSIONS = "/errors/insufficient-permissions"


class NotFoundErrorType(OpenEnum):
    """The types of a 404."""

    ROOT_ERRORS_RESOURCE_NOT_FOUND = "/errors/resource-not-found"


class NotFoundErrorURI(OpenEnum):
    """The types of a 404 in the older generation."""

    ROOT_ERRORS_RESOURCE_NOT_FOUND = "/errors/resource/not-found"
    ROOT_ERRORS_CACHE_NOT_FOUND = "/errors/cache/not-found"
    ROOT_ERRORS_CACHE_ENTRY_NOT_FOUND = "/errors/cache/entry/not-found"
    ROOT_ERRORS_TOKEN_NOT_FOUND = "/errors/token/not-found"  # noqa: S105


class PayloadTooLargeErrorType(OpenEnum):
    """The types of a 413."""

    ROOT_ERRORS_PAYLOAD_TOO_LARGE = "/errors/payload-too-large"


class FailedDependencyErrorType(OpenEnum):
    """The types of a 424."""

    ROOT_ERRORS_RESOURCE_UNAVAILABLE = "/errors/resource-unavailable"
    ROOT_ERRORS_DATABASE_OUT_OF_MEMORY = "/errors/database-out-of-memory"


class ResourceUnavailableErrorURI(OpenEnum):
    """The types of a 424 in the older generation."""

    ROOT_ERRORS_DATABASE_RESOURCE_DATABASE_UNAVAILABLE = "/errors/database/resource-database-unavailable"
    ROOT_ERRORS_DATABASE_OUT_OF_MEMORY = "/errors/database/out-of-memory"
    ROOT_ERRORS_EMBEDDINGS_UNAUTHORIZED = "/errors/embeddings/unauthorized"
    ROOT_ERRORS_EMBEDDINGS_TOO_MANY_REQUESTS = "/errors/embeddings/too-many-requests"
    ROOT_ERRORS_CACHE_INDEX_NOT_FOUND = "/errors/cache/index-not-found"


class TooManyRequestsErrorType(OpenEnum):
    """The types of a 429."""

    ROOT_ERRORS_TOO_MANY_REQUESTS = "/errors/too-many-requests"


class UnexpectedErrorType(OpenEnum):
    """The types of a 500."""

    ROOT_ERRORS_UNEXPECTED_ERROR = "/errors/unexpected-error"
    # Of the older generation; the newer one still has them:
    ROOT_ERRORS_CACHE_AUTHENTICATION = "/errors/cache/authentication"
    ROOT_ERRORS_CACHE_UNEXPECTED_ERROR = "/errors/cache/unexpected-error"
    ROOT_ERRORS_EMBEDDINGS_UNEXPECTED_ERROR = "/errors/embeddings/unexpected-error"


BadRequestErrorURI = BadRequestErrorType
AuthenticationErrorURI = AuthenticationErrorType
ForbiddenErrorURI = ForbiddenErrorType
PayloadTooLargeErrorURI = PayloadTooLargeErrorType
TooManyRequestsErrorURI = TooManyRequestsErrorType
UnexpectedErrorURI = UnexpectedErrorType


class BadRequestErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 400."""

    types: ClassVar[_Enumeration] = BadRequestErrorType
    status: int | None = 400


class AuthenticationErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 401."""

    types: ClassVar[_Enumeration] = AuthenticationErrorType
    status: int | None = 401


class ForbiddenErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 403."""

    types: ClassVar[_Enumeration] = ForbiddenErrorType
    status: int | None = 403


class NotFoundErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 404."""

    types: ClassVar[_Enumeration] = NotFoundErrorType
    status: int | None = 404


class PayloadTooLargeErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 413."""

    types: ClassVar[_Enumeration] = PayloadTooLargeErrorType
    status: int | None = 413


class FailedDependencyErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 424."""

    types: ClassVar[_Enumeration] = FailedDependencyErrorType
    status: int | None = 424


ResourceUnavailableErrorResponseContentData = FailedDependencyErrorResponseContentData


class TooManyRequestsErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 429."""

    types: ClassVar[_Enumeration] = TooManyRequestsErrorType
    status: int | None = 429


class UnexpectedErrorResponseContentData(ProblemDetails, kw_only=True, omit_defaults=True):
    """The body of a 500."""

    types: ClassVar[_Enumeration] = UnexpectedErrorType
    status: int | None = 500


_BY_STATUS: dict[int | None, type[ProblemDetails]] = {
    kind().status: kind for kind in ProblemDetails.__subclasses__()
}


def problem_class(status: int) -> type[ProblemDetails]:
    """The struct for the body of an error with this status."""
    return _BY_STATUS.get(status, ProblemDetails)
