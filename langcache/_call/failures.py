"""What goes wrong on the wire, as errors of ours: one line each, and no secret in them or in their causes."""

from __future__ import annotations

import asyncio
import re

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy

from .._wire.exchange import Reply
from ..errors import ConnectError, NoResponseError, RequestError, TimeoutException
from .masking import NO_SECRETS, Secrets

__all__ = ["clients_error", "request_error", "shown_cause", "tells"]

_MESSAGE_CHARS = 500
_BEFORE_QUOTE = r"""\n|b?['"]|<RawResponse"""  # compiled when it is first used


def request_error(
    error: BaseException, timeout: float | None, head: Reply | None, secrets: Secrets
) -> RequestError:
    """Our error for one of aiohttp's or of the operating system's."""
    if isinstance(error, asyncio.TimeoutError | TimeoutError):
        within = "" if timeout is None else f" within {timeout:g} s"
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return TimeoutException(f"no connection to the service{within}: {_line(error, secrets)}")
        return TimeoutException(f"no reply from the service{within}", head)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        what = _line(error.message, secrets)
        return ConnectError(f"no connection to the service: the proxy answered {error.status} {what}".strip())
    if isinstance(error, aiohttp.ClientResponseError):
        return NoResponseError(f"the reply is not valid HTTP: {_parsers_reason(error.message)}", head)
    if isinstance(error, aiohttp.InvalidURL):  # it would be quoted, with its password
        return ConnectError("no connection to the service: the URL of the service or of a proxy is not valid")
    what = _line(error, secrets)
    if isinstance(error, aiohttp.ClientConnectorSSLError) and "WRONG_VERSION_NUMBER" in what:
        hint = "if the service speaks plain HTTP, begin server_url with http://"
        return ConnectError(f"no connection to the service: it does not speak TLS ({hint})")
    if isinstance(error, aiohttp.ClientConnectorError):
        return ConnectError(f"no connection to the service: {what}{_hint(error)}")
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        what = _parsers_reason(what)
    return NoResponseError(f"the connection ended before the reply did: {what}", head)


def _hint(error: aiohttp.ClientConnectorError) -> str:
    """What to say besides if nothing listens at an address of this machine."""
    refused = isinstance(error.os_error, ConnectionRefusedError)
    if refused and _is_loopback(error.host) and not isinstance(error, aiohttp.ClientProxyConnectionError):
        return "; does the service run there? python -m langcache serve starts the local one"
    return ""


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host == "::1" or host.startswith("127.")


def clients_error(error: BaseException, secrets: Secrets) -> RequestError:
    """Our error for one of a user's own client; the same if it is ours and tells no secret."""
    what = _line(error, secrets)
    if isinstance(error, RequestError):
        if not tells(error, secrets):
            return error
        return type(error)(what)
    if isinstance(error, asyncio.TimeoutError | TimeoutError):
        return TimeoutException("no reply from the service in time")
    if isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return NoResponseError(f"the connection ended before the reply did: {what}")
    return ConnectError(f"no connection to the service: {what}")


def _line(error: object, secrets: Secrets = NO_SECRETS) -> str:
    # Masked before it is cut: of a secret that is cut in two, the rest would not be found.
    return " ".join(secrets.mask(str(error)).split())[:_MESSAGE_CHARS]


def _parsers_reason(message: str) -> str:
    # The rest quotes the bytes that were received, and perhaps only a part of a secret among them.
    return _line(re.split(_BEFORE_QUOTE, message, maxsplit=1)[0]).rstrip(" :,") or "it can't be parsed"


def shown_cause(error: Exception, secrets: Secrets) -> Exception | None:
    """The error as the cause of ours: without what holds the request, and None if it still tells a secret."""
    if isinstance(error, aiohttp.ClientResponseError):
        info = error.request_info
        error.request_info = info._replace(headers=CIMultiDictProxy(CIMultiDict[str]()), real_url=info.url)
        error.headers, error.history = None, ()
        if isinstance(error, aiohttp.ClientHttpProxyError):
            error.message = secrets.mask(error.message)
        else:
            error.message = _parsers_reason(error.message)
        error.args = (error.status, error.message)
    elif isinstance(error, aiohttp.ClientConnectorError):
        os_error = error.os_error.with_traceback(None)
        error._conn_key = error._conn_key._replace(proxy=None, proxy_auth=None)
        error.args = (error._conn_key, os_error)
    elif isinstance(error, aiohttp.ServerDisconnectedError):
        error.message = _parsers_reason(str(error.message))
        error.args = (error.message,)
    elif isinstance(error, aiohttp.ClientPayloadError):
        error = aiohttp.ClientPayloadError(_parsers_reason(str(error)))
    # Its frames have the request among their local variables, and so have those of what it came from.
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return None if tells(error, secrets) else error


def tells(error: BaseException, secrets: Secrets) -> bool:
    """Whether an error, or what it came from, has a secret in it."""
    seen: BaseException | None = error
    while seen is not None:
        text = f"{seen!s}\n{seen!r}\n{vars(seen)!r}"
        if secrets.mask(text) is not text:
            return True
        seen = seen.__cause__ or seen.__context__
    return False
