"""Runs functions that block in daemon threads, for which neither an event loop nor the interpreter waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import TypeVar

__all__ = ["run_in_thread"]

T = TypeVar("T")

_MAX_THREADS = 64
_threads: set[threading.Thread] = set()
_lock = threading.Lock()


async def run_in_thread(function: Callable[[], T]) -> T:
    """Call a function in a thread of its own, with the context variables of this task.

    If the task is cancelled, the function runs on and its result is dropped. Unlike `asyncio.to_thread`, one
    that never returns keeps no other from running, and does not keep the program from ending. Raises
    `RuntimeError` if 64 are running.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[tuple[T, None] | tuple[None, BaseException]] = loop.create_future()
    context = copy_context()

    def deliver(result: tuple[T, None] | tuple[None, BaseException]) -> None:
        if not outcome.done():
            outcome.set_result(result)

    def run() -> None:
        # The error is delivered as a value: a future can't hold a StopIteration.
        result: tuple[T, None] | tuple[None, BaseException]
        try:
            result = context.run(function), None
        except BaseException as error:
            result = None, error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(deliver, result)

    thread = threading.Thread(target=run, name="langcache-worker", daemon=True)
    with _lock:
        # Not a count, which would be wrong in a forked child, where the threads are gone.
        _threads.difference_update([other for other in _threads if not other.is_alive()])
        if len(_threads) >= _MAX_THREADS:
            raise RuntimeError(f"{_MAX_THREADS} functions that are not async are running already")
        thread.start()
        _threads.add(thread)
    value, error = await outcome
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # pyright: ignore[reportReturnType]
