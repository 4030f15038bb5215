"""The cache-aside methods of the blocking client."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from .. import aside  # also at run time: `typing.get_type_hints` looks the names up, and only then loads them
from .computing import chunk_source, compute_blocking, run_to_end
from .lazy_aside import LazyAside
from .scope import AttributeSource, AttributeValue, Scope

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

if TYPE_CHECKING:
    from .core import Aside
    from .question import Question
    from .typed import BlockingDecorator, BlockingMethodDecorator

__all__ = ["BlockingAsideMethods"]

F = TypeVar("F")
T = TypeVar("T")
Q = TypeVar("Q")
C = TypeVar("C")
P = ParamSpec("P")


class BlockingAsideMethods:
    """Cache-aside methods of `LangCache`, for functions that are not async."""

    _lazy_aside: LazyAside
    _scope: Scope | None

    @property
    def _aside(self) -> Aside:
        """Cache-aside of the client, which is loaded and made when it is first used."""
        return self._lazy_aside.get()

    @overload
    def get_or_set(
        self,
        prompt: Q,
        make: Callable[[Q], T],
        *,
        key: Callable[[Q], str | aside.Key | None] | None = None,
        codec: aside.Codec[T] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> aside.BlockingAnswer[T]: ...
    @overload
    def get_or_set(
        self,
        prompt: Q,
        make: T,
        *,
        key: Callable[[Q], str | aside.Key | None] | None = None,
        codec: aside.Codec[T] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> aside.BlockingAnswer[T]: ...
    def get_or_set(
        self,
        prompt: Any,
        make: Any,
        *,
        key: Callable[[Any], str | aside.Key | None] | None = None,
        codec: aside.Codec[Any] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> aside.BlockingAnswer[Any]:
        """See `AsyncLangCache.get_or_set`. All functions passed to it run in the calling thread.

        Threads that ask the same question at once share one lookup and one call of ``make``, which runs in
        the first of them. If that thread is interrupted, another computes the answer.
        """
        question: Question[Any] = self._aside.questions.of_call(
            "get_or_set", self._scope, prompt, make, key, codec, attributes, options
        )
        answer: aside.BlockingAnswer[Any] = run_to_end(
            self._aside.answer(question, partial(compute_blocking, chunk_source(make, prompt)))
        )
        return answer

    def get_or_stream(
        self,
        prompt: Q,
        make: Callable[[Q], Iterable[C]] | Iterable[C],
        *,
        key: Callable[[Q], str | aside.Key | None] | None = None,
        codec: aside.Codec[list[C]] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> aside.BlockingAnswerStream[C]:
        """See `AsyncLangCache.get_or_stream`; iterate over the chunks with ``for``.

        Threads that ask the same question while a stream is being produced share it. Each step of the source
        runs in the thread that first needs the next chunk, with the context variables of the thread that
        began the stream. If that thread is interrupted in a step, the others begin a new stream; those that
        have received chunks raise `RuntimeError`.
        """
        cache_aside = self._aside  # which loads what is imported here
        from .blocking_streams import BlockingAnswerStream

        question: Question[Any] = cache_aside.questions.of_call(
            "get_or_stream", self._scope, prompt, make, key, codec, attributes, options
        )
        return BlockingAnswerStream(cache_aside, question, chunk_source(make, prompt))

    @overload
    def look_up(
        self,
        prompt: Q,
        *,
        key: Callable[[Q], str | aside.Key | None] | None = None,
        codec: None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> aside.BlockingLookup[str]: ...
    @overload
    def look_up(
        self,
        prompt: Q,
        *,
        key: Callable[[Q], str | aside.Key | None] | None = None,
        codec: aside.Codec[T],
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> aside.BlockingLookup[T]: ...
    def look_up(
        self,
        prompt: Any,
        *,
        key: Callable[[Any], str | aside.Key | None] | None = None,
        codec: aside.Codec[Any] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> aside.BlockingLookup[Any]:
        """See `AsyncLangCache.look_up`: ``asked = cache.look_up(prompt)``, then ``asked.store(value)``."""
        cache_aside = self._aside  # which loads what is imported here
        from .steps import look_up_first

        asked: aside.BlockingLookup[Any] = run_to_end(
            look_up_first(cache_aside, self._scope, prompt, key, codec, attributes, options)
        )
        return asked

    @overload
    def cached(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self, undecorated: Callable[P, Iterator[C]], /
    ) -> aside.CachedStream[P, Iterator[C], aside.BlockingAnswerStream[C]]: ...
    @overload
    def cached(self, undecorated: Callable[P, T], /) -> aside.CachedBlockingFunction[P, T]: ...
    @overload
    def cached(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self,
        undecorated: None = None,
        /,
        *,
        ignore: Literal["self"] | tuple[Literal["self"]],
        prompt: str | None = None,
        key: Callable[..., str | aside.Key | None] | None = None,
        messages: str | None = None,
        attributes: AttributeSource | None = None,
        codec: aside.Codec[Any] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> BlockingMethodDecorator: ...
    @overload
    def cached(  # type: ignore[overload-overlap]
        self,
        undecorated: None = None,
        /,
        *,
        ignore: Literal["cls"] | tuple[Literal["cls"]],
        prompt: str | None = None,
        key: Callable[..., str | aside.Key | None] | None = None,
        messages: str | None = None,
        attributes: AttributeSource | None = None,
        codec: aside.Codec[Any] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> Callable[[F], F]: ...
    @overload
    def cached(
        self,
        undecorated: None = None,
        /,
        *,
        prompt: str | None = None,
        key: Callable[..., str | aside.Key | None] | None = None,
        messages: str | None = None,
        attributes: AttributeSource | None = None,
        ignore: Iterable[str] = (),
        codec: aside.Codec[Any] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> BlockingDecorator: ...
    def cached(
        self,
        undecorated: Any = None,
        /,
        *,
        prompt: str | None = None,
        key: Callable[..., str | aside.Key | None] | None = None,
        messages: str | None = None,
        attributes: AttributeSource | None = None,
        ignore: Iterable[str] = (),
        codec: aside.Codec[Any] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> Any:
        """See `AsyncLangCache.cached`; for functions and generator functions that are not async."""
        cache_aside = self._aside  # which loads what is imported here
        from .decorator import cached

        return cached(
            cache_aside,
            self._scope,
            undecorated,
            prompt,
            key,
            attributes,
            ignore,
            messages,
            codec,
            options,
        )

    def invalidate(self, source: str) -> int:
        """See `AsyncLangCache.invalidate`."""
        scope = {} if self._scope is None else self._scope.attributes
        return run_to_end(self._aside.invalidation.invalidate("invalidate", source, scope))

    def stats(self) -> aside.Stats:
        """See `AsyncLangCache.stats`."""
        return self._aside.state.stats.copy()
