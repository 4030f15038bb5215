"""A thread that runs one event loop, and the calls that other threads submit to it."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeAlias, TypeVar, cast

from ..errors import ClosedError, ConnectError, LangCacheError, NoResponseError
from .native import OSThread, Queue, loop_options, new_lock, new_queue

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

__all__ = ["Call", "LoopThread", "OutcomeQueue", "live_threads", "start_lock"]

P = ParamSpec("P")
T = TypeVar("T")

live_threads: set[LoopThread] = set()
"""The threads that were told to start and have not ended."""

start_lock: threading.Lock = new_lock()
"""Held while a thread starts. A fork waits for it: in the child, the import lock of a module that was being
imported would never be released."""


OutcomeQueue: TypeAlias = "Queue[tuple[Call[Any], Any, BaseException | None]]"
"""Receives the outcome of each call: the call, its result and its error, of which one is None."""


class Call(Generic[T]):
    """One run of a coroutine function, which the loop runs and another thread waits for.

    Args:
        function: the coroutine function.
        outcomes: receives the outcome. Default: a new queue, which `wait` reads.
    """

    def __init__(
        self,
        function: Callable[[], Coroutine[Any, Any, T]],
        outcomes: OutcomeQueue | None = None,
    ) -> None:
        self.function = function
        self._outcomes: OutcomeQueue = new_queue() if outcomes is None else outcomes
        self._context = copy_context()
        self._abandoned = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
        """On the loop: run ``work`` in a task, with the context variables of the calling thread."""
        self._loop = loop
        self._task = self._context.run(loop.create_task, work)
        if self._abandoned:  # read after `_task` is set; `abandon` sets it before it reads `_task`
            loop.call_soon(self._task.cancel)

    def abandon(self) -> None:
        """On the calling thread: cancel the call, since nobody waits for it any longer."""
        self._abandoned = True
        if self._loop is not None and self._task is not None:
            _call_soon(self._loop, self._task.cancel)

    def succeed(self, result: T) -> None:
        """Set the result. Only the first result or error counts."""
        self._outcomes.put((self, result, None))

    def fail(self, error: BaseException) -> None:
        """Set the error. Only the first result or error counts."""
        self._outcomes.put((self, None, error))

    def wait(self) -> T:
        """On the calling thread: wait for the outcome, and return the result or raise the error."""
        # A queue, because the locks of a Future cost noticeable time when many threads wait at once.
        _, result, error = self._outcomes.get()
        if error is None:
            return cast("T", result)
        try:
            raise error
        finally:
            del error  # breaks a reference cycle: the error, its traceback, this frame


class LoopThread(OSThread):
    """A thread that runs one event loop.

    Every call gets an outcome, without a lock: `submit` queues the call before it reads ``ended``, and the
    thread sets ``ended`` before it empties the queue for the last time.

    Args:
        keep_alive: an object that is kept alive until the loop has ended: if another thread collected it, it
            could not close its connections on the loop.
    """

    imports: tuple[str, ...] = (
        *("anyio", "anyio.from_thread", "anyio._backends._asyncio", "backoff", "html", "encodings.idna"),
        "langcache._wire.error_types",
    )

    def __init__(self, keep_alive: object) -> None:
        # A daemon: the interpreter would wait for any other thread before it runs the handler that stops it.
        super().__init__(name="langcache-portal", daemon=True)
        self.ended: bool = False
        self._keep_alive = keep_alive
        self._own_ident: int | None = None
        self._queue: deque[Call[Any]] = deque()
        self._begun: set[Call[Any]] = set()  # the calls that run on the loop
        self._checks = 0  # how many times the loop has read the queue
        # The value of `_checks` when the loop was last woken. Waking it is slow; once is enough for all calls
        # in the queue.
        self._woken_at = -1
        self._stopping = False
        self._failure: BaseException | None = None
        self._stop_task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._portal: BlockingPortal | None = None

    def submit(self, call: Call[Any]) -> None:
        """Run a call on the loop, as soon as there is a loop. If the loop has ended, the call fails."""
        self._queue.append(call)
        if self.ended:
            self._end_calls()
        elif self._loop is not None and self._woken_at != (checks := self._checks):
            _call_soon(self._loop, self._begin_queued)
            self._woken_at = checks  # last, since an interrupt or a signal handler may come before it

    def stop(self) -> None:
        """End the calls at once with `ClosedError`, and the loop as soon as it can. Returns without waiting.

        May be called before the loop runs.
        """
        self._stopping = True
        self._end_calls()
        if self._loop is not None:
            _call_soon(self._loop, self._stop_portal)

    @property
    def has_loop(self) -> bool:
        """Whether the thread has started its event loop."""
        return self._loop is not None

    @property
    def is_current(self) -> bool:
        """Whether this code runs on the thread."""
        # Not threading.current_thread(), which under gevent names the greenlet.
        return self._own_ident == threading.get_ident()

    def run(self) -> None:
        self._own_ident = threading.get_ident()
        start_lock.acquire()
        try:
            # Imported late: it takes longer than the rest of this package, and async programs don't need it.
            # Before the loop runs, since asyncio's debug mode warns about slow steps.
            import anyio
            from anyio.from_thread import BlockingPortal

            anyio.run(self._serve, BlockingPortal, backend_options=loop_options())
        except BaseException as error:
            self._failure = error
        finally:
            if self._loop is None:
                start_lock.release()
            self.ended = True
            self._end_calls()
            live_threads.discard(self)
            self._own_ident = None  # another thread may get the same

    async def _serve(self, make_portal: Callable[[], Any]) -> None:
        async with make_portal() as portal:
            self._portal = portal
            self._loop = asyncio.get_running_loop()
            start_lock.release()
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
        self._checks += 1  # before it reads the queue; `submit` queues the call before it reads `_checks`
        with suppress(IndexError):  # `stop` may have emptied the queue
            while not self._stopping:
                call = self._queue.popleft()
                self._begun.add(call)
                call.begin(self._loop, self._perform(call))

    async def _perform(self, call: Call[Any]) -> None:
        # The task raises nothing: SystemExit and KeyboardInterrupt would stop the loop.
        try:
            result = await call.function()
        except asyncio.CancelledError:
            call.fail(self._end_error())
        except BaseException as error:
            call.fail(error)
        else:
            call.succeed(result)
        finally:
            self._begun.discard(call)
            del call  # breaks a reference cycle: the error, its traceback, this frame, the call

    def _end_calls(self) -> None:
        for calls in (self._queue, self._begun):
            with suppress(IndexError, KeyError):  # several threads may do this at once
                while True:
                    calls.pop().fail(self._end_error())

    def _end_error(self) -> LangCacheError:
        if self._stopping:
            return ClosedError("the client was closed during the call")
        if self._loop is None:
            error: LangCacheError = ConnectError(f"no event loop for the client: {self._failure}")
        else:
            error = NoResponseError("the call was cancelled, or the client's event loop was ended")
        error.__cause__ = self._failure
        return error


class _Executor(ThreadPoolExecutor):
    """Looks up host names. At exit, when executors take no more work, it does so in the calling thread."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        with suppress(RuntimeError):
            return super().submit(fn, *args, **kwargs)
        future = Future[T]()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # the loop is closed, and the thread ends the remaining calls
        loop.call_soon_threadsafe(function)
