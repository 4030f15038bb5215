"""Reads from a function's return annotation whether it returns a stream, and how to store what it returns."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import msgspec

from .codecs import TEXT, TEXT_CHUNKS, Codec, JsonCodec, codec_for
from .computing import returns_generator
from .functions import describe

__all__ = ["ReturnSpec", "return_spec"]


class ReturnSpec(msgspec.Struct, frozen=True):
    """Whether a function returns a stream, and the codec for what it returns."""

    stream: bool
    codec: Codec[Any]


def return_spec(
    function: Callable[..., Any], iterators: tuple[type, ...], codec: Codec[Any] | None
) -> ReturnSpec:
    """The return spec of a function. Without an annotation, it returns text.

    Args:
        function: the decorated function.
        iterators: the types that annotate a stream.
        codec: the codec to use; None to choose one by the annotation.

    Raises:
        TypeError: the annotation can't be evaluated, or no value of it can be read from JSON.
    """
    generates = returns_generator(function)
    try:
        annotation = _return_annotation(function)
    except Exception as error:
        if codec is not None:
            return ReturnSpec(generates, codec)
        raise TypeError(
            f"{describe(function)}: its return annotation can't be read ({error}); pass codec="
        ) from error
    origin = getattr(annotation, "__origin__", annotation)
    stream = generates or (isinstance(origin, type) and issubclass(origin, iterators))
    if codec is not None:
        return ReturnSpec(stream, codec)
    if not stream:
        return ReturnSpec(False, TEXT if annotation is Any else codec_for(annotation))
    chunk = next(iter(get_args(annotation)), str)
    return ReturnSpec(True, TEXT_CHUNKS if chunk in (str, Any) else JsonCodec(list[chunk]))  # type: ignore[valid-type]


def _return_annotation(function: Any) -> Any:
    """The return annotation of a function; str if it has none.

    Only this annotation is evaluated: those of parameters may use names imported only for type checkers.
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
