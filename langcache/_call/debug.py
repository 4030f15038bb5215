"""The debug log of each try. It has no secret, and texts only if asked for."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import Any, Protocol, cast

from .._checks import wrong_type
from .._wire.exchange import ERROR_BODY_BYTES, Request
from .masking import Secrets
from .received import Received

__all__ = ["ExchangeLog", "Logger", "default_logger"]


_OFF = ("", "0", "false", "no", "off")


class Logger(Protocol):
    """Anything with a ``debug`` method: a `logging.Logger`, or one of loguru or structlog, for example."""

    def debug(self, msg: str, /, *args: Any) -> Any:
        """Log a line. Only a `logging.Logger` gets ``args`` to fill into it; others get a whole line."""
        ...


class _WholeLines:
    """Gives whole lines to a logger that is not one of `logging`, and may fill ``args`` in in another way."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self.isEnabledFor: Any = getattr(logger, "isEnabledFor", None)

    def debug(self, msg: str, /, *args: Any) -> Any:
        return self._logger.debug(msg % args)


def is_enabled(logger: Logger) -> bool:
    """Whether the logger logs debug lines, as far as it tells."""
    tells = getattr(logger, "isEnabledFor", None)
    return not callable(tells) or bool(tells(logging.DEBUG))


def default_logger() -> Logger | None:
    """The logger ``langcache``, printing to standard error, if ``LANGCACHE_DEBUG`` turns it on; else None.

    Every value turns it on but ``0``, ``false``, ``no``, ``off`` (in any case) and the empty one.
    """
    if os.environ.get("LANGCACHE_DEBUG", "").strip().lower() in _OFF:
        return None
    logger = logging.getLogger("langcache")
    logger.setLevel(logging.DEBUG)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
        logger.addHandler(handler)
    return logger


def check_logger(given: object) -> Logger | None:
    """The logger given as ``debug_logger``, or the default one. Raises `TypeError` if it is no logger."""
    if given is None:
        return default_logger()
    if not callable(getattr(given, "debug", None)):
        raise wrong_type("debug_logger", "a logger, with a debug method as a logging.Logger has", given)
    logger = cast("Logger", given)
    return logger if isinstance(given, logging.Logger | logging.LoggerAdapter) else _WholeLines(logger)


class ExchangeLog:
    """The log lines of one try: one for the request, one for the reply or the failure.

    ``bodies`` says whether they have the bodies: of each the first `ERROR_BODY_BYTES`, with the secrets among
    ``headers``, those of the request, masked.
    """

    def __init__(
        self,
        logger: Logger,
        request: Request[Any],
        url: str,
        headers: Mapping[str, str],
        nth_try: int,
        *,
        bodies: bool,
    ) -> None:
        self._logger = logger
        self._bodies = bodies
        self._what = f"{request.operation.method} {url} (try {nth_try})"
        self._started = time.monotonic()
        body = request.body or b""
        shown = ""
        if bodies:
            is_cut = len(body) > ERROR_BODY_BYTES
            masked = Secrets.of_request(headers).mask_bytes(body[:ERROR_BODY_BYTES], is_cut=is_cut)
            shown = _shown(masked.decode("utf-8", "replace"))
        logger.debug("-> %s: %d bytes%s", self._what, len(body), shown)

    def reply(self, received: Received) -> None:
        """A reply came, whatever its status."""
        self._logger.debug(
            "<- %s: status %d, %d bytes, %.1f ms%s",
            self._what,
            received.status_code,
            len(received.content),
            self._millis(),
            _shown(received.shown().text) if self._bodies else "",
        )

    def failure(self, error: BaseException) -> None:
        """No reply came."""
        self._logger.debug("<- %s: %s, %.1f ms", self._what, type(error).__name__, self._millis())

    def _millis(self) -> float:
        return 1000 * (time.monotonic() - self._started)


def _shown(body: str) -> str:
    return f": {body}" if body else ""
