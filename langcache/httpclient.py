"""The protocol that an HTTP client of your own must satisfy to be passed as ``client=``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

import aiohttp

__all__ = ["AsyncHttpClient", "ClientSource", "HttpClient", "HttpResponse"]


@runtime_checkable
class HttpResponse(Protocol):
    """A reply, read to its end."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The reply's headers."""
        ...

    @property
    def content(self) -> bytes:
        """The body, decompressed."""
        ...


@runtime_checkable
class AsyncHttpClient(Protocol):
    """An HTTP client: it sends a request and reads the reply.

    It raises `langcache.errors.RequestError` or a subclass when no reply comes; a built-in `TimeoutError` or
    `OSError` is converted to one. It must not follow redirects to another host with the headers it was given.
    """

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout: float | None,
    ) -> HttpResponse:
        """Send a request and read the reply.

        Args:
            method: the HTTP method.
            url: the whole URL, already percent-encoded.
            headers: every header to send, including the API key.
            content: the body, or None.
            timeout: seconds for the whole exchange; None for the client's own timeouts.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections. Called only on a client that a callable made (see `ClientSource`)."""
        ...


HttpClient: TypeAlias = AsyncHttpClient
"""The type of ``client=`` of `langcache.LangCache`, which runs it in an event loop as well."""

ClientSource: TypeAlias = (
    aiohttp.ClientSession | AsyncHttpClient | Callable[[], aiohttp.ClientSession | AsyncHttpClient]
)
"""What ``client=`` takes: a session or client, or a callable that makes one (the class
`aiohttp.ClientSession`, for example).

A session or client that you pass is never closed for you. A callable is called inside the event loop that
will use the session or client, which is closed together with the LangCache client."""
