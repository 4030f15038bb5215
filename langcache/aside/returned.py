"""What a function's annotation says that it returns."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import msgspec

from .codecs import TEXT, TEXT_CHUNKS, Codec, JsonCodec, codec_for
from .computing import gives_stream

__all__ = ["Returned", "returned"]


class Returned(msgspec.Struct, frozen=True):
    """What a function returns, and how it is stored."""

    stream: bool
    codec: Codec[Any]


def returned(function: Callable[..., Any], iterators: tuple[type, ...], codec: Codec[Any] | None) -> Returned:
    """Whether a function gives a stream, and the codec for what it gives; text if it does not say.

    Args:
        function: the decorated function.
        iterators: what a stream is annotated with.
        codec: the codec to use, None to find it.

    Raises:
        TypeError: the annotation can't be understood, or JSON can't be read as it.
    """
    generates = gives_stream(function)
    try:
        annotation = _return_annotation(function)
    except Exception as error:
        if codec is not None:
            return Returned(generates, codec)
        name = getattr(function, "__qualname__", None) or repr(function)
        raise TypeError(f"{name}: its return annotation can't be read ({error}); pass codec=") from error
    origin = getattr(annotation, "__origin__", annotation)
    stream = generates or (isinstance(origin, type) and issubclass(origin, iterators))
    if codec is not None:
        return Returned(stream, codec)
    if not stream:
        return Returned(False, TEXT if annotation is Any else codec_for(annotation))
    chunk = next(iter(get_args(annotation)), str)
    return Returned(True, TEXT_CHUNKS if chunk in (str, Any) else JsonCodec(list[chunk]))  # type: ignore[valid-type]


def _return_annotation(function: Any) -> Any:
    """The type that a function is annotated to return; str if it is not annotated.

    Only this annotation is read: those of parameters may name what is imported for type checkers alone.
    """
    while isinstance(function, functools.partial):
        function = function.func  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not inspect.isroutine(function):
        function = type(function).__call__  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    unwrapped: Any = inspect.unwrap(function)  # pyright: ignore[reportUnknownArgumentType]
    if sys.version_info >= (3, 14):
        import annotationlib

        annotations = annotationlib.get_annotations(unwrapped, format=annotationlib.Format.FORWARDREF)
    else:
        annotations = getattr(unwrapped, "__annotations__", {})
    if "return" not in annotations:
        return str
    only = SimpleNamespace(__annotations__={"return": annotations["return"]})
    return get_type_hints(only, globalns=getattr(unwrapped, "__globals__", {}), include_extras=True)["return"]
