"""What the service logs of each request: an id, never a prompt, a response or a key."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime, timezone
from itertools import count
from secrets import token_hex
from typing import Any, Literal

from aiohttp import web

__all__ = ["LOG_FORMATS", "LOG_LEVELS", "LogFormat", "RequestIds", "log_request", "logs_requests", "set_up"]

LogFormat = Literal["text", "json"]
LOG_FORMATS: tuple[LogFormat, ...] = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")

_requests = logging.getLogger("langcache.service.requests")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/=@-]{0,127}", re.ASCII)

_FIELDS = "request"
"""The attribute of a record with what is known of a request."""

_current: ContextVar[str | None] = ContextVar("langcache_request_id", default=None)


class RequestIds:
    """Gives requests their ids."""

    def __init__(self) -> None:
        # Random for each process, and counted within it, which takes a tenth of the time.
        self._begin = token_hex(8)
        self._numbers = count(1)

    def of(self, request: web.BaseRequest) -> str:
        """The id of a request, which all that is logged from now on has: the client's if it is well-formed.

        That is one header ``X-Request-ID`` of 1 to 128 letters, digits and ``._:+/=@-``, the first of which
        is a letter or a digit. Any other request gets a new id.
        """
        given = request.headers.getall("X-Request-ID", ())
        if len(given) == 1 and _ID.fullmatch(given[0]):
            found = given[0]
        else:
            found = f"{self._begin}{next(self._numbers):016x}"
        _current.set(found)
        return found


def logs_requests() -> bool:
    """Whether `log_request` logs."""
    return _requests.isEnabledFor(logging.INFO)


def log_request(fields: Mapping[str, Any]) -> None:
    """Log a request that has been answered, at the level INFO."""
    text = " ".join(f"{name}={value}" for name, value in fields.items())
    _requests.info("request %s", text, extra={_FIELDS: dict(fields)})


def set_up(form: LogFormat, level: str) -> None:
    """Log to stderr, as text or as one JSON object for each line.

    ``level`` is for the loggers of langcache; of others only warnings are logged.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("langcache").setLevel(level.upper())
    logging.captureWarnings(True)


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        found = _current.get()
        shown = super().format(record)
        return f"{shown} request_id={found}" if found and not hasattr(record, _FIELDS) else shown


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        of_request: Mapping[str, Any] | None = getattr(record, _FIELDS, None)
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage() if of_request is None else "request",
        }
        found = _current.get()
        if found is not None:
            line["request_id"] = found
        line.update(of_request or {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
