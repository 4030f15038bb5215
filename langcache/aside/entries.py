"""The entries of a cache: the one way in which cache-aside reaches the service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from .._call import protocol
from .._call.caller import Caller
from .._call.deadlines import is_over, time_limit
from .._wire.exchange import Request
from ..errors import NotFoundError, TimeoutException
from ..limits import Limits
from ..models import CacheEntry, SearchResponse

__all__ = ["Entries"]

T = TypeVar("T")

_FIRST_PAGE = 16


class Entries:
    """Looks up, stores and replaces entries with the settings of a client.

    Args:
        caller: makes the calls.
        limits: what the service accepts.
    """

    def __init__(self, caller: Caller, limits: Limits) -> None:
        self._caller = caller
        self._limits = limits

    def find(
        self, request: Request[SearchResponse], timeout: float, key: str | None
    ) -> Coroutine[Any, Any, SearchResponse]:
        """What a search finds, within ``timeout`` seconds.

        Args:
            request: the search.
            timeout: seconds.
            key: the authorization to use, as `ask_for_key` gave it; None for the client's own.
        """
        caller = self._caller if key is None else self._caller.with_authorization(key)
        each = timeout if caller.timeout is None or timeout < caller.timeout else caller.timeout
        found = caller.call(request, timeout_ms=1000 * each)
        return found if caller.timeout_bounds_call else _within(timeout, found)  # which saves a second timer

    async def ask_for_key(self, timeout: float) -> str:
        """The authorization that the client's callable for the key gives now, within ``timeout`` seconds."""
        return await self._caller.ask_for_key(timeout)

    async def store(
        self,
        prompt: str,
        response: str,
        attributes: Mapping[str, str] | None,
        ttl_millis: int | None,
        *,
        replace: bool,
    ) -> None:
        """Store an answer; if told to replace, then delete those that were stored for the same before.

        The service itself only ever adds entries.
        """
        request = protocol.set(self._limits, prompt, response, attributes, ttl_millis)
        # Looked for before: of two calls that replace at once, neither must delete what the other stores.
        older = await self._equal(prompt, dict(attributes or {})) if replace else []
        await self._caller.call(request)
        for entry in older:
            with suppress(NotFoundError):
                await self._caller.call(protocol.delete_by_id(entry.id))

    async def _equal(self, prompt: str, attributes: dict[str, str]) -> list[CacheEntry]:
        """All entries of this very prompt with these very attributes."""
        # An exact search is without case, and finds entries that carry further attributes too. So it is asked
        # for more until it has given all there are.
        count = _FIRST_PAGE
        while True:
            request = protocol.search(self._limits, prompt, None, ["exact"], attributes or None, count)
            found = (await self._caller.call(request)).data
            if len(found) < count:
                return [entry for entry in found if entry.prompt == prompt and entry.attributes == attributes]
            count *= 4


async def _within(timeout: float, work: Awaitable[T]) -> T:
    limit = time_limit(timeout)
    try:
        async with limit:
            return await work
    except (asyncio.TimeoutError, TimeoutError) as error:  # two classes before Python 3.11
        if not is_over(limit):
            raise  # it is one of the callable for the key, say
        raise TimeoutException(f"the lookup took more than {timeout:g} s") from error
