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
    """What is the same for every call of one operation."""

    name: str
    """The name of the client method."""

    method: str
    path: str
    """Below the cache's own URL, percent-encoded, without a leading slash."""

    read: Callable[[bytes], ModelT]
    """Makes what the method returns out of the body of a success; may raise `msgspec.DecodeError`."""

    repeatable: bool = True
    """Whether sending it twice has the same effect as sending it once."""


class Request(msgspec.Struct, Generic[ModelT], frozen=True, gc=False):  # in no cycle, ever
    """One call, ready to be sent."""

    operation: Operation[ModelT]
    body: bytes | None = None
    path_suffix: str = ""
    """Percent-encoded; follows the operation's path."""

    @property
    def path(self) -> str:
        return self.operation.path + self.path_suffix


class Reply(msgspec.Struct, frozen=True):
    """An HTTP reply, read to its end. Errors carry it as ``raw_response``."""

    status_code: int
    """The HTTP status."""

    headers: Mapping[str, str]
    """Keys compare without case."""

    content: bytes
    """The body, decompressed."""

    @property
    def text(self) -> str:
        """The body as text, by the charset that the reply names (UTF-8 by default); never raises."""
        content_type = Message()
        content_type["content-type"] = self.headers.get("Content-Type", "")
        try:
            return self.content.decode(content_type.get_content_charset("utf-8"), "replace")
        except (LookupError, ValueError):  # unknown, or a codec that can't replace what it can't decode
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body parsed as JSON. Raises `msgspec.DecodeError` if it is none."""
        return msgspec.json.decode(self.content)

    def __reduce__(self) -> tuple[Any, ...]:
        # aiohttp's headers can't be pickled, and to copy those of every reply would be a waste.
        return Reply, (self.status_code, CIMultiDict(self.headers), self.content)
