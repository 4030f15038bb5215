"""Embeddings of calls that arrive at once, worked out in one call of the embedder."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from .embedders import Embedder, Vectors
from .in_front import InFront

__all__ = ["Grouped"]

_MOST = 64
"""How many texts are embedded in one call at most."""


class Grouped(InFront):
    """An `Embedder` in front of another one: texts that are given in one turn of the event loop go together.

    For an embedder that takes less time for several texts at once than for each by itself, such as one that
    computes in the event loop. If texts fail together, each is tried again by itself, so that none fails
    because of another.
    """

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(embedder)
        self._waiting: list[tuple[str, asyncio.Future[Vectors]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`. Only single texts are put together with others."""
        if len(texts) != 1:
            return await self._embedder.embed(texts)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Vectors] = loop.create_future()
        self._waiting.append((texts[0], future))
        if len(self._waiting) == 1:
            loop.call_soon(self._begin)
        return await future

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), _MOST):
            task = asyncio.create_task(self._embed(waiting[first : first + _MOST]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _embed(self, group: list[tuple[str, asyncio.Future[Vectors]]]) -> None:
        try:
            vectors = await self._embedder.embed([text for text, _ in group])
        except Exception as error:
            if len(group) > 1:
                await asyncio.gather(*(self._embed([one]) for one in group if not one[1].done()))
            elif not group[0][1].done():
                group[0][1].set_exception(error)
            return
        for row, (_, future) in enumerate(group):
            if not future.done():
                future.set_result(vectors[row : row + 1])
