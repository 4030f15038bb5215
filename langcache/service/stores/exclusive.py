"""One thread at a time, for entries in memory that an event loop and other threads use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ..._portal.native import new_lock

__all__ = ["Exclusive"]

P = ParamSpec("P")
T = TypeVar("T")


class Exclusive:
    """Lets one thread at a time call a function, which takes some milliseconds at most.

    The lock is one of the operating system: under gevent, no other greenlet runs while it is held.
    """

    def __init__(self) -> None:
        self._lock = new_lock()
        self._inside: set[int] = set()
        """The threads that hold the lock or wait for it."""

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function while no other thread does, and return its result."""
        thread = threading.get_ident()
        try:
            self._inside.add(thread)  # before the lock, since a signal may come as soon as it is held
            with self._lock:
                return function(*args, **kwargs)
        finally:
            self._inside.discard(thread)

    @property
    def is_busy(self) -> bool:
        """Whether `run` would have to wait for another thread."""
        return self._lock.locked()

    @property
    def is_held_here(self) -> bool:
        """Whether this code interrupts `run` in its own thread, as a signal handler does or a finalizer.

        It must not wait for `run` then, which would go on only afterwards.
        """
        return threading.get_ident() in self._inside
