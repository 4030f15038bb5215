"""The blocking side of cache-aside: the core runs on the portal, the user's functions in their own thread."""

from __future__ import annotations

import inspect
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sized,
)
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ..errors import ClosedError
from .answers import Answer, CacheStatus, CallOptions, Options
from .blocking_streams import read
from .bridge import CallersThread
from .codecs import TEXT, TEXT_CHUNKS, Codec
from .decorator import (
    AttributeSource,
    Binding,
    BlockingDecorator,
    CachedBlockingFunction,
    CachedStream,
    returned,
)
from .making import asked, computing, is_async
from .many import Progress, Result
from .question import Question
from .scope import AttributeValue

if TYPE_CHECKING:
    from ..sync import LangCache

__all__ = ["decorator", "get_or_set", "many", "stream"]

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741
R = TypeVar("R")


def get_or_set(
    client: LangCache,
    prompt: Any,
    make: Any,
    key: Callable[[Any], str] | None,
    codec: Codec[Any] | None,
    attributes: Mapping[str, AttributeValue] | None,
    options: CallOptions,
) -> Answer[Any]:
    """What ``LangCache.get_or_set`` does."""
    _check_blocking("make", make)
    compute = computing(make, prompt)
    return _answer(client, asked(prompt, key), attributes, compute, codec or TEXT, Options.of(options))


def stream(
    client: LangCache,
    prompt: Any,
    make: Any,
    key: Callable[[Any], str] | None,
    codec: Codec[Any] | None,
    attributes: Mapping[str, AttributeValue] | None,
    options: CallOptions,
) -> Iterator[Any]:
    """What ``LangCache.get_or_stream`` does."""
    _check_blocking("make", make)
    source = computing(make, prompt)
    return _chunks(client, asked(prompt, key), attributes, source, codec or TEXT_CHUNKS, Options.of(options))


def decorator(
    client: LangCache,
    prompt: str | None,
    key: Callable[..., str] | None,
    attributes: AttributeSource | None,
    ignore: Iterable[str],
    codec: Codec[Any] | None,
    options: CallOptions,
) -> BlockingDecorator:
    """The decorator that ``cached`` returns."""
    defaults = Options.of(options)

    def decorate(function: Callable[..., Any]) -> Any:
        _check_blocking("cached", function)
        binding = Binding(function, prompt, key, attributes, ignore)
        gives = returned(function, (Iterator,), codec)
        answer = _chunks if gives.stream else _answer

        def ask(
            text: str,
            attributes: Mapping[str, AttributeValue] | None,
            compute: Callable[[], Any],
            options: Options,
        ) -> Any:
            return answer(client, asked(text), attributes, compute, gives.codec, options)

        made = CachedStream[Any, Any] if gives.stream else CachedBlockingFunction[Any, Any]
        return made(function, binding, ask, defaults)

    return cast("BlockingDecorator", decorate)


def many(
    client: LangCache,
    name: str,
    items: Iterable[I],
    batch: Callable[[AsyncIterable[I], Progress], Awaitable[list[Result[I, R]]]],
    progress: Progress | None,
) -> list[Result[I, R]]:
    """Run the batch of the method of this name; items and progress are the business of the calling thread."""
    here = CallersThread(client, name)
    iterator = iter(items)
    end: Any = object()

    async def pulled() -> AsyncIterator[I]:
        pull = here.lend(lambda: next(iterator, end))
        while (item := await pull()) is not end:
            yield item

    async def run() -> list[Result[I, R]]:
        return await batch(pulled(), here.lend(tell))

    def tell(done: int, total: int | None) -> None:
        if progress is not None:
            progress(done, len(items) if isinstance(items, Sized) else total)

    return here.run(run)


def _answer(
    client: LangCache,
    text: str,
    attributes: Mapping[str, AttributeValue] | None,
    compute: Callable[[], T],
    codec: Codec[T],
    options: Options,
) -> Answer[T]:
    here = CallersThread(client, "get_or_set")
    question = Question(client._on_portal, text, attributes, codec, options, here.lend)
    if question.given_up is not None:
        return _at_once(question.aside.answer(question, _as_async(compute)))
    computed = _Once(compute)
    try:
        return here.run(question.aside.answer, question, here.lend(computed))
    except ClosedError as error:
        if computed.error is not None:
            raise computed.error from None
        if question.raising:
            raise
        # The client was closed before or meanwhile, which is no reason to lose an answer.
        question.aside.failed(error)
        question.aside.count(CacheStatus.ERROR, shared=False)
        value = computed.value if computed.called else compute()
        return Answer(value=cast("T", value), status=CacheStatus.ERROR, error=error)


def _chunks(
    client: LangCache,
    text: str,
    attributes: Mapping[str, AttributeValue] | None,
    source: Callable[[], Iterable[T]],
    codec: Codec[list[T]],
    options: Options,
) -> Iterator[T]:
    here = CallersThread(client, "get_or_stream")
    question = Question(client._on_portal, text, attributes, codec, options, here.lend)
    return read(question, here, source)


def _as_async(function: Callable[[], T]) -> Callable[[], Coroutine[Any, Any, T]]:
    async def call() -> T:
        return function()

    return call


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing, without an event loop: a cache that is off starts no thread."""
    try:
        coroutine.send(None)
    except StopIteration as returned:
        value: T = returned.value
        return value
    raise AssertionError("the coroutine waits for something")


class _Once(Generic[T]):
    """A function, and what its one call came to."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self.called = False
        self.value: T | None = None
        self.error: Exception | None = None

    def __call__(self) -> T:
        try:
            self.value = self._function()
        except Exception as error:
            self.error = error
            raise
        self.called = True
        return self.value


def _check_blocking(argument: str, function: object) -> None:
    if is_async(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{argument}: LangCache takes functions that are not async; for async ones use AsyncLangCache"
        )
