"""Encodes attribute values as text that the service can store and filter by, and decodes them.

Stored entries contain the encoding, so it must never change:

- In text, letters, digits, spaces and ``- _ . : @ + =`` stay as they are. Any other character, and a space at
  either end, is percent-encoded as UTF-8: ``openai/gpt-5`` becomes ``openai%2Fgpt-5``.
- An int, float, bool or UUID is written as the name of its type, a tilde and the value: ``int~42``,
  ``float~0.5``, ``bool~true``, ``uuid~…``. Encoded text never contains a tilde.
- An encoding of more than 500 characters is replaced by ``sha256~`` and its SHA-256 digest. It can be used to
  filter, but not be decoded.

Different values have different encodings, also ``42`` and ``"42"``, or ``1`` and ``True``.
"""

from __future__ import annotations

import hashlib
import math
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias
from urllib.parse import unquote

from .._checks import check_text
from ..limits import LimitError
from ..models import CacheEntry

__all__ = ["AttributeSource", "AttributeValue", "Scope", "encode_attributes", "restore_attributes"]

AttributeValue: TypeAlias = str | int | float | bool | uuid.UUID
"""The types of values that can be encoded."""

AttributeSource: TypeAlias = (
    Mapping[str, AttributeValue] | Iterable[str] | Callable[..., Mapping[str, AttributeValue]]
)
"""The attributes of a call: a mapping that is the same for all calls, or the names of parameters, or a
function of the arguments."""

_MAX_CHARS = 500  # the service's limit, fixed, since all clients must encode a value in the same way
_SPECIAL = re.compile(r"[^\w\-.:@+= ]|^ | \Z")


def encode_attributes(attributes: Mapping[str, AttributeValue]) -> dict[str, str]:
    """Encode attributes as text that the service accepts.

    Raises `TypeError` for a value of another type, and `LimitError` for one that is empty or not finite. None
    and the empty text are refused, since a missing value, of a user id for example, would be one scope for
    all.
    """
    if not isinstance(attributes, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"attributes: must be a mapping, but is {type(attributes).__name__}")
    return {name: _encode(name, value) for name, value in attributes.items()}


def restore_attributes(attributes: Mapping[str, str]) -> dict[str, AttributeValue]:
    """Decode the attributes of an entry, the reverse of `encode_attributes`.

    A value that was too long is returned as its digest, and text that `encode_attributes` did not write is
    returned as it is.
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
    # Not urllib's quote(), which does not encode the tilde, our mark of a value that is not text.
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
    """The encoded attributes that a scoped client adds to every operation."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.attributes: dict[str, str] = dict(attributes)

    def narrowed(self, attributes: Mapping[str, AttributeValue]) -> Scope:
        """This scope with more attributes. Raises `ValueError` if one of them would change a value."""
        return Scope(self.merge(encode_attributes(attributes)))

    def merge(self, attributes: Mapping[str, str] | None) -> dict[str, str]:
        """The attributes of a call and of the scope. Raises `ValueError` if they contradict each other."""
        for name, value in (attributes or {}).items():
            if self.attributes.get(name, value) != value:
                ours = self.attributes[name]
                raise ValueError(
                    f"attributes: {name!r} is {ours!r} in this scope and can't be {value!r}; "
                    "use the client that the scope was made from"
                )
        return {**(attributes or {}), **self.attributes}

    def contains(self, entry: CacheEntry) -> bool:
        """Whether an entry is in this scope.

        Checked for every entry found, in case the service does not filter by attributes as requested, or
        ignores case.
        """
        return self.attributes.items() <= entry.attributes.items()
