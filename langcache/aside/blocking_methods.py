"""The cache-aside methods of the blocking client."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from .answers import Answer
from .blocking_streams import BlockingAnswerStream
from .codecs import TEXT, TEXT_CHUNKS, Codec
from .computing import compute_blocking, finish, source
from .core import Aside
from .options import CallOptions
from .question import Question
from .scope import AttributeSource, AttributeValue, Scope
from .stats import Stats

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

if TYPE_CHECKING:
    from .typed import BlockingDecorator, BlockingMethodDecorator, CachedBlockingFunction, CachedStream

__all__ = ["BlockingAsideMethods"]

F = TypeVar("F")
T = TypeVar("T")
Q = TypeVar("Q")
C = TypeVar("C")
P = ParamSpec("P")


class BlockingAsideMethods:
    """What `LangCache` offers on top of the operations: the same, for functions that are not async."""

    _aside: Aside
    _scope: Scope | None

    @overload
    def get_or_set(
        self,
        prompt: Q,
        make: Callable[[Q], T],
        *,
        key: Callable[[Q], str | None] | None = None,
        codec: Codec[T] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[CallOptions],
    ) -> Answer[T]: ...
    @overload
    def get_or_set(
        self,
        prompt: Q,
        make: T,
        *,
        key: Callable[[Q], str | None] | None = None,
        codec: Codec[T] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[CallOptions],
    ) -> Answer[T]: ...
    def get_or_set(
        self,
        prompt: Any,
        make: Any,
        *,
        key: Callable[[Any], str | None] | None = None,
        codec: Codec[Any] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[CallOptions],
    ) -> Answer[Any]:
        """See `AsyncLangCache.get_or_set`. Whatever function is given runs in the calling thread.

        Threads that ask the same thing at once share one lookup and one ``make``, which runs in the thread
        that was first. If that thread is interrupted, another takes over.
        """
        question: Question[Any] = self._aside.asked(
            "get_or_set", self._scope, prompt, make, key, codec or TEXT, attributes, options
        )
        return finish(self._aside.answer(question, partial(compute_blocking, source(make, prompt))))

    def get_or_stream(
        self,
        prompt: Q,
        make: Callable[[Q], Iterable[C]] | Iterable[C],
        *,
        key: Callable[[Q], str | None] | None = None,
        codec: Codec[list[C]] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[CallOptions],
    ) -> BlockingAnswerStream[C]:
        """See `AsyncLangCache.get_or_stream`; the chunks are for ``for``.

        Threads that ask the same thing while a stream is under way share it: each step of the source runs in
        the thread that wants the next chunk first, with the context variables of the one that began. If a
        thread is interrupted at that, the others begin anew, or get `RuntimeError` if chunks had come.
        """
        question: Question[Any] = self._aside.asked(
            "get_or_stream", self._scope, prompt, make, key, codec or TEXT_CHUNKS, attributes, options
        )
        return BlockingAnswerStream(self._aside, question, source(make, prompt))

    @overload
    def cached(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self, undecorated: Callable[P, Iterator[C]], /
    ) -> CachedStream[P, Iterator[C], BlockingAnswerStream[C]]: ...
    @overload
    def cached(self, undecorated: Callable[P, T], /) -> CachedBlockingFunction[P, T]: ...
    @overload
    def cached(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self,
        undecorated: None = None,
        /,
        *,
        ignore: Literal["self"] | tuple[Literal["self"]],
        prompt: str | None = None,
        key: Callable[..., str | None] | None = None,
        attributes: AttributeSource | None = None,
        codec: Codec[Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> BlockingMethodDecorator: ...
    @overload
    def cached(  # type: ignore[overload-overlap]
        self,
        undecorated: None = None,
        /,
        *,
        ignore: Literal["cls"] | tuple[Literal["cls"]],
        prompt: str | None = None,
        key: Callable[..., str | None] | None = None,
        attributes: AttributeSource | None = None,
        codec: Codec[Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> Callable[[F], F]: ...
    @overload
    def cached(
        self,
        undecorated: None = None,
        /,
        *,
        prompt: str | None = None,
        key: Callable[..., str | None] | None = None,
        attributes: AttributeSource | None = None,
        ignore: Iterable[str] = (),
        codec: Codec[Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> BlockingDecorator: ...
    def cached(
        self,
        undecorated: Any = None,
        /,
        *,
        prompt: str | None = None,
        key: Callable[..., str | None] | None = None,
        attributes: AttributeSource | None = None,
        ignore: Iterable[str] = (),
        codec: Codec[Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> Any:
        """See `AsyncLangCache.cached`; for functions and generator functions that are not async."""
        from .decorator import cached  # not every program decorates functions

        return cached(self._aside, self._scope, undecorated, prompt, key, attributes, ignore, codec, options)

    def stats(self) -> Stats:
        """See `AsyncLangCache.stats`."""
        return self._aside.state.stats.copy()
