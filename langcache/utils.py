"""The import path that programs use for the retry names and the default logger."""

from __future__ import annotations

from .debug import DebugLogger as Logger
from .debug import default_logger as get_default_logger
from .retries import BackoffStrategy, RetryConfig

__all__ = ["BackoffStrategy", "Logger", "RetryConfig", "get_default_logger"]
