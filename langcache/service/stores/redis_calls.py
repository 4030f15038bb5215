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
_BYTES = 16 * 1024
"""How many commands make a batch, and how many bytes: a call that comes later waits for no more. These are
some eight entries of 1 KB. Redis answers a batch as a whole, so with larger ones the service would wait while
Redis adds entries to an HNSW index, and Redis while the service goes on."""


class Call:
    """Some commands that go out together, in their order."""

    __slots__ = ("again", "commands", "follows", "last", "replies", "size")

    def __init__(
        self,
        commands: Sequence[Command],
        *,
        last: Command | None = None,
        again: bool = True,
        size: int = 0,
        follows: bool = False,
    ) -> None:
        self.commands: Sequence[Command] = commands
        self.last: Command | None = last
        self.again: bool = again
        """Whether making it twice does what making it once does."""
        self.size: int = size
        self.follows: bool = follows
        """Whether it has to be made after all others of its batch, also if some of them are made again."""
        self.replies: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()


class Calls:
    """Sends commands to one server. All methods are called in one event loop.

    Args:
        send: sends calls that make one batch, and gives the replies to the commands of each, with exceptions
            for commands that Redis refuses. What it raises fails every call of the batch.
        reason: the `StoreError` for what ``send`` raises.
        seconds: how long a call may take, with the time that it waits for others.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Call]], Awaitable[list[list[Any]]]],
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

    async def __call__(
        self, *commands: Command, last: Command | None = None, again: bool = True, size: int = 0
    ) -> list[Any]:
        """The replies to commands. One that Redis refuses has an exception of redis-py as its reply.

        ``last`` is a command that is sent after them; calls that go out together and have the same one share
        it. ``again`` says whether the commands may be sent twice. ``size`` is about how many bytes they have.
        Raises `StoreError` if there is no reply in time: then nobody knows whether the commands were carried
        out.
        """
        if self._closed:
            raise StoreError("the connection to Redis is closed")
        call = Call(commands, last=last, again=again, size=size)
        self._waiting.append(call)
        self._begin_soon()
        # Not wait_for, which costs a task up to Python 3.11, and a coroutine later.
        deadline = asyncio.get_running_loop().call_later(self._seconds, self._give_up, call)
        try:
            return await call.replies
        finally:
            deadline.cancel()

    async def close(self) -> None:
        """Finish the calls that there are, and take no more."""
        self._closed = True
        self._begin()
        while self._batches:  # the end of one begins the next
            await asyncio.wait(self._batches)

    def _give_up(self, call: Call) -> None:
        if not call.replies.done():
            call.replies.set_exception(StoreError(f"Redis has not answered within {self._seconds:g} s"))

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
        lasts = dict.fromkeys(call.last for call in batch if call.last is not None)
        sent = [*batch, Call([*lasts], follows=True)] if lasts else batch
        try:
            # A moment longer than any call of it, so that the deadline of none is shortened.
            replies = await asyncio.wait_for(self._send(sent), self._seconds + 1)
        except BaseException as error:
            for call in batch:
                if not call.replies.done():
                    call.replies.set_exception(self._reason(error))
            if not isinstance(error, Exception):
                raise
            return
        shared = dict(zip(lasts, replies[-1], strict=True)) if lasts else {}
        for call, of_call in zip(batch, replies, strict=False):
            if not call.replies.done():
                call.replies.set_result(of_call if call.last is None else [*of_call, shared[call.last]])
