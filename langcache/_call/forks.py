"""What a forked child does with what it inherits: nothing, for ever."""

from __future__ import annotations

from contextlib import suppress

_inherited: list[object] = []


def leave_to_parent(thing: object) -> None:
    """Keep a thing from ever being closed or collected in this process.

    An event loop and its connections share their sockets and their epoll with the parent: whatever is done
    about them in the child, even to collect them when it exits, would disturb the parent or crash the child.
    """
    _inherited.append(thing)
    with suppress(ImportError, AttributeError):  # not CPython, or without ctypes
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))  # the list goes when the interpreter exits
