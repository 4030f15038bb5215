"""The cache-aside methods of the async client: signatures; the work is imported when first used."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from ..models import CacheEntry, SearchResponse, SearchStrategy, SetResponse

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..client import AsyncLangCache
    from .answers import Answer, AsideConfig, CallOptions
    from .codecs import Codec
    from .core import Aside
    from .decorator import AsyncDecorator, AttributeSource
    from .many import Batch, Progress
    from .scope import AttributeValue, Scope
    from .stats import Stats
    from .streams import AnswerStream

__all__ = ["AsyncAsideMethods"]

T = TypeVar("T")
Q = TypeVar("Q")
C = TypeVar("C")
ClientT = TypeVar("ClientT", bound="AsyncAsideMethods")

_CONCURRENCY = 16


class AsyncAsideMethods:
    """What `AsyncLangCache` offers on top of the operations."""

    _aside_config: AsideConfig | None
    _scope: Scope | None
    _made_aside: Aside | None = None

    @overload
    async def get_or_set(
        self,
        prompt: Q,
        make: Callable[[Q], Awaitable[T]],
        *,
        key: Callable[[Q], str] | None = None,
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
        key: Callable[[Q], str] | None = None,
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
        key: Callable[[Q], str] | None = None,
        codec: Codec[T] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[CallOptions],
    ) -> Answer[T]: ...
    async def get_or_set(
        self,
        prompt: Any,
        make: Any,
        *,
        key: Callable[[Any], str] | None = None,
        codec: Codec[Any] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[CallOptions],
    ) -> Answer[Any]:
        """The cached answer to a prompt; or the one that ``make`` computes, which is then stored.

        Calls that ask the same thing at once, with the same attributes and options, share one lookup and one
        ``make``. A cache that is down, slow or wrongly set up does not stop the answer, unless
        ``on_error="raise"``.

        Args:
            prompt: the question, or anything that ``key`` makes a question of.
            make: called with ``prompt`` if the cache has no answer; a function that is not async runs in a
                worker thread. Or the answer itself. What it raises is raised here, and nothing is stored.
                To mypy the answer of a lambda is Any; annotate it, ``answer: Answer[str] = await ...``.
            key: makes the text to look up of ``prompt``, the last message of a conversation, say.
            codec: what is stored of the answer. Default: text, and the answer must be str.
            attributes: only answers that carry all of these, and what is stored carries them. Values of any
                sort are encoded, see `langcache.aside.encode_attributes`.
            **options: see `langcache.aside.Options`.

        Raises:
            TypeError, ValueError: an argument breaks a rule.
            LangCacheError: only with ``on_error="raise"``.
        """
        return await self._aside.get_or_set(self._client, prompt, make, key, codec, attributes, options)

    def get_or_stream(
        self,
        prompt: Any,
        make: Callable[[Any], AsyncIterable[C] | Awaitable[AsyncIterable[C]]] | AsyncIterable[C],
        *,
        key: Callable[[Any], str] | None = None,
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
        """
        from . import entry_points

        return entry_points.stream(self._client, prompt, make, key, codec, attributes, options)

    def cached(
        self,
        *,
        prompt: str | None = None,
        key: Callable[..., str] | None = None,
        attributes: AttributeSource | None = None,
        ignore: Iterable[str] = (),
        codec: Codec[Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncDecorator:
        """A decorator that puts this cache in front of a coroutine function or an async generator function.

        The function keeps its signature and its types: what it is annotated to return comes back from a hit.
        ``f.answer(...)`` says how an answer was come by, ``f.refresh(...)`` computes and stores it anew, and
        ``f.bypass(...)`` is the function itself.

        Args:
            prompt: the name of the parameter that is the question. Default: the first.
            key: makes the question of all arguments instead.
            attributes: the same for all calls; or the names of parameters, each an attribute of that name; or
                a function of all arguments.
            ignore: the names of parameters that don't change the answer. Those that are neither the question
                nor an attribute must be named here, unless ``key`` or ``attributes`` is a function.
            codec: what is stored of what it returns, for a stream of the list of all chunks. Default: by its
                return annotation, text for str and JSON for other types.
            **options: see `langcache.aside.Options`.

        Raises:
            TypeError, ValueError: an argument does not fit the function or breaks a rule.
        """
        from . import entry_points

        return entry_points.decorator(self._client, prompt, key, attributes, ignore, codec, options)

    def scoped(self: ClientT, **attributes: AttributeValue) -> ClientT:
        """A client of the same cache whose every operation carries these attributes.

        What it stores has them, what it finds has them, and what it deletes has them: `flush` empties the
        scope and not the cache. `delete_by_id` is refused: an id says nothing of its scope. Scopes nest; none
        can change a value of the one around it. Connections, statistics and the like are those of this
        client, and only this client closes them.

        Args:
            **attributes: str, int, float, bool or UUID, encoded as `langcache.aside.encode_attributes` says.
                With those of the enclosing scopes, no more than the service accepts.

        Raises:
            TypeError, ValueError: a name or value that can't be an attribute, or too many, or none.
        """
        from .scope import Scope

        if not attributes:
            raise ValueError("attributes: a scope needs at least one")
        scope = (self._scope or Scope({})).narrowed(attributes)
        self._client._limits.attribute_map(scope.attributes)
        _ = self._aside  # so that both have the same
        scoped = copy.copy(self)
        scoped._scope = scope
        return scoped

    def stats(self) -> Stats:
        """What the cache-aside calls of this client and of its scopes came to so far."""
        return self._aside.stats.copy()

    def set_many(
        self,
        items: Iterable[tuple[str, str]] | AsyncIterable[tuple[str, str]],
        *,
        attributes: Mapping[str, str] | None = None,
        ttl_millis: int | None = None,
        concurrency: int = _CONCURRENCY,
        ordered: bool = True,
        progress: Progress | None = None,
    ) -> Batch[tuple[str, str], SetResponse]:
        """Store many answers: ``await`` it for the list of results, or iterate with ``async for``.

        Args:
            items: pairs of prompt and response.
            attributes, ttl_millis: of each, as for `set`.
            concurrency: how many at once at most.
            ordered: results in the order of the items; False for as they come.
            progress: called after each with how many are done and how many there are (None if unknown).

        Returns:
            A `langcache.aside.Result` for each item, with the `SetResponse` or the error.
        """
        from .many import Batch

        async def store(item: tuple[str, str]) -> SetResponse:
            prompt, response = item
            return await self._client.set(prompt, response, attributes=attributes, ttl_millis=ttl_millis)

        return Batch(items, store, concurrency=concurrency, ordered=ordered, progress=progress)

    def search_many(
        self,
        prompts: Iterable[str] | AsyncIterable[str],
        *,
        similarity_threshold: float | None = None,
        search_strategies: Sequence[SearchStrategy | str] | None = None,
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
            A `langcache.aside.Result` for each prompt, with the `SearchResponse` or the error.
        """
        from .many import Batch

        async def search(prompt: str) -> SearchResponse:
            return await self._client.search(
                prompt,
                similarity_threshold=similarity_threshold,
                search_strategies=search_strategies,
                attributes=attributes,
                max_results=max_results,
            )

        return Batch(prompts, search, concurrency=concurrency, ordered=ordered, progress=progress)

    @property
    def _client(self) -> AsyncLangCache:
        return cast("AsyncLangCache", self)

    @property
    def _aside(self) -> Aside:
        aside = self._made_aside
        if aside is None:
            from .answers import AsideConfig
            from .core import Aside

            aside = self._made_aside = Aside(self._aside_config or AsideConfig())
        return aside

    @property
    def _is_storing(self) -> bool:
        return self._made_aside is not None and self._made_aside.storing

    async def _drain_aside(self) -> None:
        if self._made_aside is not None:
            await self._made_aside.drain()

    def _in_scope(self, attributes: Mapping[str, str] | None) -> Mapping[str, str] | None:
        if self._scope is None:
            return attributes
        return self._scope.merge(self._client._limits.attribute_map(attributes))

    def _drop_what_is_out_of_scope(self, entries: list[CacheEntry]) -> None:
        if self._scope is not None:
            entries[:] = filter(self._scope.holds, entries)
