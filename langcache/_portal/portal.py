"""Blocking calls into an event loop on a thread of its own; safe at exit, Ctrl-C and fork."""

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
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from typing import Any, ParamSpec, TypeVar

from .._call.deadlines import time_until
from .._call.forks import leave_to_parent
from ..errors import ClosedError, ConnectError
from .loopthread import Call, LoopThread, Outcomes, running, starting

__all__ = ["Portal"]

P = ParamSpec("P")
T = TypeVar("T")

_CLOSE_SECONDS = 5.0
"""How long `Portal.close` waits for the thread to end."""

_EXIT_SECONDS = 0.25
"""How long the interpreter's exit waits for all of them together."""


class Portal:
    """Runs coroutine functions on an event loop for threads that have none.

    The loop's thread starts with the first call.

    Args:
        tenant: is kept until the loop has ended: collected in another thread, it could not close what it has
            opened on the loop. It must not refer to the portal's owner, who could not be collected while the
            thread runs.
    """

    def __init__(self, tenant: object) -> None:
        self._tenant = tenant
        self._closed = False
        self._reset()
        _portals.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()  # re-entrant: a signal handler may call while its thread holds it
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
        """Run a coroutine function on the portal's loop, in the caller's context, and wait for it.

        Whatever interrupts the wait, Ctrl-C for one, cancels the coroutine.

        Args:
            name: what the caller calls, for messages.
            advice: what to write in async code instead.
            function, args, kwargs: what to run.

        Raises:
            ClosedError: the portal is closed, before or meanwhile.
            ConnectError: there is no thread or no event loop to be had.
            RuntimeError: the call comes from the portal's own thread.
        """
        self._check_thread(name, advice)
        call = Call(lambda: function(*args, **kwargs))
        try:
            self._running_thread().submit(call)
            return call.outcome()
        except ClosedError:
            _sit_out_exit()
            raise
        except BaseException:
            call.abandon()
            raise
        finally:
            del call  # or an error would be in a cycle: its traceback, this frame, the call, the error

    def begin(
        self,
        name: str,
        advice: str,
        function: Callable[[], Coroutine[Any, Any, T]],
        outcomes: Outcomes,
    ) -> Call[T]:
        """The same without waiting: the outcome goes to a queue. Raises as `call` does."""
        self._check_thread(name, advice)
        call = Call(function, outcomes)
        self._running_thread().submit(call)
        return call

    def _check_thread(self, name: str, advice: str) -> None:
        if self._thread is threading.current_thread():
            raise RuntimeError(
                f"{name}() was called on the client's own event loop thread (by a callback or a middleware, "
                f"perhaps) and would wait for itself; in async code {advice}"
            )
        _warn_if_blocking(name, advice)

    def stop_soon(self) -> threading.Thread | None:
        """Close without waiting; calls in flight end in `ClosedError`. Returns the thread that is ending."""
        with self._lock:
            self._closed = True
            if self._thread is not None:
                self._thread.stop()
            return self._thread

    def close(self) -> None:
        """Close, and wait for the thread to end. Twice is fine."""
        thread = self.stop_soon()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_CLOSE_SECONDS)

    def _running_thread(self) -> LoopThread:
        with self._lock:
            if self._closed:
                raise ClosedError("this client is closed; make a new one")
            _refuse_at_exit()
            if self._thread is None or self._thread.ended:
                thread = _started(LoopThread(self._tenant))
                if self._thread is None or self._thread.ended:
                    self._thread = thread
                else:
                    thread.stop()  # a signal handler's call has started another meanwhile
            return self._thread


def _started(thread: LoopThread) -> LoopThread:
    # Whether the interpreter is exiting can't change meanwhile. A thread that came to life when it has gone
    # on would run into what is no longer there, and crash it.
    with _start_or_exit:
        _refuse_at_exit()
        running.add(thread)
        try:
            thread.start()
        except RuntimeError as error:
            running.discard(thread)
            raise ConnectError(f"no thread for the client's event loop: {error}") from error
        except BaseException:
            thread.stop()  # interrupted: whether it started or not
            raise
    return thread


def _refuse_at_exit() -> None:
    if _exiting:
        raise ClosedError("the interpreter is exiting")


def _warn_if_blocking(name: str, advice: str) -> None:
    """Say once if a blocking call is about to hold up a running event loop."""
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
        stacklevel=_level_of_program(),
    )


def _level_of_program() -> int:
    """The stack level, for `_warn_if_blocking`, of the program that called this package."""
    package = __name__.partition(".")[0]
    level, frame = 0, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    return level + 1


_warned = False
_exiting = False
_start_or_exit = threading.RLock()  # re-entrant: a signal handler may call while its thread holds it
_portals: weakref.WeakSet[Portal] = weakref.WeakSet()


def _stop_all() -> None:
    global _exiting
    with _start_or_exit:
        _exiting = True
    threads = list(running)
    for thread in threads:
        thread.stop()
    deadline = time.monotonic() + _EXIT_SECONDS
    for thread in threads:
        # One that is still starting must not go on without an interpreter, and ends once it is done with it.
        seconds = time_until(deadline) if thread.has_loop else _CLOSE_SECONDS
        with suppress(RuntimeError):  # it never started, because somebody was interrupted
            thread.join(seconds)


def _sit_out_exit() -> None:
    """Keep a daemon thread whose call was cut off by the interpreter's exit from printing a traceback."""
    if _exiting and threading.current_thread().daemon:
        time.sleep(_CLOSE_SECONDS)  # the interpreter is gone before, unless an exit handler waits for us


def _start_anew_in_child() -> None:
    global _start_or_exit
    _start_or_exit = threading.RLock()
    starting.release()
    for thread in running:
        leave_to_parent(thread)
    if running and "uvloop" in sys.modules:
        atexit.register(_revive_libuv)
    running.clear()
    for portal in list(_portals):
        portal._reset()


def _revive_libuv() -> None:
    # libuv, at exit, joins the threads of its pool, which a forked child does not have, and crashes on it;
    # unless the pool has been used in the child, and so been started anew.
    import uvloop

    with closing(uvloop.new_event_loop()) as loop:
        loop.run_until_complete(loop.getnameinfo(("127.0.0.1", 0), socket.NI_NUMERICHOST))


atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=starting.acquire, after_in_parent=starting.release, after_in_child=_start_anew_in_child
    )
