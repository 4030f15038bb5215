"""Many operations at once: bounded, in order or as they come, with the error of each in its place."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Sized,
)
from inspect import isawaitable
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from .._portal.tasks import Outcome, spared

__all__ = ["Batch", "Progress", "Result"]

I_co = TypeVar("I_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)
I = TypeVar("I")  # noqa: E741
R = TypeVar("R")

Progress: TypeAlias = Callable[[int, "int | None"], object]
"""Called after each operation with how many are done, and how many there are, None if nobody knows."""


class Result(msgspec.Struct, Generic[I_co, R_co], frozen=True, kw_only=True):
    """What became of one item: a ``value`` or an ``error``."""

    index: int
    """The place of the item among all, from 0."""

    item: I_co
    value: R_co | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Whether it went well."""
        return self.error is None


class Batch(AsyncIterable[Result[I, R]], Generic[I, R]):
    """Many operations, begun by awaiting it or by iterating over it, once.

    ``await batch`` gives the list of all results; ``async for result in batch`` gives each as soon as it may.
    """

    def __init__(
        self,
        items: Iterable[I] | AsyncIterable[I],
        operation: Callable[[I], Awaitable[R]],
        *,
        concurrency: int,
        ordered: bool,
        progress: Progress | None,
    ) -> None:
        if isinstance(concurrency, bool) or not isinstance(concurrency, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"concurrency: must be int, but is {type(concurrency).__name__}")
        if concurrency < 1:
            raise ValueError(f"concurrency: must be at least 1, but is {concurrency}")
        self._items = items
        self._operation = operation
        self._concurrency = concurrency
        self._ordered = ordered
        self._progress = progress
        self._done = 0
        self._total = len(items) if isinstance(items, Sized) else None

    def __aiter__(self) -> AsyncGenerator[Result[I, R], None]:
        return self._run()

    def __await__(self) -> Generator[Any, None, list[Result[I, R]]]:
        return self._all().__await__()

    async def _all(self) -> list[Result[I, R]]:
        return [result async for result in self]

    async def _run(self) -> AsyncGenerator[Result[I, R], None]:
        loop = asyncio.get_running_loop()
        running: deque[asyncio.Task[Outcome[Result[I, R]]]] = deque()
        items = _each(self._items)
        fetch: asyncio.Task[Any] | None = None
        index = 0
        more = True
        try:
            while True:
                if fetch is None and more and len(running) < self._concurrency:
                    # A task as well: a source that is slow to give holds up no result.
                    fetch = loop.create_task(_next(items))
                awaited = [running[0]] if self._ordered and running else [*running]
                if fetch is None and not awaited:
                    return
                await asyncio.wait(
                    [*awaited, fetch] if fetch else awaited, return_when=asyncio.FIRST_COMPLETED
                )
                if fetch is not None and fetch.done():
                    item = fetch.result()
                    fetch = None
                    if item is _END:
                        more = False
                    else:
                        running.append(loop.create_task(spared(self._one, index, item)))
                        index += 1
                for result in self._finished(running):
                    yield result
        finally:
            left = [*running, fetch] if fetch else [*running]
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)
            await items.aclose()

    def _finished(self, running: deque[asyncio.Task[Outcome[Result[I, R]]]]) -> list[Result[I, R]]:
        """Take out what is done; if ordered, only from the front."""
        results: list[Result[I, R]] = []
        for task in list(running):
            if task.done():
                running.remove(task)
                results.append(task.result().get())
            elif self._ordered:
                break
        return results

    async def _one(self, index: int, item: I) -> Result[I, R]:
        result: Result[I, R]
        try:
            result = Result(index=index, item=item, value=await self._operation(item))
        except Exception as error:
            result = Result(index=index, item=item, error=error)
        self._done += 1
        if self._progress is not None:
            told = self._progress(self._done, self._total)
            if isawaitable(told):
                await told
        return result


_END = object()


async def _next(items: AsyncGenerator[Any, None]) -> Any:
    return await anext(items, _END)


async def _each(items: Iterable[I] | AsyncIterable[I]) -> AsyncGenerator[I, None]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
