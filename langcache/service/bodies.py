"""Bodies of requests and replies, within limits of time and size; what is large takes turns."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import TypeVar, cast

from aiohttp import web

from .connections import Connection
from .problems import Problem

__all__ = ["Bodies", "leave_for_later"]

T = TypeVar("T")
ArgumentT = TypeVar("ArgumentT")

_LARGE_BYTES = 16 * 1024
"""Decoding a larger body, or encoding a larger reply, takes long enough to let others come in between."""

_LARGE_AT_ONCE = 16
"""How many large bodies, and how many large replies, are in memory at once."""

_MOST_TIMES = 100
"""A body of more than `_FREE_BYTES` may not be larger than this many times what came in for it."""

_FREE_BYTES = 1024 * 1024
_SLICE_BYTES = 64 * 1024

_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class Bodies:
    """Reads bodies, and lets large ones take turns.

    What takes long runs in the event loop all the same: decoding JSON holds Python's lock, so that a thread
    would hold up the loop just as well.
    """

    def __init__(self) -> None:
        self._in_memory = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._replies = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._turn = asyncio.Lock()

    async def read(self, request: web.Request, most: int, decode: Callable[[bytes], T]) -> T:
        """The body of a request, decoded. ``most`` is how many bytes it may have, unpacked or not.

        Raises `Problem` with a 413 or 415, and whatever ``decode`` raises.
        """
        encoding = _encoding(request)
        _check_size(request.content_length or 0, most)
        connection = cast(Connection, request.protocol)
        content = request.content
        body = bytearray()
        large = False
        connection.begin_body(content)
        try:
            await _continue(request)
            start = connection.received - content.total_bytes
            while chunk := await content.readany():
                body += chunk
                _check_size(len(body), most)
                if len(body) > _LARGE_BYTES and not large:
                    await self._in_memory.acquire()
                    large = True
                if not content.is_eof():
                    if connection.received - start > _LARGE_BYTES + 4 * content.total_bytes:
                        raise Problem(400, "the body can't be read: it comes in too many chunks, too small")
                    await asyncio.sleep(0)
            connection.begin_reply()
            if encoding is not None:
                body = await _unpack(body, encoding, most)
            return await self._in_turn(len(body), decode, bytes(body))
        finally:
            if large:
                self._in_memory.release()

    async def reply(
        self, request: web.Request, size: int, encode: Callable[[ArgumentT], T], model: ArgumentT
    ) -> T:
        """A model, encoded as the reply to a request. ``size`` is about how many bytes that makes."""
        if size <= _LARGE_BYTES:
            return encode(model)
        await self._replies.acquire()
        try:
            reply = await self._in_turn(size, encode, model)
        except BaseException:
            self._replies.release()
            raise
        cast(Connection, request.protocol).when_replied(self._replies.release)
        return reply

    async def _in_turn(self, size: int, work: Callable[[ArgumentT], T], argument: ArgumentT) -> T:
        """``work(argument)``, which takes as long as ``size`` bytes take. What is large takes turns."""
        if size <= _LARGE_BYTES:
            return work(argument)
        async with self._turn:
            await asyncio.sleep(0)  # the loop sees to everything else before each
            return work(argument)


async def leave_for_later(request: web.Request) -> None:
    """Say nothing yet to a client that asks before it sends a body (``Expect``): `Bodies.read` does."""


async def _continue(request: web.Request) -> None:
    expected = request.headers.get("Expect")
    if expected is None:
        return
    if expected.strip().lower() != "100-continue":
        raise Problem(417, "the only Expect that is understood is 100-continue")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # of the reply, nothing is sent


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise Problem(413, f"the body is too large: it may have {most} bytes")


def _encoding(request: web.Request) -> str | None:
    named = ",".join(request.headers.getall("Content-Encoding", ())).strip().lower()
    if named in ("", "identity"):
        return None
    if named not in _WINDOW_BITS:
        raise Problem(415, "the body's Content-Encoding is none that is understood: gzip or deflate, once")
    return named


async def _unpack(packed: bytearray, encoding: str, most: int) -> bytearray:
    """Unpack a body, a slice at a time, and no further than it may be large."""
    bits = _WINDOW_BITS[encoding]
    if encoding == "deflate" and packed and packed[0] & 0xF != 8:
        bits = -bits  # some send it without the header that is due
    unpacker = zlib.decompressobj(bits)
    body = bytearray()
    most = min(most, max(_FREE_BYTES, _MOST_TIMES * len(packed)))
    for start in range(0, len(packed), _SLICE_BYTES):
        piece: bytes | bytearray = packed[start : start + _SLICE_BYTES]
        while piece:
            try:
                body += unpacker.decompress(piece, _SLICE_BYTES)
            except zlib.error:
                raise _unreadable() from None
            _check_size(len(body), most)
            piece = unpacker.unconsumed_tail
            await asyncio.sleep(0)
        if unpacker.unused_data:
            raise _unreadable()
    body += unpacker.flush()
    _check_size(len(body), most)
    if packed and not unpacker.eof:
        raise _unreadable()
    return body


def _unreadable() -> Problem:
    return Problem(400, "the body can't be read: its encoding is not what the headers say")
