"""A limit on the number of connections in use at once, with a FIFO queue."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextvars import Context

from ..errors import TimeoutException
from .deadlines import time_left

__all__ = ["ConnectionLimit"]


class ConnectionLimit:
    """A limit on the number of connections that the tasks of one event loop use at once, with a FIFO queue.

    aiohttp's own pool has such a limit too, but there a whole request waits, with all its objects. With
    thousands of them waiting, the garbage collector, which visits every live object, takes more time than the
    calls.

    Args:
        count: how many connections may be in use at once.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = count
        self._waiting: deque[asyncio.Future[None]] = deque()
        # For the timers, each of which would otherwise copy the caller's context. One for each event loop,
        # since two threads can't run in one context at once.
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
        timer = None if timeout is None else loop.call_later(timeout, _too_late, turn, context=self._context)
        self._waiting.append(turn)
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
            if timer is not None:
                timer.cancel()
        return time_left(timeout, started)

    def release(self) -> None:
        """Release; if tasks are waiting, hand over to the one that has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _too_late(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())
