"""`AsyncLangCache`: one short method for each operation of the service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import UNSET, UnsetType

from ._call import protocol
from ._call.caller import ApiKey, Caller
from ._call.debug import Logger, check_logger
from ._call.disabled import DisabledClient
from ._call.transport import Transport
from ._checks import check_instance
from ._copies import Uncopied, shallow_copy
from ._established.mistakes import explain_arguments, explain_operation, missing_attribute, name_after
from .aside.core import Aside
from .aside.execution import Execution, InLoop
from .aside.key import MessagesKey
from .aside.methods import AsyncAsideMethods
from .aside.options import AsideConfig
from .aside.scope import AttributeValue, Scope
from .embedded import Embeddable, Engine
from .httpclient import ClientSource
from .limits import Limits
from .many import AsyncManyMethods
from .models import (
    CacheEntry,
    ConversationalSearchResponseContent,
    DeleteQueryResponse,
    HealthResponse,
    SearchResponse,
    SearchStrategy,
    SetResponse,
)
from .retries import RetryConfig
from .telemetry import Telemetry

__all__ = ["ApiKey", "AsyncLangCache"]


ClientT = TypeVar("ClientT", bound="AsyncLangCache")


class AsyncLangCache(AsyncAsideMethods, AsyncManyMethods, Embeddable, Uncopied):
    """A client for one cache of a LangCache service, for asyncio programs.

    Use it under ``async with``, or call `aclose` at the end; a client that is merely dropped is closed by its
    event loop. Any number of tasks may share a client at once, and it may be used in one event loop after
    another. It is never copied: ``copy.copy`` and ``copy.deepcopy`` return the client itself, and pickling it
    raises `TypeError`, since the pickle would hold the API key.

    Args:
        server_url: the URL of the service; ``https://`` is added to a bare host. Default:
            ``LANGCACHE_SERVER_URL``. White space around the value of an environment variable is ignored.
        api_key: the key, or a sync or async callable that returns it. The callable is called before each try,
            so that a rotated key needs no restart. For a service that checks no key, any text. Default:
            ``LANGCACHE_API_KEY``.
        cache_id: the id of the cache. Default: ``LANGCACHE_CACHE_ID``.
        client: an `aiohttp.ClientSession` of your own, or anything that satisfies
            `langcache.httpclient.AsyncHttpClient`; you close it. Or a callable that makes either, which is
            called inside the event loop that will use it; what it made is closed for you. Default: a session
            of the client's own, with the proxies that the environment names when the client is made.
        retry_config: which failures to retry, and how; ``retries`` overrides it for one call. Default: no
            retries.
        timeout_ms: milliseconds for one try. It includes calling a callable for the key, waiting for one of
            256 connections, and reading the reply to its end. Default: 10,000, of which at most 5,000 to
            connect; with a ``client`` of your own, that client's timeouts, and 10,000 for the key.
        debug_logger: logs each request and reply: method, URL, sizes, status, time and number of the try,
            never the key. Default: the logger ``langcache`` if ``LANGCACHE_DEBUG`` is set, and not to
            ``0``, ``false``, ``no`` or ``off``.
        debug_bodies: whether the debug logger logs prompts and responses too. Default: False.
        limits: what the service accepts, checked before anything is sent. Pass others for a service that
            accepts more. Default: the documented limits of LangCache.
        enabled: False disables the cache: nothing is sent, every search is a miss, and no server, key or
            cache id is needed. Default: True.
        aside: a `langcache.aside.AsideConfig`, the settings of `get_or_set`, `get_or_stream` and `cached`.
            Default: its defaults.
        telemetry: a `langcache.telemetry.Telemetry`, for OpenTelemetry spans and metrics. Default: none.

    Every operation also takes, for that call alone: ``retries`` (a `RetryConfig`, or None for a single try),
    ``server_url`` (which gets the same key), ``timeout_ms``, and ``http_headers``, which are added to the
    headers or replace them.

    Before anything is sent, every operation raises `TypeError` for an argument of the wrong type, and
    `langcache.LimitError` (both a `ValueError` and a `BadRequestError`) for one that breaks a rule. After
    that it raises only `langcache.errors.LangCacheError` and its subclasses, or what a callable for the key
    raises.

    Raises:
        ValueError: a server URL, key or cache id is missing or invalid.
        TypeError: an argument is of the wrong type.
    """

    @explain_arguments
    def __init__(
        self,
        server_url: str | None = None,
        api_key: ApiKey | None = None,
        cache_id: str | None = None,
        client: ClientSource | None = None,
        retry_config: RetryConfig | UnsetType | None = UNSET,
        timeout_ms: float | None = None,
        debug_logger: Logger | None = None,
        *,
        debug_bodies: bool = False,
        limits: Limits | None = None,
        enabled: bool = True,
        aside: AsideConfig | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        if not enabled:
            server_url, api_key, cache_id, client = (
                "https://disabled.invalid",
                "none",
                "disabled",
                DisabledClient(),
            )
        self._scope: Scope | None = None
        self._engine: Engine | None = None
        aside = check_instance("aside", aside, AsideConfig, "langcache.aside.AsideConfig")
        telemetry = check_instance("telemetry", telemetry, Telemetry, "langcache.telemetry.Telemetry")
        self._limits = check_instance("limits", limits, Limits, "langcache.Limits") or Limits()
        self._transport = Transport(
            client,
            max_reply_bytes=self._limits.reply_bytes,
            logger=check_logger(debug_logger),
            log_bodies=debug_bodies,
        )
        self._caller = Caller(
            self._transport,
            server_url,
            api_key,
            cache_id,
            retry_config,
            timeout_ms,
            telemetry,
            users_own=client is not None,
        )
        self._call = self._caller.call
        self._aside: Aside = self._make_aside(InLoop(), aside, telemetry, enabled)

    @explain_operation
    async def search(
        self,
        prompt: str,
        *,
        similarity_threshold: float | None = None,
        search_strategies: Iterable[SearchStrategy | str] | None = None,
        attributes: Mapping[str, str] | None = None,
        max_results: int | None = None,
        retries: RetryConfig | UnsetType | None = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> SearchResponse:
        """Search for the answers to prompts that mean the same as this one.

        Args:
            prompt: the question, 1 to 1,024 characters.
            similarity_threshold: how similar the prompts must be at least, 0 to 1 (normalised cosine
                similarity). Default: the cache's own, 0.85 unless it was configured otherwise.
            search_strategies: ``"exact"`` (the same text, ignoring case), ``"semantic"``, or both in order of
                priority. Default: semantic.
            attributes: find only entries that have all of these. Their names must have been declared with the
                cache.
            max_results: how many entries to return at most. Default: 1.

        Returns:
            The entries found, best first. It is false if there are none.
        """
        attributes = self._with_scope(attributes)
        request = protocol.search(
            self._limits, prompt, similarity_threshold, search_strategies, attributes, max_results
        )
        found = await self._call(request, retries, server_url, timeout_ms, http_headers)
        self._drop_out_of_scope(found.data)
        return found

    @explain_operation
    async def set(
        self,
        prompt: str,
        response: str,
        *,
        attributes: Mapping[str, str] | None = None,
        ttl_millis: int | None = None,
        ttl: float | timedelta | None = None,
        retries: RetryConfig | UnsetType | None = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> SetResponse:
        """Store an answer under its prompt.

        Args:
            prompt: the question, 1 to 1,024 characters.
            response: the answer.
            attributes: at most 5, to filter by later. Names have 1 to 32 characters of ``a-z A-Z 0-9 _ -``,
                values 1 to 500 characters without a comma. The names must have been declared with the cache.
            ttl_millis: how long to keep it, in milliseconds, 1 to 31,556,952,000 (a year). Default: the
                cache's own.
            ttl: the same in seconds, or as a `timedelta`. Pass one of the two.

        Returns:
            The id of the new entry.
        """
        request = protocol.set(self._limits, prompt, response, self._with_scope(attributes), ttl_millis, ttl)
        return await self._call(request, retries, server_url, timeout_ms, http_headers)

    @explain_operation
    async def delete_by_id(
        self,
        entry_id: str,
        *,
        retries: RetryConfig | UnsetType | None = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Delete one entry.

        Args:
            entry_id: its id, as returned by `set` or `search`.

        Raises:
            NotFoundError: there is no such entry.
        """
        if self._scope is not None:
            raise ValueError(
                "delete_by_id: an id says nothing of its scope, so a scoped client does not take it; use "
                "delete_query, or the client that this one was made from"
            )
        request = protocol.delete_by_id(entry_id)
        return await self._call(request, retries, server_url, timeout_ms, http_headers)

    @explain_operation
    async def delete_query(
        self,
        attributes: Mapping[str, str],
        *,
        retries: RetryConfig | UnsetType | None = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> DeleteQueryResponse:
        """Delete every entry that has all of these attributes.

        Args:
            attributes: at least one; to delete all entries, use `flush`.

        Returns:
            How many entries were deleted.
        """
        in_scope = self._with_scope(attributes)
        request = protocol.delete_query(self._limits, in_scope)
        try:
            return await self._call(request, retries, server_url, timeout_ms, http_headers)
        finally:
            self._aside.invalidation.forget(in_scope)

    @explain_operation
    async def flush(
        self,
        *,
        retries: RetryConfig | UnsetType | None = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Delete every entry of the cache; on a scoped client, every entry of its scope."""
        try:
            if self._scope is not None:
                in_scope = protocol.delete_query(self._limits, self._scope.attributes)
                await self._call(in_scope, retries, server_url, timeout_ms, http_headers)
            else:
                await self._call(protocol.flush(), retries, server_url, timeout_ms, http_headers)
        finally:
            self._aside.invalidation.forget(None if self._scope is None else self._scope.attributes)

    @explain_operation
    async def conversational_search(
        self,
        prompt: str,
        *,
        similarity_threshold: float | None = None,
        search_strategies: Iterable[SearchStrategy | str] | None = None,
        attributes: Mapping[str, str] | None = None,
        max_results: int | None = None,
        context: Iterable[str] | None = None,
        retries: RetryConfig | UnsetType | None = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> ConversationalSearchResponseContent:
        """Search for answers to the latest prompt of a conversation. Experimental: few services support it.

        Args:
            prompt: the question as it was asked, 1 to 1,024 characters.
            similarity_threshold, search_strategies, attributes, max_results: as for `search`.
            context: the earlier questions of the conversation, oldest first. The service rewrites them and
                the prompt as one self-contained question.

        Returns:
            The entries found, and in ``actual_prompt`` the question that was searched for.

        Raises:
            NotFoundError: the service does not support this operation.
        """
        attributes = self._with_scope(attributes)
        request = protocol.conversational_search(
            self._limits, prompt, similarity_threshold, search_strategies, attributes, max_results, context
        )
        found = await self._call(request, retries, server_url, timeout_ms, http_headers)
        self._drop_out_of_scope(found.data)
        return found

    @explain_operation
    async def health(
        self,
        *,
        retries: RetryConfig | UnsetType | None = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> HealthResponse:
        """Check that the cache is up. Returns if it is, raises if it is not.

        Self-managed services and the local one support it. With a managed service it may raise
        `NotFoundError`.
        """
        return await self._call(protocol.health(), retries, server_url, timeout_ms, http_headers)

    def scoped(self: ClientT, **attributes: AttributeValue) -> ClientT:
        """A client of the same cache that adds these attributes to every operation.

        It stores, finds and deletes only entries that have these attributes: `flush` deletes the entries of
        the scope, not of the whole cache. `delete_by_id` raises `ValueError`, since an id does not tell the
        scope of its entry. A scoped client can be scoped further, but can't change the value of an attribute.
        It shares connections, statistics and settings with this client, and only this client closes them.

        Args:
            **attributes: str, int, float, bool or UUID, encoded by `langcache.aside.encode_attributes`.
                Together with those of this client's scope, no more than the service accepts.

        Raises:
            TypeError, ValueError: a name or value can't be an attribute, or there are too many or none.
        """
        if not attributes:
            raise ValueError("attributes: a scope needs at least one")
        scope = (self._scope or Scope({})).narrowed(attributes)
        self._limits.attribute_map(scope.attributes)
        scoped = shallow_copy(self)
        scoped._scope = scope
        return scoped

    async def aclose(self) -> None:
        """Close the client. Calls in flight and later ones end in `ClosedError`. It may be closed twice.

        Waits first for answers that are being stored, or computed, in the background. On a scoped
        client this does nothing: its connections belong to the client that it was made from.
        """
        if self._scope is None:
            await self._aside.drain()
            await self._transport.aclose()
            if self._engine is not None:
                await self._engine.aclose()

    def discard(self) -> None:
        """Close without waiting, from any thread. Each event loop closes its connections in its next turn."""
        if self._scope is None:
            self._transport.discard()
            if self._engine is not None:
                self._engine.portal.discard()

    async def __aenter__(self: ClientT) -> ClientT:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._caller.base_url}>"

    @classmethod
    def _around(cls: type[ClientT], engine: Engine, **settings: Any) -> ClientT:
        client = cls(client=engine, **settings)
        engine.live_on_own_portal()
        client._engine = engine
        return client

    def _make_aside(
        self, execution: Execution, config: AsideConfig | None, telemetry: Telemetry | None, enabled: bool
    ) -> Aside:
        return Aside(self._caller, self._limits, config, telemetry, execution, _messages_key, enabled=enabled)

    def _with_scope(self, attributes: Mapping[str, str] | None) -> Mapping[str, str] | None:
        if self._scope is None:
            return attributes
        return self._scope.merge(self._limits.attribute_map(attributes))

    def _drop_out_of_scope(self, entries: list[CacheEntry]) -> None:
        if self._scope is not None:
            entries[:] = filter(self._scope.contains, entries)

    if not TYPE_CHECKING:  # so that type checkers still report wrong names

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name)


def _messages_key() -> MessagesKey:
    from .chat.keys import chat_key  # few programs decorate functions of messages

    return chat_key()


name_after(AsyncLangCache)
