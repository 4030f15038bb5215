"""The types of problem of each status.

The service has had two generations of them. Where they differ, ``…ErrorURI`` has the older and
``…ErrorType`` the newer ones.
"""

from __future__ import annotations

from .base import OpenEnum

__all__ = [
    "AuthenticationErrorType",
    "AuthenticationErrorURI",
    "BadRequestErrorType",
    "BadRequestErrorURI",
    "FailedDependencyErrorType",
    "ForbiddenErrorType",
    "ForbiddenErrorURI",
    "NotFoundErrorType",
    "NotFoundErrorURI",
    "PayloadTooLargeErrorType",
    "PayloadTooLargeErrorURI",
    "ResourceUnavailableErrorURI",
    "TooManyRequestsErrorType",
    "TooManyRequestsErrorURI",
    "UnexpectedErrorType",
    "UnexpectedErrorURI",
]


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
