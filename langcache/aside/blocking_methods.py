"""The cache-aside methods of the blocking client: signatures; the work is imported when first used."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from ..models import SearchResponse, SearchStrategy, SetResponse

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..sync import LangCache
    from .answers import Answer, CallOptions
    from .codecs import Codec
    from .decorator import AttributeSource, BlockingDecorator
    from .many import Batch, Progress, Result
    from .scope import AttributeValue
    from .stats import Stats

__all__ = ["BlockingAsideMethods"]

T = TypeVar("T")
Q = TypeVar("Q")
C = TypeVar("C")
BlockingClientT = TypeVar("BlockingClientT", bound="BlockingAsideMethods")

_CONCURRENCY = 16


class BlockingAsideMethods:
    """What `LangCache` offers on top of the operations: the same, for functions that are not async."""

    @overload
    def get_or_set(
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
    def get_or_set(
        self,
        prompt: Q,
        make: T,
        *,
        key: Callable[[Q], str] | None = None,
        codec: Codec[T] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[CallOptions],
    ) -> Answer[T]: ...
    def get_or_set(
        self,
        prompt: Any,
        make: Any,
        *,
        key: Callable[[Any], str] | None = None,
        codec: Codec[Any] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[CallOptions],
    ) -> Answer[Any]:
        """See `AsyncLangCache.get_or_set`. ``make``, ``key`` and ``accept`` run in the calling thread.

        Threads that ask the same thing at once share one lookup and one ``make``, which runs in the thread
        that was first. If that thread is interrupted, another takes over.
        """
        from . import blocking

        return blocking.get_or_set(self._blocking_client, prompt, make, key, codec, attributes, options)

    def get_or_stream(
        self,
        prompt: Any,
        make: Callable[[Any], Iterable[C]] | Iterable[C],
        *,
        key: Callable[[Any], str] | None = None,
        codec: Codec[list[C]] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        **options: Unpack[CallOptions],
    ) -> Iterator[C]:
        """See `AsyncLangCache.get_or_stream`, of which this is a generator.

        Threads that ask the same thing while a stream is under way share it: each step of the source runs in
        the thread that wants the next chunk first, with the context variables of the one that began. If a
        thread is interrupted at that, the others begin anew, or get `RuntimeError` if chunks had come.
        """
        from . import blocking

        return blocking.stream(self._blocking_client, prompt, make, key, codec, attributes, options)

    def cached(
        self,
        *,
        prompt: str | None = None,
        key: Callable[..., str] | None = None,
        attributes: AttributeSource | None = None,
        ignore: Iterable[str] = (),
        codec: Codec[Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> BlockingDecorator:
        """See `AsyncLangCache.cached`; for functions and generator functions that are not async."""
        from . import blocking

        return blocking.decorator(self._blocking_client, prompt, key, attributes, ignore, codec, options)

    def scoped(self: BlockingClientT, **attributes: AttributeValue) -> BlockingClientT:
        """See `AsyncLangCache.scoped`."""
        client = self._blocking_client
        scoped = copy.copy(client)
        scoped._on_portal = client._on_portal.scoped(**attributes)
        scoped._in_place = client._in_place.scoped(**attributes)
        scoped._made_from = client
        return cast("BlockingClientT", scoped)

    def stats(self) -> Stats:
        """See `AsyncLangCache.stats`."""
        return self._blocking_client._on_portal.stats()

    def set_many(
        self,
        items: Iterable[tuple[str, str]],
        *,
        attributes: Mapping[str, str] | None = None,
        ttl_millis: int | None = None,
        concurrency: int = _CONCURRENCY,
        ordered: bool = True,
        progress: Progress | None = None,
    ) -> list[Result[tuple[str, str], SetResponse]]:
        """See `AsyncLangCache.set_many`. ``items`` and ``progress`` are used in the calling thread."""
        from . import blocking

        client = self._blocking_client

        def batch(
            items: AsyncIterable[tuple[str, str]], progress: Progress
        ) -> Batch[tuple[str, str], SetResponse]:
            return client._on_portal.set_many(
                items,
                attributes=attributes,
                ttl_millis=ttl_millis,
                concurrency=concurrency,
                ordered=ordered,
                progress=progress,
            )

        return blocking.many(client, "set_many", items, batch, progress)

    def search_many(
        self,
        prompts: Iterable[str],
        *,
        similarity_threshold: float | None = None,
        search_strategies: Sequence[SearchStrategy | str] | None = None,
        attributes: Mapping[str, str] | None = None,
        max_results: int | None = None,
        concurrency: int = _CONCURRENCY,
        ordered: bool = True,
        progress: Progress | None = None,
    ) -> list[Result[str, SearchResponse]]:
        """See `AsyncLangCache.search_many`. ``prompts`` and ``progress`` are used in the calling thread."""
        from . import blocking

        client = self._blocking_client

        def batch(items: AsyncIterable[str], progress: Progress) -> Batch[str, SearchResponse]:
            return client._on_portal.search_many(
                items,
                similarity_threshold=similarity_threshold,
                search_strategies=search_strategies,
                attributes=attributes,
                max_results=max_results,
                concurrency=concurrency,
                ordered=ordered,
                progress=progress,
            )

        return blocking.many(client, "search_many", prompts, batch, progress)

    @property
    def _blocking_client(self) -> LangCache:
        return cast("LangCache", self)
