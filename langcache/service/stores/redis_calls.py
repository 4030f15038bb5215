"""Calls of Redis: those of one turn of the event loop go out together, and each has a deadline."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from .store import StoreError

__all__ = ["Call", "Calls", "Command"]

Command = tuple[Any, ...]
"""The name of a command and its arguments: text, bytes or numbers."""

_AT_ONCE = 4
"""How many batches are under way at once, each on a connection of its own. Redis has one thread: more would
only make the batches smaller."""

_COMMANDS = 128
_BYTES = 1024 * 1024
"""How many commands make a batch, and how many bytes: a call that comes later waits for no more."""


class Call:
    """Some commands that go out together, in their order."""

    __slots__ = ("again", "commands", "replies", "size")

    def __init__(self, commands: Sequence[Command], again: bool, size: int) -> None:
        self.commands: Sequence[Command] = commands
        self.again: bool = again
        """Whether making it twice does what making it once does."""
        self.size: int = size
        self.replies: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()


class Calls:
    """Sends commands to one server. All methods are called in one event loop.

    Args:
        send: sends calls that make one batch, and gives the replies to all of their commands in order, with
            exceptions for commands that Redis refuses. What it raises fails every call of the batch.
        reason: the `StoreError` for what ``send`` raises.
        seconds: how long a call may take, with the time that it waits for others.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Call]], Awaitable[list[Any]]],
        reason: Callable[[BaseException], StoreError],
        seconds: float,
    ) -> None:
        self._send = send
        self._reason = reason
        self._seconds = seconds
        self._waiting: deque[Call] = deque()
        self._batches: set[asyncio.Task[None]] = set()
        self._begins_soon = False
        self._closed = False

    async def __call__(self, *commands: Command, again: bool = True, size: int = 0) -> list[Any]:
        """The replies to commands. One that Redis refuses has an exception of redis-py as its reply.

        Raises `StoreError` if there is no reply in time: then nobody knows whether the commands were carried
        out. ``again`` says whether they may be sent twice. ``size`` is about how many bytes they have.
        """
        if self._closed:
            raise StoreError("the connection to Redis is closed")
        call = Call(commands, again, size)
        self._waiting.append(call)
        self._begin_soon()
        try:
            return await asyncio.wait_for(call.replies, self._seconds)
        except asyncio.TimeoutError:
            raise StoreError(f"Redis has not answered within {self._seconds:g} s") from None

    async def close(self) -> None:
        """Finish the calls that there are, and take no more."""
        self._closed = True
        self._begin()
        while self._batches:  # the end of one begins the next
            await asyncio.wait(self._batches)

    def _begin_soon(self) -> None:
        if not self._begins_soon:
            self._begins_soon = True
            asyncio.get_running_loop().call_soon(self._begin)  # after other calls that are ready to be made

    def _begin(self) -> None:
        self._begins_soon = False
        while self._waiting and len(self._batches) < _AT_ONCE:
            if calls := self._next():
                batch = asyncio.get_running_loop().create_task(self._run(calls))
                self._batches.add(batch)
                batch.add_done_callback(self._end)

    def _end(self, batch: asyncio.Task[None]) -> None:
        self._batches.discard(batch)
        self._begin()

    def _next(self) -> list[Call]:
        batch: list[Call] = []
        commands = size = 0
        while self._waiting and commands < _COMMANDS and size < _BYTES:
            call = self._waiting.popleft()
            if not call.replies.done():  # else whoever made it has left, or its time is over
                batch.append(call)
                commands += len(call.commands)
                size += call.size
        return batch

    async def _run(self, batch: Sequence[Call]) -> None:
        try:
            # A moment longer than any call of it, so that the deadline of none is shortened.
            replies = await asyncio.wait_for(self._send(batch), self._seconds + 1)
        except BaseException as error:
            for call in batch:
                if not call.replies.done():
                    call.replies.set_exception(self._reason(error))
            if not isinstance(error, Exception):
                raise
            return
        start = 0
        for call in batch:
            end = start + len(call.commands)
            if not call.replies.done():
                call.replies.set_result(replies[start:end])
            start = end
