"""A semantic cache for LLM answers: clients for Redis LangCache, and a LangCache service of your own.

`AsyncLangCache` is for asyncio programs, `LangCache` for scripts and threads.
"""

from __future__ import annotations

from . import errors, models
from ._version import __version__
from .client import AsyncLangCache
from .errors import LangCacheError
from .limits import LimitError, Limits
from .models import CacheEntry, SearchResponse, SearchStrategy, SetResponse
from .retries import BackoffStrategy, RetryConfig
from .sync import LangCache

__all__ = [
    "AsyncLangCache",
    "BackoffStrategy",
    "CacheEntry",
    "LangCache",
    "LangCacheError",
    "LimitError",
    "Limits",
    "RetryConfig",
    "SearchResponse",
    "SearchStrategy",
    "SetResponse",
    "__version__",
    "errors",
    "models",
]
