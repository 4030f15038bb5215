"""The settings of ``langcache serve``, and the service that they describe."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .embedder import EMBEDDER_HELP, embedder_of, read_secret, secret, warn_if_shared
from .settings import Setting, Settings, read_settings

if TYPE_CHECKING:
    from ..service.config import ServerConfig
    from ..service.embedders import Embedder
    from ..service.logs import LogFormat

__all__ = ["PREFIX", "SETTINGS", "STORE_VARIABLE", "Plan", "place_of", "plan_of"]

PREFIX = "LANGCACHE_SERVE_"
"""What the variables begin with. `LANGCACHE_API_KEY` and the like are those that clients read."""

KEY_VARIABLE = f"{PREFIX}API_KEY"
STORE_VARIABLE = f"{PREFIX}STORE"

SETTINGS = (
    Setting("config", "path", "a TOML file with settings, named as options are, with _ for -", "FILE"),
    Setting("host", "text", "where to listen (default 127.0.0.1)", default="127.0.0.1"),
    Setting("port", "whole", "0 for one that is free (default 8787)", default=8787),
    Setting("cache_id", "text", "the cache's id (default local)", "ID"),
    Setting(
        "api_key",
        "text",
        "the key that clients must send; other users of this machine can see it here, so better give it in a "
        f"file or in the variable {KEY_VARIABLE} (default: a known one)",
        "KEY",
    ),
    Setting("api_key_file", "path", "a file with the key that clients must send", "FILE"),
    Setting(
        "admin_key",
        "text",
        "the key that makes and changes caches and keys while the service runs, at least 16 characters; see "
        "--api-key (default: nobody can)",
        "KEY",
    ),
    Setting("admin_key_file", "path", "a file with that key", "FILE"),
    Setting(
        "allowed_hosts",
        "texts",
        "another name under which the service is reached, say behind a proxy; give it once for each, or all "
        f"in the variable {PREFIX}ALLOWED_HOSTS, with commas",
        "NAME",
        "--allowed-host",
        (),
    ),
    Setting(
        "attributes",
        "texts",
        "an attribute that entries may have; give it once for each",
        "NAME",
        "--attribute",
        (),
    ),
    Setting("threshold", "number", "similarity asked for by default, 0.5 to 1 (default 0.85)", "NUMBER"),
    Setting(
        "ttl",
        "time",
        "how long entries live by default, in milliseconds or as 500ms, 90s, 15m, 24h, 7d (default: for "
        "ever)",
        "TIME",
    ),
    Setting(
        "max_entries",
        "whole",
        "how many entries there may be; one more takes the place of the oldest (default: any number)",
        "NUMBER",
    ),
    Setting("db", "path", "a SQLite file that keeps the entries (default: in memory)", "FILE"),
    Setting(
        "store",
        "text",
        "a Redis that keeps the entries: redis://HOST:6379, rediss://, redis+cluster://, or "
        "redis+sentinel://HOST:26379/SERVICE (extra redis); a URL with a password is given in a file or in "
        f"the variable {STORE_VARIABLE}",
        "URL",
    ),
    Setting("store_file", "path", "a file with the URL of that Redis", "FILE"),
    Setting("embedder", "text", EMBEDDER_HELP, "minilm|wordllama|onnx:FOLDER|openai:URL", default="minilm"),
    Setting("embedder_model", "text", "the model to ask an openai: endpoint for", "MODEL"),
    Setting(
        "workers",
        "whole",
        "how many processes answer requests, with entries in Redis alone (default 1)",
        "NUMBER",
        default=1,
    ),
    Setting(
        "max_connections", "whole", "how many connections each process has at once (default 1000)", "NUMBER"
    ),
    Setting(
        "rate_limit",
        "text",
        "how many requests each key may make, such as 100/s, 600/m or 5000/h (default: any number)",
        "NUMBER/s|m|h",
    ),
    Setting(
        "page",
        "yes_or_no",
        "a page to look at, at / (default: where only this machine reaches it)",
    ),
    Setting(
        "recent",
        "whole",
        "how many of the latest searches each process keeps in memory for the page, 0 to 1000 (default 200 "
        "where only this machine reaches it, else 0)",
        "NUMBER",
    ),
    Setting("tls_cert", "path", "a PEM file with the certificate and its chain, for https", "FILE"),
    Setting("tls_key", "path", "a PEM file with the certificate's key, if it is in another file", "FILE"),
    Setting("metrics", "yes_or_no", "figures for Prometheus at /metrics, for everybody (extra metrics)"),
    Setting(
        "metrics_key", "text", "figures for Prometheus, for requests with this key; see --api-key", "KEY"
    ),
    Setting("metrics_key_file", "path", "a file with that key", "FILE"),
    Setting("log_format", "text", "text or json: one object for each line (default text)", "text|json"),
    Setting(
        "log_level", "text", "debug, info, warning or error (default info for json, else warning)", "LEVEL"
    ),
    Setting(
        "drain",
        "number",
        "how many seconds a service that ends has for the requests that it has accepted (default 10)",
        "SECONDS",
        default=10.0,
    ),
)

_KEYS = ("api_key", "admin_key", "metrics_key")
_ALTERNATIVES = (*((name, f"{name}_file") for name in _KEYS), ("store", "store_file"))
_MOST_WORKERS = 1024


class Plan(NamedTuple):
    """A service to run."""

    config: ServerConfig
    embedder: Embedder
    key_from: str
    """Where the key of the cache was given."""
    workers: int
    drain: float
    logs: tuple[LogFormat, str] | None
    """The format and the level of the log. None: as Python's `logging` does it by itself."""
    settings: Settings
    """What the others were made of."""

    def named(self, error: ValueError) -> ValueError:
        """An error of what runs, with the option or the variable in place of the name of a setting."""
        return _named(error, self.settings)


def plan_of(options: argparse.Namespace) -> Plan:
    """What to run. Raises `ValueError` that names the setting as it was given, and `ImportError`."""
    settings = read_settings(SETTINGS, options, PREFIX, _ALTERNATIVES)
    try:
        return _plan(settings)
    except ValueError as error:
        raise _named(error, settings) from error


def _named(error: ValueError, settings: Settings) -> ValueError:
    name, colon, reason = str(error).partition(": ")
    name = "ttl" if name == "ttl_millis" else name
    flags = {setting.name: setting.flag for setting in SETTINGS}  # of those that have their default
    where = settings.where(name) or settings.where(f"{name}_file") or flags.get(name) if colon else None
    return ValueError(f"{where}: {reason}" if where else f"{error}")


def place_of(options: argparse.Namespace) -> tuple[str | None, Path | None]:
    """The URL of Redis, or the SQLite file, that options or variables name. Raises `ValueError`."""
    names = ("store", "store_file", "db")
    given = {setting.name: None for setting in SETTINGS} | {name: getattr(options, name) for name in names}
    settings = read_settings(SETTINGS, argparse.Namespace(**given), PREFIX, _ALTERNATIVES)
    return _store(settings), settings.db


def _plan(settings: Settings) -> Plan:
    from ..service import CacheConfig, ServerConfig
    from ..service.tls import Certificate

    if settings.config is not None and _holds_secrets(settings):
        warn_if_shared(settings.config)
    embedder = embedder_of(settings.embedder, settings.embedder_model)
    key, key_from = _key(settings, "api_key")
    metrics_key, _ = _key(settings, "metrics_key")
    admin_key, _ = _key(settings, "admin_key")
    cache: dict[str, Any] = {
        "cache_id": settings.cache_id,
        "api_key": key,
        "threshold": settings.threshold,
        "ttl_millis": settings.ttl,
        "max_entries": settings.max_entries,
    }
    server: dict[str, Any] = {
        "db": _database(settings),
        "store": _store(settings),
        "max_connections": settings.max_connections,
        "rate_limit": settings.rate_limit,
        "page": settings.page,
        "recent": settings.recent,
        "tls_cert": settings.tls_cert,
        "tls_key": settings.tls_key,
        "metrics_key": metrics_key,
        "admin_key": admin_key,
    }
    config = ServerConfig(
        caches=(CacheConfig(attributes=tuple(settings.attributes), **_given(cache)),),
        host=settings.host,
        port=settings.port,
        allowed_hosts=tuple(settings.allowed_hosts),
        metrics=bool(settings.metrics),
        **_given(server),
    )
    if config.tls_cert is not None:
        Certificate(config.tls_cert, config.tls_key)
    return Plan(config, embedder, key_from, _workers(settings), _drain(settings), _logs(settings), settings)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _holds_secrets(settings: Settings) -> bool:
    file = f"{settings.config}: "
    return any((settings.where(name) or "").startswith(file) for name in (*_KEYS, "store"))


def _key(settings: Settings, name: str) -> tuple[str | None, str]:
    """A key, from its setting or from the file that another names, and where that was given."""
    variable = f"{PREFIX}{name.upper()}"
    file: Path | None = getattr(settings, f"{name}_file")
    if file is not None:
        where = settings.where(f"{name}_file") or ""
        return secret(f"{where} {file}", read_secret(where, file)), f"{where} {file}"
    where = settings.where(name) or variable
    given: str | None = getattr(settings, name)
    return (secret(where, given) if where == variable and given is not None else given), where


def _database(settings: Settings) -> Path | None:
    """A path at which there is a file or can be one. Raises `ValueError`."""
    path = cast("Path | None", settings.db)
    where = settings.where("db")
    if path is not None and path.is_dir():
        raise ValueError(f"{where}: unable to open {str(path)!r}: it is a folder; give the name of a file")
    if path is not None and not path.parent.is_dir():
        raise ValueError(f"{where}: unable to open {str(path)!r}: there is no folder {str(path.parent)!r}")
    return path


def _store(settings: Settings) -> str | None:
    """The URL of Redis, if one is given. Raises `ValueError`."""
    from ..service.stores.redis_url import redis_url

    text: str | None = settings.store
    where = settings.where("store") or settings.where("store_file")
    if where is None:
        return None
    if settings.store_file is not None:
        text = read_secret(where, settings.store_file)
    text = (text or "").strip()
    if settings.db is not None:
        raise ValueError(
            f"{settings.where('db')}: entries are kept in one place, and {where} names another; give one of "
            "the two alone"
        )
    try:
        url = redis_url(text)
    except ValueError as error:
        raise ValueError(f"{where}: {str(error).removeprefix('store: ')}") from None
    if where == "--store" and (url.password or url.sentinel_password):
        raise ValueError(
            "--store: other users of this machine can see a password here; give the URL in a file, with "
            f"--store-file FILE, or in the variable {STORE_VARIABLE}"
        )
    return text


def _workers(settings: Settings) -> int:
    count: int = settings.workers
    if not 1 <= count <= _MOST_WORKERS:
        raise ValueError(f"workers: must be from 1 to {_MOST_WORKERS}, but is {count}")
    if count == 1:
        return count
    if not hasattr(os, "fork"):
        raise ValueError("workers: this system has no fork, so there can be one process alone")
    if settings.where("store") is None and settings.where("store_file") is None:
        place = "in memory" if settings.db is None else "in a SQLite file"
        raise ValueError(
            f"workers: entries {place} are those of one process; for several, keep them in Redis, with "
            f"--store or in the variable {STORE_VARIABLE}"
        )
    return count


def _drain(settings: Settings) -> float:
    seconds: float = settings.drain
    if not 0 <= seconds <= 3600:
        raise ValueError(f"drain: must be from 0 to 3600 seconds, but is {seconds:g}")
    return seconds


def _logs(settings: Settings) -> tuple[LogFormat, str] | None:
    from ..service.logs import LOG_FORMATS, LOG_LEVELS

    form, level = settings.log_format, settings.log_level
    if form is not None and form not in LOG_FORMATS:
        raise ValueError(f"log_format: must be text or json, but is {form!r}")
    if level is not None and level not in LOG_LEVELS:
        raise ValueError(f"log_level: must be {', '.join(LOG_LEVELS[:-1])} or error, but is {level!r}")
    if form is None and level is None:
        return None
    return form or "text", level or ("info" if form == "json" else "warning")
