"""The types of cached functions, for type checkers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from .answers import AsyncAnswer, BlockingAnswer
from .blocking_streams import BlockingAnswerStream
from .streams import AnswerStream

__all__ = [
    "AsyncDecorator",
    "AsyncMethodDecorator",
    "BlockingDecorator",
    "BlockingMethodDecorator",
    "CachedBlockingFunction",
    "CachedBlockingMethod",
    "CachedFunction",
    "CachedMethod",
    "CachedStream",
]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
A_co = TypeVar("A_co", covariant=True)
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


class CachedFunction(Protocol[P, R]):
    """A coroutine function cached by an `AsyncLangCache`."""

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    async def answer(self, *args: P.args, **kwargs: P.kwargs) -> AsyncAnswer[R]:
        """Call it, and return the answer with how it was obtained."""
        ...

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, and replace the stored answer by what it returns."""
        ...

    async def bypass(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, and store nothing."""
        ...

    @overload
    def __get__(self, instance: None, owner: Any, /) -> CachedFunction[P, R]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[S, Q], R], instance: S, owner: Any, /
    ) -> CachedFunction[Q, R]: ...


class CachedBlockingFunction(Protocol[P, R]):
    """A function cached by a `LangCache`."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def answer(self, *args: P.args, **kwargs: P.kwargs) -> BlockingAnswer[R]:
        """Call it, and return the answer with how it was obtained."""
        ...

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, and replace the stored answer by what it returns."""
        ...

    def bypass(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, and store nothing."""
        ...

    @overload
    def __get__(self, instance: None, owner: Any, /) -> CachedBlockingFunction[P, R]: ...
    @overload
    def __get__(
        self: CachedBlockingFunction[Concatenate[S, Q], R], instance: S, owner: Any, /
    ) -> CachedBlockingFunction[Q, R]: ...


class CachedMethod(Protocol[S_contra, Q, R]):
    """A cached coroutine function in the body of a class, which ignores ``self``.

    ``__call__`` has the signature of the bound method: pyright looks only at it to decide whether a class
    with this method satisfies a protocol.
    """

    async def __call__(self, *args: Q.args, **kwargs: Q.kwargs) -> R: ...

    @overload
    def __get__(self, instance: None, owner: Any, /) -> CachedFunction[Concatenate[S_contra, Q], R]: ...
    @overload
    def __get__(self, instance: S_contra, owner: Any, /) -> CachedFunction[Q, R]: ...


class CachedBlockingMethod(Protocol[S_contra, Q, R]):
    """A cached function in the body of a class, which ignores ``self``. See `CachedMethod`."""

    def __call__(self, *args: Q.args, **kwargs: Q.kwargs) -> R: ...

    @overload
    def __get__(
        self, instance: None, owner: Any, /
    ) -> CachedBlockingFunction[Concatenate[S_contra, Q], R]: ...
    @overload
    def __get__(self, instance: S_contra, owner: Any, /) -> CachedBlockingFunction[Q, R]: ...


class CachedStream(Protocol[P, R_co, A_co]):
    """A cached function that returns a stream of chunks, async or not."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def answer(self, *args: P.args, **kwargs: P.kwargs) -> A_co:
        """The stream, with how the answer was obtained: an `AnswerStream` or `BlockingAnswerStream`."""
        ...

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function itself, and replace the stored answer by its stream."""
        ...

    def bypass(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function itself, and store nothing."""
        ...

    @overload
    def __get__(self, instance: None, owner: Any, /) -> CachedStream[P, R_co, A_co]: ...
    @overload
    def __get__(
        self: CachedStream[Concatenate[S, Q], R_co, A_co], instance: S, owner: Any, /
    ) -> CachedStream[Q, R_co, A_co]: ...


class AsyncDecorator(Protocol):
    """The decorator that `AsyncLangCache.cached` returns."""

    @overload
    def __call__(
        self, function: Callable[Q, AsyncIterator[S]], /
    ) -> CachedStream[Q, AsyncIterator[S], AnswerStream[S]]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self, function: Callable[Q, Coroutine[Any, Any, AsyncIterator[S]]], /
    ) -> CachedStream[Q, Coroutine[Any, Any, AsyncIterator[S]], Coroutine[Any, Any, AnswerStream[S]]]: ...
    @overload
    def __call__(self, function: Callable[Q, Coroutine[Any, Any, S]], /) -> CachedFunction[Q, S]: ...


class BlockingDecorator(Protocol):
    """The decorator that `LangCache.cached` returns."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self, function: Callable[Q, Iterator[S]], /
    ) -> CachedStream[Q, Iterator[S], BlockingAnswerStream[S]]: ...
    @overload
    def __call__(self, function: Callable[Q, S], /) -> CachedBlockingFunction[Q, S]: ...


class AsyncMethodDecorator(Protocol):
    """The decorator that `AsyncLangCache.cached` returns if it ignores ``self``."""

    def __call__(
        self, function: Callable[Concatenate[S, Q], Coroutine[Any, Any, R]], /
    ) -> CachedMethod[S, Q, R]: ...


class BlockingMethodDecorator(Protocol):
    """The decorator that `LangCache.cached` returns if it ignores ``self``."""

    def __call__(self, function: Callable[Concatenate[S, Q], R], /) -> CachedBlockingMethod[S, Q, R]: ...
