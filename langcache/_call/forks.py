"""Objects that a forked child inherits and must never close or collect."""

from __future__ import annotations

from contextlib import suppress

_inherited: list[object] = []


def leave_to_parent(thing: object) -> None:
    """Keep an object from ever being closed or collected in this process.

    An event loop and its connections share their sockets and their epoll with the parent process. Closing or
    collecting them in the child, even at its exit, would disturb the parent or crash the child.
    """
    _inherited.append(thing)
    with suppress(ImportError, AttributeError):  # not CPython, or without ctypes
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))  # the list is freed when the interpreter exits
