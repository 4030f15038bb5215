"""The paths of the established client's modules, as further names of the modules here.

There each class has a module of its own, and some programs import it from there.
"""

from __future__ import annotations

import sys
from types import ModuleType

from . import errors, models, retries, sync, utils

__all__ = ["alias_modules"]

_CLASSES = {
    models: """
        AuthenticationErrorType AuthenticationErrorURI BadRequestErrorType BadRequestErrorURI CacheEntry
        ConversationalSearchBody ConversationalSearchResponseContent DeleteQueryRequest DeleteQueryResponse
        FailedDependencyErrorType FieldError ForbiddenErrorType ForbiddenErrorURI NotFoundErrorType
        NotFoundErrorURI PayloadTooLargeErrorType PayloadTooLargeErrorURI ResourceUnavailableErrorURI
        SearchRequest SearchResponse SearchStrategy SetRequest SetResponse TooManyRequestsErrorType
        TooManyRequestsErrorURI UnexpectedErrorType UnexpectedErrorURI
    """,
    errors: """
        APIError AuthenticationErrorResponseContent BadRequestErrorResponseContent
        FailedDependencyErrorResponseContent ForbiddenErrorResponseContent LangCacheError
        NotFoundErrorResponseContent No_Response_Error PayloadTooLargeErrorResponseContent
        ResourceUnavailableErrorResponseContent ResponseValidationError TooManyRequestsErrorResponseContent
        UnexpectedErrorResponseContent
    """,
}


def alias_modules() -> None:
    """Make ``langcache.models.cacheentry`` and the like importable."""
    for module, classes in _CLASSES.items():
        for name in classes.lower().split():
            _alias(module, name, module)
    sys.modules["langcache.sdk"] = sync
    _alias(utils, "logger", utils)
    _alias(utils, "retries", retries)


def _alias(package: ModuleType, name: str, module: ModuleType) -> None:
    sys.modules[f"{package.__name__}.{name}"] = module
    setattr(package, name, module)  # what the import of a real submodule does
