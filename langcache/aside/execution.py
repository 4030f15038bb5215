"""Where the parts of a cache-aside call run: on one event loop, or in a thread and on the portal's loop.

The code of cache-aside is written once, as coroutines. `InLoop` is for the asyncio client, whose coroutines
suspend as usual. `InThread` is for the blocking client: its coroutines never suspend, but block the thread
that runs them to their end (``finish`` in computing.py). So what the user gives (``make``, ``accept``,
``store_if``, codecs) runs in the thread that called, and only the requests run on the portal's event loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Protocol, TypeAlias, TypeVar

from .flight import TaskFlights
from .thread_flight import ThreadFlights

__all__ = ["Execution", "InLoop", "InThread", "PortalCall"]

T = TypeVar("T")


class PortalCall(Protocol):
    """Runs a coroutine function on the portal's event loop and blocks until it is done."""

    def __call__(
        self, call: str, advice: str, function: Callable[..., Coroutine[Any, Any, T]], /, *args: Any
    ) -> T: ...


class InLoop:
    """All in the event loop that awaits the call."""

    is_blocking: bool = False

    def __init__(self) -> None:
        self.flights: TaskFlights = TaskFlights()

    def place(self) -> Hashable:
        """Where calls can wait for each other: a task can't be awaited from another loop."""
        return asyncio.get_running_loop()

    def run(self, call: str, function: Callable[..., Awaitable[T]], *args: Any) -> Awaitable[T]:
        """Run a coroutine function that makes requests."""
        return function(*args)

    async def resolve(self, call: str, value: Awaitable[T]) -> T:
        """Await what a function of the user's returned."""
        return await value


class InThread:
    """The user's functions in the thread that calls, requests on the portal's event loop."""

    is_blocking: bool = True

    def __init__(self, portal_call: PortalCall) -> None:
        self.flights: ThreadFlights = ThreadFlights()
        self._portal_call = portal_call

    def place(self) -> Hashable:
        """Where calls can wait for each other: what was under way at a fork never ends in the child."""
        return os.getpid()

    async def run(self, call: str, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run a coroutine function that makes requests. Blocks instead of suspending."""
        return self._portal_call(call, "", function, *args)

    async def resolve(self, call: str, value: Awaitable[T]) -> T:
        """Await, on the portal's loop, what a function of the user's returned."""

        async def awaited() -> T:
            return await value

        return self._portal_call(call, "", awaited)


Execution: TypeAlias = InLoop | InThread
