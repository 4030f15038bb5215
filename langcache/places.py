"""Room for so many at once, a line for those who wait, and what a wait leaves of a timeout."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextvars import Context

from .errors import TimeoutException

__all__ = ["Places", "time_left"]


class Places:
    """So many places, for the tasks of one event loop; first come, first served.

    aiohttp's own pool does the same, but what waits there is a whole request. With thousands in line the
    garbage collector, which looks at everything that is alive, then takes more time than the calls.

    Args:
        count: how many places there are.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = count
        self._line: deque[asyncio.Future[None]] = deque()
        # For the timers, which would each have a copy of the caller's. Not shared with another event loop:
        # two threads can't be in one context at once.
        self._context = Context()

    def take(self) -> bool:
        """Take a place if one is free."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    async def wait(self, timeout: float | None) -> float | None:
        """Take a place as soon as one is free; return what is left of the timeout, in seconds.

        Raises `TimeoutException` when it is over.
        """
        loop, started = asyncio.get_running_loop(), time.monotonic()
        turn: asyncio.Future[None] = loop.create_future()
        timer = None if timeout is None else loop.call_later(timeout, _too_late, turn, context=self._context)
        self._line.append(turn)
        try:
            await turn
        except TimeoutError as error:
            raise TimeoutException(
                f"no connection came free within {timeout:g} s: all {self.count} are in use"
            ) from error
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                self.leave()  # it was given to a task that was cancelled before it knew
            raise
        finally:
            if timer is not None:
                timer.cancel()
        return time_left(timeout, started)

    def leave(self) -> None:
        """Give the place back, to the first in line if there is one."""
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _too_late(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())


def time_left(timeout: float | None, started: float) -> float | None:
    """What is left of a timeout that began at ``started``, by `time.monotonic`, in seconds.

    Never nothing, since to aiohttp a timeout of 0 is none at all; None if there is no timeout.
    """
    return None if timeout is None else max(timeout - (time.monotonic() - started), 0.001)
