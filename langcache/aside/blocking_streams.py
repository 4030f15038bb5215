"""Streams of the blocking client: threads that ask the same thing at once share one lookup and one source."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from ..errors import TimeoutException
from .answers import CacheStatus, Lookup
from .computing import finish
from .core import Aside
from .flight import CannotFollow, Flight, LeaderLeft
from .question import Question
from .streams import StreamStatus
from .thread_flight import joining

__all__ = ["BlockingAnswerStream"]

C = TypeVar("C")


class BlockingAnswerStream(Iterator[C], StreamStatus, Generic[C]):
    """The chunks of an answer, for one ``for``. One that is not wanted to its end should be closed."""

    def __init__(self, aside: Aside, question: Question[list[C]], source: Callable[[], Iterable[C]]) -> None:
        self._items = _read(aside, question, source)

    def look_up(self) -> Lookup:
        """Ask the cache, before the first chunk is read or computed. To ask twice is fine.

        A web handler can then say in a header whether the answer is a hit. Raises what the first chunk would.
        """
        if self._lookup is None:
            lookup: Lookup = next(self._items)
            self._lookup = lookup
        return self._lookup

    def __next__(self) -> C:
        if self._lookup is None:
            self.look_up()
        chunk: C = next(self._items)
        return chunk

    def close(self) -> None:
        """Stop reading. When nobody reads any more, the source is closed and nothing is stored."""
        self._items.close()


def _read(
    aside: Aside, question: Question[list[C]], source: Callable[[], Iterable[C]]
) -> Generator[Any, None, None]:
    """For one reader: the outcome of the lookup, then the chunks."""
    state = aside.state
    lookup = question.outcome
    key: str | None = None
    if lookup is None and aside.lookups.asks_for_key:
        key, lookup = finish(aside.lookups.key(question))
    looked_up = given = counted = False
    while True:
        stream, caller, follows = _joined(aside, question, source, key, lookup)
        try:
            lookup = stream.looked_up()
            if not looked_up:
                looked_up = True
                yield lookup
            at, more = 0, True
            while more:
                more = stream.has_chunk(at)
                if not counted:
                    counted = True
                    state.count(lookup.status, shared=follows)
                if more:
                    given = True
                    yield stream.chunks[at]
                    at += 1
            return
        except LeaderLeft as error:
            if given:
                raise RuntimeError("the stream was interrupted in a thread that shared it") from error
            lookup = None
        except CannotFollow as error:
            state.cannot_follow(question, error)
            if given:
                raise TimeoutException(
                    f"the stream that several share gave nothing for {state.config.flight_timeout:g} s"
                ) from error
            lookup = lookup or finish(aside.lookups.look_up(question, key))  # and then compute alone
        finally:
            stream.leave(caller)


def _joined(
    aside: Aside,
    question: Question[list[C]],
    source: Callable[[], Iterable[C]],
    key: str | None,
    lookup: Lookup | None,
) -> tuple[_SharedStream[C], Flight | None, bool]:
    """The stream to read, what `_SharedStream.leave` takes, and whether another reader began it."""
    streams = aside.state.streams
    stream_key = object() if lookup else question.flight_key(aside.state.execution.place(), key)
    with joining:
        theirs: _SharedStream[C] | None = streams.get(stream_key)
        if theirs is not None and theirs.callers and not theirs.ended:
            caller = theirs.add_caller()
            if not theirs.would_deadlock():
                return theirs, caller, True
            theirs.remove_caller(caller)
        mine = streams[stream_key] = _SharedStream(aside, question, source, key, lookup, stream_key)
        return mine, mine.add_caller(), False


class _SharedStream(Flight, Generic[C]):
    """One source, read once for all readers, and never ahead of the fastest of them.

    Each step is done by a thread that wants it, while the others wait for it: so a thread that is slow to
    read holds up nobody. Every step sees the context variables of the thread that began.
    """

    def __init__(
        self,
        aside: Aside,
        question: Question[list[C]],
        source: Callable[[], Iterable[C]],
        key: str | None,
        lookup: Lookup | None,
        stream_key: Hashable,
    ) -> None:
        super().__init__()
        self.lookup: Lookup | None = lookup
        self.chunks: list[C] = []
        self.ended = False
        self._aside = aside
        self._question = question
        self._source = source
        self._key = key
        self._stream_key = stream_key
        self._error: Exception | None = LeaderLeft()  # unless it ends otherwise
        self._context = copy_context()
        self._context.run(self.enter)
        self._steps = self._produce()
        # Re-entrant: an error is better than a thread that waits for itself.
        self._stepping = threading.RLock()

    def looked_up(self) -> Lookup:
        """The outcome of the lookup, which is done or waited for. Raises `CannotFollow`."""
        self._step_until(lambda: self.lookup is not None)
        if self.lookup is None:
            raise self._error or LeaderLeft()
        return self.lookup

    def has_chunk(self, at: int) -> bool:
        """Whether there is a chunk at this place, the next one or one before; produces the next.

        Raises `CannotFollow` if another thread is producing it and does not for too long.
        """
        self._step_until(lambda: at < len(self.chunks))
        if at < len(self.chunks):
            return True
        if self._error is not None:
            raise self._error
        return False

    def leave(self, caller: Flight | None) -> None:
        """One reader less; the last closes the source."""
        with joining:
            self.remove_caller(caller)
            last = not self.callers
            if last and self._aside.state.streams.get(self._stream_key) is self:
                del self._aside.state.streams[self._stream_key]
        if last:
            self._context.run(self._steps.close)

    def _step_until(self, is_done: Callable[[], bool]) -> None:
        if is_done():
            return
        if not self._stepping.acquire(timeout=self._aside.state.config.flight_timeout):
            raise CannotFollow(timed_out=True)
        try:
            while not is_done() and not self.ended:
                self._step()
        finally:
            self._stepping.release()

    def _step(self) -> None:
        try:
            self._context.run(next, self._steps)
        except StopIteration:
            self.ended = True
        except BaseException as error:
            self.ended = True
            if not isinstance(error, Exception):
                raise  # here alone: to the others, this thread has left
            self._error = error

    def _produce(self) -> Generator[None, None, None]:
        if self.lookup is None:
            self.lookup = finish(self._aside.lookups.look_up(self._question, self._key))
            yield
        if self.lookup.status is CacheStatus.HIT:
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
        if self.lookup.status is CacheStatus.MISS:
            finish(self._aside.stores.store(self._question, list(self.chunks)))
