"""Many operations at once: a limited number run at a time, and each has a result or an error of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
    Sized,
)
from datetime import timedelta
from functools import partial
from inspect import isawaitable
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from ._call.loops import running_loop
from ._checks import check_int
from ._established.mistakes import explain_arguments
from ._portal.tasks import ResultOrExit, result_or_exit
from .models import SearchResponse, SearchStrategy, SetResponse

__all__ = ["AsyncManyMethods", "Batch", "Progress", "Result"]

I_co = TypeVar("I_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)
I = TypeVar("I")  # noqa: E741
R = TypeVar("R")

_CONCURRENCY = 16

Progress: TypeAlias = Callable[[int, "int | None"], object]
"""Called after each operation with the number done and the total number, None if that is unknown."""


class Result(msgspec.Struct, Generic[I_co, R_co], frozen=True, kw_only=True):
    """The result of one item: a ``value`` or an ``error``."""

    index: int
    """The position of the item, from 0."""

    item: I_co
    value: R_co | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Whether the operation succeeded."""
        return self.error is None


def _check_items(argument: str, items: object, each: str) -> None:
    """Raise `TypeError` for one text or a mapping, whose items would be characters or keys, or no iterable.

    Args:
        argument: the name of the argument.
        items: its value.
        each: what the items must be.
    """
    if isinstance(items, str | bytes | bytearray):
        raise TypeError(f"{argument}: must be an iterable of {each}, but is one {type(items).__name__}")
    if isinstance(items, Mapping):
        hint = "; .items() of it gives pairs" if "pair" in each else ""
        raise TypeError(f"{argument}: must be an iterable of {each}, but is a mapping{hint}")
    if not isinstance(items, Iterable | AsyncIterable):
        raise TypeError(f"{argument}: must be an iterable of {each}, but is {type(items).__name__}")


def _pair(item: object) -> tuple[str, str]:
    """The prompt and the response of an item of ``set_many``.

    Raises `TypeError` unless it is a tuple or list of two texts. Other iterables of two, such as a dict or a
    str, would unpack into something else.
    """
    if isinstance(item, tuple | list):
        parts: tuple[Any, ...] = tuple(item)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if len(parts) == 2 and all(isinstance(part, str) for part in parts):
            return parts[0], parts[1]
        kinds = ", ".join(type(part).__name__ for part in parts[:4])
        raise TypeError(f"items: each must be a pair of prompt and response, both str, but one has ({kinds})")
    raise TypeError(f"items: each must be a (prompt, response) tuple, but one is {type(item).__name__}")


class Batch(AsyncIterable[Result[I, R]], Generic[I, R]):
    """Many operations. They start when the batch is awaited or iterated over, which may be done once.

    ``await batch`` returns the list of all results; ``async for result in batch`` gives each result as soon
    as it is there (if ordered, as soon as those before it are there too).
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
        self._items = items
        self._operation = operation
        self._concurrency = check_int("concurrency", concurrency, minimum=1)
        self._ordered = ordered
        self._progress = progress
        self._done = 0
        self._begun = False
        self._total = len(items) if isinstance(items, Sized) else None

    def __aiter__(self) -> AsyncGenerator[Result[I, R], None]:
        return self._run()

    def __await__(self) -> Generator[Any, None, list[Result[I, R]]]:
        return self._collect().__await__()

    def _run_in_thread(
        self, begin: Callable[[Callable[[], Coroutine[Any, Any, Any]], Any], Any]
    ) -> list[Result[I, R]]:
        """Run all operations from a thread, and return the list of results.

        The calling thread iterates over the items and calls ``progress``.

        Args:
            begin: starts a coroutine function on an event loop and returns the call. The call, its result and
                its error are then put into the queue (see `Portal.begin`).
        """
        from ._portal.native import new_queue  # which AsyncLangCache does not need

        if not isinstance(self._items, Iterable):
            raise TypeError("an async iterable needs an event loop; use AsyncLangCache")
        outcomes = new_queue()
        running: set[Any] = set()
        results: list[Result[I, R]] = []
        numbered = enumerate(self._items)
        item = next(numbered, None)
        try:
            while item is not None or running:
                if item is not None and len(running) < self._concurrency:
                    running.add(begin(partial(_result_of, self._operation, *item), outcomes))
                    item = next(numbered, None)
                    continue
                call, result, error = outcomes.get()
                if call not in running:
                    continue  # a second outcome: the event loop was ended after the call was done
                running.discard(call)
                if error is not None:
                    raise error
                results.append(result)
                if self._progress is not None:
                    self._progress(len(results), self._total)
        except BaseException:
            for call in running:
                call.abandon()
            raise
        return sorted(results, key=lambda result: result.index) if self._ordered else results

    def _begin(self) -> None:
        if self._begun:
            raise RuntimeError("a batch runs once; call set_many or search_many again")
        self._begun = True

    async def _collect(self) -> list[Result[I, R]]:
        return [result async for result in self]

    async def _run(self) -> AsyncGenerator[Result[I, R], None]:
        self._begin()
        loop = running_loop()
        running: deque[asyncio.Task[ResultOrExit[Result[I, R]]]] = deque()
        items = _iterate(self._items)
        fetch: asyncio.Task[Any] | None = None
        index = 0
        more = True
        try:
            while True:
                if fetch is None and more and len(running) < self._concurrency:
                    # In a task, so that waiting for a slow source of items does not delay results.
                    fetch = loop.create_task(_next_item(items))
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
                        running.append(loop.create_task(result_or_exit(self._run_item, index, item)))
                        index += 1
                for result in self._take_finished(running):
                    yield result
        finally:
            left = [*running, fetch] if fetch else [*running]
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)
            await items.aclose()

    def _take_finished(self, running: deque[asyncio.Task[ResultOrExit[Result[I, R]]]]) -> list[Result[I, R]]:
        """Remove the tasks that are done, if ordered only up to one that is not, and return their results."""
        results: list[Result[I, R]] = []
        for task in list(running):
            if task.done():
                running.remove(task)
                results.append(task.result().get())
            elif self._ordered:
                break
        return results

    async def _run_item(self, index: int, item: I) -> Result[I, R]:
        result = await _result_of(self._operation, index, item)
        self._done += 1
        if self._progress is not None:
            returned = self._progress(self._done, self._total)
            if isawaitable(returned):
                await returned
        return result


class AsyncManyMethods:
    """``set_many`` and ``search_many``, for a client with ``set`` and ``search``."""

    search: Callable[..., Awaitable[SearchResponse]]
    set: Callable[..., Awaitable[SetResponse]]

    @explain_arguments
    def set_many(
        self,
        items: Iterable[tuple[str, str]] | AsyncIterable[tuple[str, str]],
        *,
        attributes: Mapping[str, str] | None = None,
        ttl_millis: int | None = None,
        ttl: float | timedelta | None = None,
        concurrency: int = _CONCURRENCY,
        ordered: bool = True,
        progress: Progress | None = None,
    ) -> Batch[tuple[str, str], SetResponse]:
        """Store many answers. ``await`` it for the list of results, or iterate with ``async for``.

        Args:
            items: tuples or lists of a prompt and a response.
            attributes, ttl_millis, ttl: as for `set`; used for each item.
            concurrency: how many operations run at once at most; at least 1. Default: 16.
            ordered: True for results in the order of the items, False in the order in which they are done.
                Default: True.
            progress: called after each operation with the number done and the total number (None if unknown).

        Returns:
            A `langcache.many.Result` for each item, with the `SetResponse` or the error.

        Raises:
            TypeError, ValueError: an argument breaks a rule. The error of an item is in its result.
        """
        _check_items("items", items, "(prompt, response) pairs")

        async def store(item: tuple[str, str]) -> SetResponse:
            prompt, response = _pair(item)
            return await self.set(prompt, response, attributes=attributes, ttl_millis=ttl_millis, ttl=ttl)

        return Batch(items, store, concurrency=concurrency, ordered=ordered, progress=progress)

    @explain_arguments
    def search_many(
        self,
        prompts: Iterable[str] | AsyncIterable[str],
        *,
        similarity_threshold: float | None = None,
        search_strategies: Iterable[SearchStrategy | str] | None = None,
        attributes: Mapping[str, str] | None = None,
        max_results: int | None = None,
        concurrency: int = _CONCURRENCY,
        ordered: bool = True,
        progress: Progress | None = None,
    ) -> Batch[str, SearchResponse]:
        """Search for many prompts. ``await`` it for the list of results, or iterate with ``async for``.

        Args:
            prompts: the questions.
            similarity_threshold, search_strategies, attributes, max_results: as for `search`; used for each
                prompt.
            concurrency, ordered, progress: as for `set_many`.

        Returns:
            A `langcache.many.Result` for each prompt, with the `SearchResponse` or the error.

        Raises:
            TypeError, ValueError: an argument breaks a rule. The error of a prompt is in its result.
        """
        _check_items("prompts", prompts, "questions")
        if search_strategies is not None and not isinstance(search_strategies, str):
            search_strategies = tuple(search_strategies)  # an iterator could be used for one prompt only

        async def search(prompt: str) -> SearchResponse:
            return await self.search(
                prompt,
                similarity_threshold=similarity_threshold,
                search_strategies=search_strategies,
                attributes=attributes,
                max_results=max_results,
            )

        return Batch(prompts, search, concurrency=concurrency, ordered=ordered, progress=progress)


async def _result_of(operation: Callable[[I], Awaitable[R]], index: int, item: I) -> Result[I, R]:
    try:
        return Result(index=index, item=item, value=await operation(item))
    except Exception as error:
        return Result(index=index, item=item, error=error)


_END = object()


async def _next_item(items: AsyncGenerator[Any, None]) -> Any:
    return await anext(items, _END)


async def _iterate(items: Iterable[I] | AsyncIterable[I]) -> AsyncGenerator[I, None]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
