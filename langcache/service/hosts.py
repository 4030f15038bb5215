"""Which host names a request may be for, and from which web pages it may come."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from aiohttp import web  # which an embedded cache does without

__all__ = ["AllowedHosts", "check_host_names", "is_loopback"]

_NAME = re.compile(r"[a-z0-9_.-]+", re.ASCII)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{0,5})?", re.ASCII)
"""A host and perhaps a port: no user, no path, nothing that two programs could read in two ways."""

_REMEMBERED = 128
"""For how many names it is remembered what they are: most requests name the same few."""


class AllowedHosts:
    """The host names that requests may be for.

    A web page can make its own name lead to 127.0.0.1 (DNS rebinding). A browser then takes a local service
    for a part of that page, and lets the page read, write and flush with a key that is public. What the
    browser sends along gives the page away: its name as the ``Host``, or as the ``Origin``.

    Args:
        host: where the service listens. At a loopback address, requests must be for ``localhost``, for a
            loopback address, for ``host``, or for a name in ``further``. Elsewhere, the service can't know
            under which names it is reached: any name will do unless ``further`` has some.
        further: more names, without port.
    """

    def __init__(self, host: str, further: Iterable[str] = ()) -> None:
        names = [_plain(name) for name in further]
        self._any = not is_loopback(host) and not names
        self._names = frozenset([*names, _plain(host)])

    def refusal(self, request: web.BaseRequest) -> tuple[int, str] | None:
        """The status and the reason with which a request is refused; None if it is not."""
        headers = request.headers
        hosts = [_name(host) for host in headers.getall("Host", ())]
        if not request.raw_path.startswith(("/", "*")):  # the first line names a host as well
            hosts.append(_name(_authority(request.raw_path)))
        if not self._any and not (hosts and all(map(self._allows, hosts))):
            return 421, "the request is for another host than this service has; see its setting allowed_hosts"
        origins = headers.getall("Origin", ())
        if not all(self._is_own(origin, hosts) for origin in origins):
            return 403, "the request comes from a web page of another host; see the setting allowed_hosts"
        if not origins and headers.get("Sec-Fetch-Site", "").strip().lower() == "cross-site":
            return 403, "the request comes from a web page of another host"
        return None

    def _allows(self, name: str | None) -> bool:
        return name is not None and (name in self._names or _leads_here(name))

    def _is_own(self, origin: str, hosts: Sequence[str | None]) -> bool:
        scheme, _, authority = origin.strip().partition("://")
        name = _name(authority) if scheme.lower() in ("http", "https") else None
        return name is not None and (name in hosts if self._any else self._allows(name))


def is_loopback(host: str) -> bool:
    """Whether a name or address always leads to the machine itself."""
    return _leads_here(_plain(host))


@lru_cache(_REMEMBERED)
def _leads_here(plain: str) -> bool:
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return plain == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def check_host_names(names: object) -> tuple[str, ...]:
    """The names for `AllowedHosts`, as users give them. Raises `TypeError` or `ValueError`."""
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise TypeError(f"allowed_hosts: must be names, such as ('cache.example',), but is {names!r}")
    return tuple(map(_checked, cast("Iterable[object]", names)))


def _checked(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"allowed_hosts: must be names, such as ('cache.example',), but has {name!r}")
    plain = _plain(name)
    if not (_is_address(plain) or _NAME.fullmatch(plain)):
        raise ValueError(
            "allowed_hosts: must be names or addresses without a scheme and a port, such as 'cache.example', "
            f"but has {name!r}"
        )
    return plain


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _plain(name: str) -> str:
    """A name or address in the one way of writing in which names are compared."""
    name = name.lower().removeprefix("[").removesuffix("]").removesuffix(".")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


@lru_cache(_REMEMBERED)
def _name(authority: str) -> str | None:
    """The name in ``name:port``, in the one way of writing; None if it is nothing of the kind."""
    match = _AUTHORITY.fullmatch(authority.strip().lower())
    return _plain(match[1]) if match else None


def _authority(target: str) -> str:
    try:
        return urlsplit(target).netloc
    except ValueError:
        return ""
