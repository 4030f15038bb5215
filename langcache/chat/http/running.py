"""How an exchange is run: on the event loop, or in the thread that called, without suspending."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, TypeAlias

from ..._call.deadlines import time_limit
from ...aside.computing import run_to_end
from ...aside.streams import read_ahead
from .classes import Body, body_types

__all__ = ["InLoop", "InThread", "Running"]

_AHEAD = 64
"""How many pieces of a reply are read before they are asked for, if they are there."""

_AT_ONCE = 0.01
"""Seconds that the end of a reply may take after its last event."""


class InLoop:
    """For an `AsyncLangCache` and an HTTP client that is async."""

    async def send(self, client: Any, request: Any) -> Any:
        """Send a request with an HTTP client; redirects and authentication are left to the one around it."""
        return await client.send(request, stream=True, auth=None, follow_redirects=False)

    async def read(self, response: Any) -> bytes:
        """The whole content of a reply."""
        content: bytes = await response.aread()
        return content

    def chunks(self, response: Any) -> AsyncIterator[bytes]:
        """The content of a reply as it comes in."""
        chunks: AsyncIterator[bytes] = response.aiter_bytes()
        return chunks

    async def close(self, closed: Any) -> None:
        """Close a reply or a stream of answers."""
        await closed.aclose()

    async def get_or_set(self, get_or_set: Any, body: Any, fetch: Any, **options: Any) -> Any:
        """The cache's own, with a coroutine function."""
        return await get_or_set(body, fetch, **options)

    def get_or_stream(self, get_or_stream: Any, body: Any, source: Any, **options: Any) -> Any:
        """The cache's own, with an async generator function."""
        stream = get_or_stream(body, source, **options)
        read_ahead(stream, _AHEAD)
        return stream

    async def look_up(self, stream: Any) -> Any:
        """The lookup of a stream of answers."""
        return await stream.look_up()

    async def next(self, stream: Any) -> Any:
        """The next item of a stream of answers. Raises `StopAsyncIteration` at the end."""
        return await anext(stream)

    async def next_items(self, stream: Any) -> list[Any]:
        """The next item of a stream of answers, and those that are there already. Raises as `next` does."""
        items: list[Any] = await stream.next_chunks()
        return items

    async def drain(self, chunks: AsyncIterator[bytes]) -> None:
        """Read what is left of a reply that has said all, if it comes at once: with that its connection can
        be used again. Raises nothing."""
        with suppress(Exception):
            async with time_limit(_AT_ONCE):
                async for _ in chunks:
                    pass

    def stream_of(self, module: Any, body: Body) -> Any:
        """The bytes as httpx takes them."""
        return body_types(module)[0](body)


class InThread:
    """For a `LangCache` and an HTTP client that blocks. No coroutine suspends; see `run_to_end`."""

    async def send(self, client: Any, request: Any) -> Any:
        return client.send(request, stream=True, auth=None, follow_redirects=False)

    async def read(self, response: Any) -> bytes:
        content: bytes = response.read()
        return content

    def chunks(self, response: Any) -> AsyncIterator[bytes]:
        return _Chunks(response.iter_bytes())

    async def close(self, closed: Any) -> None:
        closed.close()

    async def get_or_set(
        self, get_or_set: Any, body: Any, fetch: Callable[[Any], Coroutine[Any, Any, Any]], **options: Any
    ) -> Any:
        def make(body: Any) -> Any:
            return run_to_end(fetch(body))

        return get_or_set(body, make, **options)

    def get_or_stream(
        self,
        get_or_stream: Any,
        body: Any,
        source: Callable[[Any], AsyncGenerator[Any, None]],
        **options: Any,
    ) -> Any:
        def make(body: Any) -> Iterator[Any]:
            return _items(source(body))

        return get_or_stream(body, make, **options)

    async def look_up(self, stream: Any) -> Any:
        return stream.look_up()

    async def next(self, stream: Any) -> Any:
        return await anext(_Chunks(stream))

    async def next_items(self, stream: Any) -> list[Any]:
        return [await self.next(stream)]

    async def drain(self, chunks: AsyncIterator[bytes]) -> None:
        """Reads nothing, since how long it would block is not known."""

    def stream_of(self, module: Any, body: Body) -> Any:
        return body_types(module)[1](body)


Running: TypeAlias = InLoop | InThread


class _Chunks(AsyncIterator[Any]):
    """The items of an iterator, without suspending."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items

    async def __anext__(self) -> Any:
        for item in self._items:
            return item
        raise StopAsyncIteration


def _items(source: AsyncGenerator[Any, None]) -> Iterator[Any]:
    """The items of an async generator that never suspends."""
    try:
        while True:
            try:
                item = run_to_end(source.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        run_to_end(source.aclose())
