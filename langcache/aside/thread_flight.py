"""Single flight for threads: as for tasks, but the leader does all the work in its own thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar

from .flight import CannotFollow, Flight, LeaderLeft

__all__ = ["ThreadFlights", "flights_lock"]

T = TypeVar("T")

flights_lock: Any = threading.RLock()
"""Held to add and remove participants of any flight of threads, so that the check for a deadlock sees all of
them. Re-entrant, since the garbage collector may close a stream at any time."""


class ThreadFlights:
    """The current flights in threads, by key.

    The coroutines here block their thread and never suspend, so that the code that awaits them is the same
    for tasks and for threads. If the leader is interrupted, for example by Ctrl-C, a follower leads.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, ThreadFlight] = {}

    def join(self, key: Hashable) -> tuple[ThreadFlight, bool]:
        """The flight of this key, and whether this call leads it. A leader uses it under ``with``."""
        with flights_lock:
            flight = self._flights.get(key)
            if flight is not None:
                return flight, False
            flight = self._flights[key] = ThreadFlight(self._flights, key)
            return flight, True

    def clear(self) -> None:
        """Forget all flights, in a forked child: their leaders run only in the parent."""
        self._flights.clear()

    @property
    def participants(self) -> int:
        """How many participants all flights have now."""
        with flights_lock:
            return sum(flight.participants for flight in self._flights.values())


class ThreadFlight(Flight):
    """A flight of `ThreadFlights`."""

    __slots__ = ("_error", "_finished", "_flights", "_key", "_outer", "_result")

    def __init__(self, flights: dict[Hashable, ThreadFlight], key: Hashable) -> None:
        super().__init__()
        self._flights = flights
        self._key = key
        self._finished = threading.Event()
        self._result: Any = None
        self._error: BaseException | None = None

    def __enter__(self) -> ThreadFlight:
        with flights_lock:
            self._outer = self.add_participant()
        self.enter()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.exit_to(self._outer)
        if error is not None:
            self.finish(error=error if isinstance(error, Exception) else LeaderLeft())
        with flights_lock:
            self.remove_participant(self._outer)

    def finish(self, result: object = None, error: BaseException | None = None) -> None:
        """Give the followers this result, or this error."""
        self._close()
        self._result, self._error = result, error
        self._finished.set()

    def _close(self) -> None:
        with flights_lock:
            if self._flights.get(self._key) is self:
                del self._flights[self._key]

    async def lead(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """As the leader, do the second part of the work, and return its result."""
        result = await work()
        self.finish(result)
        return result

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
            if not self._finished.wait(timeout):
                self._close()  # so that later calls don't wait for it too
                raise CannotFollow(timed_out=True)
            if self._error is not None:
                raise self._error
            return self._result
        finally:
            with flights_lock:
                self.remove_participant(outer)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=flights_lock.acquire, after_in_parent=flights_lock.release, after_in_child=flights_lock.release
    )
