"""`AsyncLangCache`: one short method for each operation of the service."""

from __future__ import annotations

import copy
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
from ._established.mistakes import explain_arguments, explain_operation, missing_attribute
from .aside.core import Aside
from .aside.execution import Execution, InLoop
from .aside.methods import AsyncAsideMethods
from .aside.options import AsideConfig
from .aside.scope import AttributeValue, Scope
from .httpclient import ClientSource
from .limits import Limits, check_instance
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


class AsyncLangCache(AsyncAsideMethods, AsyncManyMethods):
    """A client for one cache of a LangCache service, for asyncio programs.

    Use it under ``async with``, or call `aclose` at the end; a client that is merely dropped is closed by its
    event loop. One client serves any number of tasks at once, and event loops one after the other.

    Args:
        server_url: where the service is; a bare host gets ``https://``. Default: ``LANGCACHE_SERVER_URL``, of
            which, as of the other variables, white space around the value is no part.
        api_key: the key, or a sync or async callable that is asked for it before each try, so that a rotated
            key needs no restart. For a service that checks none, any word. Default: ``LANGCACHE_API_KEY``.
        cache_id: which cache. Default: ``LANGCACHE_CACHE_ID``.
        client: an `aiohttp.ClientSession` of your own, which you close; or anything that satisfies
            `langcache.httpclient.AsyncHttpClient`; or a callable that makes either inside the event loop that
            will use it, and what it made is closed for you. Default: a session made for what a cache needs,
            with the proxies that the environment names.
        retry_config: what to try again, for every call that does not say otherwise. Default: nothing.
        timeout_ms: milliseconds for one try, from asking a callable for the key to the end of the reply, a
            wait for one of 256 connections included. Default: 10,000, of which at most 5,000 to connect; with
            a ``client`` of your own, that client's timeouts, and 10,000 for the key.
        debug_logger: told of each request and reply: method, URL, sizes, status, time and number of the try,
            never the key. Default: the logger ``langcache`` if ``LANGCACHE_DEBUG`` is set, and not to
            ``0``, ``false``, ``no`` or ``off``.
        debug_bodies: whether the debug logger sees prompts and responses too.
        limits: what the service accepts, checked before anything is sent. Give another for a service that
            accepts more. Default: the documented ones.
        enabled: False for a cache that does nothing: nothing is sent, every search misses, and no server, key
            or cache id is needed. Default: True.
        aside: what `get_or_set`, `cached` and the like have in common, a `langcache.aside.AsideConfig`.
        telemetry: a `langcache.telemetry.Telemetry`, for OpenTelemetry spans and metrics. Default: none.

    Every operation also takes, for that call alone: ``retries`` (a `RetryConfig`, or None for a single try),
    ``server_url`` (where the same key goes along), ``timeout_ms``, and ``http_headers``, which add to the
    headers or replace them.

    Every operation raises `TypeError` for an argument of a wrong type and `langcache.LimitError` (both a
    `ValueError` and a `BadRequestError`) for one that breaks a rule, before anything is sent, and otherwise
    only `langcache.errors.LangCacheError` and its kinds, or what a callable for the key raises.

    Raises:
        ValueError: a server, key or cache id is missing or can't be one.
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
        self._aside: Aside = self._aside_for(InLoop(), aside, telemetry, enabled)

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
        """Look for answers to a prompt that means the same.

        Args:
            prompt: the question, 1 to 1,024 characters.
            similarity_threshold: how alike the prompts must be, 0 to 1 (normalised cosine similarity).
                Default: the cache's own, 0.85 unless it was configured otherwise.
            search_strategies: ``"exact"`` (the same but for case), ``"semantic"``, or both in order of
                priority. Default: semantic.
            attributes: only entries that carry all of these. They must have been declared with the cache.
            max_results: how many entries at most. Default: 1.

        Returns:
            The entries found, best first. False when there are none.
        """
        attributes = self._in_scope(attributes)
        request = protocol.search(
            self._limits, prompt, similarity_threshold, search_strategies, attributes, max_results
        )
        found = await self._call(request, retries, server_url, timeout_ms, http_headers)
        self._drop_what_is_out_of_scope(found.data)
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
            attributes: at most 5, to filter by later; names of 1 to 32 of ``a-z A-Z 0-9 _ -``, values of 1 to
                500 characters without a comma. They must have been declared with the cache.
            ttl_millis: how long to keep it, in milliseconds, 1 to 31,556,952,000 (a year). Default: the
                cache's own.
            ttl: the same in seconds, or as a `timedelta`. Give one of the two.

        Returns:
            The id of the new entry.
        """
        request = protocol.set(self._limits, prompt, response, self._in_scope(attributes), ttl_millis, ttl)
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
            entry_id: its id, as `set` or `search` gave it.

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
        """Delete every entry that carries all of these attributes.

        Args:
            attributes: at least one; `flush` is what empties a cache.

        Returns:
            How many entries were deleted.
        """
        request = protocol.delete_query(self._limits, self._in_scope(attributes))
        return await self._call(request, retries, server_url, timeout_ms, http_headers)

    @explain_operation
    async def flush(
        self,
        *,
        retries: RetryConfig | UnsetType | None = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Delete every entry of the cache; of a scoped client, every entry of its scope."""
        if self._scope is not None:
            in_scope = protocol.delete_query(self._limits, self._scope.attributes)
            await self._call(in_scope, retries, server_url, timeout_ms, http_headers)
            return
        await self._call(protocol.flush(), retries, server_url, timeout_ms, http_headers)

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
        """Look for answers to a prompt that leans on a conversation. Experimental: few services have it yet.

        Args:
            prompt: the question as it was asked, 1 to 1,024 characters.
            similarity_threshold, search_strategies, attributes, max_results: as for `search`.
            context: the questions before it, oldest first. The service makes one self-contained question of
                them all.

        Returns:
            The entries found, and in ``actual_prompt`` the question that was searched for.

        Raises:
            NotFoundError: the service does not have it.
        """
        attributes = self._in_scope(attributes)
        request = protocol.conversational_search(
            self._limits, prompt, similarity_threshold, search_strategies, attributes, max_results, context
        )
        found = await self._call(request, retries, server_url, timeout_ms, http_headers)
        self._drop_what_is_out_of_scope(found.data)
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
        """Ask whether the cache is up. Returns if it is, raises if it is not.

        Self-managed services have it, and the local one. A managed service may answer `NotFoundError`.
        """
        return await self._call(protocol.health(), retries, server_url, timeout_ms, http_headers)

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
        if not attributes:
            raise ValueError("attributes: a scope needs at least one")
        scope = (self._scope or Scope({})).narrowed(attributes)
        self._limits.attribute_map(scope.attributes)
        scoped = copy.copy(self)
        scoped._scope = scope
        return scoped

    async def aclose(self) -> None:
        """Close the client. Calls in flight end in `ClosedError`, and so do later ones. Twice is fine.

        Answers that are being stored in the background are waited for first. A scoped client closes nothing:
        what it uses belongs to the client that it was made from.
        """
        if self._scope is None:
            await self._aside.stores.drain()
            await self._transport.aclose()

    def discard(self) -> None:
        """Close without waiting, from any thread: the event loops that used the client do it as they turn."""
        if self._scope is None:
            self._transport.discard()

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

    def _aside_for(
        self, execution: Execution, config: AsideConfig | None, telemetry: Telemetry | None, enabled: bool
    ) -> Aside:
        return Aside(self._caller, self._limits, config, telemetry, execution, enabled=enabled)

    def _in_scope(self, attributes: Mapping[str, str] | None) -> Mapping[str, str] | None:
        if self._scope is None:
            return attributes
        return self._scope.merge(self._limits.attribute_map(attributes))

    def _drop_what_is_out_of_scope(self, entries: list[CacheEntry]) -> None:
        if self._scope is not None:
            entries[:] = filter(self._scope.holds, entries)

    if not TYPE_CHECKING:  # so that type checkers go on reporting every wrong name

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name)
