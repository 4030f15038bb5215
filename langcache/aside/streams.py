"""Answers that come in chunks: passed through as they come, stored when complete, replayed from the cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Hashable
from contextlib import aclosing
from inspect import isawaitable
from typing import Generic, TypeAlias, TypeVar

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
        self._question = question
        self._lookup: Lookup | None = None
        self._chunks = self._read(source)

    @property
    def status(self) -> CacheStatus | None:
        """How the answer is come by; None until the first chunk has come."""
        return None if self._lookup is None else self._lookup.status

    @property
    def lookup(self) -> Lookup | None:
        """More of the same: the entry of a hit, the reason of a bypass, the error of a failure."""
        return self._lookup

    async def __anext__(self) -> C:
        return await self._chunks.__anext__()

    async def aclose(self) -> None:
        """Stop reading. When nobody reads any more, the source is closed and nothing is stored."""
        await self._chunks.aclose()

    async def _read(self, source: Source[C]) -> AsyncGenerator[C, None]:
        question, aside = self._question, self._question.aside
        if question.given_up is not None:
            self._known(question.given_up, shared=False)
            async with aclosing(_iterate(source)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        key = (asyncio.get_running_loop(), question.key)
        broadcast: _Broadcast[C] | None = aside.broadcasts.get(key)
        shared = broadcast is not None and broadcast.open
        if broadcast is None or not shared or broadcast.would_wait_for_itself():
            shared = False
            broadcast = _Broadcast(question, source)
            broadcast.begin(aside.broadcasts, key)
        async with aclosing(broadcast.read()) as chunks:
            async for chunk in chunks:
                if self._lookup is None and broadcast.lookup is not None:
                    self._known(broadcast.lookup, shared=shared)
                yield chunk
        if self._lookup is None and broadcast.lookup is not None:
            self._known(broadcast.lookup, shared=shared)

    def _known(self, lookup: Lookup, *, shared: bool) -> None:
        self._lookup = lookup
        self._question.aside.count(lookup.status, shared=shared)


class _Broadcast(Flight, Generic[C]):
    """One source, read once for all who listen, and never ahead of the one who listens fastest."""

    def __init__(self, question: Question[list[C]], source: Source[C]) -> None:
        super().__init__()
        self.lookup: Lookup | None = None
        self._question = question
        self._source = source
        self._chunks: list[C] = []
        self._wanted = asyncio.Event()
        self._arrived = asyncio.Event()
        self._produced: asyncio.Task[None]

    @property
    def open(self) -> bool:
        """Whether one more may listen."""
        return self.callers > 0 and not self._produced.done()

    def begin(self, others: dict[Hashable, _Broadcast[C]], key: Hashable) -> None:
        """Start reading, where those who ask the same find it."""
        others[key] = self

        def ended(task: asyncio.Task[None]) -> None:
            self._arrived.set()
            if others.get(key) is self:
                del others[key]
            if not task.cancelled():
                task.exception()  # those who listen raise it; if none is left, nobody wants it

        self.task = self._produced = asyncio.get_running_loop().create_task(self._produce())
        self._produced.add_done_callback(ended)

    async def read(self) -> AsyncGenerator[C, None]:
        """The chunks, from the first on."""
        within = self.arrive()
        try:
            at = 0
            while True:
                while at < len(self._chunks):
                    yield self._chunks[at]
                    at += 1
                if self._produced.done():
                    self._produced.result()
                    return
                self._wanted.set()
                await self._arrived.wait()
        finally:
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
        async with aclosing(_iterate(self._source)) as chunks:
            async for chunk in chunks:
                await self._hand_out(chunk)
        if found.status is CacheStatus.MISS:
            await self._question.store(list(self._chunks))

    async def _hand_out(self, chunk: C) -> None:
        self._chunks.append(chunk)
        self._wanted.clear()
        self._arrived.set()
        self._arrived = asyncio.Event()
        await self._wanted.wait()


async def _iterate(source: Source[C]) -> AsyncGenerator[C, None]:
    begun = source()
    chunks = await begun if isawaitable(begun) else begun
    if not hasattr(chunks, "__aiter__"):
        raise TypeError(f"make: must give an async iterable of chunks, but gave {type(chunks).__name__}")
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        # A generator that is left in the middle would otherwise be closed when it is collected, sometime.
        close = getattr(chunks, "aclose", None) or getattr(chunks, "close", None)
        closing = close() if close is not None else None
        if isawaitable(closing):
            await closing
