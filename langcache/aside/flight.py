"""Single flight: callers that ask for the same thing at once share one task that gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from .._portal.tasks import Outcome, spared

__all__ = ["CallerLeft", "Flight", "Shared", "SingleFlight", "WaitsForItself", "carried"]

P = ParamSpec("P")
T = TypeVar("T")


class CallerLeft(Exception):
    """The one who did the work for all is gone; another has to do it."""


class WaitsForItself(Exception):
    """What would be waited for waits for the one who would wait."""


class Flight:
    """Work under way that several callers may wait for."""

    __slots__ = ("_awaits", "callers", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[Any] | None = None
        self.callers: int = 0
        self._awaits: list[Flight] = []  # what our work waits for in its turn

    def arrive(self) -> Flight | None:
        """Count the caller in. Returns what `depart` takes: the flight that the caller is part of."""
        within = _flight.get()
        if within is not None:
            within._awaits.append(self)
        self.callers += 1
        return within

    def depart(self, within: Flight | None) -> None:
        """Count the caller out again; the last one out cancels the task."""
        self.callers -= 1
        if not self.callers and self.task is not None:
            self.task.cancel()
        if within is not None:
            within._awaits.remove(self)

    def enter(self) -> None:
        """Make what this task does from here on the work of this flight."""
        _flight.set(self)

    def would_wait_for_itself(self) -> bool:
        """Whether awaiting it here would close a circle: it waits for what we are part of, if by detours."""
        ours = _flight.get()
        seen: set[int] = set()
        ahead: list[Flight] = [self] if ours is not None else []
        while ahead:
            flight = ahead.pop()
            if flight is ours:
                return True
            if id(flight) not in seen:
                seen.add(id(flight))
                ahead.extend(flight._awaits)
        return False


class SingleFlight:
    """Lets something be done once for all who ask for it under the same key at the same time.

    A caller who finds a flight `under_way` follows it; one who finds none leads, and works in two parts. The
    first is quick and can be done again: it runs in the task of the caller who leads, which saves the event
    loop three turns, and if that caller is cancelled, another leads. The second is a task of its own: a
    caller who is cancelled leaves the others theirs, and when the last is gone, the task is cancelled. An
    error is the error of all callers; an interrupt is that of the leader alone.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, Shared] = {}

    def under_way(self, key: Hashable) -> Shared | None:
        """The flight that one more caller may follow."""
        flight = self._flights.get(key)
        return flight if flight is not None and flight.open else None

    def lead(self, key: Hashable) -> Shared:
        """A new flight, for the caller to lead under ``with``."""
        flight = self._flights[key] = Shared(self._flights, key)
        return flight

    @property
    def waiting(self) -> int:
        """How many callers there are at this moment, those who lead included."""
        return sum(flight.callers for flight in list(self._flights.values()))


class Shared(Flight):
    """A flight of `SingleFlight`."""

    __slots__ = ("_key", "_landing", "_others", "_settled", "_within")

    def __init__(self, others: dict[Hashable, Shared], key: Hashable) -> None:
        super().__init__()
        self._others = others
        self._key = key
        self._settled = False
        self._landing: asyncio.Future[Any] | None = None  # most flights have no followers

    @property
    def open(self) -> bool:
        """Whether one more caller may follow."""
        return not self._settled and self.callers > 0

    def __enter__(self) -> Shared:
        self._within = self.arrive()
        self.enter()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        _flight.set(self._within)
        if isinstance(error, Exception) and not isinstance(error, CallerLeft):
            self.settle(error=error)
        elif error is not None and self.task is None:
            self.settle(error=CallerLeft())
        self.depart(self._within)

    def settle(self, result: object = None, error: BaseException | None = None) -> None:
        """Let the followers have this result, or this error."""
        self._settled = True
        if self._others.get(self._key) is self:
            del self._others[self._key]
        if self._landing is None or self._landing.done():
            return
        if error is None:
            self._landing.set_result(result)
        else:
            self._landing.set_exception(error)
            self._landing.exception()  # or the loop would complain if all who followed are gone

    async def alone(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do work for all in a task of its own, and wait for it."""
        task = asyncio.get_running_loop().create_task(spared(work))
        self.task: asyncio.Task[Any] | None = task
        task.add_done_callback(self._landed)
        return (await asyncio.shield(task)).get()

    async def follow(self) -> Any:
        """Wait for what the one who leads gets.

        Raises `CallerLeft` if the leader has left, and `WaitsForItself` if it would never come.
        """
        within = self.arrive()
        try:
            if self.would_wait_for_itself():
                raise WaitsForItself
            if self._landing is None:
                self._landing = asyncio.get_running_loop().create_future()
            return await asyncio.shield(self._landing)
        finally:
            self.depart(within)

    def _landed(self, task: asyncio.Task[Outcome[Any]]) -> None:
        if task.cancelled():
            self.settle(error=asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self.settle(error=error)
        elif task.result().exits:
            self.settle(error=CallerLeft())
        else:
            self.settle(task.result().get())


_flight: ContextVar[Flight | None] = ContextVar("langcache_flight", default=None)
"""The flight whose work is being done here."""


def carried(function: Callable[P, T]) -> Callable[P, T]:
    """The function, as part of this flight's work wherever it is called: in another thread, say."""
    flight = _flight.get()

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        token = _flight.set(flight)
        try:
            return function(*args, **kwargs)
        finally:
            _flight.reset(token)

    return call
