"""Which proxy the environment names for a URL."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import socket
import sys
from collections.abc import Callable, Mapping
from typing import TypeAlias
from urllib.parse import unquote_to_bytes
from urllib.request import getproxies, proxy_bypass

import msgspec
from yarl import URL

from ..errors import ConnectError
from .masking import Secret

__all__ = ["EnvProxies", "Proxy"]

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_TLS_IN_TLS = sys.version_info >= (3, 11)  # asyncio before can't speak TLS to a service over TLS to a proxy
_MOST_ORIGINS = 256

# What the system's settings name where it has some, unless a variable names a proxy or is NO_PROXY.
_system_proxies: Callable[[], Mapping[str, str]] = getproxies if sys.platform in ("win32", "darwin") else dict


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy. Its URL has no user and password: URLs get into errors."""

    url: URL
    authorization: str | None
    """The value of Proxy-Authorization, if the proxy's URL names a user."""


class EnvProxies:
    """The proxies that the environment names, as they were when this was made.

    The rules are those of docs/sessions.md, which are the common ground of curl, requests and httpx.

    Args:
        variables: the value of each variable, by its name in lower case, with the name as it is set.
        no_proxy: the value of ``NO_PROXY``.
        is_exempt: says of a host whether the operating system's settings exempt it. Default: none is exempt.
    """

    def __init__(
        self,
        variables: Mapping[str, tuple[str, str]],
        no_proxy: str = "",
        is_exempt: Callable[[str], object] | None = None,
    ) -> None:
        self._variables = variables
        self._exemptions = [
            exemption for entry in no_proxy.replace(",", " ").split() if (exemption := _exemption(entry))
        ]
        self._is_exempt = is_exempt
        self._known: dict[tuple[str, str | None, int | None], Proxy | None] = {}

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> EnvProxies | None:
        """Those that variables name, else those that the settings of macOS or Windows name; or None."""
        variables = _proxy_variables(environ)
        no_proxy = variables.pop("no_proxy", ("", ""))[1]
        if variables:
            return cls(variables, no_proxy)
        system = {
            f"{scheme}_proxy": ("the proxy of the system's settings", url)
            for scheme, url in _system_proxies().items()
            if scheme in ("http", "https")
        }
        return cls(system, is_exempt=proxy_bypass) if system else None

    def for_url(self, url: URL) -> Proxy | None:
        """The proxy for this URL, or None to connect to its host directly.

        Raises `ConnectError`, which names the variable and not its value, if that is no URL of an HTTP proxy.
        """
        origin = (url.scheme, url.raw_host, url.port)
        try:
            return self._known[origin]
        except KeyError:
            proxy = self._find(url)
        if len(self._known) < _MOST_ORIGINS:
            self._known[origin] = proxy
        return proxy

    def _find(self, url: URL) -> Proxy | None:
        host = _host(url.raw_host or "")
        address = _address(host)
        if _is_this_machine(host, address):
            return None
        if any(exemption.holds(url, host, address) for exemption in self._exemptions):
            return None
        if self._is_exempt is not None and self._is_exempt(host):
            return None
        named = self._variables.get(f"{url.scheme}_proxy") or self._variables.get("all_proxy")
        return None if named is None else _parse(*named, url)


def _proxy_variables(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The variables that name proxies and are not empty, by their names in lower case.

    A name in lower case goes before others, even if it is empty. Where REQUEST_METHOD is set, HTTP_PROXY may
    be a header of the request that a CGI program answers, ``Proxy:``, and is ignored.
    """
    variables = set(environ)  # os.environ itself finds a name in any case, on Windows
    found: dict[str, tuple[str, str]] = {}
    for variable in variables:
        name = variable.lower()
        if name not in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            continue
        if variable != name and (
            name in variables or (name == "http_proxy" and "REQUEST_METHOD" in variables)
        ):
            continue
        value = environ[variable].strip()
        if value:
            found[name] = (variable, value)
    return found


class _Exemption(msgspec.Struct, frozen=True):
    """One entry of NO_PROXY."""

    scheme: str | None
    host: str
    """A host name, which stands for its subdomains too; "*" for every host; "" for a network."""
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    port: int | None

    def holds(self, url: URL, host: str, address: IpAddress | None) -> bool:
        """Whether the URL, which has this host and maybe address, is to be reached without a proxy."""
        if self.scheme not in (None, url.scheme) or self.port not in (None, url.port):
            return False
        if self.network is not None:
            return address is not None and address in self.network
        return self.host == "*" or (address is None and (host == self.host or host.endswith(f".{self.host}")))


def _exemption(entry: str) -> _Exemption | None:
    """An entry of NO_PROXY; None if it can't be read, which exempts nothing."""
    scheme, _, place = entry.lower().rpartition("://")
    network, port = _network(place), None
    if network is None and ":" in place:
        place, _, digits = place.rstrip("/").rpartition(":")
        if not (digits.isascii() and digits.isdigit()):
            return None
        network, port = _network(place), int(digits)
    host = "" if network else _host(place.partition("/")[0].removeprefix("*."))
    if not host and network is None:
        return None
    return _Exemption(None if scheme in ("", "all") else scheme, host, network, port)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """A network or an address, which may be in brackets."""
    address, slash, length = text.partition("/")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    try:
        return ipaddress.ip_network(address.partition("%")[0] + slash + length, strict=False)
    except ValueError:
        return None


def _host(text: str) -> str:
    """A host name as names are compared: as it is in the DNS, in lower case, without a dot at either end."""
    text = text.lower()
    if not text.isascii():
        with contextlib.suppress(ValueError):
            text = URL.build(scheme="http", host=text).raw_host or text
    return text.strip(".")


def _address(host: str) -> IpAddress | None:
    """The address that a host is; None if it is a name."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))  # such as 127.1
        except (OSError, UnicodeError):
            return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_this_machine(host: str, address: IpAddress | None) -> bool:
    if address is not None:
        return address.is_loopback or address.is_unspecified
    return host == "localhost" or host.endswith(".localhost")


def _parse(variable: str, value: str, url: URL) -> Proxy:
    """The proxy that a variable's value names. Raises `ConnectError`, which does not show the value."""
    if "://" not in value:
        value = f"http://{value}"
    scheme, _, rest = value.partition("://")
    scheme = scheme.lower()
    way_out = (
        f"set it to an http:// proxy, exempt the service with NO_PROXY={_host(url.raw_host or '')}, or pass "
        "client= with a session of your own"
    )
    if scheme in ("socks", "socks4", "socks4a", "socks5", "socks5h"):
        raise ConnectError(
            f"{variable}: names a SOCKS proxy ({scheme}://), which is not supported; {way_out}"
        )
    end = min((rest.find(mark) for mark in "/?#" if mark in rest), default=len(rest))
    userinfo, at, place = rest[:end].rpartition("@")
    # An "@" further on is that of a user and password with one of these marks in them.
    location = None if "@" in rest[end:] or scheme not in ("http", "https") else _origin(scheme, place)
    if location is None:
        raise ConnectError(
            f"{variable}: is not the URL of an HTTP proxy, such as http://user:password@proxy.example:3128; "
            "in the user and the password write %2F for /, %3F for ?, %23 for #, %40 for @, %25 for %"
        )
    if scheme == "https" and url.scheme == "https" and not _TLS_IN_TLS:
        raise ConnectError(
            f"{variable}: a proxy that speaks TLS (https://) needs Python 3.11 or newer; {way_out}"
        )
    return Proxy(location, _authorization(userinfo) if at else None)


def _origin(scheme: str, place: str) -> URL | None:
    """The URL of a host and an optional port; None if they can't be read."""
    if place.endswith(":") or not all(letter.isprintable() and letter not in " \\%" for letter in place):
        return None
    try:
        url = URL(f"{scheme}://{place}")
        return url.origin() if url.host and url.port else None
    except ValueError:
        return None


def _authorization(userinfo: str) -> Secret:
    user, _, password = userinfo.partition(":")
    credentials = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return Secret("Basic " + base64.b64encode(credentials).decode("ascii"))
