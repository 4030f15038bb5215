"""A semantic cache for LLM answers: clients for Redis LangCache, and a LangCache service of your own.

`AsyncLangCache` is for asyncio programs, `LangCache` for scripts and threads.

Each name is loaded when it is first used: ``import langcache`` is fast, and only the clients load aiohttp.
"""

from __future__ import annotations

from ._lazy import lazy_names
from ._version import __version__

TYPE_CHECKING = False  # type checkers treat it as true; importing typing would take longer than the rest
if TYPE_CHECKING:
    from . import errors, httpclient, models, sdk, types, utils
    from ._call.head import USER_AGENT
    from .admin import AsyncLangCacheAdmin
    from .admin_sync import LangCacheAdmin
    from .client import AsyncLangCache
    from .errors import LangCacheError
    from .httpclient import AsyncHttpClient, HttpClient
    from .limits import LimitError, Limits
    from .matching.verifier import verifier
    from .models import CacheEntry, SearchResponse, SearchStrategy, SetResponse
    from .retries import BackoffStrategy, RetryConfig
    from .sync import LangCache
    from .types import UNSET, BaseModel, OptionalNullable
    from .utils import Logger, get_default_logger

__all__ = [
    "UNSET",
    "USER_AGENT",
    "VERSION",
    "AsyncHttpClient",
    "AsyncLangCache",
    "AsyncLangCacheAdmin",
    "BackoffStrategy",
    "BaseModel",
    "CacheEntry",
    "HttpClient",
    "LangCache",
    "LangCacheAdmin",
    "LangCacheError",
    "LimitError",
    "Limits",
    "Logger",
    "OptionalNullable",
    "RetryConfig",
    "SearchResponse",
    "SearchStrategy",
    "SetResponse",
    "__version__",
    "errors",
    "get_default_logger",
    "httpclient",
    "models",
    "sdk",
    "types",
    "utils",
    "verifier",
]

VERSION: str = __version__

_MODULE_OF = {
    "UNSET": "types",
    "USER_AGENT": "_call.head",
    "AsyncHttpClient": "httpclient",
    "AsyncLangCache": "client",
    "AsyncLangCacheAdmin": "admin",
    "BackoffStrategy": "retries",
    "BaseModel": "types",
    "CacheEntry": "models",
    "HttpClient": "httpclient",
    "LangCache": "sync",
    "LangCacheAdmin": "admin_sync",
    "LangCacheError": "errors",
    "LimitError": "limits",
    "Limits": "limits",
    "Logger": "utils",
    "OptionalNullable": "types",
    "RetryConfig": "retries",
    "SearchResponse": "models",
    "SearchStrategy": "models",
    "SetResponse": "models",
    "get_default_logger": "utils",
    "verifier": "matching.verifier",
}

_MODULES = {
    *("admin", "admin_sync", "aside", "caches", "chat", "client", "errors", "http", "httpclient", "limits"),
    *("models", "retries", "sdk", "service", "sync", "telemetry", "tuning", "types", "utils"),
}
"""The public modules: ``langcache.errors``, for example, works without an import of its own."""

if not TYPE_CHECKING:  # so that type checkers still report wrong names
    __getattr__ = lazy_names(__name__, _MODULE_OF, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
