"""One HTTP exchange as plain values: the request that goes out and the reply that comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.message import Message
from typing import Any, Generic, TypeVar

import msgspec
from multidict import CIMultiDict

__all__ = ["UNREADABLE", "Operation", "Reply", "Request"]

ModelT = TypeVar("ModelT")

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding JSON raises if the bytes are not the JSON that was expected."""


class Operation(msgspec.Struct, Generic[ModelT], frozen=True, kw_only=True):
    """The constants of an operation, shared by all of its calls."""

    name: str
    """The name of the client method."""

    method: str
    path: str
    """Relative to the cache's URL, percent-encoded, without a leading slash."""

    read: Callable[[bytes], ModelT]
    """Makes the method's result from the body of a 2xx reply; may raise `msgspec.DecodeError`."""

    repeatable: bool = True
    """Whether sending it twice has the same effect as sending it once."""


class Request(msgspec.Struct, Generic[ModelT], frozen=True, gc=False):  # never part of a reference cycle
    """One call, ready to be sent."""

    operation: Operation[ModelT]
    body: bytes | None = None
    path_suffix: str = ""
    """Percent-encoded; appended to the operation's path."""

    @property
    def path(self) -> str:
        return self.operation.path + self.path_suffix


class Reply(msgspec.Struct, frozen=True):
    """A complete HTTP reply. Errors have it as ``raw_response``."""

    status_code: int
    """The HTTP status."""

    headers: Mapping[str, str]
    """The names of headers are case-insensitive."""

    content: bytes
    """The body, decompressed."""

    @property
    def text(self) -> str:
        """The body as text, in the charset of the reply (UTF-8 by default). Never raises."""
        content_type = Message()
        content_type["content-type"] = self.headers.get("Content-Type", "")
        try:
            return self.content.decode(content_type.get_content_charset("utf-8"), "replace")
        except (LookupError, ValueError):  # an unknown charset, or one without error handling
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body parsed as JSON. Raises `msgspec.DecodeError` if it is not JSON."""
        return msgspec.json.decode(self.content)

    def __reduce__(self) -> tuple[Any, ...]:
        # aiohttp's headers can't be pickled; copying those of every reply would cost more than this.
        return Reply, (self.status_code, CIMultiDict(self.headers), self.content)
