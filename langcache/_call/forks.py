"""What a forked child inherits: objects that it must never close or collect, and locks that it can take."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any

_inherited: list[object] = []

_locks: list[Any] = []
_taken: list[Any] = []
"""Those that the thread that forks has taken."""


def fork_safe_lock() -> Any:
    """A `threading.RLock` that is held during a fork, by the thread that forks.

    So a child never gets it locked by a thread that does not exist there. A fork takes these locks in the
    order in which they were made, those included that are made while it waits; both processes release them.
    """
    lock = threading.RLock()  # re-entrant: a signal handler may interrupt the thread that holds it, and fork
    _locks.append(lock)
    return lock


importing = fork_safe_lock()
"""Held to import a module of this package within a call.

A child that is forked meanwhile would wait for ever when it needs the module: the thread that was importing
it does not exist there.
"""


def _take_locks() -> None:
    for lock in _locks:
        lock.acquire()
        _taken.append(lock)


def _release_locks() -> None:
    taken = list(reversed(_taken))
    _taken.clear()  # before the next fork can take the first
    for lock in taken:
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take_locks, after_in_parent=_release_locks, after_in_child=_release_locks)


def leave_to_parent(thing: object) -> None:
    """Keep an object from ever being closed or collected in this process.

    An event loop and its connections share their sockets and their epoll with the parent process. Closing or
    collecting them in the child, even at its exit, would disturb the parent or crash the child.
    """
    _inherited.append(thing)
    with suppress(ImportError, AttributeError):  # not CPython, or without ctypes
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))  # the list is freed when the interpreter exits
