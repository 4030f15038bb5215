"""What carries a request: the protocol that a client of your own must satisfy."""

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
    """Anything that can carry one request.

    It raises `langcache.errors.RequestError` or one of its kinds when no reply comes; a bare `TimeoutError`
    or `OSError` becomes one. It must not follow redirects to another host with the headers it was given.
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
            url: the whole URL, percent-encoded already.
            headers: every header to send, the API key among them.
            content: the body, or None.
            timeout: seconds for the whole exchange; None for the client's own.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections. Called only on a client made for us (see `ClientSource`)."""
        ...


HttpClient: TypeAlias = AsyncHttpClient
"""What ``client=`` of `langcache.LangCache` takes: there too it runs in an event loop."""

ClientSource: TypeAlias = (
    aiohttp.ClientSession | AsyncHttpClient | Callable[[], aiohttp.ClientSession | AsyncHttpClient]
)
"""What ``client=`` takes: a session or client of your own, which is never closed for you; or a callable,
`aiohttp.ClientSession` itself for one, that makes it inside the event loop that will use it, and what it
made is closed along with the LangCache client."""
