"""Looks up, stores and replaces the entries of a cache. All requests of cache-aside are made here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from .._call import protocol
from .._call.caller import Caller
from .._call.deadlines import is_over, time_limit
from .._wire.exchange import Request
from ..errors import NotFoundError, TimeoutException
from ..limits import LimitError, Limits
from ..models import CacheEntry, SearchResponse
from .texts import folded

__all__ = ["Entries"]

T = TypeVar("T")

_FIRST_PAGE = 16
_LAST_PAGE = 4096
"""The most entries that the service in this package returns."""

_FULL_REPLY_BYTES = 3 * 1024 * 1024
"""Once the entries in a reply take so many bytes, the service in this package leaves out others."""

_encode = msgspec.json.Encoder().encode


class Entries:
    """Looks up, stores and replaces entries with the settings of a client.

    Args:
        caller: makes the HTTP calls.
        limits: what the service accepts.
        added: the names of attributes that are stored with an answer, and are no part of its question.
        changed: called when entries were replaced or deleted, or may have been.
    """

    def __init__(
        self,
        caller: Caller,
        limits: Limits,
        added: frozenset[str],
        changed: Callable[[], None],
    ) -> None:
        self._caller = caller
        self._limits = limits
        self._added = added
        self._changed = changed

    def find(
        self, request: Request[SearchResponse], timeout: float, authorization: str | None
    ) -> Coroutine[Any, Any, SearchResponse]:
        """Search, within ``timeout`` seconds.

        Args:
            request: the search.
            timeout: seconds.
            authorization: what `ask_for_key` returned; None for the client's own key.
        """
        caller = self._caller if authorization is None else self._caller.with_authorization(authorization)
        try_timeout = timeout if caller.timeout is None or timeout < caller.timeout else caller.timeout
        if caller.timeout_bounds_call:  # which saves a second timer
            return caller.call_checked(request, caller.base_url, try_timeout, caller.retry_config)
        # Tries end at a deadline of their own: aiohttp, whose timer ends at the same moment, may take the
        # cancellation by the second timer for its own, and then another try would follow.
        config = caller.retries_within(timeout)
        found = caller.call_checked(request, caller.base_url, try_timeout, config)
        return _with_timeout(timeout, found)

    async def ask_for_key(self, timeout: float) -> str:
        """Call the client's callable for the key, within ``timeout`` seconds. Returns the authorization."""
        return await self._caller.ask_for_key(timeout)

    async def store(
        self,
        prompt: str,
        response: str | None,
        attributes: Mapping[str, str] | None,
        added: Mapping[str, str],
        ttl_millis: int | None,
        *,
        replace: bool,
        stale: CacheEntry | None = None,
    ) -> None:
        """Store an answer. The service only adds entries; with ``replace``, the older ones are then deleted.

        Those are the entries with the same prompt and the same attributes, and a stale one whose prompt
        differs in case and spacing alone. ``added`` are attributes that are no part of the question.
        """
        request = refusal = None
        if response is not None:
            stored = {**(attributes or {}), **added} if added else attributes
            try:
                request = protocol.set(self._limits, prompt, response, stored, ttl_millis)
            except LimitError as error:  # it is too large, and what it was to replace goes all the same
                if not replace or stale is not None:
                    raise
                refusal = error
        # Searched before storing: of two calls that replace at once, neither may delete the other's entry.
        older = await self._entries_to_replace(prompt, dict(attributes or {})) if replace else []
        try:
            if request is not None:
                await self._caller.call(request)
            if (
                stale is not None
                and folded(stale.prompt) == folded(prompt)
                and all(entry.id != stale.id for entry in older)
            ):
                older.append(stale)
            await self._delete(older)
            if refusal is not None:
                raise refusal
        finally:
            if replace:
                self._changed()

    async def add(self, prompt: str, response: str, attributes: Mapping[str, str], ttl_millis: int) -> None:
        """Store an entry that is no answer."""
        await self._caller.call(protocol.set(self._limits, prompt, response, attributes, ttl_millis))

    async def delete_by_attributes(self, attributes: Mapping[str, str]) -> int:
        """Delete the entries that have all of these attributes, and return how many."""
        try:
            deleted = await self._caller.call(protocol.delete_query(self._limits, attributes))
        finally:
            self._changed()
        return deleted.deleted_entries_count

    async def exact(self, prompt: str, attributes: Mapping[str, str]) -> tuple[list[CacheEntry], bool]:
        """The entries with this prompt, in any case, and these attributes, and whether these are all.

        They may have further attributes. The service has no pages, so the search is repeated with a larger
        limit until it returns all there are, or no more.
        """
        count = _FIRST_PAGE
        while True:
            request = protocol.search(self._limits, prompt, None, ["exact"], attributes or None, count)
            found = (await self._caller.call(request)).data
            is_full = sum(len(_encode(entry)) for entry in found) >= _FULL_REPLY_BYTES
            complete = len(found) < count and not is_full
            if complete or is_full or count >= _LAST_PAGE:
                return found, complete
            count *= 4

    async def check_open(self) -> None:
        """Raise `ClosedError` if the client is closed."""
        self._caller.check_open()

    async def delete(self, entry_id: str) -> None:
        """Delete an entry, if it is still there."""
        try:
            with suppress(NotFoundError):
                await self._caller.call(protocol.delete_by_id(entry_id))
        finally:
            self._changed()

    async def delete_all(self, prompt: str, attributes: dict[str, str], response: str | None) -> None:
        """Delete the entries with exactly this prompt, these attributes and this response; None for any."""
        attributes = {name: value for name, value in attributes.items() if name not in self._added}
        for entry in await self._entries_to_replace(prompt, attributes):
            if response is None or entry.response == response:
                await self.delete(entry.id)

    async def _entries_to_replace(self, prompt: str, attributes: dict[str, str]) -> list[CacheEntry]:
        """All entries with exactly this prompt and exactly these attributes that are left to be deleted.

        Raises `LimitError` if there may be more than a search returns: the others would stay, and be found.
        """
        while True:
            found, complete = await self.exact(prompt, attributes)
            older = [each for each in found if each.prompt == prompt and self._asked(each) == attributes]
            if complete:
                return older
            if not older or len(found) >= _LAST_PAGE:
                raise LimitError(
                    "refresh",
                    "max",
                    f"can't replace the entries of a prompt that has {len(found)} or more, in any case and "
                    "with any further attributes; delete them first, by their attributes or with flush",
                )
            # They have to go before the others show. An answer that another call has just stored may be among
            # them: the one of this call, which is not stored yet, takes its place.
            await self._delete(older)

    def _asked(self, entry: CacheEntry) -> dict[str, str]:
        """The attributes of an entry that are those of its question."""
        return {name: value for name, value in entry.attributes.items() if name not in self._added}

    async def _delete(self, entries: Iterable[CacheEntry]) -> None:
        for entry in entries:
            await self.delete(entry.id)


async def _with_timeout(timeout: float, work: Awaitable[T]) -> T:
    limit = time_limit(timeout)
    try:
        async with limit:
            return await work
    except (asyncio.TimeoutError, TimeoutError) as error:  # two classes before Python 3.11
        if not is_over(limit):
            raise  # raised by the work itself
        raise TimeoutException(f"the lookup took more than {timeout:g} s") from error
