"""A stream that is being computed or replayed in a task, for all calls that read it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from inspect import isawaitable
from typing import Any, Generic, TypeVar

from .._portal.tasks import ResultOrExit, result_or_exit
from .answers import CacheStatus, Lookup
from .core import Aside
from .flight import CannotFollow, Flight, LeaderLeft
from .lookups import DRY_RUN
from .question import Question
from .usage import Usage

__all__ = ["SharedStream"]

C = TypeVar("C")


class SharedStream(Flight, Generic[C]):
    """One source, read once for all readers, no further ahead of the fastest reader than is allowed."""

    def __init__(
        self,
        aside: Aside,
        question: Question[list[C]],
        source: Callable[[], Any],
        ahead: int,
        authorization: str | None,
        lookup: Lookup | None,
    ) -> None:
        super().__init__()
        self.lookup: Lookup | None = None
        self.chunks: list[C] = []
        self.usage: Usage | None = None
        self._aside = aside
        self._hidden_hit: Lookup | None = None
        if lookup is not None:
            self._set_lookup(lookup)
        self._question = question
        self._source = source
        self._authorization = authorization
        self._ahead = ahead
        self._wanted = 0
        """How many chunks a reader has asked for."""
        self._asked = asyncio.Event()
        self._changed = asyncio.Event()
        self._producer: asyncio.Task[ResultOrExit[None]]

    @property
    def is_joinable(self) -> bool:
        """Whether another reader may join."""
        return self.participants > 0 and not self._producer.done()

    def begin(self, stream_key: object) -> None:
        """Start the task that produces the stream, and make the stream known to other readers."""
        streams = self._aside.state.streams
        streams[stream_key] = self

        def ended(task: asyncio.Task[ResultOrExit[None]]) -> None:
            self._changed.set()
            if streams.get(stream_key) is self:
                del streams[stream_key]
            if not task.cancelled():
                task.exception()  # marks it as retrieved: the readers raise it, if there are any left

        self._producer = asyncio.get_running_loop().create_task(result_or_exit(self._produce))
        self._producer.add_done_callback(ended)

    async def wait_for_lookup(self, timeout: float | None) -> Lookup:
        """Wait for the outcome of the lookup. Raises `CannotFollow` after ``timeout`` seconds."""
        while self.lookup is None:
            await self._wait_for_change(timeout)
        return self.lookup

    async def has_chunk(self, index: int, timeout: float | None) -> bool:
        """Whether there is a chunk at this index, at most one past the last; waits for it if it is the next.

        Raises `CannotFollow` if none comes within ``timeout`` seconds.
        """
        if index >= self._wanted:
            self._wanted = index + 1
            self._asked.set()
        while index >= len(self.chunks):
            if self._producer.done():
                self._raise_failure()
                return False
            await self._wait_for_change(timeout)
        return True

    def leave(self, outer: Flight | None) -> None:
        """Remove a reader; the last one has the source closed."""
        self.remove_participant(outer)
        if not self.participants:
            self._producer.cancel()

    async def closed(self) -> None:
        """Wait until the source is closed, if no reader is left."""
        if not self.participants:
            await asyncio.wait([self._producer])

    async def _wait_for_change(self, timeout: float | None) -> None:
        if self._producer.done():
            self._raise_failure()
        try:
            if timeout is None:
                await self._changed.wait()
            else:
                await asyncio.wait_for(self._changed.wait(), timeout)
        except (asyncio.TimeoutError, TimeoutError) as error:
            raise CannotFollow(timed_out=True) from error

    def _raise_failure(self) -> None:
        """Raise the error of the source or the lookup, or `LeaderLeft`; do nothing if they succeeded."""
        if self._producer.cancelled() or (not self._producer.exception() and self._producer.result().is_exit):
            raise LeaderLeft
        self._producer.result()

    def interruption(self) -> BaseException:
        """The cancellation, SystemExit or KeyboardInterrupt of the source, for the reader that began it."""
        try:
            self._producer.result().get()
        except BaseException as error:
            return error
        return asyncio.CancelledError()

    async def _produce(self) -> None:
        self.enter()
        if self.lookup is None:
            self._set_lookup(await self._aside.lookups.look_up(self._question, self._authorization))
            self._notify()
        assert self.lookup is not None
        await self._until_asked(ahead=0)
        aside, question, shadowing = self._aside, self._question, self._aside.shadowing
        if self.lookup.status is CacheStatus.HIT:
            self.usage = aside.accounts.usage_of(question, self.lookup.value)
            if self.lookup.stale or shadowing is not None:
                compute = partial(_collected, self._source)
                await aside.after_hit(question, self.lookup, compute, self._authorization)
            self.chunks.extend(self.lookup.value)
            return
        chunks = await _begun(self._source)
        try:
            async for chunk in chunks:
                await self._publish(chunk)
            await self._until_asked(ahead=0)
        finally:
            await _close(chunks)
        self.usage = aside.accounts.spent(question, list(self.chunks))
        if shadowing is not None and self._hidden_hit is not None:
            await shadowing.after_dry_run(question, self._hidden_hit, list(self.chunks))
        elif self.lookup.status is CacheStatus.MISS:
            await aside.stores.store(question, list(self.chunks))

    def _set_lookup(self, lookup: Lookup) -> None:
        if lookup.hit and self._aside.is_dry_run:
            self._hidden_hit, lookup = lookup, DRY_RUN
        self.lookup = lookup

    async def _publish(self, chunk: C) -> None:
        if not self.participants:
            raise asyncio.CancelledError  # the source caught the one that told it to stop
        self.chunks.append(chunk)
        self._notify()
        await self._until_asked(self._ahead)

    async def _until_asked(self, ahead: int) -> None:
        """Wait until a reader asks for the next chunk, or for one at most so many before it."""
        while self._wanted + ahead <= len(self.chunks):
            self._asked.clear()
            await self._asked.wait()

    def _notify(self) -> None:
        """Wake all who wait for a change now; before Python 3.12 a task of theirs may not have begun to."""
        self._changed.set()
        self._changed = asyncio.Event()


async def _begun(source: Callable[[], Any]) -> Any:
    """The async iterable of chunks that the source gives."""
    begun = source()
    chunks = await begun if isawaitable(begun) else begun
    if not hasattr(chunks, "__aiter__"):
        raise TypeError(f"make: must give an async iterable of chunks, but gave {type(chunks).__name__}")
    return chunks


async def _collected(source: Callable[[], Any]) -> list[Any]:
    """All chunks of a source."""
    chunks = await _begun(source)
    try:
        return [chunk async for chunk in chunks]
    finally:
        await _close(chunks)


async def _close(chunks: object) -> None:
    # Otherwise a generator that is not read to its end is closed only when it is collected.
    close = getattr(chunks, "aclose", None) or getattr(chunks, "close", None)
    closing = close() if close is not None else None
    if isawaitable(closing):
        await closing
