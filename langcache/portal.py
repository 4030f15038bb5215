"""An event loop on a thread of its own, which any thread can call into; safe at exit, Ctrl-C and fork."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from .errors import ClosedError

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

__all__ = ["Portal"]

T = TypeVar("T")

_STOP_TIMEOUT = 5.0


class Portal:
    """Runs coroutines for threads that have no event loop. The thread starts with the first call."""

    def __init__(self) -> None:
        self._closed = False
        self._reset()
        _portals.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()  # re-entrant: a signal handler may call while its thread holds it
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._blocking: BlockingPortal | None = None

    def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> T:
        """Run ``function(*args, **kwargs)`` on the portal's loop, in the caller's context, and wait for it.

        Whatever interrupts the wait, Ctrl-C for one, cancels the coroutine. Raises `ClosedError` if the
        portal is closed, before or meanwhile, and `RuntimeError` on the portal's own thread.
        """
        with self._lock:
            if self._closed:
                raise ClosedError("this client is closed; make a new one")
            if threading.current_thread() is self._thread:
                raise RuntimeError(
                    "a blocking call from the client's own event loop thread (a callback or a middleware, "
                    "perhaps) would wait for itself; use the ..._async method there"
                )
            loop = self._loop or self._start()
            # Not BlockingPortal.call, which costs three times as much; the loop is the same.
            future = asyncio.run_coroutine_threadsafe(_contained(function(*args, **kwargs)), loop)
        try:
            result = future.result()
        except CancelledError:
            if not self._closed:
                raise
            raise ClosedError("the client was closed during the call") from None
        except BaseException:
            future.cancel()
            raise
        if isinstance(result, _Exit):
            raise result.error
        return result

    def stop_soon(self) -> threading.Thread | None:
        """Close without waiting; calls in flight end in `ClosedError`. Returns the thread that is ending."""
        with self._lock:
            self._closed = True
            if self._loop is not None and self._blocking is not None:
                stop = self._blocking.stop(cancel_remaining=True)
                self._loop.call_soon_threadsafe(self._loop.create_task, stop)
                self._loop = self._blocking = None
            return self._thread

    def close(self) -> None:
        """Close, and wait for the thread to end. Twice is fine."""
        thread = self.stop_soon()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_STOP_TIMEOUT)

    def _start(self) -> asyncio.AbstractEventLoop:
        # Imported late: it costs more than the rest of this package, and async programs do without.
        import anyio.from_thread

        started: Future[tuple[asyncio.AbstractEventLoop, BlockingPortal]] = Future()

        async def serve() -> None:
            async with anyio.from_thread.BlockingPortal() as portal:
                started.set_result((asyncio.get_running_loop(), portal))
                await portal.sleep_until_stopped()

        def run() -> None:
            try:
                anyio.run(serve, backend_options={"use_uvloop": find_spec("uvloop") is not None})
            except BaseException as error:
                if started.done():
                    raise
                started.set_exception(error)

        # A daemon, or the interpreter would wait for it before it ran the exit handler that stops it.
        self._thread = threading.Thread(target=run, name="langcache-portal", daemon=True)
        self._thread.start()
        self._loop, self._blocking = started.result()
        return self._loop


class _Exit(NamedTuple):
    error: BaseException


async def _contained(work: Coroutine[Any, Any, T]) -> T | _Exit:
    # Raised out of a task, these two would end the event loop, and every other call with it.
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:
        return _Exit(error)


def warn_if_blocking(method: str) -> None:
    """Say once if a blocking call is about to hold up a running event loop."""
    global _warned
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if not _warned:
        _warned = True
        warnings.warn(
            f"LangCache.{method}() blocks the running event loop; there, await {method}_async() "
            "or use AsyncLangCache",
            RuntimeWarning,
            stacklevel=3,
        )


_warned = False
_portals: weakref.WeakSet[Portal] = weakref.WeakSet()
_inherited: list[object] = []


def _stop_all() -> None:
    for portal in list(_portals):
        portal.close()


def _leave_to_parent() -> None:
    # The parent's loop does not run in a forked child, but shares its sockets and its epoll with it: to stop,
    # close or collect it here would disturb the parent. It is kept untouched, and the next call starts anew.
    for portal in list(_portals):
        _inherited.append(dict(vars(portal)))
        portal._reset()


atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
