"""Answers in chunks: passed on as they come, stored when complete, and replayed on a hit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable
from functools import partial
from inspect import isawaitable
from typing import Any, Generic, TypeVar

from .._portal.tasks import ResultOrExit, result_or_exit
from ..errors import TimeoutException
from .accounts import Figures
from .answers import CacheStatus, Lookup
from .core import Aside
from .flight import CannotFollow, Flight, LeaderLeft
from .lookups import DRY_RUN
from .question import Question
from .usage import Usage
from .verdicts import Origin, origin_of

__all__ = ["AnswerStream", "StreamStatus"]

C = TypeVar("C")


class StreamStatus:
    """How the answer of a stream was obtained. It is known after ``look_up()`` or the first chunk."""

    _lookup: Lookup | None = None
    _origin: Origin | None = None
    _figures: Figures
    _aside: Aside
    _question: Question[Any]

    @property
    def lookup(self) -> Lookup | None:
        """The outcome of the lookup; None until it is known."""
        return self._lookup

    @property
    def status(self) -> CacheStatus | None:
        """How the answer was obtained; None until it is known."""
        return None if self._lookup is None else self._lookup.status

    @property
    def hit(self) -> bool | None:
        """Whether the answer comes from the cache; None until it is known."""
        return None if self._lookup is None else self._lookup.hit

    @property
    def usage(self) -> Usage | None:
        """What this call took, as `Answer.usage`; None until the stream has ended, or for a hit has begun."""
        return self._figures.usage

    @property
    def saved(self) -> Usage | None:
        """What this call saved, as `Answer.saved`; known when ``usage`` is."""
        return self._figures.saved

    def _known_origin(self) -> Origin:
        if self._lookup is None:
            raise RuntimeError(
                "there is no answer to give a verdict on yet; read the stream, or call look_up()"
            )
        if self._origin is None:
            self._origin = origin_of(self._aside.verdicts, self._question, self._lookup)
        return self._origin


class AnswerStream(AsyncIterator[C], StreamStatus, Generic[C]):
    """The chunks of an answer, to be iterated over once.

    Use it under ``async with``, or call `aclose`, if they are not read to the end.
    """

    def __init__(self, aside: Aside, question: Question[list[C]], source: Callable[[], Any]) -> None:
        self._aside = aside
        self._question = question
        self._figures = figures = Figures()
        self._read = partial(_read, aside, question, source, figures)
        self._items: AsyncGenerator[Any, None] | None = None
        self._chunk_yielded = False
        self._closed = False

    async def look_up(self) -> Lookup:
        """Look the question up, before the first chunk is read or computed.

        A web handler can then set a header that says whether the answer is a hit. Raises the errors that the
        first chunk would raise. A second call returns the same outcome.
        """
        if self._closed:
            raise RuntimeError("the stream is closed")
        if self._lookup is None:
            await self._begin()
        assert self._lookup is not None
        return self._lookup

    async def __anext__(self) -> C:
        if self._closed:
            raise StopAsyncIteration
        items = self._items or await self._begin()
        try:
            chunk: C = await anext(items)
        except StopAsyncIteration:
            raise
        except BaseException:
            if not self._chunk_yielded:
                self._items = None  # so that it begins anew, and does not seem to be empty
            raise
        self._chunk_yielded = True
        return chunk

    async def _begin(self) -> AsyncGenerator[Any, None]:
        """Start to read. If it is interrupted, or the lookup raises an error, it can be started again."""
        items = self._read()
        lookup: Lookup = await anext(items)
        self._lookup, self._items = lookup, items
        return items

    async def wrong(self, *, delete: bool = False) -> None:
        """Say that the answer is wrong, as `AsyncAnswer.wrong` does, once the lookup is done.

        An answer that is still being computed is then not stored. Of calls that share a stream, each verdict
        counts.
        """
        await self._known_origin().give(right=False, delete=delete)

    async def right(self) -> None:
        """Say that the answer is right, as `AsyncAnswer.right` does, once the lookup is done."""
        await self._known_origin().give(right=True)

    async def aclose(self) -> None:
        """Stop reading. If no reader is left, the source is closed and an incomplete answer is not stored."""
        self._closed = True
        if self._items is not None:
            await self._items.aclose()

    async def __aenter__(self) -> AnswerStream[C]:
        return self

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        await self.aclose()


# No async generator here may iterate over another one: when both are garbage, the event loop closes each in a
# separate task, and the outer one fails because the inner one is already running.
async def _read(
    aside: Aside, question: Question[list[C]], source: Callable[[], Any], figures: Figures
) -> AsyncGenerator[Any, None]:
    """Yield, for one reader, the outcome of the lookup, then the chunks."""
    state = aside.state
    domain = state.execution.flight_domain()
    lookup = question.outcome
    authorization: str | None = None
    if lookup is None and aside.lookups.asks_for_key:
        authorization, lookup = await aside.lookups.authorization(question)
    lookup_yielded = chunk_yielded = counted = False
    while True:
        # No await until `add_participant`, or the stream might end in between.
        stream, follows = _join(aside, question, source, domain, authorization, lookup)
        outer = stream.add_participant()
        timeout = state.config.flight_timeout if follows else None
        try:
            lookup = await stream.wait_for_lookup(timeout)
            if not lookup_yielded:
                lookup_yielded = True
                yield lookup
            index, more = 0, True
            while more:
                more = await stream.has_chunk(index, timeout)
                if not counted:
                    counted = True
                    state.count_answer(lookup.status, shared=follows)
                    if lookup.hit:
                        figures.count(aside.accounts, question, stream.usage, computed=False)
                if more:
                    chunk_yielded = True
                    yield stream.chunks[index]
                    index += 1
            if not lookup.hit:
                figures.count(aside.accounts, question, stream.usage, computed=not follows)
            return
        except LeaderLeft as error:
            if not follows:
                raise stream.interruption() from None
            if chunk_yielded:
                raise RuntimeError("the stream was interrupted in a task that shared it") from error
            lookup = question.outcome
        except CannotFollow as error:
            if chunk_yielded:
                raise TimeoutException(
                    f"the stream that several share gave nothing for {state.config.flight_timeout:g} s"
                ) from error
            state.record_cannot_follow(question, error)
            # With the outcome of its own lookup it shares no stream, and so computes alone.
            lookup = lookup or await aside.lookups.look_up(question, authorization)
        finally:
            await stream.leave(outer)


def _join(
    aside: Aside,
    question: Question[list[C]],
    source: Callable[[], Any],
    domain: Hashable,
    authorization: str | None,
    lookup: Lookup | None,
) -> tuple[_SharedStream[C], bool]:
    """The stream to read, and whether another reader began it. With a lookup outcome it is not shared."""
    streams = aside.state.streams
    stream_key = object() if lookup else question.flight_key(domain, authorization)
    stream: _SharedStream[C] | None = streams.get(stream_key)
    if stream is not None and stream.is_joinable and not stream.would_deadlock():
        return stream, True
    stream = _SharedStream(aside, question, source, authorization, lookup)
    stream.begin(stream_key)
    return stream, False


class _SharedStream(Flight, Generic[C]):
    """One source, read once for all readers, no further than the fastest reader has read."""

    def __init__(
        self,
        aside: Aside,
        question: Question[list[C]],
        source: Callable[[], Any],
        authorization: str | None,
        lookup: Lookup | None,
    ) -> None:
        super().__init__()
        self.lookup: Lookup | None = None
        self.chunks: list[C] = []
        self.usage: Usage | None = None
        self._aside = aside
        self._hidden_hit: Lookup | None = None
        if lookup is not None:
            self._set_lookup(lookup)
        self._question = question
        self._source = source
        self._authorization = authorization
        self._chunk_wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._producer: asyncio.Task[ResultOrExit[None]]

    @property
    def is_joinable(self) -> bool:
        """Whether another reader may join."""
        return self.participants > 0 and not self._producer.done()

    def begin(self, stream_key: object) -> None:
        """Start the task that produces the stream, and make the stream known to other readers."""
        streams = self._aside.state.streams
        streams[stream_key] = self

        def ended(task: asyncio.Task[ResultOrExit[None]]) -> None:
            self._changed.set()
            if streams.get(stream_key) is self:
                del streams[stream_key]
            if not task.cancelled():
                task.exception()  # marks it as retrieved: the readers raise it, if there are any left

        self._producer = asyncio.get_running_loop().create_task(result_or_exit(self._produce))
        self._producer.add_done_callback(ended)

    async def wait_for_lookup(self, timeout: float | None) -> Lookup:
        """Wait for the outcome of the lookup. Raises `CannotFollow` after ``timeout`` seconds."""
        while self.lookup is None:
            await self._wait_for_change(timeout)
        return self.lookup

    async def has_chunk(self, index: int, timeout: float | None) -> bool:
        """Whether there is a chunk at this index, at most one past the last; waits for it if it is the next.

        Raises `CannotFollow` if none comes within ``timeout`` seconds.
        """
        while index >= len(self.chunks):
            if self._producer.done():
                self._raise_failure()
                return False
            self._chunk_wanted.set()
            await self._wait_for_change(timeout)
        return True

    async def leave(self, outer: Flight | None) -> None:
        """Remove a reader; the last one closes the source."""
        self.remove_participant(outer)
        if not self.participants:
            self._producer.cancel()
            await asyncio.wait([self._producer])

    async def _wait_for_change(self, timeout: float | None) -> None:
        if self._producer.done():
            self._raise_failure()
        try:
            await asyncio.wait_for(self._changed.wait(), timeout)
        except (asyncio.TimeoutError, TimeoutError) as error:
            raise CannotFollow(timed_out=True) from error

    def _raise_failure(self) -> None:
        """Raise the error of the source or the lookup, or `LeaderLeft`; do nothing if they succeeded."""
        if self._producer.cancelled() or (not self._producer.exception() and self._producer.result().is_exit):
            raise LeaderLeft
        self._producer.result()

    def interruption(self) -> BaseException:
        """The cancellation, SystemExit or KeyboardInterrupt of the source, for the reader that began it."""
        try:
            self._producer.result().get()
        except BaseException as error:
            return error
        return asyncio.CancelledError()

    async def _produce(self) -> None:
        self.enter()
        if self.lookup is None:
            self._set_lookup(await self._aside.lookups.look_up(self._question, self._authorization))
            self._notify()
        assert self.lookup is not None
        await self._chunk_wanted.wait()
        aside, question, shadowing = self._aside, self._question, self._aside.shadowing
        if self.lookup.status is CacheStatus.HIT:
            self.usage = aside.accounts.usage_of(question, self.lookup.value)
            if self.lookup.stale or shadowing is not None:
                compute = partial(_collected, self._source)
                await aside.after_hit(question, self.lookup, compute, self._authorization)
            for chunk in self.lookup.value:
                await self._publish(chunk)
            return
        chunks = await _begun(self._source)
        try:
            async for chunk in chunks:
                await self._publish(chunk)
        finally:
            await _close(chunks)
        self.usage = aside.accounts.spent(question, list(self.chunks))
        if shadowing is not None and self._hidden_hit is not None:
            await shadowing.after_dry_run(question, self._hidden_hit, list(self.chunks))
        elif self.lookup.status is CacheStatus.MISS:
            await aside.stores.store(question, list(self.chunks))

    def _set_lookup(self, lookup: Lookup) -> None:
        if lookup.hit and self._aside.is_dry_run:
            self._hidden_hit, lookup = lookup, DRY_RUN
        self.lookup = lookup

    async def _publish(self, chunk: C) -> None:
        if not self.participants:
            raise asyncio.CancelledError  # the source caught the one that told it to stop
        self.chunks.append(chunk)
        self._chunk_wanted.clear()
        self._notify()
        await self._chunk_wanted.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _begun(source: Callable[[], Any]) -> Any:
    """The async iterable of chunks that the source gives."""
    begun = source()
    chunks = await begun if isawaitable(begun) else begun
    if not hasattr(chunks, "__aiter__"):
        raise TypeError(f"make: must give an async iterable of chunks, but gave {type(chunks).__name__}")
    return chunks


async def _collected(source: Callable[[], Any]) -> list[Any]:
    """All chunks of a source."""
    chunks = await _begun(source)
    try:
        return [chunk async for chunk in chunks]
    finally:
        await _close(chunks)


async def _close(chunks: object) -> None:
    # Otherwise a generator that is not read to its end is closed only when it is collected.
    close = getattr(chunks, "aclose", None) or getattr(chunks, "close", None)
    closing = close() if close is not None else None
    if isawaitable(closing):
        await closing
