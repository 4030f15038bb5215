"""URLs of Redis: what they may say, and how they are shown without their passwords."""

from __future__ import annotations

import math
import re
from typing import Literal, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

__all__ = ["DEFAULT_PREFIX", "IndexKind", "RedisUrl", "redis_url"]

IndexKind = Literal["flat", "hnsw"]

DEFAULT_PREFIX = "langcache"
_DEFAULT_SECONDS = 5.0
_REDIS_PORT, _SENTINEL_PORT = 6379, 26379
_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_KINDS = {
    "redis": "one",
    "rediss": "one",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
}

_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
_OPTIONS = ("index", "prefix", "timeout")

_EXAMPLES = "redis://localhost:6379, rediss://, redis+cluster:// or redis+sentinel://HOST:26379/SERVICE"


class RedisUrl(msgspec.Struct, frozen=True, kw_only=True):
    """Where Redis is, how to get in, and how to use it. `repr` and `shown` tell no password."""

    kind: Literal["one", "cluster", "sentinel"]
    tls: bool
    hosts: tuple[tuple[str, int], ...]
    """Host and port of the server, of nodes of the cluster, or of sentinels."""
    service: str = ""
    """The name under which the sentinels know the servers."""
    username: str = ""
    password: str = ""
    sentinel_username: str = ""
    sentinel_password: str = ""
    tls_files: dict[str, str] = {}
    """Paths of files with certificates and keys, by redis-py's names of the settings."""
    index: IndexKind | None = None
    """The kind of index to search with. None: the one that there is, and FLAT for a new cache."""
    prefix: str = DEFAULT_PREFIX
    """What the names of all keys begin with."""
    seconds: float = _DEFAULT_SECONDS
    """How long a call of Redis may take."""

    @property
    def shown(self) -> str:
        """The scheme and the hosts, for messages and logs."""
        scheme = "rediss" if self.tls else "redis"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        extra = "" if self.kind == "one" else f"+{self.kind}"
        return f"{scheme}{extra}://{hosts}" + (f"/{self.service}" if self.service else "")

    def __repr__(self) -> str:
        return f"RedisUrl({self.shown!r})"


def redis_url(text: object) -> RedisUrl:
    """What a URL says. Raises `ValueError` or `TypeError` without the URL, which may have a password."""
    if not isinstance(text, str):
        raise TypeError(f"store: must be a URL such as redis://localhost:6379, but is {type(text).__name__}")
    if any(not "!" <= character <= "~" for character in text):
        raise ValueError("store: the URL has a space or another character that no URL has; write it as %20")
    # Without the hosts: some releases of Python refuse an address in [ ] after another host.
    scheme, separator, rest = text.partition("://")
    netloc = re.split("[/?#]", rest, maxsplit=1)[0]
    parts = urlsplit(scheme + separator + rest.removeprefix(netloc))
    if parts.scheme not in _KINDS:
        raise ValueError(f"store: must be a URL that begins with {_EXAMPLES}")
    kind = cast('Literal["one", "cluster", "sentinel"]', _KINDS[parts.scheme])
    if parts.fragment or "#" in text:
        raise ValueError("store: the URL has a #; in a password it is written as %23")
    login, _, places = netloc.rpartition("@")
    username, _, password = login.partition(":")
    if username and not password:  # which it may well be
        raise ValueError(
            "store: the URL has a user without a password; a password alone is written redis://:PASSWORD@HOST"
        )
    hosts = _hosts(places, _SENTINEL_PORT if kind == "sentinel" else _REDIS_PORT)
    if kind == "one" and len(hosts) > 1:
        raise ValueError(
            "store: redis:// takes one host; several are for redis+cluster:// or redis+sentinel://"
        )
    tls = parts.scheme.startswith("rediss")
    options = _options(parts, tls, kind == "sentinel")
    return RedisUrl(
        kind=kind,
        tls=tls,
        hosts=hosts,
        service=_service(parts, kind),
        username=unquote(username),
        password=unquote(password),
        sentinel_username=options.get("sentinel_username", ""),
        sentinel_password=options.get("sentinel_password", ""),
        tls_files={name: options[name] for name in _TLS_OPTIONS if name in options},
        index=_index(options.get("index")),
        prefix=_prefix(options.get("prefix", DEFAULT_PREFIX)),
        seconds=_seconds(options.get("timeout")),
    )


def _hosts(places: str, default_port: int) -> tuple[tuple[str, int], ...]:
    found: list[tuple[str, int]] = []
    for place in places.split(","):
        try:
            split = urlsplit(f"//{place}")
            host, port = split.hostname, split.port
        except ValueError:
            if "[" in place or "]" in place:
                message = "store: the URL's host can't be read; an IPv6 address stands in [ ]"
                raise ValueError(message) from None
            host, port = None, None
        if not host or port == 0:
            raise ValueError(
                "store: the URL needs a host, and a port from 1 to 65535 if it has one; in a password, "
                "the characters / ? # @ are written as %2F %3F %23 %40"
            )
        found.append((host, port or default_port))
    return tuple(found)


def _service(parts: SplitResult, kind: str) -> str:
    names = [unquote(name) for name in parts.path.split("/") if name]
    service = names.pop(0) if kind == "sentinel" and names else ""
    if kind == "sentinel" and not service:
        raise ValueError("store: redis+sentinel:// needs the name of a service: HOST:26379/SERVICE")
    if names not in ([], ["0"]):
        raise ValueError(
            "store: Redis has search indexes in database 0 alone, so the URL can't name another; "
            "keep services apart with ?prefix=NAME"
        )
    return service


def _options(parts: SplitResult, tls: bool, sentinel: bool) -> dict[str, str]:
    known = (*_OPTIONS, *(_TLS_OPTIONS if tls else ()), *(_SENTINEL_OPTIONS if sentinel else ()))
    options: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:  # whose name may be a part of a password
            raise ValueError(f"store: the URL has an option that is none of {', '.join(known)}")
        if name in options or not value:
            raise ValueError(f"store: {name} must be given once, with a value")
        options[name] = value
    return options


def _index(text: str | None) -> IndexKind | None:
    kinds: dict[str | None, IndexKind | None] = {None: None, "flat": "flat", "hnsw": "hnsw"}
    if text not in kinds:
        raise ValueError("store: index must be flat or hnsw")
    return kinds[text]


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise ValueError("store: prefix must be 1 to 64 letters, digits, and _.-")
    return text


def _seconds(text: str | None) -> float:
    if text is None:
        return _DEFAULT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.05 <= seconds <= 600:
        raise ValueError("store: timeout must be 0.05 to 600, in seconds")
    return seconds
