"""One HTTP client for each event loop: made when first asked for, closed with the loop or with its owner."""

from __future__ import annotations

import asyncio
import os
import threading
import types
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import nullcontext, suppress
from typing import Any

from .connections import ReplyClient
from .forks import leave_to_parent
from .loops import running_loop
from .pool import ignore_unclosed

__all__ = ["LoopClients"]

# An event loop holds its clients, so that they are garbage together. A table of all loops would keep each of
# them alive, since a client refers to its loop.
_ATTRIBUTE = "_langcache_clients"

_loops: set[weakref.ref[asyncio.AbstractEventLoop]] = set()
"""The event loops that hold clients, or have held some."""


class LoopClients:
    """The HTTP clients of one owner, one for each event loop that asked for one.

    A client is closed when

    - its owner closes it, or is collected: by the event loop, in its next turn;
    - the event loop is closed, in whatever way: under ``asyncio.run``, by ``loop.close()``, or because it is
      collected;
    - the thread that ran the loop has ended, and any owner makes a client.

    Args:
        make: makes a client, inside the event loop that will use it.
    """

    def __init__(self, make: Callable[[], ReplyClient]) -> None:
        self._make = make
        self._token = object()
        weakref.finalize(self, _discard, self._token).atexit = False

    def get(self) -> ReplyClient | None:
        """The client for the running event loop, None if there is none."""
        entry = getattr(running_loop(), _ATTRIBUTE, _NONE).get(self._token)
        return None if entry is None else entry.client

    async def make(self) -> ReplyClient:
        """Make a client for the running event loop."""
        _close_those_of_ended_threads()
        clients = _clients_of(running_loop())
        client = self._make()
        scope = _scope(client, clients, self._token)
        clients[self._token] = _Entry(client, scope)
        await scope.__anext__()
        return client

    async def aclose(self) -> None:
        """Close the client of the running event loop, and wait for it; `discard` the others."""
        entry = getattr(running_loop(), _ATTRIBUTE, _NONE).pop(self._token, None)
        self.discard()
        if entry is not None:
            await entry.scope.aclose()

    def discard(self) -> None:
        """Let each event loop close its client in its next turn. May be called in any thread."""
        _discard(self._token)


class _Entry:
    """A client of one event loop, and the generator that closes it at the end of the loop."""

    def __init__(self, client: ReplyClient, scope: AsyncGenerator[None, None]) -> None:
        self.client = client
        self.scope = scope
        self.thread = threading.current_thread()
        self._closing: asyncio.Task[Any] | None = None

    def close_in(self, loop: asyncio.AbstractEventLoop, clients: _Clients) -> None:
        """Close the client without waiting, in the loop's own thread."""
        closing = self.scope.aclose()
        if self.client.close_soon():
            # Not in a task, which would be destroyed unfinished if the loop were closed now.
            with suppress(StopIteration, RuntimeError):
                closing.send(None)
            loop.call_soon(clients.pop, self, None)  # after the turn in which the connections are closed
        else:
            self._closing = loop.create_task(closing)
            self._closing.add_done_callback(lambda _: clients.pop(self, None))


_Clients = dict[object, _Entry]
"""The clients of one loop. Keys are the tokens of their owners; one that is being closed is its own key."""

_NONE: _Clients = {}


def _clients_of(loop: asyncio.AbstractEventLoop) -> _Clients:
    clients: _Clients | None = getattr(loop, _ATTRIBUTE, None)
    if clients is None:
        clients = {}
        setattr(loop, _ATTRIBUTE, clients)
        # Many programs close a loop without closing its generators first, and after that it is too late.
        setattr(loop, "close", types.MethodType(_close_loop, loop))  # noqa: B010
        _loops.add(weakref.ref(loop, _loops.discard))
    return clients


async def _scope(client: ReplyClient, clients: _Clients, token: object) -> AsyncGenerator[None, None]:
    """A generator that lasts as long as the client is open. ``asyncio.run`` closes it at its end."""
    try:
        yield
    finally:
        await client.aclose()
        entry = clients.get(token)
        if entry is not None and entry.client is client:
            del clients[token]


def _close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """The ``close`` of a loop that holds clients: it closes them as well."""
    clients: _Clients = {}
    if not loop.is_running():  # or it refuses to be closed
        vars(loop).pop("close", None)  # it refers to the loop, which otherwise only the collector could free
        clients = getattr(loop, _ATTRIBUTE)
        for entry in list(clients.values()):
            entry.client.close_soon()
    with ignore_unclosed(loop) if clients else nullcontext():
        type(loop).close(loop)
    for entry in list(clients.values()):
        entry.client.close_sockets(loop_is_closed=True)
    clients.clear()


def _discard(token: object) -> None:
    for loop, clients in _all_clients():
        entry = clients.pop(token, None)
        if entry is not None:
            clients[entry] = entry  # until it is closed, in case that the loop is closed before its next turn
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(entry.close_in, loop, clients)


def _close_those_of_ended_threads() -> None:
    for loop, clients in _all_clients():
        for token, entry in list(clients.items()):
            if not (entry.thread.is_alive() or loop.is_running() or loop.is_closed()):
                with suppress(KeyError):  # another thread is doing the same
                    del clients[token]
                    clients[entry] = entry
                    entry.close_in(loop, clients)
                    entry.client.close_sockets(loop_is_closed=False)


def _all_clients() -> list[tuple[asyncio.AbstractEventLoop, _Clients]]:
    loops = [loop for ref in list(_loops) if (loop := ref()) is not None]
    return [(loop, getattr(loop, _ATTRIBUTE)) for loop in loops]


def _start_anew_in_child() -> None:
    for _, clients in _all_clients():
        if clients:
            leave_to_parent(dict(clients))
            clients.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew_in_child)
