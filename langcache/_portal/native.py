"""Threads of the operating system, and waiting for them, where gevent has replaced Python's.

All that this package knows about gevent and eventlet is here. After ``gevent.monkey.patch_all()`` a
`threading.Thread` is a greenlet, and an event loop in one would keep the event loops of other greenlets of
its thread from running. So the portal gets a thread of the operating system, with parts of the standard
library as they were before the patch. What waits for it lets other greenlets run.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["OSThread", "Queue", "loop_options", "new_lock", "new_queue", "refuse_eventlet"]

T = TypeVar("T")

_NEEDED = ("threading", "select", "socket", "queue")


class Queue(Protocol[T]):
    """What is used of a `queue.SimpleQueue`."""

    def put(self, item: T, /) -> None: ...

    def get(self, block: bool = True, timeout: float | None = None) -> T: ...


def _patched_by_gevent() -> bool:
    """Whether gevent has replaced threads, or what an event loop on a thread needs."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and any(map(monkey.is_module_patched, _NEEDED))


def _original(module: str, name: str) -> Any:
    """What this name of a module of the standard library meant before gevent replaced it."""
    if (monkey := sys.modules.get("gevent.monkey")) is not None:
        return monkey.get_original(module, name)
    return getattr(import_module(module), name)


def refuse_eventlet() -> None:
    """Raise `RuntimeError` if eventlet has replaced threads; no event loop can run in one of its threads."""
    patcher: Any = sys.modules.get("eventlet.patcher")
    if patcher is not None and patcher.is_monkey_patched("thread"):
        raise RuntimeError(
            "LangCache can't run after eventlet.monkey_patch(), which turns threads into green threads; run "
            "the program with threads (gunicorn -k gthread, celery -P threads), or with gevent"
        )


def new_lock() -> threading.Lock:
    """A lock of the operating system. Holding one must not let other greenlets run."""
    lock: threading.Lock = _original("_thread", "allocate_lock")()
    return lock


def new_queue() -> Queue[Any]:
    """A queue between threads; under gevent, one whose `get` lets other greenlets run."""
    # Called for every call, so what decides it is only a look-up in the table of modules.
    if "gevent.monkey" in sys.modules and _patched_by_gevent():
        return _GreenletQueue()
    from queue import SimpleQueue  # a client that makes no call does not need it

    return SimpleQueue()


class OSThread(threading.Thread):
    """A thread of the operating system, also where a `threading.Thread` is a greenlet."""

    imports: tuple[str, ...] = ()
    """The modules that `run` imports. Under gevent, `start` imports them."""

    _ended: Queue[None] | None = None

    def start(self) -> None:
        """Start it. Raises `RuntimeError` if the system has no thread to give."""
        if not _patched_by_gevent():
            return super().start()
        # gevent has replaced the locks of imports too. When two threads import one module at once, the import
        # of one of them raises KeyError or never ends. So this thread must import nothing, and neither must
        # the hub, whose settings import modules, be made while it runs.
        for module in self.imports:
            import_module(module)
        import_module("gevent").get_hub()
        self._ended = _GreenletQueue()
        _original("_thread", "start_new_thread")(self._run_natively, ())
        return None

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most ``timeout`` seconds."""
        if self._ended is None:
            return super().join(timeout)
        from queue import Empty

        with suppress(Empty):
            self._ended.put(self._ended.get(timeout=timeout))  # for the next that waits
        return None

    def _run_natively(self) -> None:
        try:
            self.run()
        finally:
            # gevent makes a hub for a thread that makes a socket, and leaves it to the thread to destroy it.
            hub = import_module("gevent._hub_local").get_hub_if_exists()
            if hub is not None:
                hub.destroy(True)
            if self._ended is not None:
                self._ended.put(None)


def loop_options() -> dict[str, Any]:
    """The ``backend_options`` of `anyio.run` for the event loop of an `OSThread`."""
    if _patched_by_gevent():
        return {"loop_factory": _native_loop}
    return {"use_uvloop": find_spec("uvloop") is not None}


class _GreenletQueue(Generic[T]):
    """A queue for greenlets and threads of the operating system. `get` lets other greenlets run."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._watchers: deque[Any] = deque()  # one for each greenlet that waits

    def put(self, item: T, /) -> None:
        """Add an item, in any thread."""
        self._items.append(item)  # before it looks for those who wait; `get` does it the other way around
        for watcher in tuple(self._watchers):
            watcher.send()

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Take an item, as soon as there is one. Raises `queue.Empty` after ``timeout`` seconds."""
        if self._items:
            with suppress(IndexError):
                return self._items.popleft()
        from queue import Empty

        woken = import_module("gevent.event").Event()
        # Of all that gevent has, only this may be used from another thread. And a greenlet that waits for it
        # keeps its hub from taking the program for deadlocked.
        watcher = import_module("gevent").get_hub().loop.async_()
        watcher.start(woken.set)
        self._watchers.append(watcher)
        try:
            with import_module("gevent").Timeout(timeout, Empty):
                while True:
                    with suppress(IndexError):
                        return self._items.popleft()
                    woken.wait()
                    woken.clear()
        finally:
            self._watchers.remove(watcher)
            watcher.stop()


def _native_loop() -> asyncio.AbstractEventLoop:
    return _NativeLoop(_original("selectors", "DefaultSelector")())


class _NativeLoop(asyncio.SelectorEventLoop):
    """An event loop that uses no greenlets: none would ever run in its thread, which has no running hub."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        if executor is not None:
            return super().run_in_executor(executor, func, *args)
        future = self.create_future()

        def finish(result: object, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def run() -> None:
            result: object = None
            failure: BaseException | None = None
            try:
                result = func(*args)
            except BaseException as error:
                failure = error
            with suppress(RuntimeError):  # the loop is closed
                self.call_soon_threadsafe(finish, result, failure)

        thread = OSThread(target=run, name="langcache-executor", daemon=True)
        thread.start()
        return future

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        look_up = _original("socket", "getaddrinfo")
        return await self.run_in_executor(None, lambda: look_up(host, port, **options))

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> Any:
        return await self.run_in_executor(None, _original("socket", "getnameinfo"), sockaddr, flags)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        pass  # there is none; this would start a thread to wait for it
