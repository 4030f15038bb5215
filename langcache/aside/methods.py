"""The cache-aside methods of the asyncio client."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from .answers import Answer
from .codecs import TEXT, TEXT_CHUNKS, Codec
from .computing import compute_in_loop, source
from .core import Aside
from .options import CallOptions
from .question import Question
from .scope import AttributeSource, AttributeValue, Scope
from .stats import Stats
from .streams import AnswerStream

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

if TYPE_CHECKING:
    from .typed import AsyncDecorator, AsyncMethodDecorator, CachedFunction, CachedStream

__all__ = ["AsyncAsideMethods"]

F = TypeVar("F")
T = TypeVar("T")
Q = TypeVar("Q")
C = TypeVar("C")
P = ParamSpec("P")


class AsyncAsideMethods:
    """What `AsyncLangCache` offers on top of the operations."""

    _aside: Aside
    _scope: Scope | None

    @overload
    async def get_or_set(
        self,
        prompt: Q,
        make: Callable[[Q], Awaitable[T]],
        *,
        key: Callable[[Q], str | None] | None = None,
        codec: Codec[T] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[CallOptions],
    ) -> Answer[T]: ...
    @overload
    async def get_or_set(
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
    async def get_or_set(
        self,
        prompt: Q,
        make: T,
        *,
        key: Callable[[Q], str | None] | None = None,
        codec: Codec[T] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[CallOptions],
    ) -> Answer[T]: ...
    async def get_or_set(
        self,
        prompt: Any,
        make: Any,
        *,
        key: Callable[[Any], str | None] | None = None,
        codec: Codec[Any] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[CallOptions],
    ) -> Answer[Any]:
        """The cached answer to a prompt; or the one that ``make`` computes, which is then stored.

        Calls that ask the same thing at once, with the same attributes and options, of the same function,
        share one lookup and one ``make``. A cache that is down, slow or wrongly set up does not stop the
        answer, unless ``on_error="raise"``. A named function never gets the answers of another one: if those
        of another are stored with the same attributes, the cache is not asked, and a warning says what to do.

        Args:
            prompt: the question, or anything that ``key`` makes a question of.
            make: called with ``prompt`` if the cache has no answer; a function that is not async runs in a
                worker thread. Or the answer itself. What it raises is raised here, and nothing is stored.
                To mypy the answer of a lambda is Any; annotate it, ``answer: Answer[str] = await ...``.
            key: makes the text to look up of ``prompt``. None bypasses the cache: for a follow-up question,
                say, that means nothing without what came before it.
            codec: what is stored of the answer. Default: text, and the answer must be str. An answer that
                would not come back as it is, equal and of the same type, is not stored, and the
                ``error`` of the answer says why.
            attributes: only answers that carry all of these, and what is stored carries them. Values of any
                sort are encoded, see `langcache.aside.encode_attributes`.
            **options: see `langcache.aside.Options`.

        Raises:
            TypeError, ValueError: an argument breaks a rule.
            LangCacheError: only with ``on_error="raise"``.
        """
        question: Question[Any] = self._aside.asked(
            "get_or_set", self._scope, prompt, make, key, codec or TEXT, attributes, options
        )
        return await self._aside.answer(question, partial(compute_in_loop, make, prompt))

    def get_or_stream(
        self,
        prompt: Q,
        make: Callable[[Q], AsyncIterable[C] | Awaitable[AsyncIterable[C]]] | AsyncIterable[C],
        *,
        key: Callable[[Q], str | None] | None = None,
        codec: Codec[list[C]] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[CallOptions],
    ) -> AnswerStream[C]:
        """Like `get_or_set`, for answers that come in chunks.

        On a miss the chunks pass through as they come, and the whole is stored if the stream ends normally;
        if it fails or is left before its end, nothing is. A hit is replayed as a stream. Calls that ask the
        same thing while a stream is under way get its chunks from the first on.

        Args:
            prompt, key, attributes, options: as for `get_or_set`.
            make: called with ``prompt`` if the cache has no answer: an async generator function, or a
                function, async or not, that gives an async iterable. Or the async iterable itself.
            codec: what is stored of the list of all chunks. Default: the text, replayed as one chunk.

        Returns:
            The chunks, for ``async for``. ``await stream.look_up()`` says before the first whether it is a
            hit.
        """
        question: Question[Any] = self._aside.asked(
            "get_or_stream", self._scope, prompt, make, key, codec or TEXT_CHUNKS, attributes, options
        )
        return AnswerStream(self._aside, question, source(make, prompt))

    @overload
    def cached(
        self, undecorated: Callable[P, AsyncIterator[C]], /
    ) -> CachedStream[P, AsyncIterator[C], AnswerStream[C]]: ...
    @overload
    def cached(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self, undecorated: Callable[P, Coroutine[Any, Any, AsyncIterator[C]]], /
    ) -> CachedStream[P, Coroutine[Any, Any, AsyncIterator[C]], Coroutine[Any, Any, AnswerStream[C]]]: ...
    @overload
    def cached(self, undecorated: Callable[P, Coroutine[Any, Any, T]], /) -> CachedFunction[P, T]: ...
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
    ) -> AsyncMethodDecorator: ...
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
    ) -> AsyncDecorator: ...
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
        """A decorator that puts this cache in front of a coroutine function or an async generator function.

        ``@cache.cached`` or ``@cache.cached(...)``. The function keeps its signature and its types: what it
        is annotated to return comes back from a hit. ``f.answer(...)`` says how an answer was obtained,
        ``f.refresh(...)`` computes and stores it anew, and ``f.bypass(...)`` is the function itself.

        Args:
            prompt: the name of the parameter that is the question. Default: the first, but for ``self`` and
                ``cls``.
            key: makes the question of all arguments instead. None bypasses the cache.
            attributes: the same for all calls; or the names of parameters, each an attribute of that name; or
                a function of all arguments.
            ignore: the names of parameters that don't change the answer. Those that are neither the question
                nor an attribute must be named here, ``self`` and ``cls`` included, unless ``key`` or
                ``attributes`` is a function.
            codec: what is stored of what it returns, for a stream of the list of all chunks. Default: by its
                return annotation, text for str and JSON for other types. An answer that would not come back
                as it is, is not stored.
            **options: see `langcache.aside.Options`.

        Raises:
            TypeError, ValueError: an argument does not fit the function or breaks a rule; or another function
                is decorated already whose answers this one would get. Three ways out: an attribute for the
                function (`langcache.aside.AsideConfig`), a scope for each, or the same ``function="..."`` for
                both if they may share.
        """
        from .decorator import cached  # not every program decorates functions

        return cached(self._aside, self._scope, undecorated, prompt, key, attributes, ignore, codec, options)

    def stats(self) -> Stats:
        """What the cache-aside calls of this client and of its scopes came to so far."""
        return self._aside.state.stats.copy()
