"""Answers that come in chunks: passed through as they come, stored when complete, replayed from the cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Hashable
from inspect import isawaitable
from typing import Generic, TypeAlias, TypeVar

from .._portal.tasks import Outcome, spared
from .answers import CacheStatus
from .flight import Flight
from .question import Lookup, Question

__all__ = ["AnswerStream", "Source"]

C = TypeVar("C")

Source: TypeAlias = Callable[[], "AsyncIterable[C] | Awaitable[AsyncIterable[C]]"]
"""Begins a stream: an async generator function, or a function, async or not, that gives an async iterable."""


class AnswerStream(AsyncIterator[C], Generic[C]):
    """The chunks of an answer, for one ``async for``.

    A stream that was begun and is not wanted to its end should be closed with `aclose`, as
    ``async with contextlib.aclosing(stream)`` does.
    """

    def __init__(self, question: Question[list[C]], source: Source[C]) -> None:
        self._found = _Found()
        self._chunks = _read(question, source, self._found)

    @property
    def status(self) -> CacheStatus | None:
        """How the answer is come by; None until the first chunk has come."""
        return None if self.lookup is None else self.lookup.status

    @property
    def lookup(self) -> Lookup | None:
        """More of the same: the entry of a hit, the reason of a bypass, the error of a failure."""
        return self._found.lookup

    async def __anext__(self) -> C:
        return await self._chunks.__anext__()

    async def aclose(self) -> None:
        """Stop reading. When nobody reads any more, the source is closed and nothing is stored."""
        await self._chunks.aclose()


class _Found:
    """What a reader has been told. Apart from the stream, which is not to be in a cycle with its generator: a
    stream that is dropped is then closed at once."""

    lookup: Lookup | None = None


# No async generator may iterate over another one here: if both are garbage, the event loop closes both, each
# in a task of its own, and the outer fails on the inner.
async def _read(question: Question[list[C]], source: Source[C], found: _Found) -> AsyncGenerator[C, None]:
    broadcast, shared = _tuned_in(question, source)
    within = broadcast.arrive()
    at = 0
    try:
        while True:
            more = await broadcast.reaches(at)
            if found.lookup is None and broadcast.lookup is not None:
                found.lookup = broadcast.lookup
                question.aside.count(found.lookup.status, shared=shared)
            if not more:
                return
            yield broadcast.chunks[at]
            at += 1
    finally:
        await broadcast.leave(within)


def _tuned_in(question: Question[list[C]], source: Source[C]) -> tuple[_Broadcast[C], bool]:
    """The broadcast to listen to, and whether somebody else began it."""
    others: dict[Hashable, _Broadcast[C]] = question.aside.broadcasts
    nobody_elses = object()
    key = nobody_elses if question.given_up else question.key(asyncio.get_running_loop())
    broadcast = others.get(key)
    if broadcast is not None and broadcast.open and not broadcast.would_wait_for_itself():
        return broadcast, True
    broadcast = _Broadcast(question, source)
    broadcast.begin(others, key)
    return broadcast, False


class _Broadcast(Flight, Generic[C]):
    """One source, read once for all who listen, and never ahead of the one who listens fastest."""

    def __init__(self, question: Question[list[C]], source: Source[C]) -> None:
        super().__init__()
        self.lookup: Lookup | None = None
        self.chunks: list[C] = []
        self._question = question
        self._source = source
        self._wanted = asyncio.Event()
        self._arrived = asyncio.Event()
        self._produced: asyncio.Task[Outcome[None]]

    @property
    def open(self) -> bool:
        """Whether one more may listen."""
        return self.callers > 0 and not self._produced.done()

    def begin(self, others: dict[Hashable, _Broadcast[C]], key: Hashable) -> None:
        """Start reading, where those who ask the same find it, and where the task is kept from collection."""
        others[key] = self

        def ended(task: asyncio.Task[Outcome[None]]) -> None:
            self._arrived.set()
            if others.get(key) is self:
                del others[key]
            if not task.cancelled():
                task.exception()  # those who listen raise it; if none is left, nobody wants it

        self.task = self._produced = asyncio.get_running_loop().create_task(spared(self._produce))
        self._produced.add_done_callback(ended)

    async def reaches(self, at: int) -> bool:
        """Whether there is a chunk at this place, the next one or one before; waits for the next."""
        while at >= len(self.chunks):
            if self._produced.done():
                self._produced.result().get()
                return False
            self._wanted.set()
            await self._arrived.wait()
        return True

    async def leave(self, within: Flight | None) -> None:
        """One listener less; the last closes the source."""
        self.depart(within)
        if not self.callers:  # the task is done, or was cancelled just now and closes the source
            await asyncio.wait([self._produced])

    async def _produce(self) -> None:
        self.enter()
        self.lookup = found = await self._question.look_up()
        if found.status is CacheStatus.HIT:
            for chunk in found.value:
                await self._hand_out(chunk)
            return
        begun = self._source()
        chunks = await begun if isawaitable(begun) else begun
        if not hasattr(chunks, "__aiter__"):
            raise TypeError(f"make: must give an async iterable of chunks, but gave {type(chunks).__name__}")
        try:
            async for chunk in chunks:
                await self._hand_out(chunk)
        finally:
            await _close(chunks)
        if found.status is CacheStatus.MISS:
            await self._question.store(list(self.chunks))

    async def _hand_out(self, chunk: C) -> None:
        self.chunks.append(chunk)
        self._wanted.clear()
        self._arrived.set()
        self._arrived = asyncio.Event()
        await self._wanted.wait()


async def _close(chunks: object) -> None:
    # A generator that is left in the middle would otherwise be closed when it is collected, sometime.
    close = getattr(chunks, "aclose", None) or getattr(chunks, "close", None)
    closing = close() if close is not None else None
    if isawaitable(closing):
        await closing
