"""From the arguments of the async client's methods to questions and what computes their answers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .answers import CallOptions, Options
from .codecs import TEXT, TEXT_CHUNKS, Codec
from .core import Question, get_or_set
from .decorator import (
    AsyncDecorator,
    AttributeSource,
    Binding,
    CachedFunction,
    CachedStream,
    returned,
)
from .scope import AttributeValue
from .streams import AnswerStream

if TYPE_CHECKING:
    from ..client import AsyncLangCache

__all__ = ["asked", "computing", "decorator", "get_or_set", "is_async", "question", "stream"]

C = TypeVar("C")


def question(
    client: AsyncLangCache,
    prompt: Any,
    make: Any,
    key: Callable[[Any], str] | None,
    codec: Codec[Any] | None,
    attributes: Mapping[str, AttributeValue] | None,
    options: CallOptions,
) -> tuple[Question[Any], Callable[[], Awaitable[Any]]]:
    """The question that a call of ``get_or_set`` asks, and what computes its answer."""
    asking = Question(client, asked(prompt, key), attributes, codec or TEXT, Options.of(options))
    return asking, lambda: _compute(make, prompt)


def stream(
    client: AsyncLangCache,
    prompt: Any,
    make: Any,
    key: Callable[[Any], str] | None,
    codec: Codec[Any] | None,
    attributes: Mapping[str, AttributeValue] | None,
    options: CallOptions,
) -> AnswerStream[Any]:
    """The stream of a call of ``get_or_stream``."""
    asking: Question[list[Any]] = Question(
        client, asked(prompt, key), attributes, codec or TEXT_CHUNKS, Options.of(options)
    )
    return AnswerStream(asking, computing(make, prompt))


def decorator(
    client: AsyncLangCache,
    prompt: str | None,
    key: Callable[..., str] | None,
    attributes: AttributeSource | None,
    ignore: Iterable[str],
    codec: Codec[Any] | None,
    options: CallOptions,
) -> AsyncDecorator:
    """The decorator that ``cached`` returns."""
    defaults = Options.of(options)

    def decorate(function: Callable[..., Any]) -> Any:
        if not is_async(function) and not inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function!r}: AsyncLangCache.cached is for async functions; for others use LangCache"
            )
        binding = Binding(function, prompt, key, attributes, ignore)
        gives = returned(function, (AsyncIterable,), codec)

        def ask(
            text: str,
            attributes: Mapping[str, AttributeValue] | None,
            compute: Callable[[], Any],
            options: Options,
        ) -> Any:
            return get_or_set(Question(client, asked(text), attributes, gives.codec, options), compute)

        def ask_stream(
            text: str,
            attributes: Mapping[str, AttributeValue] | None,
            compute: Callable[[], Any],
            options: Options,
        ) -> Any:
            chunks: AnswerStream[Any] = AnswerStream(
                Question(client, asked(text), attributes, gives.codec, options), compute
            )
            return _ready(chunks) if is_async(function) else chunks

        if gives.stream:
            return CachedStream[Any, Any](function, binding, ask_stream, defaults)
        return CachedFunction[Any, Any](function, binding, ask, defaults)

    return cast("AsyncDecorator", decorate)


def asked(prompt: Any, key: Callable[[Any], str] | None = None) -> str:
    """The text to look up. Raises `TypeError` if it is none."""
    text = prompt if key is None else key(prompt)
    if not isinstance(text, str):
        if key is not None:
            raise TypeError(f"key: must return str, but returned {type(text).__name__}")
        raise TypeError(f"prompt: must be str, but is {type(text).__name__}; key= can make a text of it")
    return text


def computing(make: Any, prompt: Any) -> Callable[[], Any]:
    """What gives the answer when it is called, out of a function of the prompt or a ready value."""
    return (lambda: make(prompt)) if callable(make) else (lambda: make)


def is_async(function: object) -> bool:
    """Whether calling it gives a coroutine."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  # not whether it can be called, but how
    )


async def _compute(make: Any, prompt: Any) -> Any:
    if not callable(make):
        return make
    function = cast("Callable[[Any], Any]", make)
    if is_async(function):
        return await function(prompt)

    def outcome() -> tuple[Any, Exception | None]:
        # An exception that leaves a worker thread may not be StopIteration, or its future never ends.
        try:
            return function(prompt), None
        except Exception as error:
            return None, error

    value, error = await asyncio.to_thread(outcome)
    if error is not None:
        raise error
    return await value if inspect.isawaitable(value) else value


async def _ready(stream: AsyncIterator[C]) -> AsyncIterator[C]:
    return stream
