"""What is stored of a value: text, or JSON that gives the value back with its type."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, get_args

import msgspec

__all__ = ["Codec", "JsonCodec", "TextCodec", "codec_for"]

T = TypeVar("T")


class Codec(Protocol[T]):
    """Makes text of a value to store it, and the value of the text again.

    Either may raise any exception. A value that can't be encoded is returned and not stored; an entry that
    can't be decoded is not a hit.
    """

    def encode(self, value: T) -> str:
        """The text to store."""
        ...

    def decode(self, text: str) -> T:
        """The value again."""
        ...


class TextCodec:
    """Text as it is."""

    def encode(self, value: str) -> str:
        """The text itself. Raises `TypeError` for what is no text."""
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"the answer is {type(value).__name__}, not str; pass codec=JsonCodec(...) to store it"
            )
        return value

    def decode(self, text: str) -> str:
        return text


class TextChunks:
    """The chunks of a stream of text, stored as the whole text and replayed as one chunk."""

    def encode(self, value: list[str]) -> str:
        for chunk in value:
            TEXT.encode(chunk)
        return "".join(value)

    def decode(self, text: str) -> list[str]:
        return [text] if text else []


class JsonCodec(Generic[T]):
    """JSON of a type: a msgspec Struct, dataclass, pydantic model, TypedDict, list, dict, union, enum, etc.

    ``JsonCodec(Invoice)`` encodes an Invoice and decodes to one; JSON of another shape does not decode.
    Pydantic is used for its own models and for what is made of them, and need not be installed otherwise.

    Raises `TypeError` for a type that JSON can't be read as.
    """

    def __init__(self, type_: type[T]) -> None:
        self._type = type_
        self._encode: Callable[[T], bytes]
        self._decode: Callable[[str], T]
        if _has_pydantic(type_):
            from pydantic import TypeAdapter

            adapter: Any = TypeAdapter(type_)
            self._encode, self._decode = adapter.dump_json, adapter.validate_json
        else:
            self._encode = msgspec.json.Encoder().encode
            self._decode = msgspec.json.Decoder(type_).decode

    def encode(self, value: T) -> str:
        return self._encode(value).decode()

    def decode(self, text: str) -> T:
        return self._decode(text)

    # Equal codecs let callers that each made their own share a flight.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonCodec) and self._type == other._type  # pyright: ignore[reportUnknownMemberType]

    def __hash__(self) -> int:
        return hash(repr(self._type))

    def __repr__(self) -> str:
        return f"JsonCodec({self._type!r})"


TEXT = TextCodec()
TEXT_CHUNKS = TextChunks()


def codec_for(type_: Any) -> Codec[Any]:
    """The codec for a type: text for str, JSON for all else."""
    return TEXT if type_ is str else JsonCodec(type_)


def _has_pydantic(type_: Any) -> bool:
    if "pydantic" not in sys.modules:
        return False  # nobody can have made a model
    if hasattr(type_, "__pydantic_validator__"):
        return True
    return any(_has_pydantic(argument) for argument in get_args(type_))
