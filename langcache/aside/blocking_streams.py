"""Streams of the blocking client: threads that ask the same thing at once share one lookup and one source."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Hashable, Iterable
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from ..errors import ClosedError
from .answers import CacheStatus
from .bridge import CallersThread
from .flight import CallerLeft, Flight
from .question import Lookup, Question

__all__ = ["read"]

C = TypeVar("C")


def read(
    question: Question[list[C]], here: CallersThread, source: Callable[[], Iterable[C]]
) -> Generator[C, None, None]:
    """The chunks of the answer, for one thread, in which ``here`` runs things."""
    given = False
    while True:
        broadcast, within, shared = _board(question, here, source)
        known, at = False, 0
        try:
            more = True
            while more:
                more = broadcast.reaches(at)
                if not known and broadcast.lookup is not None:
                    known = True
                    question.aside.count(broadcast.lookup.status, shared=shared)
                if more:
                    given = True
                    yield broadcast.chunks[at]
                    at += 1
            return
        except CallerLeft as interrupted:
            if given:
                raise RuntimeError("the stream was interrupted in a thread that shared it") from interrupted
        finally:
            broadcast.leave(within)


class _Broadcast(Flight, Generic[C]):
    """One source, read once for all threads that listen, and never ahead of the one that listens fastest.

    Each step is done by a thread that wants it, while the others wait for it: so a thread that is slow to
    read holds up nobody. Every step sees the context variables of the thread that began.
    """

    def __init__(
        self, question: Question[list[C]], here: CallersThread, source: Callable[[], Iterable[C]]
    ) -> None:
        super().__init__()
        self.lookup: Lookup | None = None
        self.chunks: list[C] = []
        self.ended = False
        self._question = question
        self._here = here
        self._source = source
        self._error: Exception | None = CallerLeft()  # unless it turns out otherwise
        self._others: dict[Hashable, Any] = {}
        self._key: Hashable = None
        self._context = copy_context()
        self._context.run(self.enter)
        self._steps = self._produce()
        self._stepping = threading.RLock()  # re-entrant: an error is better than a thread stuck with itself

    def begin(self, others: dict[Hashable, Any], key: Hashable) -> None:
        """Be where those who ask the same find it."""
        self._others, self._key = others, key
        others[key] = self

    def reaches(self, at: int) -> bool:
        """Whether there is a chunk at this place, the next one or one before; produces the next."""
        if at < len(self.chunks):
            return True
        with self._stepping:
            while at >= len(self.chunks) and not self.ended:
                self._step()
            if at >= len(self.chunks) and self._error is not None:
                raise self._error
            return at < len(self.chunks)

    def leave(self, within: Flight | None) -> None:
        """One listener less; the last closes the source."""
        with _boarding:
            self.depart(within)
            last = not self.callers
            if last and self._others.get(self._key) is self:
                del self._others[self._key]
        if last:
            self._context.run(self._steps.close)

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
        self.lookup = found = self._look_up()
        if found.status is CacheStatus.HIT:
            self.chunks.extend(found.value)
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
        if found.status is CacheStatus.MISS:
            self._store()

    def _look_up(self) -> Lookup:
        question = self._question
        if question.given_up is not None:
            return question.given_up  # without an event loop: a cache that is off starts no thread
        try:
            return self._here.run(question.look_up)
        except ClosedError as error:
            if question.raising:
                raise
            question.aside.failed(error)
            return Lookup(status=CacheStatus.ERROR, error=error)

    def _store(self) -> None:
        try:
            self._here.run(self._question.store, list(self.chunks))
        except ClosedError as error:
            if self._question.raising:
                raise
            self._question.aside.failed(error)


def _board(
    question: Question[list[C]], here: CallersThread, source: Callable[[], Iterable[C]]
) -> tuple[_Broadcast[C], Flight | None, bool]:
    """The broadcast to listen to, what `_Broadcast.leave` takes, and whether somebody else began it."""
    mine = _Broadcast(question, here, source)
    if question.given_up is not None:
        return mine, mine.arrive(), False
    others = question.aside.broadcasts
    key = question.key(os.getpid())  # what was under way when the process forked never ends in the child
    with _boarding:
        theirs: _Broadcast[C] | None = others.get(key)
        if theirs is not None and theirs.callers and not theirs.ended:
            within = theirs.arrive()
            if not theirs.would_wait_for_itself():
                return theirs, within, True
            theirs.depart(within)
        mine.begin(others, key)
        return mine, mine.arrive(), False


_boarding = threading.RLock()
"""Held while threads come and go; re-entrant, since a stream may be left when it is collected, anywhere."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_boarding.acquire, after_in_parent=_boarding.release, after_in_child=_boarding.release
    )
