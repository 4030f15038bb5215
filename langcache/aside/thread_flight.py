"""Single flight for threads: as for tasks, but the leader does all the work in its own thread."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from queue import Empty
from typing import Any, TypeVar

from .._call.forks import fork_safe_lock
from .._portal.native import Queue, new_queue
from .flight import CannotFollow, Flight, LeaderLeft

__all__ = ["ThreadFlights", "flights_lock"]

T = TypeVar("T")

flights_lock: Any = fork_safe_lock()
"""Held to add and remove participants of any flight of threads, so that the check for a deadlock sees all of
them. Re-entrant, since the garbage collector may close a stream at any time."""


class ThreadFlights:
    """The current flights in threads, by key.

    The coroutines here block their thread and never suspend, so that the code that awaits them is the same
    for tasks and for threads. If the leader is interrupted, for example by Ctrl-C, a follower leads.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, ThreadFlight] = {}

    def join(self, key: Hashable) -> tuple[ThreadFlight | None, ThreadLeader | None]:
        """The flight of this key, to follow; or, if there is none, None and the leader of a new one.

        A leader is used under ``with``.
        """
        with flights_lock:
            flight = self._flights.get(key)
            if flight is not None:
                return flight, None
            leader = ThreadLeader(ThreadFlight(self._flights, key))
            self._flights[key] = leader.flight
            return None, leader

    def clear(self) -> None:
        """Forget all flights, in a forked child: their leaders run only in the parent."""
        self._flights.clear()

    @property
    def participants(self) -> int:
        """How many participants all flights have now."""
        with flights_lock:
            return sum(flight.participants for flight in self._flights.values())


class ThreadFlight(Flight):
    """A flight of `ThreadFlights`, as its followers see it."""

    __slots__ = ("_error", "_finished", "_flights", "_key", "_result")

    def __init__(self, flights: dict[Hashable, ThreadFlight], key: Hashable) -> None:
        super().__init__()
        self._flights = flights
        self._key = key
        # Has an item once the work is done. Not an Event, whose lock an interrupt might leave locked.
        self._finished: Queue[None] = new_queue()
        self._result: Any = None
        self._error: BaseException | None = None

    def finish(self, result: object, error: BaseException | None) -> None:
        """Give the followers this result, or this error."""
        self._result, self._error = result, error
        self._close()
        self._finished.put(None)

    async def follow(self, timeout: float) -> Any:
        """Wait for the leader's result, at most ``timeout`` seconds.

        Raises the error of the work; `LeaderLeft`; or `CannotFollow`, after the timeout or if it would
        deadlock.
        """
        with flights_lock:
            outer = self.add_participant()
            deadlock = self.would_deadlock()
        try:
            if deadlock:
                raise CannotFollow(timed_out=False)
            try:
                self._finished.get(timeout=timeout)
            except Empty:
                self._close()  # so that later calls don't wait for it too
                raise CannotFollow(timed_out=True) from None
            self._finished.put(None)  # for the next follower
            if self._error is not None:
                raise self._error
            return self._result
        finally:
            with flights_lock:
                self.remove_participant(outer)

    def _close(self) -> None:
        with flights_lock:
            if self._flights.get(self._key) is self:
                del self._flights[self._key]


class ThreadLeader:
    """The leader of a flight. If it is dropped before it is done, however it was interrupted, it has left."""

    def __init__(self, flight: ThreadFlight) -> None:
        self.flight = flight
        self._done = False

    def __enter__(self) -> ThreadLeader:
        with flights_lock:
            self._outer = self.flight.add_participant()
        self.flight.enter()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.flight.exit_to(self._outer)
        if error is not None:
            self.finish(error=error if isinstance(error, Exception) else LeaderLeft())
        with flights_lock:
            self.flight.remove_participant(self._outer)

    def __del__(self) -> None:
        if not self._done:
            self.flight.finish(None, LeaderLeft())

    def finish(self, result: object = None, error: BaseException | None = None) -> None:
        """Give the followers this result, or this error."""
        self.flight.finish(result, error)
        self._done = True

    async def lead(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do the second part of the work, and return its result."""
        result = await work()
        self.finish(result)
        return result
