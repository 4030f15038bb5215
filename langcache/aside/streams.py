"""Answers in chunks: passed on as they come, stored when complete, and replayed on a hit."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable
from typing import Any, Generic, TypeVar

from ..errors import TimeoutException
from .accounts import Figures
from .answers import CacheStatus, Lookup
from .codecs import check_shared
from .core import Aside
from .flight import CannotFollow, LeaderLeft
from .question import Question
from .shared_stream import SharedStream
from .usage import Usage
from .verdicts import Origin, origin_of

__all__ = ["AnswerStream", "StreamStatus", "read_ahead"]

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
        self._figures = Figures()
        self._source = source
        self._ahead = 0
        self._items: AsyncGenerator[Any, None] | None = None
        self._read_from: list[SharedStream[C]] = []
        """The stream that is read, once there is one."""
        self._ready: deque[C] = deque()
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
        if not self._ready:
            self._ready.extend(await self._next())
        return self._ready.popleft()

    async def next_chunks(self) -> list[C]:
        """The next chunk, and those after it that are there already.

        Raises `StopAsyncIteration` at the end.
        """
        if not self._ready:
            return await self._next()
        chunks = [*self._ready]
        self._ready.clear()
        return chunks

    async def _next(self) -> list[C]:
        if self._closed:
            raise StopAsyncIteration
        items = self._items or await self._begin()
        try:
            chunks: list[C] = await anext(items)
        except StopAsyncIteration:
            raise
        except BaseException:
            if not self._chunk_yielded:
                self._items = None  # so that it begins anew, and does not seem to be empty
            raise
        self._chunk_yielded = True
        return chunks

    async def _begin(self) -> AsyncGenerator[Any, None]:
        """Start to read. If it is interrupted, or the lookup raises an error, it can be started again."""
        items = _read(self._aside, self._question, self._source, self._figures, self._ahead, self._read_from)
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
        self._ready.clear()
        if self._items is not None:
            await self._items.aclose()
        for stream in self._read_from:
            await stream.closed()

    async def __aenter__(self) -> AnswerStream[C]:
        return self

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        await self.aclose()


def read_ahead(stream: AnswerStream[Any], chunks: int) -> None:
    """Let the source of a stream that is not read yet be read ahead of its readers, by so many chunks.

    Chunks that are there already then cost no turn of the event loop. The answer is stored when a reader asks
    for what comes after the last chunk, as it is otherwise.
    """
    stream._ahead = chunks


# No async generator here may iterate over another one: when both are garbage, the event loop closes each in a
# separate task, and the outer one fails because the inner one is already running. For the same reason nothing
# is awaited when this one is closed: its `AnswerStream` may be closing it too.
async def _read(
    aside: Aside,
    question: Question[list[C]],
    source: Callable[[], Any],
    figures: Figures,
    ahead: int,
    read_from: list[SharedStream[C]],
) -> AsyncGenerator[Any, None]:
    """Yield, for one reader, the outcome of the lookup, then lists of the chunks that are there."""
    state = aside.state
    domain = state.execution.flight_domain()
    lookup = question.outcome
    authorization: str | None = None
    if lookup is None and aside.lookups.asks_for_key:
        authorization, lookup = await aside.lookups.authorization(question)
    lookup_yielded = chunk_yielded = counted = False
    while True:
        # No await until `add_participant`, or the stream might end in between.
        stream, follows = _join(aside, question, source, ahead, domain, authorization, lookup)
        outer = stream.add_participant()
        read_from[:] = [stream]
        is_closing = False
        timeout = state.flight_timeout(question) if follows else None
        try:
            lookup = await stream.wait_for_lookup(timeout)
            if not lookup_yielded:
                lookup_yielded = True
                yield lookup
            may_be_refused = follows and hasattr(question.codec, "check_shared")
            index, more = 0, True
            while more:
                more = await stream.has_chunk(index, timeout)
                if not counted and (lookup.hit or not may_be_refused):
                    counted = True
                    state.count_answer(lookup.status, shared=follows)
                    if lookup.hit:
                        figures.count(aside.accounts, question, stream.usage, computed=False)
                if more:
                    chunk_yielded = True
                    chunks = stream.chunks[index:]
                    index += len(chunks)
                    yield chunks
            if not counted:  # since only now it is known whether this call may have the answer
                check_shared(question.codec, stream.chunks)
                state.count_answer(lookup.status, shared=True)
            if not lookup.hit:
                figures.count(aside.accounts, question, stream.usage, computed=not follows)
            return
        except GeneratorExit:
            is_closing = True
            raise
        except LeaderLeft as error:
            if not follows:
                raise stream.interruption() from None
            if chunk_yielded:
                raise RuntimeError("the stream was interrupted in a task that shared it") from error
            lookup = question.outcome
        except CannotFollow as error:
            if chunk_yielded:
                raise TimeoutException(
                    f"the stream that several share gave nothing for {state.flight_timeout(question):g} s"
                ) from error
            state.record_cannot_follow(question, error)
            # With the outcome of its own lookup it shares no stream, and so computes alone.
            lookup = lookup or await aside.lookups.look_up(question, authorization)
        finally:
            stream.leave(outer)
            if not is_closing:
                await stream.closed()


def _join(
    aside: Aside,
    question: Question[list[C]],
    source: Callable[[], Any],
    ahead: int,
    domain: Hashable,
    authorization: str | None,
    lookup: Lookup | None,
) -> tuple[SharedStream[C], bool]:
    """The stream to read, and whether another reader began it. With a lookup outcome it is not shared."""
    streams = aside.state.streams
    stream_key = object() if lookup else question.flight_key(domain, authorization)
    stream: SharedStream[C] | None = streams.get(stream_key)
    if stream is not None and stream.is_joinable and not stream.would_deadlock():
        return stream, True
    stream = SharedStream(aside, question, source, ahead, authorization, lookup)
    stream.begin(stream_key)
    return stream, False
