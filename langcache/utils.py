"""The import path that programs use for the retry names and the default logger."""

from __future__ import annotations

import logging

from ._call.debug import Logger, default_logger
from ._established.paths import alias_modules
from .retries import BackoffStrategy, RetryConfig

__all__ = ["BackoffStrategy", "Logger", "RetryConfig", "get_default_logger"]


def get_default_logger() -> Logger:
    """The logger ``langcache``, set up to print debug messages if ``LANGCACHE_DEBUG`` turns it on."""
    return default_logger() or logging.getLogger("langcache")


alias_modules(__name__, "logger")
alias_modules(__name__, "retries", BackoffStrategy.__module__)
