"""One event loop on a thread of its own, and the calls that other threads make into it."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from importlib.util import find_spec
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeAlias, TypeVar, cast

from ..errors import ClosedError, ConnectError, LangCacheError, NoResponseError

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

__all__ = ["Call", "LoopThread", "Outcomes", "running", "starting"]

P = ParamSpec("P")
T = TypeVar("T")

running: set[LoopThread] = set()
"""Those that are to start or have, and have not ended."""

starting: threading.Lock = threading.Lock()
"""Held while one starts. A fork waits for it: in the child, what was half imported would stay locked."""


Outcomes: TypeAlias = "SimpleQueue[tuple[Call[Any], Any, BaseException | None]]"
"""Of each call its result, or the error that it ended in."""


class Call(Generic[T]):
    """One run of a coroutine function, between the thread that waits for it and the loop that runs it.

    Args:
        function: the coroutine function.
        outcomes: where the outcome goes: the call, its result and its error. Default: a queue of its own.
    """

    def __init__(
        self,
        function: Callable[[], Coroutine[Any, Any, T]],
        outcomes: Outcomes | None = None,
    ) -> None:
        self.function = function
        self._outcomes: Outcomes = SimpleQueue() if outcomes is None else outcomes
        self._context = copy_context()
        self._abandoned = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
        """On the loop: do the work in the caller's context."""
        self._loop = loop
        self._task = self._context.run(loop.create_task, work)
        if self._abandoned:  # looked at after the task is there; `abandon` does it the other way round
            loop.call_soon(self._task.cancel)

    def abandon(self) -> None:
        """On the caller's thread: nobody waits any longer."""
        self._abandoned = True
        if self._loop is not None and self._task is not None:
            _soon(self._loop, self._task.cancel)

    def succeed(self, result: T) -> None:
        """End with this result. What is said of an end after the first, nobody hears."""
        self._outcomes.put((self, result, None))

    def fail(self, error: BaseException) -> None:
        """End in this error."""
        self._outcomes.put((self, None, error))

    def outcome(self) -> T:
        """On the caller's thread: wait for the end, and give the result or raise the error."""
        # The first is the one that counts. A queue, because a Future has locks to make and to take, which are
        # felt when many threads wait at once.
        _, result, error = self._outcomes.get()
        if error is None:
            return cast("T", result)
        try:
            raise error
        finally:
            del error  # or it would be in a cycle: its traceback, this frame, the error


class LoopThread(threading.Thread):
    """One event loop, from its start to its end.

    No call is left waiting, and no lock is needed for it: `submit` queues the call before it looks at
    ``ended``, and the thread sets ``ended`` before it looks at the queue for the last time.
    """

    def __init__(self, tenant: object) -> None:
        # A daemon, or the interpreter would wait for it before it ran the exit handler that stops it.
        super().__init__(name="langcache-portal", daemon=True)
        self.ended: bool = False
        self._tenant = tenant  # to the end: collected by another thread, it could not close its connections
        self._queue: deque[Call[Any]] = deque()
        self._begun: set[Call[Any]] = set()
        self._turn = 0  # how often the loop has looked at the queue
        self._told = -1  # before which turn it was told to: to wake it is dear, and once is enough for all
        self._stopping = False
        self._failure: BaseException | None = None
        self._stop_task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._portal: BlockingPortal | None = None

    def submit(self, call: Call[Any]) -> None:
        """Have the loop run it as soon as there is one. If the loop has ended, so does the call."""
        self._queue.append(call)
        if self.ended:
            self._end_all()
        elif self._loop is not None and self._told != (turn := self._turn):
            _soon(self._loop, self._begin_queued)
            self._told = turn  # only now: an interrupt, or a signal handler's call, may come in between

    def stop(self) -> None:
        """End the calls in flight, at once, and the loop, as soon as it turns; whether it runs yet or not."""
        self._stopping = True
        self._end_all()
        if self._loop is not None:
            _soon(self._loop, self._stop_portal)

    @property
    def has_loop(self) -> bool:
        """Whether it is done with starting."""
        return self._loop is not None

    def run(self) -> None:
        starting.acquire()
        try:
            # Imported late: it costs more than the rest of this package, and async programs do without.
            # Not on the loop, which would complain of it in asyncio's debug mode.
            import anyio
            from anyio.from_thread import BlockingPortal

            uvloop = {"use_uvloop": find_spec("uvloop") is not None}
            anyio.run(self._serve, BlockingPortal, backend_options=uvloop)
        except BaseException as error:
            self._failure = error
        finally:
            if self._loop is None:
                starting.release()
            self.ended = True
            self._end_all()
            running.discard(self)

    async def _serve(self, make_portal: Callable[[], Any]) -> None:
        async with make_portal() as portal:
            self._portal = portal
            self._loop = asyncio.get_running_loop()
            starting.release()
            self._loop.set_default_executor(_Executor())
            if self._stopping:
                self._stop_portal()
            self._begin_queued()
            await portal.sleep_until_stopped()

    def _stop_portal(self) -> None:
        assert self._loop
        assert self._portal
        if self._stop_task is None:
            self._stop_task = self._loop.create_task(self._portal.stop(cancel_remaining=True))

    def _begin_queued(self) -> None:
        assert self._loop
        self._turn += 1  # before it looks at the queue; `submit` does it the other way round
        with suppress(IndexError):  # `stop` empties the queue too
            while not self._stopping:
                call = self._queue.popleft()
                self._begun.add(call)
                call.begin(self._loop, self._perform(call))

    async def _perform(self, call: Call[Any]) -> None:
        # Nothing is raised out of the task: SystemExit and KeyboardInterrupt would end the loop with it.
        try:
            result = await call.function()
        except asyncio.CancelledError:
            call.fail(self._why_ended())
        except BaseException as error:
            call.fail(error)
        else:
            call.succeed(result)
        finally:
            self._begun.discard(call)
            del call  # or an error would be in a cycle: its traceback, this frame, the call, the error

    def _end_all(self) -> None:
        for calls in (self._queue, self._begun):
            with suppress(IndexError, KeyError):  # several threads may be here at once
                while True:
                    calls.pop().fail(self._why_ended())

    def _why_ended(self) -> LangCacheError:
        if self._stopping:
            return ClosedError("the client was closed during the call")
        if self._loop is None:
            error: LangCacheError = ConnectError(f"no event loop for the client: {self._failure}")
        else:
            error = NoResponseError("the call was cancelled, or the client's event loop was ended")
        error.__cause__ = self._failure
        return error


class _Executor(ThreadPoolExecutor):
    """Looks up host names, also for a thread that outlives main, when executors take no more work."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        with suppress(RuntimeError):
            return super().submit(fn, *args, **kwargs)
        future = Future[T]()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _soon(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # the loop is closed, and the thread's last acts make up for it
        loop.call_soon_threadsafe(function)
