"""Makes the request of each operation of the control plane. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from .._checks import check_int, check_number, check_path_segment, check_text, check_texts, wrong_type
from .._wire.base import camel_case
from .._wire.exchange import Operation, Request
from ..caches import (
    CacheInfo,
    CreateCacheRequest,
    CreateCacheResponse,
    CreateKeyRequest,
    EmbeddingProvider,
    KeyGrant,
    KeyInfo,
    NewKey,
    UpdateCacheRequest,
)
from ..limits import LimitError, Limits
from ..models import SearchStrategy
from .protocol import read_nothing

_LIMITS = Limits()
_NAME_CHARS = 64
_FOR_EVER = _ANY_NUMBER = -1
_DATABASE = re.compile(r"[A-Za-z0-9-]{1,32}")
_MOST_STRATEGIES = 2

_encode = msgspec.json.Encoder().encode


class _Caches(msgspec.Struct):
    caches: list[CacheInfo]


class _Providers(msgspec.Struct, rename=camel_case):
    embedding_providers: list[EmbeddingProvider]


class _Keys(msgspec.Struct, rename=camel_case):
    api_keys: list[KeyInfo]


_decode_caches = msgspec.json.Decoder(_Caches).decode
_decode_providers = msgspec.json.Decoder(_Providers).decode
_decode_keys: Callable[[bytes], _Keys | list[KeyInfo]] = msgspec.json.Decoder(
    cast("Any", _Keys | list[KeyInfo])
).decode


def _read_keys(content: bytes) -> list[KeyInfo]:
    read = _decode_keys(content)  # the published pages do not show this reply
    return read.api_keys if isinstance(read, _Keys) else read


_LIST_CACHES = Operation(
    name="list_caches", method="GET", path="caches", read=lambda content: _decode_caches(content).caches
)
_CREATE_CACHE = Operation(
    name="create_cache",
    method="POST",
    path="caches",
    read=msgspec.json.Decoder(CreateCacheResponse).decode,
    repeatable=False,
)
_GET_CACHE = Operation(
    name="get_cache", method="GET", path="caches/", read=msgspec.json.Decoder(CacheInfo).decode
)
_UPDATE_CACHE = Operation(name="update_cache", method="PATCH", path="caches/", read=read_nothing)
_DELETE_CACHE = Operation(name="delete_cache", method="DELETE", path="caches/", read=read_nothing)
_FLUSH_CACHE = Operation(name="flush_cache", method="DELETE", path="caches/", read=read_nothing)
_PROVIDERS = Operation(
    name="list_embedding_providers",
    method="GET",
    path="embedding-providers",
    read=lambda content: _decode_providers(content).embedding_providers,
)
_CREATE_KEY = Operation(
    name="create_key",
    method="POST",
    path="api-keys",
    read=msgspec.json.Decoder(NewKey).decode,
    repeatable=False,
    tells_secret=True,
)
_LIST_KEYS = Operation(name="list_keys", method="GET", path="api-keys", read=_read_keys)
_ROTATE_KEY = Operation(
    name="rotate_key",
    method="POST",
    path="api-keys/",
    read=msgspec.json.Decoder(NewKey).decode,
    repeatable=False,
    tells_secret=True,
)
_REVOKE_KEY = Operation(name="revoke_key", method="DELETE", path="api-keys/", read=read_nothing)


def list_caches() -> Request[list[CacheInfo]]:
    """The request of ``list_caches``."""
    return Request(_LIST_CACHES)


def create_cache(
    name: object,
    database_id: object,
    attributes: object,
    threshold: object,
    ttl_millis: object,
    strategies: object,
    max_entries: object,
) -> Request[CreateCacheResponse]:
    """The request of ``create_cache``."""
    body = CreateCacheRequest(
        name=check_name(name),
        database_id=check_database(database_id),
        default_search_threshold=None if threshold is None else check_threshold(threshold),
        default_ttl_millis=_FOR_EVER if ttl_millis is None else _ttl(ttl_millis),
        attributes=check_attribute_names(attributes),
        search_strategies=_strategies(strategies),
        max_entries=None if max_entries is None else check_max_entries(max_entries),
    )
    return Request(_CREATE_CACHE, _encode(body))


def get_cache(cache_id: object) -> Request[CacheInfo]:
    """The request of ``get_cache``."""
    return Request(_GET_CACHE, None, check_path_segment("cache_id", cache_id))


def update_cache(
    cache_id: object, threshold: object, ttl_millis: object, strategies: object, max_entries: object
) -> Request[None]:
    """The request of ``update_cache``. Raises `LimitError` if nothing is to be changed."""
    if threshold is None and ttl_millis is None and strategies is None and max_entries is None:
        raise LimitError(
            "update_cache",
            "required",
            "needs default_search_threshold, default_ttl_millis, search_strategies or max_entries",
        )
    body = UpdateCacheRequest(
        default_search_threshold=None if threshold is None else check_threshold(threshold),
        default_ttl_millis=None if ttl_millis is None else _ttl(ttl_millis),
        search_strategies=_strategies(strategies),
        max_entries=None if max_entries is None else check_max_entries(max_entries),
    )
    return Request(_UPDATE_CACHE, _encode(body), check_path_segment("cache_id", cache_id))


def delete_cache(cache_id: object, flush: object) -> Request[None]:
    """The request of ``delete_cache``."""
    if not isinstance(flush, bool):
        raise wrong_type("flush", "bool", flush)
    wanted = "true" if flush else "false"
    return Request(_DELETE_CACHE, None, f"{check_path_segment('cache_id', cache_id)}?flush={wanted}")


def flush_cache(cache_id: object) -> Request[None]:
    """The request of ``flush_cache``."""
    return Request(_FLUSH_CACHE, None, f"{check_path_segment('cache_id', cache_id)}/entries")


def list_embedding_providers() -> Request[list[EmbeddingProvider]]:
    """The request of ``list_embedding_providers``."""
    return Request(_PROVIDERS)


def create_key(name: object, caches: object) -> Request[NewKey]:
    """The request of ``create_key``."""
    if not isinstance(caches, Mapping):
        raise wrong_type("caches", "a mapping of the ids of caches to actions", caches)
    given = cast("Mapping[object, object]", caches)
    if not given:
        raise LimitError("caches", "min", "is empty, so that the key would open no cache")
    grants = [_grant(cache_id, actions) for cache_id, actions in given.items()]
    return Request(_CREATE_KEY, _encode(CreateKeyRequest(name=check_name(name), grants=grants)))


def list_keys() -> Request[list[KeyInfo]]:
    """The request of ``list_keys``."""
    return Request(_LIST_KEYS)


def rotate_key(key_id: object) -> Request[NewKey]:
    """The request of ``rotate_key``."""
    return Request(_ROTATE_KEY, None, f"{check_path_segment('key_id', key_id)}/rotate")


def revoke_key(key_id: object) -> Request[None]:
    """The request of ``revoke_key``."""
    return Request(_REVOKE_KEY, None, check_path_segment("key_id", key_id))


def check_name(value: object) -> str:
    """The name of a cache or a key: 1 to 64 characters. Raises `LimitError`."""
    name = check_text("name", value)
    if not 1 <= len(name) <= _NAME_CHARS:
        rule = "max" if name else "min"
        raise LimitError("name", rule, f"must have 1 to {_NAME_CHARS} characters, but has {len(name)}")
    return name


def check_database(value: object) -> str:
    """The id of a database. Raises `LimitError`."""
    database = check_text("database_id", value)
    if not _DATABASE.fullmatch(database):
        raise LimitError("database_id", "pattern", "must be 1 to 32 of a-z A-Z 0-9 -")
    return database


def check_threshold(value: object) -> float:
    """The similarity threshold of a cache, 0 to 1. Raises `LimitError`."""
    return float(check_number("default_search_threshold", value, minimum=0, maximum=1, error=LimitError))


def _ttl(value: object) -> int:
    return check_int("default_ttl_millis", value, minimum=_FOR_EVER, error=LimitError)


def check_max_entries(value: object) -> int:
    """How many entries there may be; 0 and -1 stand for any number. Raises `LimitError`."""
    return check_int("max_entries", value, minimum=_ANY_NUMBER, error=LimitError)


def check_attribute_names(value: object) -> list[str]:
    """The names of the attributes of a cache. Raises `LimitError`."""
    names = check_texts("attributes", value, "an iterable of names")
    if len(set(names)) < len(names):
        raise LimitError("attributes", "unique", "must have different names, but has one twice")
    _LIMITS.attribute_map(dict.fromkeys(names, "any"))
    return names


def _strategies(value: object) -> list[SearchStrategy] | None:
    strategies = _LIMITS.search_strategies(value)
    if strategies and (len(set(strategies)) < len(strategies) or len(strategies) > _MOST_STRATEGIES):
        raise LimitError("search_strategies", "unique", "must be one or two different ones")
    return strategies


def _grant(cache_id: object, actions: object) -> KeyGrant:
    given = check_texts("caches", actions, "for each cache an iterable of 'read' and 'write'")
    if not given or not {*given} <= {"read", "write"}:
        raise LimitError("caches", "oneof", "must have 'read', 'write' or both as actions for each cache")
    check_path_segment("caches", cache_id)
    return KeyGrant(resource_id=cast("str", cache_id), actions=sorted({*given}))
