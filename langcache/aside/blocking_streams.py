"""Streams of the blocking client: threads that ask the same question share one lookup and one source."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, TypeVar

from ..errors import TimeoutException
from .accounts import Figures
from .answers import CacheStatus, Lookup
from .codecs import check_shared
from .computing import run_to_end
from .core import Aside
from .flight import CannotFollow, Flight, LeaderLeft
from .lookups import DRY_RUN
from .question import Question
from .streams import StreamStatus
from .thread_flight import flights_lock
from .usage import Usage

__all__ = ["BlockingAnswerStream"]

C = TypeVar("C")


class BlockingAnswerStream(Iterator[C], StreamStatus, Generic[C]):
    """The chunks of an answer, to be iterated over once. Call `close` if they are not read to the end."""

    def __init__(self, aside: Aside, question: Question[list[C]], source: Callable[[], Iterable[C]]) -> None:
        self._aside = aside
        self._question = question
        self._figures = figures = Figures()
        self._read = partial(_read, aside, question, source, figures)
        self._items: Generator[Any, None, None] | None = None
        self._chunk_yielded = False
        self._closed = False

    def look_up(self) -> Lookup:
        """Look the question up, before the first chunk is read or computed.

        A web handler can then set a header that says whether the answer is a hit. Raises the errors that the
        first chunk would raise. A second call returns the same outcome.
        """
        if self._closed:
            raise RuntimeError("the stream is closed")
        if self._lookup is None:
            self._begin()
        assert self._lookup is not None
        return self._lookup

    def __next__(self) -> C:
        if self._closed:
            raise StopIteration
        items = self._items or self._begin()
        try:
            chunk: C = next(items)
        except StopIteration:
            raise
        except BaseException:
            if not self._chunk_yielded:
                self._items = None  # so that it begins anew, and does not seem to be empty
            raise
        self._chunk_yielded = True
        return chunk

    def _begin(self) -> Generator[Any, None, None]:
        """Start to read. If it is interrupted, or the lookup raises an error, it can be started again."""
        items = self._read()
        lookup: Lookup = next(items)
        self._lookup, self._items = lookup, items
        return items

    def wrong(self, *, delete: bool = False) -> None:
        """See `AnswerStream.wrong`."""
        run_to_end(self._known_origin().give(right=False, delete=delete))

    def right(self) -> None:
        """See `AnswerStream.right`."""
        run_to_end(self._known_origin().give(right=True))

    def close(self) -> None:
        """Stop reading. If no reader is left, the source is closed and an incomplete answer is not stored."""
        self._closed = True
        if self._items is not None:
            self._items.close()

    def __enter__(self) -> BlockingAnswerStream[C]:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.close()


def _read(
    aside: Aside, question: Question[list[C]], source: Callable[[], Iterable[C]], figures: Figures
) -> Generator[Any, None, None]:
    """Yield, for one reader, the outcome of the lookup, then the chunks."""
    state = aside.state
    lookup = question.outcome
    authorization: str | None = None
    if lookup is None and aside.lookups.asks_for_key:
        authorization, lookup = run_to_end(aside.lookups.authorization(question))
    timeout = state.flight_timeout(question)
    lookup_yielded = chunk_yielded = counted = False
    while True:
        stream, outer, follows = _join(aside, question, source, authorization, lookup)
        try:
            lookup = stream.wait_for_lookup(timeout)
            if not lookup_yielded:
                lookup_yielded = True
                yield lookup
            may_be_refused = follows and hasattr(question.codec, "check_shared")
            index, more = 0, True
            while more:
                more = stream.has_chunk(index, timeout)
                if not counted and (lookup.hit or not may_be_refused):
                    counted = True
                    state.count_answer(lookup.status, shared=follows)
                    if lookup.hit:
                        figures.count(aside.accounts, question, stream.usage, computed=False)
                if more:
                    chunk_yielded = True
                    yield stream.chunks[index]
                    index += 1
            if not counted:  # since only now it is known whether this call may have the answer
                check_shared(question.codec, stream.chunks)
                state.count_answer(lookup.status, shared=True)
            if not lookup.hit:
                figures.count(aside.accounts, question, stream.usage, computed=not follows)
            return
        except LeaderLeft as error:
            if chunk_yielded:
                raise RuntimeError("the stream was interrupted in a thread that shared it") from error
            lookup = None
        except CannotFollow as error:
            if chunk_yielded:
                raise TimeoutException(
                    f"the stream that several share gave nothing for {timeout:g} s"
                ) from error
            state.record_cannot_follow(question, error)
            # With the outcome of its own lookup it shares no stream, and so computes alone.
            lookup = lookup or run_to_end(aside.lookups.look_up(question, authorization))
        finally:
            stream.leave(outer)


def _join(
    aside: Aside,
    question: Question[list[C]],
    source: Callable[[], Iterable[C]],
    authorization: str | None,
    lookup: Lookup | None,
) -> tuple[_SharedStream[C], Flight | None, bool]:
    """The stream to read, the argument for `_SharedStream.leave`, and whether another reader began it."""
    streams = aside.state.streams
    domain = aside.state.execution.flight_domain()
    stream_key = object() if lookup else question.flight_key(domain, authorization)
    with flights_lock:
        existing: _SharedStream[C] | None = streams.get(stream_key)
        if existing is not None and existing.participants and not existing.ended:
            outer = existing.add_participant()
            if not existing.would_deadlock():
                return existing, outer, True
            existing.remove_participant(outer)
        new = streams[stream_key] = _SharedStream(aside, question, source, authorization, lookup, stream_key)
        return new, new.add_participant(), False


class _SharedStream(Flight, Generic[C]):
    """One source, read once for all readers, no further than the fastest reader has read.

    The thread that needs the next chunk runs the next step of the source; others that need it wait. So a slow
    reader delays nobody. Every step sees the context variables of the thread that began the stream.
    """

    def __init__(
        self,
        aside: Aside,
        question: Question[list[C]],
        source: Callable[[], Iterable[C]],
        authorization: str | None,
        lookup: Lookup | None,
        stream_key: Hashable,
    ) -> None:
        super().__init__()
        self.lookup: Lookup | None = None
        self.chunks: list[C] = []
        self.usage: Usage | None = None
        self.ended = False
        self._aside = aside
        self._hidden_hit: Lookup | None = None
        if lookup is not None:
            self._set_lookup(lookup)
        self._question = question
        self._source = source
        self._authorization = authorization
        self._stream_key = stream_key
        self._error: Exception | None = LeaderLeft()  # replaced when the source ends or raises
        self._context = copy_context()
        self._context.run(self.enter)
        self._steps = self._produce()
        # Re-entrant, so that a source that reads its own stream gets an error instead of a deadlock.
        self._step_lock = threading.RLock()

    def wait_for_lookup(self, timeout: float) -> Lookup:
        """Do the lookup or wait for it, and return its outcome. Raises `CannotFollow` as `has_chunk` does."""
        self._step_until(lambda: self.lookup is not None, timeout)
        if self.lookup is None:
            raise self._error or LeaderLeft()
        return self.lookup

    def has_chunk(self, index: int, timeout: float) -> bool:
        """Whether there is a chunk at this index, at most one past the last; produces it if it is the next.

        Raises `CannotFollow` if another thread takes longer than ``timeout`` seconds to produce it.
        """
        self._step_until(lambda: index < len(self.chunks), timeout)
        if index < len(self.chunks):
            return True
        if self._error is not None:
            raise self._error
        return False

    def leave(self, outer: Flight | None) -> None:
        """Remove a reader; the last one closes the source."""
        with flights_lock:
            self.remove_participant(outer)
            last = not self.participants
            if last and self._aside.state.streams.get(self._stream_key) is self:
                del self._aside.state.streams[self._stream_key]
        if last:
            self._context.run(self._steps.close)

    def _step_until(self, is_done: Callable[[], bool], timeout: float) -> None:
        if is_done():
            return
        if not self._step_lock.acquire(timeout=timeout):
            raise CannotFollow(timed_out=True)
        try:
            while not is_done() and not self.ended:
                self._step()
        finally:
            self._step_lock.release()

    def _step(self) -> None:
        try:
            self._context.run(next, self._steps)
        except StopIteration:
            self.ended = True
        except BaseException as error:
            self.ended = True
            if not isinstance(error, Exception):
                raise  # in this thread alone; the others get LeaderLeft
            self._error = error

    def _produce(self) -> Generator[None, None, None]:
        if self.lookup is None:
            self._set_lookup(run_to_end(self._aside.lookups.look_up(self._question, self._authorization)))
            yield
        assert self.lookup is not None
        aside, question, shadowing = self._aside, self._question, self._aside.shadowing
        if self.lookup.status is CacheStatus.HIT:
            self.usage = aside.accounts.usage_of(question, self.lookup.value)
            if self.lookup.stale or shadowing is not None:
                compute = partial(_collected, self._source)
                run_to_end(aside.after_hit(question, self.lookup, compute, self._authorization))
            self.chunks.extend(self.lookup.value)
            self._error = None
            return
        stream = self._source()
        try:
            for chunk in stream:
                self.chunks.append(chunk)
                yield
        finally:
            close = getattr(stream, "close", None)
            if close is not None:
                close()
        self._error = None
        self.usage = aside.accounts.spent(question, list(self.chunks))
        if shadowing is not None and self._hidden_hit is not None:
            run_to_end(shadowing.after_dry_run(question, self._hidden_hit, list(self.chunks)))
        elif self.lookup.status is CacheStatus.MISS:
            run_to_end(aside.stores.store(question, list(self.chunks)))

    def _set_lookup(self, lookup: Lookup) -> None:
        if lookup.hit and self._aside.is_dry_run:
            self._hidden_hit, lookup = lookup, DRY_RUN
        self.lookup = lookup


async def _collected(source: Callable[[], Iterable[Any]]) -> list[Any]:
    """All chunks of a source, read in this thread."""
    stream = source()
    try:
        return list(stream)
    finally:
        close = getattr(stream, "close", None)
        if close is not None:
            close()
