"""One thread that embeds, for every event loop of the process, what is waiting at the same moment."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from .base import Vectors

__all__ = ["Batches"]

T = TypeVar("T")

_TEXTS_AT_ONCE = 32
"""How many texts of different calls are embedded together. Nobody's call waits for more than these."""


class Batches:
    """Calls a blocking function with the texts of all calls that wait, on a thread of its own.

    One thread, since two on busy processors make each other slower than one alone.
    """

    def __init__(self, embed: Callable[[Sequence[str]], Vectors]) -> None:
        self._embed = embed
        self._waiting: deque[tuple[Sequence[str], Future[Vectors]]] = deque()
        self._thread = ThreadPoolExecutor(1, "langcache-embedder")
        self.begun: bool = False
        """Whether there may be a thread, which a forked child would not have."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """The rows for these texts. Raises what the function raises."""
        future: Future[Vectors] = Future()
        self.begun = True
        self._waiting.append((texts, future))
        self._thread.submit(self._embed_waiting)
        return await asyncio.wrap_future(future)

    async def run(self, function: Callable[[Sequence[str]], T], texts: Sequence[str]) -> T:
        """Call another function on the same thread, after the calls that wait."""
        self.begun = True
        return await asyncio.wrap_future(self._thread.submit(function, texts))

    def close(self) -> None:
        """End the thread after the calls that wait."""
        self._thread.shutdown(wait=False)

    def _embed_waiting(self) -> None:
        """Embed what waits, oldest first. Finds nothing if an earlier call took it along."""
        count = 0
        taken: list[tuple[Sequence[str], Future[Vectors]]] = []
        while self._waiting and (not taken or count + len(self._waiting[0][0]) <= _TEXTS_AT_ONCE):
            own, future = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                taken.append((own, future))
                count += len(own)
        if taken:
            self._embed_together(taken)

    def _embed_together(self, calls: Sequence[tuple[Sequence[str], Future[Vectors]]]) -> None:
        try:
            vectors = self._embed([text for own, _ in calls for text in own])
        except BaseException as error:
            if len(calls) == 1:
                calls[0][1].set_exception(error)
                return
            for call in calls:  # so that a text that can't be embedded fails no call but its own
                self._embed_together([call])
            return
        start = 0
        for own, future in calls:
            future.set_result(vectors[start : start + len(own)])
            start += len(own)
