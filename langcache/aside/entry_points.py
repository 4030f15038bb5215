"""From the arguments of the async client's methods to questions and what computes their answers."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .answers import CallOptions, Options
from .codecs import TEXT_CHUNKS, Codec
from .decorator import (
    AsyncDecorator,
    AttributeSource,
    Binding,
    CachedFunction,
    CachedStream,
    returned,
)
from .making import asked, computing, is_async
from .question import Question
from .scope import AttributeValue
from .streams import AnswerStream

if TYPE_CHECKING:
    from ..client import AsyncLangCache

__all__ = ["decorator", "stream"]

C = TypeVar("C")


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
            question = Question(client, asked(text), attributes, gives.codec, options)
            return question.aside.answer(question, compute)

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


async def _ready(stream: AsyncIterator[C]) -> AsyncIterator[C]:
    return stream
