"""Single flight for tasks: calls that ask for the same thing at once share one lookup and one computation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from contextvars import ContextVar
from typing import Any, TypeVar

from .._portal.tasks import ResultOrExit, result_or_exit

__all__ = ["CannotFollow", "Flight", "LeaderLeft", "TaskFlight", "TaskFlights"]

T = TypeVar("T")


class LeaderLeft(Exception):
    """The leader was cancelled or interrupted before it had a result, so a follower has to lead."""


class CannotFollow(Exception):
    """The result is not waited for: the call has to compute alone."""

    def __init__(self, *, timed_out: bool) -> None:
        super().__init__(timed_out)
        self.timed_out = timed_out
        """Whether it was waited for as long as allowed. Otherwise the wait would be a deadlock."""


class Flight:
    """Work that several callers may wait for: a leader, who does it, and followers."""

    __slots__ = ("_waits_for", "callers")

    def __init__(self) -> None:
        self.callers: int = 0
        self._waits_for: list[Flight] = []

    def enter(self) -> None:
        """Make the code that runs in this context part of this flight's work."""
        _current.set(self)

    @staticmethod
    def exit_to(caller: Flight | None) -> None:
        """Make the code that runs in this context part of the caller's work again."""
        _current.set(caller)

    def add_caller(self) -> Flight | None:
        """Count a caller in. Returns the flight whose work the caller is part of, for `remove_caller`."""
        caller = _current.get()
        if caller is not None:
            caller._waits_for.append(self)
        self.callers += 1
        return caller

    def remove_caller(self, caller: Flight | None) -> None:
        """Count a caller out again."""
        self.callers -= 1
        if caller is not None:
            caller._waits_for.remove(self)

    def would_deadlock(self) -> bool:
        """Whether this flight waits, perhaps by way of others, for the work that would wait for it here."""
        ours = _current.get()
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
    """The flights under way on event loops, by key.

    A leader works in two parts. The first is quick and can be done again: it runs in the leader's own task,
    which saves the event loop three turns, and if the leader is cancelled, a follower leads. The second is a
    task of its own: a caller who is cancelled leaves the others theirs, and when the last is gone, the task
    is cancelled. An error is the error of all callers; a cancellation, SystemExit and KeyboardInterrupt are
    the leader's alone.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, TaskFlight] = {}

    def join(self, key: Hashable) -> tuple[TaskFlight, bool]:
        """The flight of this key, and whether the caller leads it: then it is to be used under ``with``."""
        ours = TaskFlight(self._flights, key)
        flight = self._flights.setdefault(key, ours)
        if flight is ours:
            return ours, True
        if flight.is_open:
            return flight, False
        self._flights[key] = ours
        return ours, True

    def clear(self) -> None:
        """Forget all flights, in a forked child: their leaders are in the parent."""
        self._flights.clear()

    @property
    def waiting(self) -> int:
        """How many callers there are at this moment, leaders included."""
        return sum(flight.callers for flight in list(self._flights.values()))


class TaskFlight(Flight):
    """A flight of `TaskFlights`."""

    __slots__ = ("_caller", "_finished", "_flights", "_key", "_result", "_task")

    def __init__(self, flights: dict[Hashable, TaskFlight], key: Hashable) -> None:
        super().__init__()
        self._flights = flights
        self._key = key
        self._finished = False
        self._task: asyncio.Task[Any] | None = None
        self._result: asyncio.Future[Any] | None = None

    @property
    def is_open(self) -> bool:
        """Whether one more caller may follow."""
        return not self._finished and self.callers > 0

    def __enter__(self) -> TaskFlight:
        self._caller = self.add_caller()
        _current.set(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        _current.set(self._caller)
        if isinstance(error, Exception):
            self.finish(error=error)
        elif error is not None and self._task is None:
            self.finish(error=LeaderLeft())
        self.remove_caller(self._caller)

    def remove_caller(self, caller: Flight | None) -> None:
        """Count a caller out again; the last one out cancels the work."""
        Flight.remove_caller(self, caller)  # super() costs more
        if self._task is not None and not self.callers:
            self._task.cancel()

    def finish(self, result: object = None, error: BaseException | None = None) -> None:
        """Give the followers this result, or this error."""
        self._finished = True
        self._close()
        if self._result is None or self._result.done():
            return  # nearly always: most flights have no followers
        if error is None:
            self._result.set_result(result)
        else:
            self._result.set_exception(error)
            self._result.exception()  # or the loop would complain if all followers are gone

    async def lead(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do the second part of the work in a task of its own, and wait for it."""
        self._task = task = asyncio.get_running_loop().create_task(result_or_exit(work))
        task.add_done_callback(self._finish_with)
        return (await asyncio.shield(task)).get()

    async def follow(self, timeout: float) -> Any:
        """Wait for the leader's result, at most ``timeout`` seconds.

        Raises `LeaderLeft` if the leader has left, and `CannotFollow` if the result is not waited for.
        """
        caller = self.add_caller()
        try:
            if self.would_deadlock():
                raise CannotFollow(timed_out=False)
            if self._result is None:
                self._result = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._result], timeout=timeout)
            if not self._result.done():
                self._close()  # whoever comes now need not wait for it as well
                raise CannotFollow(timed_out=True)
            return self._result.result()
        finally:
            self.remove_caller(caller)

    def _close(self) -> None:
        flight = self._flights.pop(self._key, None)
        if flight is not None and flight is not self:
            self._flights[self._key] = flight

    def _finish_with(self, task: asyncio.Task[ResultOrExit[Any]]) -> None:
        if task.cancelled():  # by a close of the loop, or because the work itself raised CancelledError
            self.finish(error=LeaderLeft())
        elif (error := task.exception()) is not None:
            self.finish(error=error)
        elif task.result().is_exit:
            self.finish(error=LeaderLeft())
        else:
            self.finish(task.result().get())


_current: ContextVar[Flight | None] = ContextVar("langcache_flight", default=None)
"""The flight whose work is being done here."""
