"""The models of the control plane: caches, their keys, and embedding providers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from ._wire.base import Model, OpenEnum, SearchStrategy
from .models import ReplyModel

__all__ = [
    "CacheFailure",
    "CacheInfo",
    "CacheStatus",
    "CreateCacheRequest",
    "CreateCacheResponse",
    "CreateKeyRequest",
    "EmbeddingModel",
    "EmbeddingProvider",
    "KeyGrant",
    "KeyInfo",
    "NewKey",
    "UpdateCacheRequest",
]


class CacheStatus(OpenEnum):
    """Whether a cache can be used."""

    PROVISIONING = "PROVISIONING"
    """It is being made."""

    READY = "READY"
    """It can be used."""

    UNAVAILABLE = "UNAVAILABLE"
    """It can't be used; ``failure`` says why."""


class CacheFailure(Model, kw_only=True):
    """Why a cache can't be used."""

    message: str
    """The reason."""

    occurred_at: datetime | None = None
    """When it was seen."""


class CacheInfo(ReplyModel, kw_only=True):
    """A cache and its settings."""

    cache_id: str
    """The id, as clients take it."""

    name: str
    """The name that it was given. Several caches may have the same."""

    database_id: str | None = None
    """The database that keeps its entries."""

    database_name: str | None = None
    """The name of that database."""

    default_search_threshold: float | None = None
    """The similarity threshold of a search that gives none, 0 to 1."""

    default_ttl_millis: int | None = None
    """How long an entry lives, in milliseconds, if ``set`` gives no time. -1, 0 or None: for ever."""

    max_entries: int | None = None
    """How many entries there may be: one more takes the place of the oldest. None: any number, or the service
    does not say."""

    attributes: list[str] | None = None
    """The names of the attributes that entries may have."""

    search_strategies: list[SearchStrategy] | None = None
    """The strategies of a search that gives none, in order of priority."""

    embedding_provider: str | None = None
    """Who makes the embeddings."""

    embedding_model: str | None = None
    """The model that makes them."""

    embedding_dimensions: int | None = None
    """How many numbers an embedding has."""

    status: CacheStatus = CacheStatus.READY
    """Whether the cache can be used. A newer service may have further statuses."""

    created_at: datetime | None = None
    """When it was created."""

    failure: CacheFailure | None = None
    """Why the cache can't be used, if so."""


class CreateCacheRequest(Model, kw_only=True, omit_defaults=True):
    """The body of ``create_cache``."""

    name: str
    database_id: str | None = None
    default_search_threshold: float | None = None
    default_ttl_millis: int | None = None
    attributes: list[str] | None = None
    search_strategies: list[SearchStrategy] | None = None
    max_entries: int | None = None
    """A service of this package alone knows this one."""


class CreateCacheResponse(ReplyModel, kw_only=True):
    """The result of ``create_cache``."""

    cache_id: str
    """The id of the new cache, as clients take it."""


class UpdateCacheRequest(Model, kw_only=True, omit_defaults=True):
    """The body of ``update_cache``: what is None stays as it is."""

    default_search_threshold: float | None = None
    default_ttl_millis: int | None = None
    search_strategies: list[SearchStrategy] | None = None
    max_entries: int | None = None


class EmbeddingModel(Model, kw_only=True):
    """A model that makes embeddings."""

    name: str
    """The name."""

    dimensions: int | None = None
    """How many numbers an embedding has."""


class EmbeddingProvider(Model, kw_only=True):
    """Who makes embeddings, and with which models."""

    name: str
    """The name."""

    models: list[EmbeddingModel] = msgspec.field(default_factory=list[EmbeddingModel])
    """The models that there are."""


class KeyGrant(Model, kw_only=True):
    """What a key may do with one cache."""

    product: str = "langcache"
    """Always ``"langcache"`` for a cache. Keys of other products have others."""

    resource_type: str = "lc-cache"
    """Always ``"lc-cache"`` for a cache."""

    resource_id: str
    """The id of the cache."""

    actions: list[str]
    """``"read"`` (to search), ``"write"`` (to store and to delete), or both."""


class KeyInfo(ReplyModel, kw_only=True):
    """A key, without the key itself: that is told once, when it is made."""

    key_id: str
    """The id, as ``revoke_key`` takes it. It is no secret."""

    name: str | None = None
    """The name that it was given."""

    grants: list[KeyGrant] | None = None
    """What the key may do."""

    created_at: datetime | None = None
    """When it was created, or the last time that it was rotated."""


class CreateKeyRequest(Model, kw_only=True):
    """The body of ``create_key``."""

    name: str
    grants: list[KeyGrant]


class NewKey(ReplyModel, kw_only=True):
    """A key that was just made. Its repr does not show the key, and it can't be pickled."""

    key_id: str
    """The id, as ``revoke_key`` takes it. It is no secret."""

    token: str
    """The key, as clients send it. It is not told again."""

    created_at: datetime | None = None
    """When it was created."""

    def __repr__(self) -> str:
        return f"NewKey(key_id={self.key_id!r}, token='***', created_at={self.created_at!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # that of msgspec shows all
        return [("", repr(self))]

    def __deepcopy__(self, memo: dict[int, Any]) -> NewKey:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a NewKey can't be pickled: the pickle would hold the key")
