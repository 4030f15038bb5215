"""Many operations at once: bounded, in order or as they come, with the error of each in its place."""

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
from queue import SimpleQueue
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from ._established.mistakes import explain_arguments
from ._portal.tasks import Outcome, outcome_of
from .limits import check_int
from .models import SearchResponse, SearchStrategy, SetResponse

__all__ = ["AsyncManyMethods", "Batch", "Progress", "Result"]

I_co = TypeVar("I_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)
I = TypeVar("I")  # noqa: E741
R = TypeVar("R")

_CONCURRENCY = 16

Progress: TypeAlias = Callable[[int, "int | None"], object]
"""Called after each operation with how many are done, and how many there are, None if that is unknown."""


class Result(msgspec.Struct, Generic[I_co, R_co], frozen=True, kw_only=True):
    """The result of one item: a ``value`` or an ``error``."""

    index: int
    """The place of the item among all, from 0."""

    item: I_co
    value: R_co | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Whether it went well."""
        return self.error is None


def _check_items(argument: str, items: object, each: str) -> None:
    """Raise `TypeError` for what can be iterated over but is not a collection of items.

    Args:
        argument: the name of the argument.
        items: what was given for it.
        each: what an item is.
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

    Raises `TypeError` for what is no tuple or list of two texts. Other things with two parts, such as the row
    of a CSV file, would be taken apart into something else.
    """
    if isinstance(item, tuple | list):
        parts: tuple[Any, ...] = tuple(item)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if len(parts) == 2 and all(isinstance(part, str) for part in parts):
            return parts[0], parts[1]
        kinds = ", ".join(type(part).__name__ for part in parts[:4])
        raise TypeError(f"items: each must be a pair of prompt and response, both str, but one has ({kinds})")
    raise TypeError(f"items: each must be a (prompt, response) tuple, but one is {type(item).__name__}")


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
        self._items = items
        self._operation = operation
        self._concurrency = check_int("concurrency", concurrency, minimum=1)
        self._ordered = ordered
        self._progress = progress
        self._done = 0
        self._total = len(items) if isinstance(items, Sized) else None

    def __aiter__(self) -> AsyncGenerator[Result[I, R], None]:
        return self._run()

    def __await__(self) -> Generator[Any, None, list[Result[I, R]]]:
        return self._all().__await__()

    def _run_in_thread(
        self, begin: Callable[[Callable[[], Coroutine[Any, Any, Any]], SimpleQueue[Any]], Any]
    ) -> list[Result[I, R]]:
        """The list of all results, from a thread, which iterates over the items and calls ``progress``.

        Args:
            begin: begins a coroutine function on an event loop and returns the call; the call, its result and
                its error go to the queue (`Portal.begin`).
        """
        if not isinstance(self._items, Iterable):
            raise TypeError("an async iterable needs an event loop; use AsyncLangCache")
        outcomes: SimpleQueue[tuple[Any, Any, BaseException | None]] = SimpleQueue()
        running: set[Any] = set()
        results: list[Result[I, R]] = []
        numbered = enumerate(self._items)
        item = next(numbered, None)
        try:
            while item is not None or running:
                if item is not None and len(running) < self._concurrency:
                    running.add(begin(partial(_result, self._operation, *item), outcomes))
                    item = next(numbered, None)
                    continue
                call, result, error = outcomes.get()
                if call not in running:
                    continue  # the event loop ended after the call was done
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
                        running.append(loop.create_task(outcome_of(self._one, index, item)))
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
        result = await _result(self._operation, index, item)
        self._done += 1
        if self._progress is not None:
            told = self._progress(self._done, self._total)
            if isawaitable(told):
                await told
        return result


class AsyncManyMethods:
    """Many operations at once, for a client with these operations."""

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
        """Store many answers: ``await`` it for the list of results, or iterate with ``async for``.

        Args:
            items: tuples, or lists, of prompt and response.
            attributes, ttl_millis, ttl: of each, as for `set`.
            concurrency: how many at once at most, at least 1. Default: 16.
            ordered: results in the order of the items; False for as they come.
            progress: called after each with how many are done and how many there are (None if unknown).

        Returns:
            A `langcache.many.Result` for each item, with the `SetResponse` or the error.

        Raises:
            TypeError, ValueError: an argument breaks a rule. What is wrong with an item is in its result.
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
        """Search for many prompts: ``await`` it for the list of results, or iterate with ``async for``.

        Args:
            prompts: the questions.
            similarity_threshold, search_strategies, attributes, max_results: of each, as for `search`.
            concurrency, ordered, progress: as for `set_many`.

        Returns:
            A `langcache.many.Result` for each prompt, with the `SearchResponse` or the error.

        Raises:
            TypeError, ValueError: an argument breaks a rule. What is wrong with a prompt is in its result.
        """
        _check_items("prompts", prompts, "questions")
        if search_strategies is not None and not isinstance(search_strategies, str):
            search_strategies = tuple(search_strategies)  # it is used for each prompt

        async def search(prompt: str) -> SearchResponse:
            return await self.search(
                prompt,
                similarity_threshold=similarity_threshold,
                search_strategies=search_strategies,
                attributes=attributes,
                max_results=max_results,
            )

        return Batch(prompts, search, concurrency=concurrency, ordered=ordered, progress=progress)


async def _result(operation: Callable[[I], Awaitable[R]], index: int, item: I) -> Result[I, R]:
    try:
        return Result(index=index, item=item, value=await operation(item))
    except Exception as error:
        return Result(index=index, item=item, error=error)


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
