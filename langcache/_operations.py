"""The operations of the service, one short method for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from msgspec import UNSET, UnsetType

from ._call import protocol
from ._call.caller import Caller
from ._established.mistakes import explain_operation
from .aside.lazy_aside import LazyAside
from .aside.scope import Scope
from .limits import Limits
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

__all__ = ["AsyncOperations"]


class AsyncOperations:
    """The operations of `AsyncLangCache`."""

    _caller: Caller
    _lazy_aside: LazyAside
    _limits: Limits
    _scope: Scope | None

    @explain_operation
    async def search(
        self,
        prompt: str,
        *,
        similarity_threshold: float | None = None,
        search_strategies: Iterable[SearchStrategy | str] | None = None,
        attributes: Mapping[str, str] | None = None,
        max_results: int | None = None,
        retries: RetryConfig | int | UnsetType | None = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> SearchResponse:
        """Search for the answers to prompts that mean the same as this one.

        Args:
            prompt: the question, 1 to 1,024 characters.
            similarity_threshold: how similar the prompts must be at least, 0 to 1 (see
                `CacheEntry.similarity`). Default: the cache's own, 0.85 unless it was configured otherwise.
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
        found = await self._caller.call(request, retries, server_url, timeout_ms, http_headers)
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
        retries: RetryConfig | int | UnsetType | None = UNSET,
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
        try:
            return await self._caller.call(request, retries, server_url, timeout_ms, http_headers)
        finally:
            self._lazy_aside.record_change()

    @explain_operation
    async def delete_by_id(
        self,
        entry_id: str,
        *,
        retries: RetryConfig | int | UnsetType | None = UNSET,
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
        try:
            return await self._caller.call(request, retries, server_url, timeout_ms, http_headers)
        finally:
            self._lazy_aside.record_change()

    @explain_operation
    async def delete_query(
        self,
        attributes: Mapping[str, str],
        *,
        retries: RetryConfig | int | UnsetType | None = UNSET,
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
            return await self._caller.call(request, retries, server_url, timeout_ms, http_headers)
        finally:
            self._lazy_aside.record_deletion(in_scope)

    @explain_operation
    async def flush(
        self,
        *,
        retries: RetryConfig | int | UnsetType | None = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Delete every entry of the cache; on a scoped client, every entry of its scope."""
        try:
            if self._scope is not None:
                in_scope = protocol.delete_query(self._limits, self._scope.attributes)
                await self._caller.call(in_scope, retries, server_url, timeout_ms, http_headers)
            else:
                await self._caller.call(protocol.flush(), retries, server_url, timeout_ms, http_headers)
        finally:
            self._lazy_aside.record_deletion(None if self._scope is None else self._scope.attributes)

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
        retries: RetryConfig | int | UnsetType | None = UNSET,
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
        found = await self._caller.call(request, retries, server_url, timeout_ms, http_headers)
        self._drop_out_of_scope(found.data)
        return found

    @explain_operation
    async def health(
        self,
        *,
        retries: RetryConfig | int | UnsetType | None = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> HealthResponse:
        """Check that the cache is up. Returns if it is, raises if it is not.

        Self-managed services and the local one support it. With a managed service it may raise
        `NotFoundError`.
        """
        return await self._caller.call(protocol.health(), retries, server_url, timeout_ms, http_headers)

    def _with_scope(self, attributes: Mapping[str, str] | None) -> Mapping[str, str] | None:
        if self._scope is None:
            return attributes
        return self._scope.merge(self._limits.attribute_map(attributes))

    def _drop_out_of_scope(self, entries: list[CacheEntry]) -> None:
        if self._scope is not None:
            entries[:] = filter(self._scope.contains, entries)
