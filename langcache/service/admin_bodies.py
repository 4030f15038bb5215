"""What requests to the control plane ask for, checked."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Container, Sequence

import msgspec

from .._call.admin_protocol import (
    check_attribute_names,
    check_database,
    check_max_entries,
    check_name,
    check_threshold,
)
from .._checks import check_int, short
from ..caches import CreateCacheRequest, CreateKeyRequest, KeyGrant, UpdateCacheRequest
from ..limits import LimitError, Limits
from ..models import SearchStrategy
from .access import ACTIONS
from .config import DEFAULT_THRESHOLD
from .made import CacheRecord, Grant
from .stores.store import now_millis

__all__ = [
    "DEFAULT_DATABASE",
    "DEFAULT_STRATEGIES",
    "changed_cache",
    "checked_grants",
    "checked_name",
    "new_cache",
]

DEFAULT_DATABASE = "default"
"""The database of a cache for which none is named. All entries are in the one place that the service has."""

_MOST_GRANTS = 100
DEFAULT_STRATEGIES = (SearchStrategy.SEMANTIC,)

_LIMITS = Limits()


def new_cache(body: CreateCacheRequest) -> CacheRecord:
    """The cache that a body asks for, with a new id. Raises `LimitError`."""
    database = DEFAULT_DATABASE if body.database_id is None else check_database(body.database_id)
    threshold = body.default_search_threshold
    return CacheRecord(
        cache_id=secrets.token_hex(16),
        name=checked_name(body.name),
        database_id=database,
        attributes=tuple(check_attribute_names(body.attributes or ())),
        threshold=DEFAULT_THRESHOLD if threshold is None else check_threshold(threshold),
        ttl_millis=_ttl(body.default_ttl_millis),
        strategies=_strategies(body.search_strategies) or DEFAULT_STRATEGIES,
        created_at=now_millis(),
        max_entries=_max_entries(body.max_entries),
    )


def changed_cache(body: UpdateCacheRequest) -> Callable[[CacheRecord], CacheRecord]:
    """The change that a body asks for. Raises `LimitError`."""
    changes: dict[str, object] = {}
    if body.default_search_threshold is not None:
        changes["threshold"] = check_threshold(body.default_search_threshold)
    if body.default_ttl_millis is not None:
        changes["ttl_millis"] = _ttl(body.default_ttl_millis)
    if strategies := _strategies(body.search_strategies):
        changes["strategies"] = strategies
    if body.max_entries is not None:
        changes["max_entries"] = _max_entries(body.max_entries)
    if not changes:
        raise LimitError(
            "body",
            "required",
            "must have defaultSearchThreshold, defaultTtlMillis, searchStrategies or maxEntries",
        )
    return lambda record: msgspec.structs.replace(record, **changes)


def checked_name(name: str) -> str:
    """The name of a cache or a key: 1 to 64 characters, all of which can be seen. Raises `LimitError`."""
    text = check_name(name)
    if not text.isprintable():
        raise LimitError("name", "pattern", "must have no line end, nor another character that can't be seen")
    return text


def checked_grants(body: CreateKeyRequest, caches: Container[str]) -> tuple[Grant, ...]:
    """The grants that a body asks for. Raises `LimitError`, also for a cache that is not among these."""
    if not 1 <= len(body.grants) <= _MOST_GRANTS:
        rule = "max" if body.grants else "min"
        raise LimitError("grants", rule, f"must have 1 to {_MOST_GRANTS}, but has {len(body.grants)}")
    grants = tuple(_grant(grant, caches) for grant in body.grants)
    if len({grant.cache_id for grant in grants}) < len(grants):
        raise LimitError("grants", "unique", "must be for different caches, but two are for one")
    return grants


def _grant(grant: KeyGrant, caches: Container[str]) -> Grant:
    if (grant.product, grant.resource_type) != ("langcache", "lc-cache"):
        raise LimitError(
            "grants", "oneof", "must have the product 'langcache' and the resourceType 'lc-cache'"
        )
    if grant.resource_id not in caches:
        raise LimitError(
            "grants", "oneof", f"must be for caches, but there is no cache {short(grant.resource_id)}"
        )
    actions = tuple(action for action in ACTIONS if action in grant.actions)
    if not actions or len(actions) < len(grant.actions):
        raise LimitError("grants", "oneof", "must have 'read', 'write' or both as actions, each once")
    return Grant(grant.resource_id, actions)


def _ttl(millis: int | None) -> int | None:
    if millis is None:
        return None
    check_int("default_ttl_millis", millis, minimum=-1, error=LimitError)
    if millis <= 0:
        return None
    most = _LIMITS.ttl_millis
    if most is not None and millis > most:
        raise LimitError("default_ttl_millis", "max", f"must be at most {most} (a year), but is {millis}")
    return millis


def _max_entries(most: int | None) -> int | None:
    return None if most is None or check_max_entries(most) <= 0 else most


def _strategies(strategies: Sequence[SearchStrategy] | None) -> tuple[SearchStrategy, ...]:
    if strategies is None:
        return ()
    chosen = tuple(_LIMITS.search_strategies(strategies) or ())
    if len(set(chosen)) < len(chosen):
        raise LimitError("search_strategies", "unique", "must be different ones, but has one twice")
    return chosen
