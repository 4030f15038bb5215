"""HTTP over aiohttp, or over a client of the user's, with our replies and our errors."""

from __future__ import annotations

import asyncio
import functools
import io
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from .._wire.exchange import ERROR_BODY_BYTES
from ..errors import ClosedError, RequestError
from ..httpclient import AsyncHttpClient
from .connection_limit import ConnectionLimit
from .failures import clients_error, request_error, shown_cause, tells
from .masking import Secrets
from .pool import CheckingConnector, close_sockets, close_stale, close_without_waiting, watch_idle
from .proxies import EnvProxies
from .received import Received, is_success

__all__ = ["AiohttpClient", "ReplyClient", "adapt", "is_factory", "refuse_open_session"]

_CONNECT_TIMEOUT = 5.0
_POOL_SIZE = 256
_KEEPALIVE = 30.0
_LARGE_BODY = 1 << 20  # aiohttp warns about longer bytes, but not about a file
_REQUEST: object = aiohttp.ClientSession.request


class AiohttpClient:
    """An `AsyncHttpClient` on an aiohttp session."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        max_reply_bytes: int | None,
        limit: ConnectionLimit | None = None,
        proxies: EnvProxies | None = None,
    ) -> None:
        self._session = session
        self._is_own = isinstance(session.connector, CheckingConnector)  # a session that nobody else has
        self._max_reply_bytes = max_reply_bytes
        self._limit = limit
        self._proxies = proxies
        self._closing: list[Any] = []  # transports

    @classmethod
    def with_own_session(cls, *, max_reply_bytes: int | None, proxies: EnvProxies | None) -> AiohttpClient:
        """One on a new session, without cookies and other features that a LangCache client does not need."""
        session = aiohttp.ClientSession(
            connector=CheckingConnector(limit=0, keepalive_timeout=_KEEPALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        limit = ConnectionLimit(_POOL_SIZE)
        return cls(session, max_reply_bytes=max_reply_bytes, limit=limit, proxies=proxies)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout: float | None,
    ) -> Received:
        """Send a request and read the reply; a redirect is a reply like any other."""
        target = _parsed(url)
        session = self._session
        options: dict[str, Any] = {}
        sent = headers
        if self._proxies is not None and (proxy := self._proxies.for_url(target)) is not None:
            options["proxy"] = proxy.url
            if proxy.authorization is not None:
                credentials: dict[str, str] = {hdrs.PROXY_AUTHORIZATION: proxy.authorization}
                sent = {**headers, **credentials}
                if target.scheme == "https":
                    options["proxy_headers"] = (
                        credentials  # of the CONNECT request, which only the proxy sees
                    )
                else:
                    headers = sent
        if self._limit is not None and not self._limit.acquire_now():
            timeout = await self._limit.acquire(timeout)
        response: aiohttp.ClientResponse | None = None
        try:
            if timeout is not None:
                options["timeout"] = _timeout(timeout)
            if not self._is_own:
                close_stale(session, target)
            send: Callable[..., Awaitable[aiohttp.ClientResponse]] = session.request
            if self._is_own and aiohttp.ClientSession.request is _REQUEST:  # which no test has replaced
                # What `request` returns is made anew for each call. `_request` makes nothing.
                send = getattr(session, "_request", send)
            # Without ``async with``: reading a response, to its end or an error, releases its connection.
            response = await send(
                method,
                target,
                headers=headers,
                data=io.BytesIO(content) if content is not None and len(content) > _LARGE_BODY else content,
                allow_redirects=False,
                raise_for_status=False,
                **options,
            )
            body = response.content
            is_there = self._is_own and is_success(response.status) and body.is_eof() and not body.at_eof()
            declared = None if is_there else response.content_length
            received = Received(
                response.status,
                response.headers,
                # A short body came together with the head, and nobody has read it. No local variable has it,
                # which tools that show a traceback with those would show.
                body.read_nowait() if is_there else await self._read(response, declared),
                sent,
            )
            if not self._is_own:
                watch_idle(session, target)
            received.check_size(self._max_reply_bytes, declared)
            return received
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            head = None
            if response is not None:
                head = Received(response.status, response.headers, b"", sent).shown()
                # Tools that show a traceback with local variables would show all that it says.
                response = None
            secrets = Secrets.of_request(sent)
            failure = request_error(error, timeout, head, secrets)
            cause = shown_cause(error, secrets)
        except RuntimeError as error:
            if self._session.closed:
                raise ClosedError("the aiohttp session is closed") from error.with_traceback(None)
            if self._session._loop is not asyncio.get_running_loop():  # aiohttp has several messages for this
                raise RuntimeError(
                    "client: the aiohttp.ClientSession belongs to another event loop; pass a callable that "
                    "makes one, and each event loop gets its own, say client=aiohttp.ClientSession"
                ) from error
            raise
        finally:
            if self._limit is not None:
                self._limit.release()
        try:
            raise failure from cause
        finally:
            failure.__context__ = None  # aiohttp's error, which on Python 3.10 is still there

    async def aclose(self) -> None:
        """Close the session."""
        await self._session.close()

    def close_soon(self) -> bool:
        """Close the session without waiting: the event loop closes its connections in its next turn.

        False if that is not possible.
        """
        transports = close_without_waiting(self._session)
        self._closing.extend(transports or ())
        return transports is not None

    def close_sockets(self, *, loop_is_closed: bool) -> None:
        """Finish what `close_soon` began, although the event loop has no further turn."""
        close_sockets(self._closing, loop_is_closed=loop_is_closed)

    def _read(self, response: aiohttp.ClientResponse, length: int | None) -> Awaitable[bytes]:
        most = self._max_reply_bytes if is_success(response.status) else ERROR_BODY_BYTES
        if most is None or (
            length is not None and length <= most and hdrs.CONTENT_ENCODING not in response.headers
        ):
            return response.read()
        return _read_up_to(most, response)


def is_factory(client: object) -> bool:
    """Whether this is a callable that makes a session or client, rather than a session or client."""
    return callable(client) and (
        isinstance(client, type) or not isinstance(client, aiohttp.ClientSession | AsyncHttpClient)
    )


def refuse_open_session(client: object) -> None:
    """Raise `TypeError` for a session, which can be used only in the event loop that it was made in."""
    if isinstance(client, aiohttp.ClientSession):
        raise TypeError(
            "client: an aiohttp.ClientSession belongs to the event loop that made it, and blocking calls "
            "run in the client's own; pass a callable that makes one, say client=aiohttp.ClientSession"
        )


# Most calls have the same URL and timeout, and making these costs more than a cache look-up.
@functools.lru_cache(maxsize=256)
def _parsed(url: str) -> URL:
    return URL(url, encoded=True)


@functools.lru_cache(maxsize=256)
def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_TIMEOUT)


async def _read_up_to(most: int, response: aiohttp.ClientResponse) -> bytes:
    """The body; if it is longer than ``most``, that and one byte more, and its connection is closed.

    Nothing is read of one that is a success and says that it is longer.
    """
    content = bytearray()
    async with response:
        if is_success(response.status) and (response.content_length or 0) > most:
            response.close()
            return b""
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > most:
                response.close()
                break
    return bytes(memoryview(content)[: most + 1])


class CustomClient:
    """A user's own `AsyncHttpClient`; converts the built-in errors that it may raise to ours."""

    def __init__(self, client: AsyncHttpClient, max_reply_bytes: int | None) -> None:
        self._client = client
        self._max_reply_bytes = max_reply_bytes

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout: float | None,
    ) -> Received:
        """Send a request and read the reply."""
        try:
            response = await self._client.request(
                method, url, headers=headers, content=content, timeout=timeout
            )
        except (OSError, asyncio.TimeoutError, RequestError) as error:
            secrets = Secrets.of_request(headers)
            failure = clients_error(error, secrets)
            cause = error.__cause__ if failure is error else error
            if cause is not None and tells(cause, secrets):
                cause = None
        else:
            status, body = response.status_code, response.content
            if not is_success(status):
                body = body[: ERROR_BODY_BYTES + 1]
            received = Received(status, CIMultiDict(response.headers), body, headers)
            received.check_size(self._max_reply_bytes)
            return received
        raise failure from cause

    async def aclose(self) -> None:
        """Close the user's client, which was made for us."""
        await self._client.aclose()

    def close_soon(self) -> bool:
        """False, since the user's client can be closed only by awaiting `aclose`."""
        return False

    def close_sockets(self, *, loop_is_closed: bool) -> None:
        """Do nothing: the user's client is not known to have any."""


ReplyClient: TypeAlias = AiohttpClient | CustomClient
"""A client whose replies are `Received` and whose errors are those of langcache.errors."""


def adapt(made: object, *, max_reply_bytes: int | None) -> ReplyClient:
    """The user's session or client, wrapped so that its replies and errors are ours.

    Raises `TypeError` for anything else, and says what to pass instead.
    """
    if isinstance(made, aiohttp.ClientSession):
        return AiohttpClient(made, max_reply_bytes=max_reply_bytes)
    kind = type(made)
    if hasattr(kind, "build_request"):
        raise TypeError(
            f"client: {kind.__module__}.{kind.__name__} is an httpx client, or has the methods of one, and "
            "this package speaks aiohttp; pass client=lambda: aiohttp.ClientSession(...) with the settings "
            "you need, or an AsyncHttpClient (see langcache.httpclient)"
        )
    if not isinstance(made, AsyncHttpClient):
        raise TypeError(
            "client: must be an aiohttp.ClientSession, an AsyncHttpClient (see langcache.httpclient), "
            f"or a callable that makes one, but is {kind.__name__}"
        )
    return CustomClient(made, max_reply_bytes)
