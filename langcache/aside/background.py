"""Work in the background of calls: in tasks of the asyncio client, in daemon threads of the blocking one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial
from typing import Any, cast

from .._portal.tasks import result_or_exit
from .computing import run_to_end
from .flight import Flight

__all__ = ["Background", "with_copied_arguments"]


class Background:
    """The work of one kind that goes on in the background of one client's calls.

    Args:
        most: how much may go on at once.
        blocking: whether the client is the blocking one.
        name: of the threads.
    """

    def __init__(self, most: int, name: str, *, blocking: bool) -> None:
        self._most = most
        self._name = name
        self._blocking = blocking
        self._tasks: set[asyncio.Task[Any]] = set()
        self._threads: set[threading.Thread] = set()

    def __bool__(self) -> bool:
        return bool(self._tasks or self._threads)

    def begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Begin some work, with the context variables of the call. Returns False if there is too much."""
        tasks, threads = self._tasks, self._threads
        if len(tasks) + len(threads) >= self._most:
            # Tasks of an event loop that was closed never end.
            tasks.difference_update([task for task in tasks if task.get_loop().is_closed()])
        if len(tasks) + len(threads) >= self._most:
            return False
        context = copy_context()
        context.run(Flight.exit_to, None)  # it is no part of the flight of the call, which ends before it
        if not self._blocking:
            task = context.run(asyncio.get_running_loop().create_task, result_or_exit(work))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            return True

        def run() -> None:
            try:
                context.run(run_to_end, work())
            finally:
                threads.discard(thread)

        thread = threading.Thread(target=run, name=self._name, daemon=True)
        threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is exiting, or there are too many threads
            threads.discard(thread)
            return False
        return True

    async def drain(self, timeout: float) -> None:
        """Wait for the tasks of this event loop. Those not done after ``timeout`` seconds are cancelled.

        It waits as long again for them to end.
        """
        loop = asyncio.get_running_loop()
        tasks = [task for task in self._tasks if task.get_loop() is loop]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=timeout)

    def join(self, deadline: float) -> None:
        """Wait for the threads, until ``deadline`` of `time.monotonic`. Those not done then go on."""
        for thread in list(self._threads):
            if thread is not threading.current_thread():
                thread.join(max(deadline - time.monotonic(), 0))

    def clear(self) -> None:
        """Forget all, in a forked child: it goes on only in the parent."""
        self._tasks.clear()
        self._threads.clear()


def with_copied_arguments(compute: Any) -> Any:
    """A partial with copies of the lists, dicts and sets in its arguments, which may change later.

    What is nested too deep for that is left as it is.
    """
    try:
        return _copied(compute, {})
    except RecursionError:
        return compute


def _copied(value: Any, made: dict[int, Any]) -> Any:
    """A copy. ``made`` has those made so far, so that what is in two places, or in itself, is copied once."""
    kind: Any = cast("Any", type(value))
    if kind not in _COPIED:
        return value
    if id(value) in made:
        return made[id(value)]
    if kind is dict:
        copy: dict[Any, Any] = {}
        made[id(value)] = copy
        copy.update((name, _copied(item, made)) for name, item in value.items())
        return copy
    if kind is list:
        items: list[Any] = []
        made[id(value)] = items
        items.extend(_copied(item, made) for item in value)
        return items
    if kind is partial:
        arguments = [_copied(argument, made) for argument in value.args]
        keywords = {name: _copied(argument, made) for name, argument in value.keywords.items()}
        made[id(value)] = partial(_copied(value.func, made), *arguments, **keywords)
    else:
        rest = [_copied(item, made) for item in value]
        made[id(value)] = set(rest) if kind is set else tuple(rest)
    return made[id(value)]


_COPIED = frozenset({partial, dict, list, tuple, set})
