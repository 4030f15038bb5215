"""What is kept of caches and keys that are made at run time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..models import SearchStrategy
from .config import CacheSettings

__all__ = ["CacheRecord", "Grant", "KeyRecord", "cache_name", "encoded", "key_name", "read_records"]

_log = logging.getLogger(__name__)

_CACHE = "cache/"
_KEY = "key/"


class CacheRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A cache."""

    cache_id: str
    name: str
    database_id: str
    attributes: tuple[str, ...]
    threshold: float
    ttl_millis: int | None
    strategies: tuple[SearchStrategy, ...]
    created_at: int
    """Milliseconds since the epoch."""

    max_entries: int | None = None

    def settings(self) -> CacheSettings:
        """What the engine goes by."""
        return CacheSettings(
            cache_id=self.cache_id,
            attributes=self.attributes,
            threshold=self.threshold,
            ttl_millis=self.ttl_millis,
            strategies=self.strategies,
            max_entries=self.max_entries,
        )


class Grant(msgspec.Struct, frozen=True):
    """What a key may do with one cache."""

    cache_id: str
    actions: tuple[str, ...]


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A key, of which only a digest is kept."""

    key_id: str
    name: str
    digest: str
    """In hexadecimal: see `access.digest_of`."""

    grants: tuple[Grant, ...]
    created_at: int
    """Milliseconds since the epoch."""


encoded: Callable[[Any], bytes] = msgspec.json.Encoder().encode
_read_cache = msgspec.json.Decoder(CacheRecord).decode
_read_key = msgspec.json.Decoder(KeyRecord).decode


def cache_name(cache_id: str) -> str:
    """The name of a cache's record."""
    return _CACHE + cache_id


def key_name(key_id: str) -> str:
    """The name of a key's record."""
    return _KEY + key_id


def read_records(records: Mapping[str, bytes]) -> tuple[dict[str, CacheRecord], dict[str, KeyRecord]]:
    """The caches and the keys by their ids. What can't be read, of a later version perhaps, is left out."""
    caches: dict[str, CacheRecord] = {}
    keys: dict[str, KeyRecord] = {}
    for name, value in records.items():
        try:
            if name.startswith(_CACHE):
                caches[name.removeprefix(_CACHE)] = _read_cache(value)
            elif name.startswith(_KEY):
                key = _read_key(value)
                bytes.fromhex(key.digest)
                keys[name.removeprefix(_KEY)] = key
        except (msgspec.MsgspecError, ValueError) as error:
            _log.warning("the record %s can't be read, and is left out: %s", name, error)
    return caches, keys
