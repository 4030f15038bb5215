"""A semantic cache for LLM answers: clients for Redis LangCache, and a LangCache service of your own.

`AsyncLangCache` is for asyncio programs, `LangCache` for scripts and threads.
"""

from __future__ import annotations

from . import errors, httpclient, models, types, utils
from . import sync as sdk  # where the established client has its class
from ._version import __version__
from .client import AsyncLangCache
from .errors import LangCacheError
from .established_paths import alias_modules
from .httpclient import AsyncHttpClient, HttpClient
from .limits import LimitError, Limits
from .models import CacheEntry, SearchResponse, SearchStrategy, SetResponse
from .protocol import USER_AGENT
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
    "BackoffStrategy",
    "BaseModel",
    "CacheEntry",
    "HttpClient",
    "LangCache",
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
]

VERSION: str = __version__

alias_modules()
