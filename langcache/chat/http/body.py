"""The body of a stream that the provider sends, read by way of the cache."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Protocol

from .codec import NotShared, Piece
from .running import Running

__all__ = ["StreamBody"]


class Source(Protocol):
    """Where a stream comes from."""

    rest: Any
    """What comes after the last event, if the reader is to read it."""

    error: Exception | None
    """The error of the HTTP client."""

    async def detach(self) -> None:
        """Close what is left open."""
        ...


class StreamBody:
    """Reads a stream of answers that the provider's reply is the source of."""

    def __init__(self, source: Source, run: Running, stream: Any) -> None:
        self._source = source
        self._run = run
        self._stream = stream
        self._last: Piece | None = None
        self._rest: AsyncIterator[bytes] | None = None

    async def read(self) -> bytes:
        """The next bytes. Raises `StopAsyncIteration` at the end, and what the HTTP client raises."""
        while self._rest is None:
            try:
                data = await self._next()
            except NotShared:
                error = self._source.error
                assert error is not None
                raise error from error.__cause__
            if data:
                return data
        return await anext(self._rest)

    async def _next(self) -> bytes:
        """The bytes of all events that are there. The last one comes alone, when what it ends is stored."""
        pieces: list[Piece] = []
        if self._last is None:
            pieces = await self._run.next_items(self._stream)
            if pieces[-1].ends:
                self._last = pieces.pop()
        if pieces:
            return b"".join([piece.data for piece in pieces])
        assert self._last is not None
        self._rest = self._source.rest
        with suppress(StopAsyncIteration):  # it is stored by the time that the stream ends
            await self._run.next(self._stream)
        return self._last.data

    async def close(self) -> None:
        """Stop reading."""
        try:
            await self._run.close(self._stream)
            if self._rest is not None:
                await self._run.drain(self._rest)
        finally:  # also if the caller is cancelled meanwhile
            await self._source.detach()
