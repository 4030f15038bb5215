"""Single flight for threads: the same as for tasks, with the leader's work done in its own thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar

from .flight import CannotFollow, Flight, LeaderLeft

__all__ = ["ThreadFlights", "joining"]

T = TypeVar("T")

joining: Any = threading.RLock()
"""Held while callers of any flight of threads come and go, so that one who looks for a deadlock sees all of
them. Re-entrant, since a stream may be closed by the garbage collector, anywhere."""


class ThreadFlights:
    """The flights under way in threads, by key.

    The coroutines here never suspend: they block their thread instead. So the code around them is the same
    for tasks and for threads. If the leader is interrupted, by Ctrl-C for one, a follower leads.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, ThreadFlight] = {}

    def join(self, key: Hashable) -> tuple[ThreadFlight, bool]:
        """The flight of this key, and whether the caller leads it: then it is to be used under ``with``."""
        with joining:
            flight = self._flights.get(key)
            if flight is not None:
                return flight, False
            flight = self._flights[key] = ThreadFlight(self._flights, key)
            return flight, True

    def clear(self) -> None:
        """Forget all flights, in a forked child: their leaders are in the parent."""
        self._flights.clear()

    @property
    def waiting(self) -> int:
        """How many callers there are at this moment, leaders included."""
        with joining:
            return sum(flight.callers for flight in self._flights.values())


class ThreadFlight(Flight):
    """A flight of `ThreadFlights`."""

    __slots__ = ("_caller", "_error", "_finished", "_flights", "_key", "_result")

    def __init__(self, flights: dict[Hashable, ThreadFlight], key: Hashable) -> None:
        super().__init__()
        self._flights = flights
        self._key = key
        self._finished = threading.Event()
        self._result: Any = None
        self._error: BaseException | None = None

    def __enter__(self) -> ThreadFlight:
        with joining:
            self._caller = self.add_caller()
        self.enter()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.exit_to(self._caller)
        if error is not None:
            self.finish(error=error if isinstance(error, Exception) else LeaderLeft())
        with joining:
            self.remove_caller(self._caller)

    def finish(self, result: object = None, error: BaseException | None = None) -> None:
        """Give the followers this result, or this error."""
        self._close()
        self._result, self._error = result, error
        self._finished.set()

    def _close(self) -> None:
        with joining:
            if self._flights.get(self._key) is self:
                del self._flights[self._key]

    async def lead(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do the second part of the work."""
        result = await work()
        self.finish(result)
        return result

    async def follow(self, timeout: float) -> Any:
        """Wait for the leader's result, at most ``timeout`` seconds.

        Raises `LeaderLeft` if the leader has left, and `CannotFollow` if the result is not waited for.
        """
        with joining:
            caller = self.add_caller()
            deadlock = self.would_deadlock()
        try:
            if deadlock:
                raise CannotFollow(timed_out=False)
            if not self._finished.wait(timeout):
                self._close()  # whoever comes now need not wait for it as well
                raise CannotFollow(timed_out=True)
            if self._error is not None:
                raise self._error
            return self._result
        finally:
            with joining:
                self.remove_caller(caller)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=joining.acquire, after_in_parent=joining.release, after_in_child=joining.release
    )
