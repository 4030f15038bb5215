"""Where the parts of a cache-aside call run: in an event loop, or in a thread and on the portal's loop.

The code of cache-aside is written once, as coroutines. `InLoop` is for the asyncio client, whose coroutines
suspend as usual. `InThread` is for the blocking client, whose coroutines block the calling thread and never
suspend (see ``run_to_end`` in computing.py). So the user's functions (``make``, ``accept``, ``store_if``,
codecs) run in the calling thread, and only the requests run on the portal's event loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Protocol, TypeAlias, TypeVar

from .._call.loops import running_loop
from .flight import TaskFlights
from .thread_flight import ThreadFlights

__all__ = ["Execution", "InLoop", "InThread", "PortalCall"]

T = TypeVar("T")

_ADVICE = "use AsyncLangCache"


class PortalCall(Protocol):
    """Runs a coroutine function on the portal's event loop, and blocks until it returns its result."""

    def __call__(
        self, method: str, advice: str, function: Callable[..., Coroutine[Any, Any, T]], /, *args: Any
    ) -> T: ...


class InLoop:
    """Everything runs in the event loop that awaits the call."""

    is_blocking: bool = False

    def __init__(self) -> None:
        self.flights: TaskFlights = TaskFlights()

    flight_domain: Callable[[], Hashable] = staticmethod(running_loop)
    """Equal for calls that may share a flight: the event loop, as no other loop can await its tasks."""

    def run(self, method: str, function: Callable[..., Awaitable[T]], *args: Any) -> Awaitable[T]:
        """Run a coroutine function that makes requests."""
        return function(*args)

    def request(self, method: str, function: Callable[..., Awaitable[T]], *args: Any) -> Awaitable[T]:
        """The same, for one that makes one request and needs an event loop for nothing else."""
        return function(*args)

    async def run_file_access(self, function: Callable[..., None], *args: Any) -> None:
        """Call a function that reads or writes a file, which may block, in another thread."""
        await asyncio.to_thread(function, *args)

    async def resolve(self, method: str, value: Awaitable[T]) -> T:
        """Await an awaitable that one of the user's functions returned."""
        return await value


class InThread:
    """The user's functions run in the calling thread, requests on the portal's event loop.

    Args:
        portal_call: `Portal.call`.
        request: it, or `Portal.call_here` if the requests go to a cache in this process.
    """

    is_blocking: bool = True

    def __init__(self, portal_call: PortalCall, request: PortalCall) -> None:
        self.flights: ThreadFlights = ThreadFlights()
        self._portal_call = portal_call
        self._request = request

    def flight_domain(self) -> Hashable:
        """Equal for calls that may share a flight: the process id, since flights don't go on in a fork."""
        return os.getpid()

    async def run(self, method: str, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run a coroutine function that makes requests. Blocks instead of suspending."""
        return self._portal_call(method, _ADVICE, function, *args)

    async def request(self, method: str, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """The same, for one that makes one request and needs an event loop for nothing else."""
        return self._request(method, _ADVICE, function, *args)

    async def run_file_access(self, function: Callable[..., None], *args: Any) -> None:
        """Call a function that reads or writes a file, in this thread."""
        function(*args)

    async def resolve(self, method: str, value: Awaitable[T]) -> T:
        """Await, on the portal's loop, an awaitable that one of the user's functions returned."""

        async def awaited() -> T:
            return await value

        return self._portal_call(method, _ADVICE, awaited)


Execution: TypeAlias = InLoop | InThread
