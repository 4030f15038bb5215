"""The classes that the clients of httpx and httpx2 ask for, each of which takes its own alone."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, Protocol

from ...aside.computing import run_to_end

__all__ = ["Body", "body_types", "transport_for"]


class Body(Protocol):
    """The bytes of a reply that is coming in."""

    async def read(self) -> bytes:
        """The next of them. Raises `StopAsyncIteration` at the end."""
        ...

    async def close(self) -> None:
        """Stop reading."""
        ...


@cache
def body_types(module: Any) -> tuple[Any, Any]:
    """The classes of a body for a module, httpx or httpx2, whose clients ask for instances of its own."""

    class AsyncBytes(module.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, body: Body) -> None:
            self._body = body

        def __aiter__(self) -> AsyncBytes:
            return self

        async def __anext__(self) -> bytes:
            return await self._body.read()

        async def aclose(self) -> None:
            await self._body.close()

    class Bytes(module.SyncByteStream):  # type: ignore[misc]
        def __init__(self, body: Body) -> None:
            self._body = body

        def __iter__(self) -> Bytes:
            return self

        def __next__(self) -> bytes:
            try:
                return run_to_end(self._body.read())
            except StopAsyncIteration:
                raise StopIteration from None

        def close(self) -> None:
            run_to_end(self._body.close())

    return AsyncBytes, Bytes


def transport_for(
    module: Any, name: str, answer: Callable[[Any], Coroutine[Any, Any, Any]], owned: Any
) -> Any:
    """The transport of a client of httpx or httpx2.

    Args:
        module: which of the two.
        name: ``"AsyncClient"`` or ``"Client"``.
        answer: gives the reply to a request.
        owned: a client that is closed together with the transport, or None.
    """

    class AsyncTransport(module.AsyncBaseTransport):  # type: ignore[misc]
        async def handle_async_request(self, request: Any) -> Any:
            return await answer(request)

        async def aclose(self) -> None:
            if owned is not None:
                await owned.aclose()

    class BlockingTransport(module.BaseTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            return run_to_end(answer(request))

        def close(self) -> None:
            if owned is not None:
                owned.close()

    return AsyncTransport() if name == "AsyncClient" else BlockingTransport()
