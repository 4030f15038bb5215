"""Lets a coroutine on the portal use functions of a blocking call in that call's own thread.

The coroutine asks, the thread that waits for the coroutine does. So a user's blocking function never holds up
the portal's event loop, and finds its thread-local values and context variables where it expects them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from .._portal.tasks import Outcome, spared
from ..errors import ClosedError
from .flight import CallerLeft, carried

if TYPE_CHECKING:
    from ..client import AsyncLangCache
    from ..sync import LangCache

__all__ = ["CallersThread"]

P = ParamSpec("P")
T = TypeVar("T")


class _Job:
    """A function to be called in the caller's thread, and what that came to."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._value: Any = None
        self._error: Exception | None = None
        self.returned: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def run(self) -> None:
        """Call it, in the caller's thread. Only what is no `Exception` is raised there and then."""
        try:
            self._value = self._function()
        except Exception as error:
            self._error = error

    async def result(self) -> Any:
        """Wait, on the portal, for what it came to."""
        await self.returned
        if self._error is not None:
            raise self._error
        return self._value

    def finish(self, error: Exception | None = None) -> None:
        """Let `result` return, or raise this error."""
        if not self.returned.done():
            self._error = error or self._error
            self.returned.set_result(None)


class _Done(Generic[T]):
    def __init__(self, value: T) -> None:
        self.value = value


class CallersThread:
    """One blocking call's thread, for one `run` at a time. All state but this thread's stays on the portal's
    loop."""

    def __init__(self, client: LangCache, name: str) -> None:
        self._client = client
        self._name = name
        self._jobs: deque[_Job] = deque()
        self._task: asyncio.Task[Outcome[Any]]
        self._news: asyncio.Event
        self._left = False

    def run(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run a coroutine function on the portal, and here whatever it asks for by way of `lend`.

        Raises what it raises. Whatever interrupts this thread, Ctrl-C for one, cancels the coroutine, and
        who waits for a function lent from here gets `CallerLeft`.
        """
        step: _Job | _Done[T] = self._on_portal(self._begin, function, args)
        while isinstance(step, _Job):
            try:
                step.run()
            except BaseException:
                with suppress(ClosedError):
                    self._on_portal(self._abandon, step)
                raise
            step = self._on_portal(self._resume, step)
        return step.value

    def lend(self, function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
        """The function as a coroutine function for the portal's loop, run in this thread when awaited."""

        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            if self._left:
                raise CallerLeft
            here = carried(function)
            job = _Job(lambda: here(*args, **kwargs))
            self._jobs.append(job)
            self._news.set()
            result: T = await job.result()
            return result

        return call

    def _on_portal(self, step: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        def named(_: AsyncLangCache) -> Coroutine[Any, Any, T]:
            return step(*args)

        named.__name__ = self._name  # for what the portal may have to say of the call
        return self._client._portal.call(named)

    async def _begin(
        self, function: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...]
    ) -> _Job | _Done[T]:
        self._left = False
        self._jobs.clear()
        self._news = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(spared(function, *args))
        self._task.add_done_callback(lambda _: self._news.set())
        return await self._next_step()

    async def _resume(self, job: _Job) -> _Job | _Done[Any]:
        job.finish()
        return await self._next_step()

    async def _abandon(self, job: _Job) -> None:
        self._leave(job)

    async def _next_step(self) -> _Job | _Done[Any]:
        """What this thread has to do next, or what the coroutine returned."""
        try:
            while not self._jobs and not self._task.done():
                self._news.clear()
                await self._news.wait()
        except asyncio.CancelledError:
            self._leave()
            raise
        return self._jobs.popleft() if self._jobs else _Done(self._task.result().get())

    def _leave(self, *jobs: _Job) -> None:
        self._left = True
        self._task.cancel()
        for job in (*jobs, *self._jobs):
            job.finish(CallerLeft())
