"""Looks up, stores and replaces the entries of a cache. All requests of cache-aside are made here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from .._call import protocol
from .._call.caller import Caller
from .._call.deadlines import is_over, time_limit
from .._wire.exchange import Request
from ..errors import NotFoundError, TimeoutException
from ..limits import LimitError, Limits
from ..models import CacheEntry, SearchResponse

__all__ = ["Entries"]

T = TypeVar("T")

_FIRST_PAGE = 16
_LAST_PAGE = 4096
"""The most entries that the service in this package returns."""

_FULL_REPLY_CHARS = 2 * 1024 * 1024
"""Once the entries in a reply have so many characters, the service in this package leaves out others."""


class Entries:
    """Looks up, stores and replaces entries with the settings of a client.

    Args:
        caller: makes the HTTP calls.
        limits: what the service accepts.
    """

    def __init__(self, caller: Caller, limits: Limits) -> None:
        self._caller = caller
        self._limits = limits

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
            return caller.call(request, timeout_ms=1000 * try_timeout)
        # Tries end at a deadline of their own: aiohttp, whose timer ends at the same moment, may take the
        # cancellation by the second timer for its own, and then another try would follow.
        found = caller.call(request, caller.retries_within(timeout), timeout_ms=1000 * try_timeout)
        return _with_timeout(timeout, found)

    async def ask_for_key(self, timeout: float) -> str:
        """Call the client's callable for the key, within ``timeout`` seconds. Returns the authorization."""
        return await self._caller.ask_for_key(timeout)

    async def store(
        self,
        prompt: str,
        response: str | None,
        attributes: Mapping[str, str] | None,
        ttl_millis: int | None,
        *,
        replace: bool,
    ) -> None:
        """Store an answer. The service only adds entries; with ``replace``, the older ones are then deleted.

        Those are the entries with the same prompt and the same attributes.
        """
        request = None
        if response is not None:
            request = protocol.set(self._limits, prompt, response, attributes, ttl_millis)
        # Searched before storing: of two calls that replace at once, neither may delete the other's entry.
        older = await self._entries_to_replace(prompt, dict(attributes or {})) if replace else []
        if request is not None:
            await self._caller.call(request)
        await self._delete(older)

    async def check_open(self) -> None:
        """Raise `ClosedError` if the client is closed."""
        self._caller.check_open()

    async def delete(self, entry_id: str) -> None:
        """Delete an entry, if it is still there."""
        with suppress(NotFoundError):
            await self._caller.call(protocol.delete_by_id(entry_id))

    async def delete_all(self, prompt: str, attributes: dict[str, str], response: str | None) -> None:
        """Delete the entries with exactly this prompt, these attributes and this response; None for any."""
        for entry in await self._entries_to_replace(prompt, attributes):
            if response is None or entry.response == response:
                await self.delete(entry.id)

    async def _entries_to_replace(self, prompt: str, attributes: dict[str, str]) -> list[CacheEntry]:
        """All entries with exactly this prompt and exactly these attributes that are left to be deleted.

        Raises `LimitError` if there may be more than a search returns: the others would stay, and be found.
        """
        # An exact search ignores case, and also finds entries that have further attributes. So it is repeated
        # with a larger limit until it returns all there are.
        count = _FIRST_PAGE
        while True:
            request = protocol.search(self._limits, prompt, None, ["exact"], attributes or None, count)
            found = (await self._caller.call(request)).data
            older = [entry for entry in found if entry.prompt == prompt and entry.attributes == attributes]
            is_full = sum(map(_chars, found)) >= _FULL_REPLY_CHARS
            if len(found) < count and not is_full:
                return older
            if is_full and older:
                # They have to go before the others show. An answer that another call has just stored may be
                # among them: the one of this call, which is not stored yet, takes its place.
                await self._delete(older)
            elif is_full or count >= _LAST_PAGE:
                raise LimitError(
                    "refresh",
                    "max",
                    f"can't replace the entries of a prompt that has {len(found)} or more, in any case and "
                    "with any further attributes; delete them first, by their attributes or with flush",
                )
            else:
                count *= 4

    async def _delete(self, entries: Iterable[CacheEntry]) -> None:
        for entry in entries:
            await self.delete(entry.id)


def _chars(entry: CacheEntry) -> int:
    """The characters of an entry's texts."""
    attributes = sum(len(name) + len(value) for name, value in entry.attributes.items())
    return len(entry.prompt) + len(entry.response) + attributes


async def _with_timeout(timeout: float, work: Awaitable[T]) -> T:
    limit = time_limit(timeout)
    try:
        async with limit:
            return await work
    except (asyncio.TimeoutError, TimeoutError) as error:  # two classes before Python 3.11
        if not is_over(limit):
            raise  # raised by the work itself
        raise TimeoutException(f"the lookup took more than {timeout:g} s") from error
