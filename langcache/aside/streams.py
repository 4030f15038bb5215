"""Answers that come in chunks: passed through as they come, stored when complete, replayed from the cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from inspect import isawaitable
from typing import Any, Generic, TypeVar

from .._portal.tasks import ResultOrExit, result_or_exit
from ..errors import TimeoutException
from .answers import CacheStatus, Lookup
from .core import Aside
from .flight import CannotFollow, Flight, LeaderLeft
from .question import Question

__all__ = ["AnswerStream", "StreamStatus"]

C = TypeVar("C")


class StreamStatus:
    """How the answer of a stream was obtained: known after ``look_up()``, or with the first chunk."""

    _lookup: Lookup | None = None

    @property
    def lookup(self) -> Lookup | None:
        """The entry of a hit, the reason of a bypass, the error of a failure; None until it is known."""
        return self._lookup

    @property
    def status(self) -> CacheStatus | None:
        """How the answer was obtained; None until it is known."""
        return None if self._lookup is None else self._lookup.status

    @property
    def hit(self) -> bool | None:
        """Whether it comes from the cache; None until it is known."""
        return None if self._lookup is None else self._lookup.hit


class AnswerStream(AsyncIterator[C], StreamStatus, Generic[C]):
    """The chunks of an answer, for one ``async for``.

    A stream that was begun and is not wanted to its end should be closed with `aclose`, as
    ``async with contextlib.aclosing(stream)`` does.
    """

    def __init__(self, aside: Aside, question: Question[list[C]], source: Callable[[], Any]) -> None:
        self._items = _read(aside, question, source)

    async def look_up(self) -> Lookup:
        """Ask the cache, before the first chunk is read or computed. To ask twice is fine.

        A web handler can then say in a header whether the answer is a hit. Raises what the first chunk would.
        """
        if self._lookup is None:
            lookup: Lookup = await anext(self._items)
            self._lookup = lookup
        return self._lookup

    async def __anext__(self) -> C:
        if self._lookup is None:
            await self.look_up()
        chunk: C = await anext(self._items)
        return chunk

    async def aclose(self) -> None:
        """Stop reading. When nobody reads any more, the source is closed and nothing is stored."""
        await self._items.aclose()


# No async generator may iterate over another one here: if both are garbage, the event loop closes both, each
# in a task of its own, and the outer fails on the inner.
async def _read(
    aside: Aside, question: Question[list[C]], source: Callable[[], Any]
) -> AsyncGenerator[Any, None]:
    """For one reader: the outcome of the lookup, then the chunks."""
    state = aside.state
    lookup = question.outcome
    key: str | None = None
    if lookup is None and aside.lookups.asks_for_key:
        key, lookup = await aside.lookups.key(question)
    looked_up = given = counted = False
    while True:
        # Without an await up to `add_caller`, or the stream might end in between.
        stream, follows = _joined(aside, question, source, key, lookup)
        caller = stream.add_caller()
        timeout = state.config.flight_timeout if follows else None
        try:
            lookup = await stream.looked_up(timeout)
            if not looked_up:
                looked_up = True
                yield lookup
            at, more = 0, True
            while more:
                more = await stream.has_chunk(at, timeout)
                if not counted:
                    counted = True
                    state.count(lookup.status, shared=follows)
                if more:
                    given = True
                    yield stream.chunks[at]
                    at += 1
            return
        except LeaderLeft as error:
            if not follows:
                raise stream.interruption() from None
            if given:
                raise RuntimeError("the stream was interrupted in a task that shared it") from error
            lookup = question.outcome
        except CannotFollow as error:
            state.cannot_follow(question, error)
            if given:
                raise TimeoutException(
                    f"the stream that several share gave nothing for {state.config.flight_timeout:g} s"
                ) from error
            lookup = lookup or await aside.lookups.look_up(question, key)  # and then compute alone
        finally:
            await stream.leave(caller)


def _joined(
    aside: Aside,
    question: Question[list[C]],
    source: Callable[[], Any],
    key: str | None,
    lookup: Lookup | None,
) -> tuple[_SharedStream[C], bool]:
    """The stream to read, and whether another reader began it. It is shared unless the lookup is done."""
    streams = aside.state.streams
    stream_key = object() if lookup else question.flight_key(aside.state.execution.place(), key)
    stream: _SharedStream[C] | None = streams.get(stream_key)
    if stream is not None and stream.is_open and not stream.would_deadlock():
        return stream, True
    stream = _SharedStream(aside, question, source, key, lookup)
    stream.begin(stream_key)
    return stream, False


class _SharedStream(Flight, Generic[C]):
    """One source, read once for all readers, and never ahead of the fastest of them."""

    def __init__(
        self,
        aside: Aside,
        question: Question[list[C]],
        source: Callable[[], Any],
        key: str | None,
        lookup: Lookup | None,
    ) -> None:
        super().__init__()
        self.lookup: Lookup | None = lookup
        self.chunks: list[C] = []
        self._aside = aside
        self._question = question
        self._source = source
        self._key = key
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._produced: asyncio.Task[ResultOrExit[None]]

    @property
    def is_open(self) -> bool:
        """Whether one more may read."""
        return self.callers > 0 and not self._produced.done()

    def begin(self, stream_key: object) -> None:
        """Start the lookup, where other readers find the stream and the task is not collected."""
        streams = self._aside.state.streams
        streams[stream_key] = self

        def ended(task: asyncio.Task[ResultOrExit[None]]) -> None:
            self._changed.set()
            if streams.get(stream_key) is self:
                del streams[stream_key]
            if not task.cancelled():
                task.exception()  # the readers raise it; if none is left, nobody wants it

        self._produced = asyncio.get_running_loop().create_task(result_or_exit(self._produce))
        self._produced.add_done_callback(ended)

    async def looked_up(self, timeout: float | None) -> Lookup:
        """The outcome of the lookup, which is waited for. Raises `CannotFollow` after ``timeout`` seconds."""
        while self.lookup is None:
            await self._change(timeout)
        return self.lookup

    async def has_chunk(self, at: int, timeout: float | None) -> bool:
        """Whether there is a chunk at this place, the next one or one before; waits for the next.

        Raises `CannotFollow` if none comes within ``timeout`` seconds.
        """
        while at >= len(self.chunks):
            if self._produced.done():
                self._raise_end()
                return False
            self._wanted.set()
            await self._change(timeout)
        return True

    async def leave(self, caller: Flight | None) -> None:
        """One reader less; the last closes the source."""
        self.remove_caller(caller)
        if not self.callers:
            self._produced.cancel()
            await asyncio.wait([self._produced])

    async def _change(self, timeout: float | None) -> None:
        if self._produced.done():
            self._raise_end()
        try:
            await asyncio.wait_for(self._changed.wait(), timeout)
        except (asyncio.TimeoutError, TimeoutError) as error:
            raise CannotFollow(timed_out=True) from error

    def _raise_end(self) -> None:
        """Raise what the source or the lookup ended in; nothing if all went well."""
        if self._produced.cancelled() or (not self._produced.exception() and self._produced.result().is_exit):
            raise LeaderLeft
        self._produced.result()

    def interruption(self) -> BaseException:
        """The cancellation, SystemExit or KeyboardInterrupt of the source, for the reader who began it."""
        try:
            self._produced.result().get()
        except BaseException as error:
            return error
        return asyncio.CancelledError()

    async def _produce(self) -> None:
        self.enter()
        if self.lookup is None:
            self.lookup = await self._aside.lookups.look_up(self._question, self._key)
            self._notify()
        await self._wanted.wait()
        if self.lookup.status is CacheStatus.HIT:
            for chunk in self.lookup.value:
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
        if self.lookup.status is CacheStatus.MISS:
            await self._aside.stores.store(self._question, list(self.chunks))

    async def _hand_out(self, chunk: C) -> None:
        self.chunks.append(chunk)
        self._wanted.clear()
        self._notify()
        await self._wanted.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _close(chunks: object) -> None:
    # A generator that is left in the middle would otherwise be closed when it is collected, sometime.
    close = getattr(chunks, "aclose", None) or getattr(chunks, "close", None)
    closing = close() if close is not None else None
    if isawaitable(closing):
        await closing
