"""What users give as ``prompt`` and ``make``: the text to look up, and what computes the answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, cast

__all__ = ["asked", "computing", "is_async", "made"]


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


async def made(make: Any, prompt: Any) -> Any:
    """The answer itself, computed if it is not given; a function that is not async runs in another thread."""
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
