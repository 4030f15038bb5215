"""What is kept of caches and keys that are made at run time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec

from ..models import SearchStrategy
from .config import CacheSettings

__all__ = ["CacheRecord", "Grant", "KeyRecord", "cache_name", "encoded", "key_name", "read_records"]

_log = logging.getLogger(__name__)

_CACHE = "cache/"
_KEY = "key/"

_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Time = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]
"""Milliseconds since the epoch, up to the year 9999."""


class CacheRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A cache."""

    cache_id: str
    name: str
    database_id: str
    attributes: tuple[str, ...]
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)]
    ttl_millis: _Positive | None
    strategies: tuple[SearchStrategy, ...]
    created_at: _Time
    max_entries: _Positive | None = None

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
    created_at: _Time


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
    """The caches and the keys by their ids. What can't be right, of a later version perhaps, is left out."""
    caches: dict[str, CacheRecord] = {}
    keys: dict[str, KeyRecord] = {}
    for name, value in records.items():
        try:
            if name.startswith(_CACHE):
                cache = _read_cache(value)
                _check_name(name, cache_name(cache.cache_id))
                caches[cache.cache_id] = cache
            elif name.startswith(_KEY):
                key = _read_key(value)
                _check_name(name, key_name(key.key_id))
                bytes.fromhex(key.digest)
                keys[key.key_id] = key
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            _log.warning("the record %s can't be read, and is left out: %s", name, error)
    return caches, keys


def _check_name(name: str, of_content: str) -> None:
    if name != of_content:
        raise ValueError(f"it is the record {of_content}")
