"""The URL and the headers of a request, made of server_url, api_key and http_headers. No I/O."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from multidict import CIMultiDict, CIMultiDictProxy

from .._checks import check_text, wrong_type
from .._version import __version__
from .._wire.exchange import Request
from .masking import Secret

__all__ = ["USER_AGENT", "authorization", "base_url", "headers", "root_url"]

USER_AGENT = f"langcache-python/{__version__}"

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_FRAMING = {
    *("connection", "expect", "http2-settings", "keep-alive", "proxy-connection", "te", "upgrade"),
    *("content-encoding", "content-length", "trailer", "transfer-encoding"),
}
"""The headers that say where a message ends, how its body is encoded, or what becomes of its connection."""
_NETLOC = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+(?:%25[\w.-]+)?\])(?::\d+)?", re.ASCII)
_URL_CHARS = re.compile(r"[!-\[\]-~]+")  # visible ASCII without the backslash
# Compiled when they are first used, for few URLs have a path:
_OPERATIONS_PATH = r"(?i)/v1(/caches(/.*)?)?$"
_PAGE_PATH = r"(?i)/(docs|redoc|swagger(-ui)?)(/|$)|\.(html?|json|ya?ml|md)$"
_WEBSITES = {"redis.io", "www.redis.io", "cloud.redis.io", "app.redislabs.com", "docs.redis.com", "redis.com"}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def base_url(server_url: object, cache_id: str) -> str:
    """The URL that the paths of a cache's operations are appended to, with a slash at its end.

    A host without a scheme gets ``https://``. Raises `TypeError` or `ValueError` if it can't be the URL of a
    service. No message shows the URL: it may have a password, or be a key that was given by mistake.
    """
    return f"{root_url('server_url', server_url)}/v1/caches/{cache_id}/"


def root_url(argument: str, given: object) -> str:
    """The URL of a service, without a slash at its end. ``argument`` is what errors name. See `base_url`."""
    url = check_text(argument, given).strip()
    if "://" not in url:
        url = f"https://{url}"
    if "@" in url:  # anywhere: a slash in a password would end the host
        raise ValueError(f"{argument}: must not carry a user or password, or any @; the key goes in api_key")
    if "?" in url or "#" in url:
        raise ValueError(f"{argument}: must end before any ? or #; the key goes in api_key")
    if not url.lower().startswith(("https://", "http://")):
        raise ValueError(f"{argument}: must begin with https:// or http://")
    if not url.isascii():
        # There are several ways to convert such a host to ASCII, and the key could go to a wrong one.
        raise ValueError(f"{argument}: must be in ASCII, with a host in its xn-- form perhaps")
    if not _URL_CHARS.fullmatch(url):
        raise ValueError(f"{argument}: has a space, a backslash or another character that no URL has")
    parts = _parts(url)
    if parts is None:  # raised outside of `_parts`, so that the parser's error is not its context
        raise ValueError(
            f"{argument}: must be a URL such as https://host[:port]; its host or port can't be one"
        )
    path = parts.path.rstrip("/")
    if path and re.search(_OPERATIONS_PATH, path):
        raise ValueError(
            f"{argument}: must end before the /v1 at its end, since the client itself appends /v1/caches/ "
            "and what follows; the cache's id goes in cache_id"
        )
    if parts.hostname in _WEBSITES or (path and re.search(_PAGE_PATH, path)):
        raise ValueError(
            f"{argument}: is the address of a page for people, not of a service; the URL of a LangCache "
            "service is shown with its key and its cache's id, and python -m langcache serve prints that of "
            "one on this machine"
        )
    return f"{parts.scheme}://{parts.netloc}{path}"


def _parts(url: str) -> SplitResult | None:
    """The parts of a URL; None if its host or port is not valid."""
    # For what this refuses, the resolver or aiohttp would raise an exception of its own at every call, or
    # would connect to another host than the one read here.
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # either may raise
        is_host = host and _NETLOC.fullmatch(parts.netloc) and _is_name(host)
    except ValueError:  # UnicodeError is one
        return None
    return parts if is_host else None


def _is_name(host: str) -> bool:
    """Whether the codec ``idna``, by which the resolver encodes it, takes a host in ASCII. May raise."""
    if "xn--" in host.lower():
        return bool(host.encode("idna").decode("idna"))
    *labels, last = host.split(".")  # as the codec does it, which takes a while to load
    return all(0 < len(label) < 64 for label in labels) and len(last) < 64


def authorization(api_key: object) -> str:
    """The value of the Authorization header. No message of this function holds the key."""
    if not isinstance(api_key, str):
        raise wrong_type("api_key", "str or a callable that returns one", api_key)
    if not api_key:
        raise ValueError("api_key: is empty")
    if not all("!" <= character <= "~" for character in api_key):
        raise ValueError("api_key: has a character that no key has (a space or line end around it, perhaps)")
    return Secret(f"Bearer {api_key}")


def headers(request: Request[Any], authorization: str, extra: Mapping[str, str] | None) -> Mapping[str, str]:
    """The headers of a request. Those of the user replace ours of the same name, in any case."""
    ours = _own_headers(authorization, request.body is not None)
    if extra is None:
        return ours
    if not isinstance(extra, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise wrong_type("http_headers", "a mapping of str to str", extra)
    theirs = {_header_name(name): _header_value(name, value) for name, value in extra.items()}
    merged = ours.copy()
    merged.update(theirs)
    return merged


@functools.lru_cache(maxsize=64)
def _own_headers(authorization: str, has_body: bool) -> CIMultiDictProxy[str]:
    # Cached, and of the type that aiohttp would otherwise convert a dict to for each request.
    ours = CIMultiDict(
        {"Authorization": authorization, "Accept": "application/json", "User-Agent": USER_AGENT}
    )
    if has_body:
        ours["Content-Type"] = "application/json"
    return CIMultiDictProxy(ours)


def _header_name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"http_headers: names must be str, but one is {type(name).__name__}")
    if not _HEADER_NAME.fullmatch(name):
        # Not shown: it may be a value in the place of a name.
        raise ValueError(
            "http_headers: one of the names can't be the name of a header: it is empty, or has a character "
            "that is no letter, digit or one of !#$%&'*+.^_`|~-"
        )
    if name.lower().replace("_", "-") in _FRAMING:  # CGI takes the two for the same
        raise ValueError(
            f"http_headers: {name!r} says how the message is sent, which the client itself must decide; "
            "leave it out (settings of connections belong to an aiohttp.ClientSession, given as client=)"
        )
    return name


def _header_value(name: object, value: object) -> str:
    text = check_text(f"http_headers[{name!r}]", value)
    if _CONTROL.search(text):
        raise ValueError(f"http_headers: the value of {name!r} has a control character")
    return text
