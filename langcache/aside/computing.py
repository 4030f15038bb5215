"""The ``make`` argument: what computes an answer, checked and called."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from types import FunctionType
from typing import Any, TypeVar, cast

__all__ = [
    "NOT_ASYNC",
    "check_make",
    "compute_blocking",
    "compute_in_loop",
    "finish",
    "gives_stream",
    "is_async",
    "is_async_generator",
    "source",
]

T = TypeVar("T")

NOT_ASYNC = "LangCache takes functions that are not async; for async ones use AsyncLangCache"

_GENERATES = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_NO_BLOCKING_FUNCTION = _GENERATES | inspect.CO_COROUTINE


def is_async(function: object) -> bool:
    """Whether calling it gives a coroutine."""
    return _is(inspect.iscoroutinefunction, function)


def gives_stream(function: object) -> bool:
    """Whether calling it gives a generator, async or not."""
    return _is(inspect.isasyncgenfunction, function) or _is(inspect.isgeneratorfunction, function)


def is_async_generator(function: object) -> bool:
    """Whether calling it gives an async generator."""
    return _is(inspect.isasyncgenfunction, function)


def _is(kind: Callable[[Any], bool], function: object) -> bool:
    return kind(function) or kind(getattr(function, "__call__", None))  # noqa: B004  # how, not whether


def check_make(call: str, make: object, *, blocking: bool) -> None:
    """Raise `TypeError` for what can't compute the answers of this call.

    Args:
        call: the name of the method.
        make: a function, or a ready answer.
        blocking: whether the client is the one for threads.
    """
    if isinstance(make, FunctionType) and not make.__code__.co_flags & (
        _NO_BLOCKING_FUNCTION if blocking else _GENERATES
    ):
        return  # nearly always
    if inspect.isawaitable(make):
        close = getattr(make, "close", None)
        if close is not None:
            close()  # a coroutine, which nobody awaits
        raise TypeError(
            f"make: is a {type(make).__name__}, which computes an answer whether or not there is one in the "
            f"cache; pass the function itself, say {call}(prompt, llm)"
        )
    if call == "get_or_set" and (gives_stream(make) or inspect.isasyncgen(make) or inspect.isgenerator(make)):
        raise TypeError("make: gives an answer in chunks; use get_or_stream, or cached")
    if blocking and (is_async(make) or is_async_generator(make) or inspect.isasyncgen(make)):
        raise TypeError(
            "make: LangCache takes functions that are not async; for async ones use AsyncLangCache"
        )


async def compute_in_loop(make: Any, prompt: Any) -> Any:
    """The answer of ``make``, for the asyncio client; a function that is not async runs in another thread."""
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


async def compute_blocking(function: Callable[[], Any]) -> Any:
    """The answer of a function, called in this thread. The coroutine never suspends."""
    value = function()
    if inspect.isawaitable(value):
        close = getattr(value, "close", None)
        if close is not None:
            close()
        raise TypeError(f"make: returned a {type(value).__name__}; {NOT_ASYNC}")
    return value


def source(make: Any, prompt: Any) -> Callable[[], Any]:
    """What gives the chunks of a stream when it is called, out of a function of the prompt or an iterable."""
    return (lambda: make(prompt)) if callable(make) else (lambda: make)


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, to its end."""
    try:
        coroutine.send(None)
    except StopIteration as returned:
        value: T = returned.value
        return value
    coroutine.close()
    raise RuntimeError("a coroutine of the blocking client suspended; accept= and store_if= may not be async")
