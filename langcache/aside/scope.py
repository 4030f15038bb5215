"""Attribute values of any kind as the text that the service can hold and filter by, and back.

The encoding is part of what is stored, so it never changes:

- Text stays as it is, but each character other than letters, digits and ``- _ . : @ + =`` and the space is
  written as its UTF-8 bytes in percent-encoding: ``openai/gpt-5`` becomes ``openai%2Fgpt-5``. A space at
  either end is written ``%20``.
- An int, a float, a bool or a UUID is written after the name of its type and a tilde: ``int~42``,
  ``float~0.5``, ``bool~true``, ``uuid~…``. No text is ever encoded to something with a tilde.
- What would be longer than 500 characters is written as ``sha256~`` and the digest of its encoding. It can be
  filtered by, but not be read back.

Different values are never encoded alike: ``42`` and ``"42"``, ``1`` and ``True`` stay apart.
"""

from __future__ import annotations

import hashlib
import math
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias
from urllib.parse import unquote

from ..limits import LimitError, check_text
from ..models import CacheEntry

__all__ = ["AttributeSource", "AttributeValue", "Scope", "encode_attributes", "restore_attributes"]

AttributeValue: TypeAlias = str | int | float | bool | uuid.UUID
"""What an attribute may be before it is encoded."""

AttributeSource: TypeAlias = (
    Mapping[str, AttributeValue] | Iterable[str] | Callable[..., Mapping[str, AttributeValue]]
)
"""Attributes for a call: the same ones for all, or the names of the parameters that they are taken from, or a
function of the arguments."""

_MAX_CHARS = 500  # the service's limit, and not a client's setting: all clients must encode alike
_SPECIAL = re.compile(r"[^\w\-.:@+= ]|^ | \Z")


def encode_attributes(attributes: Mapping[str, AttributeValue]) -> dict[str, str]:
    """The attributes as text that the service accepts.

    Raises `TypeError` for a value of another type, and `LimitError` for one that is empty or not finite. None
    and the empty text are refused because a scope that was left blank by mistake would be shared.
    """
    if not isinstance(attributes, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"attributes: must be a mapping, but is {type(attributes).__name__}")
    return {name: _encode(name, value) for name, value in attributes.items()}


def restore_attributes(attributes: Mapping[str, str]) -> dict[str, AttributeValue]:
    """An entry's attributes as they were before `encode_attributes`.

    Values that were too long come back as their digest, and text that `encode_attributes` never wrote comes
    back as it is.
    """
    return {name: _restore(text) for name, text in attributes.items()}


def _encode(name: str, value: object) -> str:
    text = _encoded(name, value)
    if len(text) <= _MAX_CHARS:
        return text
    return f"sha256~{hashlib.sha256(text.encode()).hexdigest()}"


def _encoded(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"bool~{str(value).lower()}"
    if isinstance(value, str):
        return _encode_text(name, str.__str__(value))
    if isinstance(value, int):
        return f"int~{int(value)}"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise LimitError("attributes", "range", f"values must be finite, but {name!r} is {value!r}")
        return f"float~{float(value)!r}"
    if isinstance(value, uuid.UUID):
        return f"uuid~{value}"
    raise TypeError(
        f"attributes[{name!r}]: must be str, int, float, bool or UUID, but is {type(value).__name__}"
    )


def _encode_text(name: str, text: str) -> str:
    if not text:
        raise LimitError("attributes", "min", f"values must not be empty, but {name!r} is")
    check_text("attributes", text)
    return _SPECIAL.sub(_percent, text)


def _percent(match: re.Match[str]) -> str:
    # Not urllib's quote(), which leaves the tilde alone: to us it marks what was not text.
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


def _restore(text: str) -> AttributeValue:
    kind, tilde, written = text.partition("~")
    if not tilde:
        return unquote(text)
    try:
        if kind == "bool":
            return {"true": True, "false": False}[written]
        if kind == "int":
            return int(written)
        if kind == "float":
            return float(written)
        if kind == "uuid":
            return uuid.UUID(written)
    except (KeyError, ValueError):
        pass
    return text


class Scope:
    """The attributes, encoded, that every operation of a scoped client carries."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.attributes: dict[str, str] = dict(attributes)

    def narrowed(self, attributes: Mapping[str, AttributeValue]) -> Scope:
        """This scope with more attributes. Raises `ValueError` for one that would change a value."""
        return Scope(self.merge(encode_attributes(attributes)))

    def merge(self, attributes: Mapping[str, str] | None) -> dict[str, str]:
        """The attributes of one call, the scope's included. Raises `ValueError` for one that contradicts."""
        for name, value in (attributes or {}).items():
            if self.attributes.get(name, value) != value:
                ours = self.attributes[name]
                raise ValueError(
                    f"attributes: {name!r} is {ours!r} in this scope and can't be {value!r}; "
                    "use the client that the scope was made from"
                )
        return {**(attributes or {}), **self.attributes}

    def contains(self, entry: CacheEntry) -> bool:
        """Whether an entry is of this scope.

        Asked of every entry found, though the service was told to filter: it may be one that does not, or
        that compares without case.
        """
        return self.attributes.items() <= entry.attributes.items()
