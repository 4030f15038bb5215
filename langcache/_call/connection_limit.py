"""A limit on the number of connections in use at once, with a FIFO queue."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from contextvars import Context

from ..errors import TimeoutException
from .deadlines import time_left

__all__ = ["ConnectionLimit"]


class ConnectionLimit:
    """A limit on the number of connections that the tasks of one event loop use at once, with a FIFO queue.

    aiohttp's own pool has such a limit too, but there a whole request waits, with all its objects. With
    thousands of them waiting, the garbage collector, which visits every live object, takes more time than the
    calls. For the same reason all who wait share one timer.

    Args:
        count: how many connections may be in use at once.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = count
        self._waiting: OrderedDict[asyncio.Future[None], float] = OrderedDict()
        """Who waits, first come first, and until when, by the clock of the event loop."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = math.inf
        # For the timer, which would otherwise keep the context of a caller. One for each event loop, since
        # two threads can't run in one context at once.
        self._context = Context()

    def acquire_now(self) -> bool:
        """Acquire without waiting; False if all are in use."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    async def acquire(self, timeout: float | None) -> float | None:
        """Acquire as soon as a connection is free; return what is left of the timeout, in seconds.

        Raises `TimeoutException` if none comes free within the timeout.
        """
        loop, started = asyncio.get_running_loop(), time.monotonic()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting[turn] = deadline = math.inf if timeout is None else loop.time() + timeout
        if deadline < self._timer_due:
            self._set_timer(loop, deadline)
        try:
            await turn
        except TimeoutError as error:
            raise TimeoutException(
                f"no connection came free within {timeout:g} s: all {self.count} are in use"
            ) from error
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                self.release()  # it was handed over, but this task was cancelled before it ran
            raise
        finally:
            self._waiting.pop(turn, None)
            if not self._waiting:
                self._set_timer(loop, math.inf)
        return time_left(timeout, started)

    def release(self) -> None:
        """Release; if tasks are waiting, hand over to the one that has waited longest."""
        while self._waiting:
            turn, _ = self._waiting.popitem(last=False)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _set_timer(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = None
        if due < math.inf:
            self._timer = loop.call_at(due, self._end_waits, loop, context=self._context)

    def _end_waits(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the waits that have taken too long."""
        now = max(loop.time(), self._timer_due)  # a loop may call a bit too early
        for turn, deadline in list(self._waiting.items()):
            if deadline <= now:
                del self._waiting[turn]
                if not turn.done():
                    turn.set_exception(TimeoutError())
        self._set_timer(loop, min(self._waiting.values(), default=math.inf))
