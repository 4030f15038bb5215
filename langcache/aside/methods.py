"""The cache-aside methods of the asyncio client."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from .. import aside  # also at run time: `typing.get_type_hints` looks the names up, and only then loads them
from .computing import chunk_source, compute_in_loop
from .lazy_aside import LazyAside
from .scope import AttributeSource, AttributeValue, Scope

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

if TYPE_CHECKING:
    from .core import Aside
    from .question import Question
    from .typed import AsyncDecorator, AsyncMethodDecorator

__all__ = ["AsyncAsideMethods"]

F = TypeVar("F")
T = TypeVar("T")
Q = TypeVar("Q")
C = TypeVar("C")
P = ParamSpec("P")


class AsyncAsideMethods:
    """Cache-aside methods of `AsyncLangCache`."""

    _lazy_aside: LazyAside
    _scope: Scope | None

    @property
    def _aside(self) -> Aside:
        """Cache-aside of the client, which is loaded and made when it is first used."""
        return self._lazy_aside.get()

    @overload
    async def get_or_set(
        self,
        prompt: Q,
        make: Callable[[Q], Awaitable[T]],
        *,
        key: Callable[[Q], str | aside.Key | None] | None = None,
        codec: aside.Codec[T] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> aside.AsyncAnswer[T]: ...
    @overload
    async def get_or_set(
        self,
        prompt: Q,
        make: Callable[[Q], T],
        *,
        key: Callable[[Q], str | aside.Key | None] | None = None,
        codec: aside.Codec[T] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> aside.AsyncAnswer[T]: ...
    @overload
    async def get_or_set(
        self,
        prompt: Q,
        make: T,
        *,
        key: Callable[[Q], str | aside.Key | None] | None = None,
        codec: aside.Codec[T] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> aside.AsyncAnswer[T]: ...
    async def get_or_set(
        self,
        prompt: Any,
        make: Any,
        *,
        key: Callable[[Any], str | aside.Key | None] | None = None,
        codec: aside.Codec[Any] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> aside.AsyncAnswer[Any]:
        """Return the cached answer to a prompt, or compute it by ``make`` and store it.

        Concurrent calls with the same question, attributes, options and function share one lookup and one
        call of ``make``. If the cache is down, slow or wrongly configured, the answer is computed, unless
        ``on_error="raise"``. A named function never gets another function's answers: if those are stored with
        the same attributes, the cache is not asked, and a warning says what to do.

        Args:
            prompt: the question; or, with ``key``, anything that contains it.
            make: a function of ``prompt``, called if the cache has no answer; one that is not async runs in a
                worker thread. Or the answer itself. An error that it raises is raised here, and nothing is
                stored. For a lambda, mypy infers Any; annotate the result: ``answer: AsyncAnswer[str] =
                await ...``.
            key: a function of ``prompt`` that returns the text to look up; or a `langcache.aside.Key`, which
                may hold attributes of the question too, or the reason not to ask the cache; or None to bypass
                the cache. Default: ``prompt`` is the text.
            codec: converts the answer to the text that is stored, and back. Default: the answer must be str.
                An answer that would not come back equal and of the same type is not stored, and the
                ``error`` of the result says why.
            attributes: find only answers that have all of these, and store them with the answer. Values are
                encoded by `langcache.aside.encode_attributes`. Default: none.
            **options: see `langcache.aside.Options`.

        Raises:
            TypeError, ValueError: an argument breaks a rule.
            LangCacheError: only with ``on_error="raise"``.
        """
        question: Question[Any] = self._aside.questions.of_call(
            "get_or_set", self._scope, prompt, make, key, codec, attributes, options
        )
        answer: aside.AsyncAnswer[Any] = await self._aside.answer(
            question, partial(compute_in_loop, make, prompt)
        )
        return answer

    def get_or_stream(
        self,
        prompt: Q,
        make: Callable[[Q], AsyncIterable[C] | Awaitable[AsyncIterable[C]]] | AsyncIterable[C],
        *,
        key: Callable[[Q], str | aside.Key | None] | None = None,
        codec: aside.Codec[list[C]] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> aside.AnswerStream[C]:
        """Like `get_or_set`, for answers that come in chunks.

        On a miss, each chunk is passed on when it comes, and the answer is stored when the stream ends. If it
        fails or is closed before its end, nothing is stored. A hit is replayed as a stream. Calls that ask
        the same question while the stream is being produced share it, and get all its chunks.

        Args:
            prompt, key, attributes, options: as for `get_or_set`.
            make: a function of ``prompt``, called if the cache has no answer: an async generator function, or
                a function, async or not, that returns an async iterable. Or the async iterable itself.
            codec: converts the list of all chunks to the text that is stored, and back. Default: the chunks
                must be str; they are joined, and a hit is one chunk.

        Returns:
            The chunks, for ``async for``. ``(await stream.look_up()).hit`` says before the first chunk
            whether it is a hit.
        """
        cache_aside = self._aside  # which loads what is imported here
        from .streams import AnswerStream

        question: Question[Any] = cache_aside.questions.of_call(
            "get_or_stream", self._scope, prompt, make, key, codec, attributes, options
        )
        return AnswerStream(cache_aside, question, chunk_source(make, prompt))

    @overload
    async def look_up(
        self,
        prompt: Q,
        *,
        key: Callable[[Q], str | aside.Key | None] | None = None,
        codec: None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> aside.AsyncLookup[str]: ...
    @overload
    async def look_up(
        self,
        prompt: Q,
        *,
        key: Callable[[Q], str | aside.Key | None] | None = None,
        codec: aside.Codec[T],
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> aside.AsyncLookup[T]: ...
    async def look_up(
        self,
        prompt: Any,
        *,
        key: Callable[[Any], str | aside.Key | None] | None = None,
        codec: aside.Codec[Any] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[aside.CallOptions],
    ) -> aside.AsyncLookup[Any]:
        """The first of two steps, for programs and frameworks that compute the answer themselves.

        ``asked = await cache.look_up(prompt)`` looks up; after a miss, ``await asked.store(value)`` stores.
        Prefer `get_or_set`: with two steps there is no single flight, so concurrent calls all compute, and
        no hit is measured in shadow. All else is as there; the call is counted, and its span ends, with the
        first step.

        Args:
            prompt, key, codec, attributes: as for `get_or_set`.
            **options: see `langcache.aside.Options`. ``function`` names what computes the answer. Default:
                ``"look_up"``.

        Raises:
            TypeError, ValueError: an argument breaks a rule.
            LangCacheError: only with ``on_error="raise"``.
        """
        cache_aside = self._aside  # which loads what is imported here
        from .steps import look_up_first

        asked: aside.AsyncLookup[Any] = await look_up_first(
            cache_aside, self._scope, prompt, key, codec, attributes, options
        )
        return asked

    @overload
    def cached(
        self, undecorated: Callable[P, AsyncIterator[C]], /
    ) -> aside.CachedStream[P, AsyncIterator[C], aside.AnswerStream[C]]: ...
    @overload
    def cached(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self, undecorated: Callable[P, Coroutine[Any, Any, AsyncIterator[C]]], /
    ) -> aside.CachedStream[
        P, Coroutine[Any, Any, AsyncIterator[C]], Coroutine[Any, Any, aside.AnswerStream[C]]
    ]: ...
    @overload
    def cached(self, undecorated: Callable[P, Coroutine[Any, Any, T]], /) -> aside.CachedFunction[P, T]: ...
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
    ) -> AsyncMethodDecorator: ...
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
    ) -> AsyncDecorator: ...
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
        """A decorator that caches the answers of a coroutine function or an async generator function.

        Use it as ``@cache.cached`` or ``@cache.cached(...)``. The decorated function keeps its signature, and
        a hit has the type that the return annotation names. ``f.answer(...)`` returns the answer with how it
        was obtained, ``f.refresh(...)`` computes it and replaces the stored one, and ``f.bypass(...)`` calls
        the function without the cache.

        Args:
            prompt: the name of the parameter that is the question. Default: the first one except ``self`` and
                ``cls``.
            key: a function of all arguments that returns the question instead, as the one of `get_or_set`
                does.
            messages: the name of the parameter that holds the messages of a chat. What is looked up is the
                last text of the last one, and all else is hashed into one attribute, ``"fingerprint"``, which
                must be declared with the cache: the other messages and every parameter that is neither an
                attribute nor ignored. With ``key=langcache.chat.chat_key(...)`` by its settings. See the page
                on chat requests.
            attributes: a mapping that is the same for all calls; or the names of parameters, each of which
                becomes an attribute of that name; or a function of all arguments that returns a mapping.
            ignore: the names of parameters that don't change the answer. Every parameter that is neither the
                question nor an attribute must be named here, ``self`` and ``cls`` included, unless ``key`` or
                ``messages`` is given or ``attributes`` is a function. With ``messages``, ``self`` and
                ``cls`` must be named all the same.
            codec: converts what the function returns, or the list of all chunks of a stream, to the text that
                is stored, and back. Default: by its return annotation, text for str and JSON for other types.
                An answer that would not come back equal and of the same type is not stored.
            **options: see `langcache.aside.Options`.

        Raises:
            TypeError, ValueError: an argument does not fit the function or breaks a rule; or the function
                would get the answers of one that is decorated already. To avoid that, declare an attribute
                for the function (`langcache.aside.AsideConfig`), use a scope for each, or, if they may share
                answers, give both the same ``function="..."``.
        """
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

    async def invalidate(self, source: str) -> int:
        """Delete the answers that have this one of their ``sources``, which has changed.

        On a scoped client, only answers that were stored in its scope or in a narrower one; not those that a
        client of a wider scope stored with the same ``attributes``, which that one invalidates. An answer
        that this client began to compute before is not stored after it, and one that is being stored in this
        event loop is awaited and deleted. What another process computed from the old source may still be
        stored later: stop that first, or invalidate again. Answers stored within 5 minutes after another
        client's `flush` may not be found; neither are those stored more than a year ago.

        Args:
            source: its name, ``"doc:42"``, for any version of it, or with the version, ``"doc:42@v7"``, for
                that one. What follows the last ``@`` is the version.

        Returns:
            How many answers were deleted.

        Raises:
            ValueError, TypeError: the source breaks a rule, or there is no `AsideConfig.source_attribute`.
            LangCacheError: not all could be deleted, whatever ``on_error`` is. Call it again.
        """
        scope = {} if self._scope is None else self._scope.attributes
        return await self._aside.invalidation.invalidate("invalidate", source, scope)

    def stats(self) -> aside.Stats:
        """Counts and times of the cache-aside calls of this client and its scopes so far, as a copy."""
        return self._aside.state.stats.copy()
