"""Searches of one index: short ones in the event loop, the others together in a thread; or all at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import NamedTuple, TypeAlias

from ..embedders import Vectors
from .exclusive import Exclusive
from .index import Index
from .nearest import Scan
from .store import Found

__all__ = ["MOST_ROWS_AT_ONCE", "Searches", "SearchesAtOnce"]

_AT_ONCE = 32
"""How many searches share a pass: more are hardly quicker, and take longer and more memory."""

MOST_ROWS_AT_ONCE = 20_000
"""A search that shares its pass with no other is made where it is called up to so many rows: about 2 ms."""


_Search: TypeAlias = tuple[Vectors, Mapping[str, str], int]
"""Its vector, attributes and limit."""


class _Waiting(NamedTuple):
    search: _Search
    found: asyncio.Future[Found]


class Searches:
    """Searches an index and tidies it up, without keeping the event loop from its other work.

    Searches with few rows to compare are made at once. The others wait for the pass that runs, if there is
    one, and then share the next. A search finds every entry that was added before the call, and none that was
    removed before; what changes during the call, it finds or does not find. An error of a pass is raised by
    every search that shares it.

    All methods are called in one event loop. ``alone`` is what other threads use the index with.
    ``threads`` runs the passes; it is shut down by whoever made it, and searches that need it then raise
    `RuntimeError`.
    """

    def __init__(self, index: Index, alone: Exclusive, threads: Executor) -> None:
        self._index = index
        self._alone = alone
        self._threads = threads
        self._waiting: deque[_Waiting] = deque()
        self._pass: asyncio.Future[list[Found]] | None = None
        self._begins_soon = False
        self._tidies_soon = False

    async def nearest(self, vector: Vectors, attributes: Mapping[str, str], limit: int) -> Found:
        """See `Store.nearest`."""
        found = self._alone.run(self._index.nearest_of_few, vector, attributes, limit)
        self.tidy()
        if found is not None:
            return found
        loop = asyncio.get_running_loop()
        waiting = _Waiting((vector, attributes, limit), loop.create_future())
        self._waiting.append(waiting)
        if self._pass is None and not self._begins_soon:
            self._begins_soon = True
            loop.call_soon(self._begin)  # after the other calls that are ready to be made now
        return await waiting.found

    def tidy(self) -> None:
        """Have the index let go of removed entries, some in each turn of the event loop."""
        if not self._tidies_soon and self._index.untidy:
            self._tidies_soon = True
            asyncio.get_running_loop().call_soon(self._tidy)

    def _begin(self) -> None:
        """Begin a pass for the searches that wait."""
        self._begins_soon = False
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < _AT_ONCE:
            waiting = self._waiting.popleft()
            if not waiting.found.done():  # else its caller was cancelled
                batch.append(waiting)
        if not batch:
            return
        searches = [waiting.search for waiting in batch]
        try:
            if len(batch) == 1 and self._index.rows <= MOST_ROWS_AT_ONCE:
                batch[0].found.set_result(self._alone.run(self._index.nearest, *searches[0]))
                return
            running = self._begin_pass(searches)
        except Exception as error:
            _end_all(batch, error)
            self._begin()  # for those that were not in the batch
            return
        self._pass = running
        running.add_done_callback(partial(self._end, batch))

    def _begin_pass(self, searches: Sequence[_Search]) -> asyncio.Future[list[Found]]:
        """Begin a pass in the thread. No row moves until `release` is called."""
        scan = self._alone.run(self._held_scan, searches)
        try:
            return asyncio.get_running_loop().run_in_executor(self._threads, scan.run)
        except Exception:
            self._alone.run(self._index.release)
            raise

    def _held_scan(self, searches: Sequence[_Search]) -> Scan:
        self._index.hold()
        try:
            return self._index.scan(searches)
        except Exception:
            self._index.release()
            raise

    def _end(self, batch: list[_Waiting], ended: asyncio.Future[list[Found]]) -> None:
        """Hand out what a pass found, once the next pass has begun."""
        self._pass = None
        self._alone.run(self._index.release)
        self._begin()
        self.tidy()
        _end_all(batch, ended.exception() or ended.result())

    def _tidy(self) -> None:
        self._tidies_soon = False
        self._alone.run(self._index.tidy)
        self.tidy()


class SearchesAtOnce:
    """Makes each search of an index where it is called, in any thread, and leaves tidying up to others."""

    def __init__(self, index: Index, alone: Exclusive) -> None:
        self._index = index
        self._alone = alone

    async def nearest(self, vector: Vectors, attributes: Mapping[str, str], limit: int) -> Found:
        """See `Store.nearest`. Never suspends."""
        return self._alone.run(self._index.nearest, vector, attributes, limit)

    def tidy(self) -> None:
        """Do nothing: the next search in the event loop does it."""


def _end_all(batch: list[_Waiting], outcome: list[Found] | BaseException) -> None:
    for number, waiting in enumerate(batch):
        if waiting.found.done():  # its caller was cancelled
            continue
        if isinstance(outcome, BaseException):
            waiting.found.set_exception(outcome)
        else:
            waiting.found.set_result(outcome[number])
