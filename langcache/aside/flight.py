"""Single flight for tasks: concurrent calls with the same question share one lookup and one computation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from contextvars import ContextVar
from typing import Any, TypeVar

from .._portal.tasks import ResultOrExit, result_or_exit

__all__ = ["CannotFollow", "Flight", "LeaderLeft", "TaskFlight", "TaskFlights"]

T = TypeVar("T")


class LeaderLeft(Exception):
    """The leader was cancelled or interrupted before it had a result, so a follower must lead."""


class CannotFollow(Exception):
    """The call can't follow the flight, and must compute the answer itself."""

    def __init__(self, *, timed_out: bool) -> None:
        super().__init__(timed_out)
        self.timed_out = timed_out
        """Whether it waited for the flight for as long as allowed. If not, following it would deadlock."""


class Flight:
    """Work that is done once for several calls.

    Its participants are the leader, which does the work, and followers, which wait for the result. If the
    work itself participates in another flight, then this flight is the outer flight of that participant.
    """

    __slots__ = ("_waits_for", "participants")

    def __init__(self) -> None:
        self.participants: int = 0
        self._waits_for: list[Flight] = []

    def enter(self) -> None:
        """Mark the code that runs in this context as work of this flight."""
        _current_flight.set(self)

    @staticmethod
    def exit_to(outer: Flight | None) -> None:
        """Mark the code that runs in this context as work of the outer flight again."""
        _current_flight.set(outer)

    def add_participant(self) -> Flight | None:
        """Add a participant. Returns its outer flight, the argument for `remove_participant`."""
        outer = _current_flight.get()
        if outer is not None:
            outer._waits_for.append(self)
        self.participants += 1
        return outer

    def remove_participant(self, outer: Flight | None) -> None:
        """Remove a participant."""
        self.participants -= 1
        if outer is not None:
            outer._waits_for.remove(self)

    def would_deadlock(self) -> bool:
        """Whether following this flight would deadlock: it waits, directly or not, for the current flight."""
        ours = _current_flight.get()
        seen: set[int] = set()
        ahead: list[Flight] = [self] if ours is not None else []
        while ahead:
            flight = ahead.pop()
            if flight is ours:
                return True
            if id(flight) not in seen:
                seen.add(id(flight))
                ahead.extend(flight._waits_for)
        return False


class TaskFlights:
    """The current flights on event loops, by key.

    The work has two parts. The first, the lookup, is quick and can be repeated. It runs in the leader's own
    task, which saves three turns of the event loop; if the leader is cancelled, a follower leads and repeats
    it. The second, the computation, runs in a separate task. It goes on if a participant is cancelled, and is
    cancelled with the last participant. All participants get the error of the work, but only the leader gets
    a cancellation, SystemExit or KeyboardInterrupt; a follower then leads.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, TaskFlight] = {}

    def join(self, key: Hashable) -> tuple[TaskFlight | None, TaskFlight | None]:
        """The flight of this key, to follow; or, if there is none, None and a new one to lead.

        A leader uses it under ``with``.
        """
        ours = TaskFlight(self._flights, key)
        flight = self._flights.setdefault(key, ours)
        if flight is ours:
            return None, ours
        if flight.is_joinable:
            return flight, None
        self._flights[key] = ours
        return None, ours

    def clear(self) -> None:
        """Forget all flights, in a forked child: their leaders run only in the parent."""
        self._flights.clear()

    @property
    def participants(self) -> int:
        """How many participants all flights have now."""
        return sum(flight.participants for flight in list(self._flights.values()))


class TaskFlight(Flight):
    """A flight of `TaskFlights`."""

    __slots__ = ("_finished", "_flights", "_key", "_outer", "_result", "_task")

    def __init__(self, flights: dict[Hashable, TaskFlight], key: Hashable) -> None:
        Flight.__init__(self)  # faster than super()
        self._flights = flights
        self._key = key
        self._finished = False
        self._task: asyncio.Task[Any] | None = None
        self._result: asyncio.Future[Any] | None = None

    @property
    def is_joinable(self) -> bool:
        """Whether another call may follow."""
        return not self._finished and self.participants > 0

    def __enter__(self) -> TaskFlight:
        self._outer = self.add_participant()
        _current_flight.set(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        _current_flight.set(self._outer)
        if isinstance(error, Exception):
            self.finish(error=error)
        elif error is not None and self._task is None and not self._finished:
            self.finish(error=LeaderLeft())
        self.remove_participant(self._outer)

    def remove_participant(self, outer: Flight | None) -> None:
        """Remove a participant. Removing the last one cancels the work."""
        Flight.remove_participant(self, outer)  # faster than super()
        if self._task is not None and not self.participants:
            self._task.cancel()

    def finish(self, result: object = None, error: BaseException | None = None) -> None:
        """Give the followers this result, or this error."""
        self._finished = True
        self._close()
        self._key = None  # connections may keep this flight, by way of the context that they were opened in
        if self._result is None or self._result.done():
            return  # most flights have no followers
        if error is None:
            self._result.set_result(result)
        else:
            self._result.set_exception(error)
            self._result.exception()  # or, without followers, the loop would log it as never retrieved

    async def lead(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """As the leader, do the second part of the work in a separate task, and return its result."""
        self._task = task = asyncio.get_running_loop().create_task(result_or_exit(work))
        task.add_done_callback(self._on_task_done)
        return (await asyncio.shield(task)).get()

    async def follow(self, timeout: float) -> Any:
        """Wait for the leader's result, at most ``timeout`` seconds.

        Raises the error of the work; `LeaderLeft`; or `CannotFollow`, after the timeout or if it would
        deadlock.
        """
        outer = self.add_participant()
        try:
            if self.would_deadlock():
                raise CannotFollow(timed_out=False)
            if self._result is None:
                self._result = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._result], timeout=timeout)
            if not self._result.done():
                self._close()  # so that later calls don't wait for it too
                raise CannotFollow(timed_out=True)
            return self._result.result()
        finally:
            self.remove_participant(outer)

    def _close(self) -> None:
        if self._flights.get(self._key) is self:
            del self._flights[self._key]

    def _on_task_done(self, task: asyncio.Task[ResultOrExit[Any]]) -> None:
        if task.cancelled():  # its loop is being closed, or the work itself raised CancelledError
            self.finish(error=LeaderLeft())
        elif (error := task.exception()) is not None:
            self.finish(error=error)
        elif task.result().is_exit:
            self.finish(error=LeaderLeft())
        else:
            self.finish(task.result().get())
        self._task = None


_current_flight: ContextVar[Flight | None] = ContextVar("langcache_flight", default=None)
"""The flight whose work the current code is part of."""
