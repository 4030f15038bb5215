"""Deletes the answers that were made from a source."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from ..models import CacheEntry
from .entries import Entries
from .sources import (
    attribute_of,
    check_source,
    index_attribute,
    index_prompt,
    index_response,
    name_of,
    read_index_entry,
)
from .state import State

__all__ = ["Invalidation"]

_TTL_MILLIS = 31_556_952_000
"""How long an index entry lives: a year, the longest that the service documents."""

_TRUSTED_SECONDS = 300.0
"""For how long an index entry that this client has stored is taken to be there still."""

_KEPT_SECONDS = 900
"""How old an index entry must be to be deleted. Other clients may rely on a younger one."""

_MAX_KNOWN = 4096
_AT_ONCE = 8


class Invalidation:
    """Stores index entries, and finds and deletes answers by them, for one client and its scopes.

    Args:
        state: the client's state.
        entries: makes the requests.
    """

    def __init__(self, state: State, entries: Entries) -> None:
        self._state = state
        self._entries = entries
        self._known: dict[tuple[str, str, frozenset[tuple[str, str]]], float] = {}

    async def index(self, sources: Iterable[str], attributes: Mapping[str, str]) -> str:
        """Store the index entries of an answer, unless this client did lately. Returns its attribute."""
        value = attribute_of(sources)
        now, of_answer = time.monotonic(), frozenset(attributes.items())
        keys = [(source, value, of_answer) for source in sources]
        new = [key for key in keys if now - self._known.get(key, now - _TRUSTED_SECONDS) >= _TRUSTED_SECONDS]

        async def store(source: str) -> None:
            name = name_of(source)
            await self._entries.add(
                index_prompt(name),
                index_response(source, value, int(time.time())),
                {**attributes, self._attribute: index_attribute(name)},
                self._state.limits.ttl_millis or _TTL_MILLIS,
            )

        await _for_each(store, [source for source, _, _ in new])
        for key in new:
            self._known[key] = now
        for oldest in list(self._known)[:-_MAX_KNOWN]:
            self._known.pop(oldest, None)
        return value

    def forget(self, attributes: Mapping[str, str] | None = None) -> None:
        """Forget which index entries there are that have these attributes, or all: they may be deleted."""
        if not self._known:
            return
        own = self._state.config.source_attribute
        deleted = {(name, value) for name, value in (attributes or {}).items() if name != own}
        for known in [each for each in list(self._known) if deleted <= each[2]]:
            self._known.pop(known, None)

    async def invalidate(self, method: str, source: str, scope: Mapping[str, str]) -> int:
        """Delete the answers that were made from a source. Returns how many. See the clients' method."""
        source = check_source("source", source)
        if self._state.config.source_attribute is None:
            raise ValueError(
                f"{method}: needs an attribute that holds the sources of answers; declare one with the "
                "cache, and name it, say AsideConfig(source_attribute='sources')"
            )
        return await self._state.execution.run(method, self._invalidate, source, dict(scope))

    async def _invalidate(self, source: str, scope: dict[str, str]) -> int:
        # Of answers that this client is computing, those begun before now are not stored, and those that are
        # on their way are awaited.
        self._state.record_invalidation(source, scope)
        await self._state.wait_for_stores(None)
        deleted = await self._delete(source, scope, lambda _: True)
        name = name_of(source)
        if name != source:
            deleted += await self._delete(name, scope, lambda indexed: indexed == source)
        return deleted

    async def _delete(self, name: str, scope: dict[str, str], is_meant: Callable[[str], bool]) -> int:
        """Delete the answers made from a source of this name, if it is meant, and old index entries."""
        attributes = {**scope, self._attribute: index_attribute(name)}
        counts: list[int] = []
        done: set[str] = set()

        async def delete_answers(value: str) -> None:
            counts.append(await self._entries.delete_by_attributes({**scope, self._attribute: value}))

        async def delete_entry(entry: CacheEntry) -> None:
            await self._entries.delete(entry.id)

        while True:
            found, complete = await self._entries.exact(index_prompt(name), attributes)
            # The service may not have filtered as requested.
            ours = [entry for entry in found if attributes.items() <= entry.attributes.items()]
            index = [(entry, read_index_entry(entry)) for entry in ours]
            meant = [(entry, read) for entry, read in index if read is not None and is_meant(read.source)]
            values = {read.value for _, read in meant} - done
            await _for_each(delete_answers, sorted(values))
            done |= values
            oldest_kept = time.time() - _KEPT_SECONDS
            if complete:
                await _for_each(delete_entry, [entry for entry, read in meant if read.at < oldest_kept])
                return sum(counts)
            # They have to go before others show. Clients that rely on them store them again soon.
            if not meant:
                return sum(counts)
            self._known.clear()
            await _for_each(delete_entry, [entry for entry, _ in meant])

    @property
    def _attribute(self) -> str:
        name = self._state.config.source_attribute
        assert name is not None
        return name


async def _for_each(work: Callable[[Any], Awaitable[None]], items: Iterable[Any]) -> None:
    """Do the work for all items, some at once. Raises the first error, when all are done."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(item: Any) -> None:
        async with places:
            await work(item)

    outcomes = await asyncio.gather(*map(one, items), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
