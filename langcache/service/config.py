"""The settings of a local service: one struct for a cache, and one for the server."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import msgspec

from .._call.head import authorization
from .._checks import check_int, check_number, check_path_segment
from ..limits import LimitError, Limits
from ..models import SearchStrategy
from .hosts import check_host_names, is_loopback
from .rate import RateLimit
from .stores.redis_url import redis_url

__all__ = [
    "DEFAULT_API_KEY",
    "DEFAULT_CACHE_ID",
    "DEFAULT_THRESHOLD",
    "MAX_CONNECTIONS",
    "CacheConfig",
    "CacheSettings",
    "ServerConfig",
]

DEFAULT_CACHE_ID = "local"
DEFAULT_API_KEY = "langcache-local-key"
"""Everybody knows this key, so a server with it listens at a loopback address only."""

DEFAULT_THRESHOLD = 0.85

MAX_CONNECTIONS = 1000
"""How many connections there may be at once, by default. One more takes the place of the one idle longest."""

_LEAST_ADMIN_CHARS = 16
_RECENT = 200
_MOST_RECENT = 1000

_LIMITS = Limits()


def _attribute_names(names: object) -> tuple[str, ...]:
    """The names as a tuple. Raises `TypeError` for a single text: it is not taken for its letters."""
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        shown = repr(names) if isinstance(names, str) else type(names).__name__
        raise TypeError(f"attributes: must be names, such as ('topic',), but is {shown}")
    attributes = tuple(cast("Iterable[str]", names))
    for name in attributes:
        _LIMITS.attribute_map({name: "any"})
    if len(set(attributes)) < len(attributes):
        raise LimitError("attributes", "unique", "must have different names, but has one twice")
    return attributes


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a cache does for all who use it, whatever key they have."""

    cache_id: str = DEFAULT_CACHE_ID
    """The id that clients send."""

    attributes: tuple[str, ...] = ()
    """The names of the attributes that entries may have. By default entries can have none."""

    threshold: float = DEFAULT_THRESHOLD
    """The similarity threshold of a search that gives none."""

    ttl_millis: int | None = None
    """How long an entry lives, in milliseconds, if `set` gives no time. None: for ever."""

    max_entries: int | None = None
    """How many entries there may be, at least 1. One more takes the place of the oldest. None: any number."""

    strategies: tuple[SearchStrategy, ...] = ()
    """The strategies of a search that names none, in order of priority. Without any: semantic."""


class CacheConfig(CacheSettings, frozen=True, kw_only=True):
    """The settings of one cache. Raises `ValueError` or `TypeError` for settings that are not possible.

    ``threshold`` is 0.5 to 1.0.
    """

    api_key: str = DEFAULT_API_KEY
    """The key that clients must send. Everybody knows the default."""

    def __repr__(self) -> str:  # without the key
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name != "api_key")
        return f"CacheConfig({', '.join(shown)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # that of msgspec shows all
        return [("", repr(self))]

    def __post_init__(self) -> None:
        if check_path_segment("cache_id", self.cache_id) != self.cache_id:
            raise LimitError(
                "cache_id", "pattern", f"must be letters, digits and -._~ only, but is {self.cache_id!r}"
            )
        authorization(self.api_key)
        msgspec.structs.force_setattr(self, "attributes", _attribute_names(self.attributes))
        threshold = float(check_number("threshold", self.threshold, minimum=0.5, maximum=1))
        msgspec.structs.force_setattr(self, "threshold", threshold)
        msgspec.structs.force_setattr(self, "ttl_millis", _LIMITS.ttl(self.ttl_millis))
        if self.max_entries is not None:
            most = check_int("max_entries", self.max_entries, minimum=1)
            msgspec.structs.force_setattr(self, "max_entries", most)
        strategies = _LIMITS.search_strategies(self.strategies or None) or ()
        msgspec.structs.force_setattr(self, "strategies", tuple(strategies))


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a server. Raises `ValueError` or `TypeError` for settings that are not possible."""

    caches: tuple[CacheConfig, ...] = (CacheConfig(),)
    """The caches: at least one, with different ids."""

    host: str = "127.0.0.1"
    """The address to listen at. A cache with the default key needs a loopback address."""

    port: int = 0
    """The port to listen at, 0 to 65535. 0: any free port."""

    db: Path | None = None
    """The SQLite file that keeps the entries. None: they are kept in ``store``, or in memory only."""

    store: str | None = None
    """The URL of a Redis that keeps the entries, such as ``redis://localhost:6379``; the options that it may
    have are on the page about Redis. None: they are kept in ``db``, or in memory only."""

    allowed_hosts: tuple[str, ...] = ()
    """More names under which the service is reached, without scheme and port.

    At a loopback address the service answers requests for ``localhost``, for loopback addresses, for ``host``
    and for these names. A request for another host gets a 421, one from a web page of another host a 403:
    else any web page could use the service of the machine on which it is read. At another address, requests
    for any host are answered, unless there are names here.
    """

    max_connections: int = MAX_CONNECTIONS
    """How many connections there may be at once: at least 1. Half of the files that the process may have open
    is the most. A new connection beyond that closes the one that has been idle for longest."""

    rate_limit: str | None = None
    """How many requests each key may make, such as ``100/s``, ``600/m`` or ``5000/h``: so many at once, and
    in each such time. What goes beyond gets a 429 with ``Retry-After``. None: any number."""

    tls_cert: Path | None = None
    """A file in PEM format with the certificate and its chain. None: without TLS."""

    tls_key: Path | None = None
    """The file with the certificate's key. None: it is in ``tls_cert`` too."""

    metrics: bool = False
    """Whether ``/metrics`` has figures for Prometheus (extra ``metrics``)."""

    metrics_key: str | None = None
    """The key that a request for ``/metrics`` must have. None: whoever reaches the service may read it."""

    admin_key: str | None = None
    """The key that creates, changes and deletes caches and keys while the service runs: at least 16
    characters. None: nobody can."""

    page: bool | None = None
    """Whether there is a page to look at at ``/``. None: at a loopback address, if no
    ``allowed_hosts`` are of another machine."""

    recent: int | None = None
    """How many of the latest searches are kept in memory for the page, 0 to 1000. None: 200 where
    there is a page by default, elsewhere 0."""

    @property
    def has_page(self) -> bool:
        """Whether there is a page."""
        return self._is_local if self.page is None else self.page

    @property
    def _is_local(self) -> bool:
        """Whether only this machine reaches the service: another host's name would be that of a proxy."""
        return is_loopback(self.host) and all(map(is_loopback, self.allowed_hosts))

    @property
    def kept_searches(self) -> int:
        """How many of the latest searches are kept."""
        if not self.has_page:
            return 0
        if self.recent is None:
            return _RECENT if self._is_local else 0
        return self.recent

    def __repr__(self) -> str:  # without the password of the store and without keys
        values = {
            name: getattr(self, name)
            for name in self.__struct_fields__
            if name not in ("metrics_key", "admin_key")
        }
        if self.store is not None:
            values["store"] = redis_url(self.store).shown
        return f"ServerConfig({', '.join(f'{name}={value!r}' for name, value in values.items())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # that of msgspec shows all
        return [("", repr(self))]

    def __post_init__(self) -> None:
        if self.store is not None:
            redis_url(self.store)
            if self.db is not None:
                raise ValueError(
                    "store: entries are kept in one place; give either a SQLite file (db) or Redis (store)"
                )
        msgspec.structs.force_setattr(self, "caches", _cache_configs(self.caches))
        msgspec.structs.force_setattr(self, "allowed_hosts", check_host_names(self.allowed_hosts))
        most = check_int("max_connections", self.max_connections, minimum=1)
        msgspec.structs.force_setattr(self, "max_connections", most)
        if self.rate_limit is not None:
            RateLimit(self.rate_limit)
        if self.recent is not None:
            recent = check_int("recent", self.recent, minimum=0, maximum=_MOST_RECENT)
            msgspec.structs.force_setattr(self, "recent", recent)
        if self.tls_key is not None and self.tls_cert is None:
            raise ValueError("tls_key: is of no use without a certificate; give tls_cert as well")
        if self.metrics_key is not None:
            _check_key("metrics_key", self.metrics_key)
            if self.metrics_key in [cache.api_key for cache in self.caches]:
                raise ValueError("metrics_key: must be another key than those of the caches")
        if self.admin_key is not None:
            _check_key("admin_key", self.admin_key)
            if len(self.admin_key) < _LEAST_ADMIN_CHARS:
                raise ValueError(f"admin_key: must have at least {_LEAST_ADMIN_CHARS} characters")
            if self.admin_key in (self.metrics_key, *(cache.api_key for cache in self.caches)):
                raise ValueError("admin_key: must be another key than those of the caches and of /metrics")
        ids = [cache.cache_id for cache in self.caches]
        if not ids or len(set(ids)) < len(ids):
            raise ValueError(
                f"caches: there must be at least one, each with an id of its own, but ids are {ids}"
            )
        port = check_int("port", self.port, minimum=0, maximum=65535)
        msgspec.structs.force_setattr(self, "port", port)
        if not is_loopback(self.host) and any(cache.api_key == DEFAULT_API_KEY for cache in self.caches):
            raise ValueError(
                f"api_key: {self.host!r} can be reached by others, who know the default key; "
                "give a key of your own, or keep to host 127.0.0.1"
            )


def _check_key(name: str, key: object) -> None:
    """Check a key that clients send. Raises `TypeError` or `ValueError`, without the key."""
    try:
        authorization(key)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("api_key", name)) from None


def _cache_configs(caches: object) -> tuple[CacheConfig, ...]:
    kind = type(caches).__name__
    configs = tuple(cast("Iterable[object]", caches)) if isinstance(caches, Iterable) else (None,)
    if not all(isinstance(config, CacheConfig) for config in configs):
        raise TypeError(f"caches: must be `CacheConfig`s, such as [CacheConfig()], but is {kind}")
    return cast("tuple[CacheConfig, ...]", configs)
