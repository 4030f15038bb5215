"""What is stored of an answer: a text from which its codec gives back an equal value of the same type."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from .codecs import Codec, JsonCodec, TextChunks, TextCodec, UnsuitableAnswer
from .differences import find_difference, type_name

__all__ = ["NotRestored", "encode_exactly"]

T = TypeVar("T")


class NotRestored(UnsuitableAnswer):
    """A value that its codec does not give back as it was. Says where and how, and quotes nothing of it."""


def encode_exactly(codec: Codec[T], value: T) -> str:
    """The text to store of a value, from which the codec gives an equal value of the same type.

    Raises what `codec.encode` raises, and `NotRestored` if its text can't be read back, if what is read back
    is not the same, or if it is text that can't be sent.
    """
    kind: Any = type(codec)
    text = codec.encode(value)
    # Text is stored as it is, so it is not read back: that it is plain text is all there is to check. Of a
    # stream of text the chunks are replayed as one, so that it is text is all that is compared of them too.
    # A class derived of either may encode in another way.
    if kind is TextCodec:
        _check_is_text(value)
    elif kind is TextChunks:
        for chunk in cast("list[object]", value):
            _check_is_text(chunk)
    elif getattr(codec, "is_exact", False) is not True:
        _check_is_read_back(codec, value, text)
    return _sendable(text)


def _check_is_text(value: object) -> None:
    if type(value) is not str:
        name = type_name(type(value))
        raise NotRestored(f"the answer is {name} and would come back as str; return str, or pass codec=")


def _check_is_read_back(codec: Codec[T], value: T, text: object) -> None:
    given = cast("Any", codec)
    kind: Any = type(codec)
    if type(text) is not str:
        name = type_name(type(text))
        raise NotRestored(f"{type(codec).__name__}.encode gave {name}; only str can be stored")
    try:
        # What a JsonCodec has just written has the fields of its type, so they need no comparison.
        restored: T = given._read(text) if kind is JsonCodec else codec.decode(text)
    except Exception as error:
        raise NotRestored(
            f"the answer is {type_name(type(value))}, and what would be stored of it can't be read back"
            f" ({type(error).__name__}); return what the codec can read, or pass another codec="
        ) from error
    whole: Any = getattr(codec, "whole", None)
    difference = (
        find_difference(*map(whole, (value, restored))) if whole else find_difference(value, restored)
    )
    if difference is None:
        return
    way_out = "return what can be read back, or pass a codec= that keeps it"
    if difference.in_type:
        way_out = (
            "name its exact type in the annotation or the codec, or return the type they name, or pass"
            " another codec="
        )
    raise NotRestored(f"the answer would not come back as it is: {difference}; {way_out}")


def _sendable(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise NotRestored(
                "the answer has half of a surrogate pair, which no request can hold; return text without it,"
                " or pass a codec= that escapes it"
            ) from None
    return text
