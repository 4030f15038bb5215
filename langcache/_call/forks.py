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


def lock_of_forks() -> Any:
    """A `threading.RLock` that forks wait for, so that no child inherits it from a thread that it has not.

    They take these locks in the order in which they were made, and those too that are made while they wait.
    """
    lock = threading.RLock()  # re-entrant: a signal handler may interrupt the thread that holds it, and fork
    _locks.append(lock)
    return lock


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
