"""One HTTP exchange as plain values: the request that goes out and the reply that comes back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from multidict import CIMultiDict

__all__ = ["ERROR_BODY_BYTES", "UNREADABLE", "Operation", "Reply", "Request"]

ModelT = TypeVar("ModelT")

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding JSON raises if the bytes are not the JSON that was expected."""

ERROR_BODY_BYTES = 64 * 1024
"""How many bytes of a body an error keeps. What follows is not read, or is dropped."""

_CHARSETS = {"utf-8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "latin1", "windows-1252", "cp1252"}
"""The charsets that a reply is decoded in. Each takes time in proportion to the body, and is a superset of
ASCII, or of a part of it, so that secrets can be found in the bytes; Python knows some that take far more."""

_CHARSET = r"""(?i);\s*charset\s*=\s*["']?([\w.:-]{1,40})"""  # compiled when it is first used
_CONTENT_TYPE_CHARS = 200


class Operation(msgspec.Struct, Generic[ModelT], frozen=True, kw_only=True):
    """The constants of an operation, shared by all of its calls."""

    name: str
    """The name of the client method."""

    method: str
    path: str
    """Relative to the cache's URL, percent-encoded, without a leading slash."""

    read: Callable[[bytes], ModelT]
    """Makes the method's result from the body of a 2xx reply; may raise `msgspec.DecodeError`."""

    read_with_nulls: Callable[[bytes], ModelT] | None = None
    """The same for a body with nulls, which services in some languages send for absent fields."""

    repeatable: bool = True
    """Whether sending it twice has the same effect as sending it once."""

    tells_secret: bool = False
    """Whether the body of a 2xx reply holds a secret, so that no error may have it."""


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
    """The body, decompressed: of a reply that an error has, at most the first 64 KiB."""

    @property
    def text(self) -> str:
        """The body as text. Never raises.

        It is decoded as the reply says if that is UTF-8, ASCII, Latin-1 or Windows-1252; else as UTF-8. A
        character that can't be decoded becomes U+FFFD.
        """
        named = re.search(_CHARSET, self.headers.get("Content-Type", "")[:_CONTENT_TYPE_CHARS])
        charset = named[1].lower() if named else "utf-8"
        return self.content.decode(charset if charset in _CHARSETS else "utf-8", "replace")

    def json(self) -> Any:
        """The body parsed as JSON. Raises `msgspec.DecodeError` if it is not JSON."""
        return msgspec.json.decode(self.content)

    def __reduce__(self) -> tuple[Any, ...]:
        # aiohttp's headers can't be pickled; copying those of every reply would cost more than this.
        return Reply, (self.status_code, CIMultiDict(self.headers), self.content)
