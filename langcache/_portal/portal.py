"""Runs coroutine functions for blocking code on another thread; safe at exit, Ctrl-C and fork."""

from __future__ import annotations

import asyncio
import atexit
import os
import socket
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Coroutine, Generator
from contextlib import closing, suppress
from contextvars import Context, ContextVar, copy_context
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar, cast

from .._call.deadlines import time_until
from .._call.forks import leave_to_parent
from ..errors import ClosedError, ConnectError
from .loopthread import Call, LoopThread, OutcomeQueue, live_threads, start_lock
from .native import refuse_eventlet

__all__ = ["Portal"]

P = ParamSpec("P")
T = TypeVar("T")

_CLOSE_SECONDS = 5.0
"""How long `Portal.close` waits at most for the thread to end."""

_CLOSED = "this client is closed; make a new one"

_EXIT_SECONDS = 0.25
"""How long the interpreter's exit waits at most for all portals' threads together."""


class Portal:
    """Runs coroutine functions on an event loop of its own, for threads that have none.

    The loop's thread starts with the first call.

    Args:
        keep_alive: an object that is kept alive until the loop has ended: if another thread collected it, it
            could not close its connections on the loop. It must not refer to the portal's owner, which
            otherwise could not be collected while the thread runs.
    """

    def __init__(self, keep_alive: object) -> None:
        refuse_eventlet()
        self._keep_alive = keep_alive
        self._closed = False
        self.interrupts: Callable[[], bool] | None = None
        """Tells whether code of the calling thread interrupts a call that another call would wait for."""
        self._reset()
        _portals.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()  # re-entrant: a signal handler may interrupt the thread that holds it
        self._thread: LoopThread | None = None

    def call(
        self,
        name: str,
        advice: str,
        function: Callable[P, Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a coroutine function on the portal's loop, and wait for its result.

        It sees the context variables of the calling thread. An exception that interrupts the wait, such as
        KeyboardInterrupt, cancels it.

        Args:
            name: the client's method, for messages.
            advice: what to write in async code instead, for messages.
            function, args, kwargs: the coroutine function and its arguments.

        Raises:
            ClosedError: the portal is closed, or was closed during the call.
            ConnectError: the thread or its event loop could not be started.
            RuntimeError: it was called on the portal's own thread.
        """
        self._check_thread(name, advice)
        return self._outcome(Call(lambda: function(*args, **kwargs)))

    def call_here(
        self,
        name: str,
        advice: str,
        function: Callable[P, Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Like `call`, for a coroutine function that awaits `run` or `move` before all that needs a loop.

        It runs in the calling thread, without an event loop, until then. If it has ended by then, the loop's
        thread need not even have been started.
        """
        self._check_thread(name, advice)
        if self._closed:
            raise ClosedError(_CLOSED)
        context = copy_context()
        context.run(_begun_here.set, True)
        work = context.run(function, *args, **kwargs)
        try:
            context.run(work.send, None)
        except StopIteration as done:
            result: T = done.value
            return result
        try:
            self._running_thread()
        except Exception as error:
            _sleep_until_exit()
            context.run(work.throw, error)  # which raises it where the coroutine is
        return self._outcome(Call(partial(_go_on, _Begun(work, context))))

    @property
    def is_here(self) -> bool:
        """Whether this code runs in `call_here`, in the calling thread."""
        return _begun_here.get()

    async def move(self) -> None:
        """In a call of `call_here`: go on on the portal's loop. Else nothing."""
        if _begun_here.get():
            _begun_here.set(False)
            await _Move()

    def _outcome(self, call: Call[T]) -> T:
        try:
            self._running_thread().submit(call)
            return call.wait()
        except ClosedError:
            _sleep_until_exit()
            raise
        except BaseException:
            call.abandon()
            raise
        finally:
            del call  # breaks a reference cycle: the error, its traceback, this frame, the call

    def begin(
        self,
        name: str,
        advice: str,
        function: Callable[[], Coroutine[Any, Any, T]],
        outcomes: OutcomeQueue,
    ) -> Call[T]:
        """Like `call`, without waiting: the outcome is put into ``outcomes``."""
        self._check_thread(name, advice)
        call = Call(function, outcomes)
        self._running_thread().submit(call)
        return call

    async def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function on the portal's loop, and await its result in the running one.

        On the portal's own loop it is awaited at once. A task that is cancelled meanwhile cancels the call.
        Raises as `call` does.
        """
        await self.move()
        if self._thread is not None and self._thread.is_current:
            return await function()
        self._check_interrupted("a coroutine")
        awaited = _Awaited()
        call = Call(function, cast("OutcomeQueue", awaited))
        self._running_thread().submit(call)
        try:
            result: T = await awaited.future
            return result
        except BaseException:
            call.abandon()
            raise
        finally:
            del call, awaited  # breaks a reference cycle: the error, its traceback, this frame, the call

    def _check_thread(self, name: str, advice: str) -> None:
        if self._thread is not None and self._thread.is_current:
            raise RuntimeError(
                f"{name}() was called on the client's own event loop thread (by a callback or a middleware, "
                f"perhaps) and would wait for itself; in async code {advice}"
            )
        self._check_interrupted(name)
        _warn_if_blocking(name, advice)

    def _check_interrupted(self, name: str) -> None:
        if self.interrupts is not None and self.interrupts():
            raise RuntimeError(
                f"{name}() was called by a signal handler or a finalizer that interrupts another call of the "
                "same client in this thread, and would wait for it for ever; let it set a flag or fill a "
                "queue.SimpleQueue, and make the call elsewhere"
            )

    @property
    def is_closed(self) -> bool:
        """Whether `close` or `discard` was called."""
        return self._closed

    def discard(self) -> LoopThread | None:
        """Close without waiting. Calls in flight end in `ClosedError`. Returns the thread, if any."""
        with self._lock:
            self._closed = True
            if self._thread is not None:
                self._thread.stop()
            return self._thread

    def close(self) -> None:
        """Close, and wait for the thread to end, for at most 5 seconds. May be called more than once."""
        thread = self.discard()
        if thread is not None and not thread.is_current:
            thread.join(_CLOSE_SECONDS)

    def _running_thread(self) -> LoopThread:
        with self._lock:
            if self._closed:
                raise ClosedError(_CLOSED)
            _refuse_at_exit()
            if self._thread is None or self._thread.ended:
                refuse_eventlet()
                thread = _start_thread(LoopThread(self._keep_alive))
                if self._thread is None or self._thread.ended:
                    self._thread = thread
                else:
                    thread.stop()  # a call from a signal handler has started another
            return self._thread


_begun_here: ContextVar[bool] = ContextVar("langcache_begun_here", default=False)
"""Whether this code runs in `Portal.call_here`, and not on the portal's loop yet."""


class _Move:
    """Suspends a coroutine that runs without an event loop."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class _Begun(Generic[T]):
    """Awaits the rest of a coroutine that has begun in a context, to which it keeps."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], context: Context) -> None:
        self._coroutine = coroutine
        self._run = context.run

    def __await__(self) -> Generator[Any, Any, T]:
        step: Callable[[], Any] = partial(self._coroutine.send, None)
        while True:
            try:
                awaited = self._run(step)
            except StopIteration as done:
                result: T = done.value
                return result
            finally:
                del step  # breaks a reference cycle: an error, its traceback, this frame, the step
            try:
                step = partial(self._coroutine.send, (yield awaited))
            except BaseException as error:
                step = partial(self._coroutine.throw, error)


async def _go_on(begun: _Begun[T]) -> T:
    return await begun


class _Awaited:
    """Receives the outcome of a call, as a queue would, for the event loop that this is made in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self._loop.create_future()

    def put(self, outcome: tuple[Call[Any], Any, BaseException | None]) -> None:
        """On any thread: pass the outcome on."""
        _, result, error = outcome
        with suppress(RuntimeError):  # the loop is closed, and nobody waits any longer
            self._loop.call_soon_threadsafe(self._settle, result, error)

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


def _start_thread(thread: LoopThread) -> LoopThread:
    # The lock keeps the exit handler from running meanwhile. A thread that started after it would use parts
    # of the interpreter that are gone, and crash it.
    with _exit_lock:
        _refuse_at_exit()
        live_threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:
            live_threads.discard(thread)
            raise ConnectError(f"no thread for the client's event loop: {error}") from error
        except BaseException:
            thread.stop()  # interrupted: it may have started
            raise
    return thread


def _refuse_at_exit() -> None:
    if _exiting:
        raise ClosedError("the interpreter is exiting")


def _warn_if_blocking(name: str, advice: str) -> None:
    """Warn, once in each process, that a blocking call is about to block a running event loop."""
    global _warned
    if _warned:
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    _warned = True
    warnings.warn(
        f"LangCache.{name}() blocks the running event loop; in async code {advice}",
        RuntimeWarning,
        stacklevel=_stacklevel_of_program(),
    )


def _stacklevel_of_program() -> int:
    """The ``stacklevel``, for `_warn_if_blocking`, of the code that called this package."""
    package = __name__.partition(".")[0]
    level, frame = 0, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    return level + 1


_warned = False
_exiting = False
_exit_lock = threading.RLock()  # re-entrant: a signal handler may interrupt the thread that holds it
_portals: weakref.WeakSet[Portal] = weakref.WeakSet()


def _stop_at_exit() -> None:
    global _exiting
    with _exit_lock:
        _exiting = True
    threads = list(live_threads)
    for thread in threads:
        thread.stop()
    deadline = time.monotonic() + _EXIT_SECONDS
    for thread in threads:
        # A thread that is still starting must end before the interpreter does; it ends once it has started.
        seconds = time_until(deadline) if thread.has_loop else _CLOSE_SECONDS
        with suppress(RuntimeError):  # it never started, because its start was interrupted
            thread.join(seconds)


def _sleep_until_exit() -> None:
    """Keep a daemon thread whose call was ended by the interpreter's exit from printing a traceback."""
    if _exiting and threading.current_thread().daemon:
        time.sleep(_CLOSE_SECONDS)  # the process ends sooner, unless an exit handler waits for this thread


def _start_anew_in_child() -> None:
    global _exit_lock
    _exit_lock = threading.RLock()
    start_lock.release()
    for thread in live_threads:
        leave_to_parent(thread)
    if live_threads and "uvloop" in sys.modules:
        atexit.register(_restart_libuv_threads)
    live_threads.clear()
    for portal in list(_portals):
        portal._reset()


def _restart_libuv_threads() -> None:
    # At exit, libuv joins the threads of its pool. A forked child does not have them, and would crash, unless
    # it has used the pool, which starts new threads.
    import uvloop

    with closing(uvloop.new_event_loop()) as loop:
        loop.run_until_complete(loop.getnameinfo(("127.0.0.1", 0), socket.NI_NUMERICHOST))


atexit.register(_stop_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=start_lock.acquire, after_in_parent=start_lock.release, after_in_child=_start_anew_in_child
    )
