"""Checks and calls the ``make`` argument, which computes an answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from functools import partial
from types import FunctionType, MethodType
from typing import Any, TypeVar, cast

__all__ = [
    "NOT_ASYNC",
    "check_make",
    "chunk_source",
    "close_coroutine",
    "compute_blocking",
    "compute_in_loop",
    "is_async",
    "is_async_generator",
    "returns_generator",
    "run_to_end",
]

T = TypeVar("T")

NOT_ASYNC = "LangCache takes functions that are not async; for async ones use AsyncLangCache"

_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_NOT_BLOCKING = _GENERATOR | inspect.CO_COROUTINE


def is_async(function: object) -> bool:
    """Whether calling it returns a coroutine."""
    return _matches(inspect.iscoroutinefunction, function)


def returns_generator(function: object) -> bool:
    """Whether calling it returns a generator, async or not."""
    return _matches(inspect.isasyncgenfunction, function) or _matches(inspect.isgeneratorfunction, function)


def is_async_generator(function: object) -> bool:
    """Whether calling it returns an async generator."""
    return _matches(inspect.isasyncgenfunction, function)


def _matches(kind: Callable[[Any], bool], function: object) -> bool:
    return kind(function) or kind(getattr(function, "__call__", None))  # noqa: B004  # not for callable()


def check_make(method: str, make: object, *, blocking: bool) -> None:
    """Raise `TypeError` if ``make`` can't compute the answers of this method.

    Args:
        method: the name of the method.
        make: a function, or the answer itself.
        blocking: whether the client is the blocking one.
    """
    function = make.__func__ if isinstance(make, MethodType) else make
    if isinstance(function, FunctionType) and not function.__code__.co_flags & (
        _NOT_BLOCKING if blocking else _GENERATOR
    ):
        return  # the usual case, decided fast
    if inspect.isawaitable(make):
        close_coroutine(make)
        raise TypeError(
            f"make: is a {type(make).__name__}, which computes an answer whether or not there is one in the "
            f"cache; pass the function itself, say {method}(prompt, llm)"
        )
    if method == "get_or_set" and (
        returns_generator(make) or inspect.isasyncgen(make) or inspect.isgenerator(make)
    ):
        raise TypeError("make: gives an answer in chunks; use get_or_stream, or cached")
    if blocking and (is_async(make) or is_async_generator(make) or inspect.isasyncgen(make)):
        raise TypeError(f"make: {NOT_ASYNC}")


async def compute_in_loop(make: Any, prompt: Any) -> Any:
    """Call ``make``, for the asyncio client. A function that is not async runs in another thread."""
    if not callable(make):
        return make
    function = cast("Callable[[Any], Any]", make)
    if is_async(function):
        return await function(prompt)

    def outcome() -> tuple[Any, Exception | None]:
        # The exception is returned: a future can't hold a StopIteration, and would never be done.
        try:
            return function(prompt), None
        except Exception as error:
            return None, error

    value, error = await asyncio.to_thread(outcome)
    if error is not None:
        raise error
    return await value if inspect.isawaitable(value) else value


async def compute_blocking(function: Callable[[], Any]) -> Any:
    """Call a function in this thread, for the blocking client. The coroutine never suspends."""
    value = function()
    if inspect.isawaitable(value):
        close_coroutine(value)
        raise TypeError(f"make: returned a {type(value).__name__}; {NOT_ASYNC}")
    return value


def close_coroutine(awaitable: object) -> None:
    """Close a coroutine that will not be awaited, of which Python would warn. Other things are left."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()


def chunk_source(make: Any, prompt: Any) -> Callable[[], Any]:
    """A function without arguments that returns the iterable of chunks which ``make`` is or returns."""
    return partial(make, prompt) if callable(make) else (lambda: make)


def run_to_end(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, and return its result. Raises `RuntimeError` if it suspends."""
    try:
        coroutine.send(None)
    except StopIteration as returned:
        value: T = returned.value
        return value
    except RuntimeError as error:
        if isinstance(
            error.__cause__, StopIteration
        ):  # which a coroutine can't raise, and the user's function did
            raise error.__cause__ from None
        raise
    coroutine.close()
    raise RuntimeError("a coroutine of the blocking client suspended")
