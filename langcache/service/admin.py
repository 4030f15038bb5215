"""The control plane: caches and keys are made, changed and deleted while the service runs."""

from __future__ import annotations

import contextlib
import logging
import secrets
from datetime import datetime, timezone
from typing import TypeVar

import msgspec
from aiohttp import web

from ..caches import (
    CacheFailure,
    CacheInfo,
    CacheStatus,
    CreateCacheRequest,
    CreateCacheResponse,
    CreateKeyRequest,
    EmbeddingModel,
    EmbeddingProvider,
    KeyGrant,
    KeyInfo,
    NewKey,
    UpdateCacheRequest,
)
from ..limits import LimitError
from ..models import Model
from .access import digest_given, digest_of, is_admin, new_token
from .admin_bodies import (
    DEFAULT_DATABASE,
    DEFAULT_STRATEGIES,
    changed_cache,
    checked_grants,
    checked_name,
    new_cache,
)
from .bodies import Bodies, leave_for_later
from .catalogue import Catalogue
from .config import CacheConfig
from .embedders import EmbedderError
from .made import CacheRecord, Grant, KeyRecord, cache_name, encoded, key_name
from .problems import NotFound, Problem
from .stores.store import StoreError, now_millis

__all__ = ["MAX_ADMIN_BYTES", "MAX_CACHES", "MAX_GRANTS", "Admin"]

MAX_ADMIN_BYTES = 64 * 1024
"""The largest body of a request to the control plane."""

MAX_CACHES = 1000
"""The most caches that are made at run time."""

MAX_GRANTS = 5000
"""The most grants that all keys have together. Each key has one or more. A client reads so many."""

_UNAVAILABLE = "the entries can't be used at the moment; the log of the service says why"

T = TypeVar("T")

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_decode_cache = msgspec.json.Decoder(CreateCacheRequest).decode
_decode_change = msgspec.json.Decoder(UpdateCacheRequest).decode
_decode_key = msgspec.json.Decoder(CreateKeyRequest).decode


class _Caches(Model):
    caches: list[CacheInfo]


class _Providers(Model):
    embedding_providers: list[EmbeddingProvider]


class _Keys(Model):
    api_keys: list[KeyInfo]


class Admin:
    """Answers the requests of the control plane, which need the admin key."""

    def __init__(self, catalogue: Catalogue, bodies: Bodies) -> None:
        self._catalogue = catalogue
        self._bodies = bodies

    def routes(self) -> list[web.RouteDef]:
        """The routes of the operations, apart from `flush_cache`, which shares its own with another."""
        cache, key = "/v1/caches/{cache_id}", "/v1/api-keys/{key_id}"
        return [
            web.get("/v1/caches", self.list_caches),
            web.post("/v1/caches", self.create_cache, expect_handler=leave_for_later),
            web.get(cache, self.get_cache),
            web.patch(cache, self.update_cache, expect_handler=leave_for_later),
            web.delete(cache, self.delete_cache),
            web.get("/v1/embedding-providers", self.list_embedding_providers),
            web.get("/v1/api-keys", self.list_keys),
            web.post("/v1/api-keys", self.create_key, expect_handler=leave_for_later),
            web.post(f"{key}/rotate", self.rotate_key),
            web.delete(key, self.revoke_key),
        ]

    async def list_caches(self, request: web.Request) -> web.Response:
        await self._admit(request)
        caches = [self._of_settings(config) for config in self._catalogue.configs.values()]
        caches += [self._made(record) for record in self._catalogue.caches.values()]
        return await self._listed(request, _Caches(caches), len(caches))

    async def create_cache(self, request: web.Request) -> web.Response:
        await self._admit(request)
        record = new_cache(await self._bodies.read(request, MAX_ADMIN_BYTES, _decode_cache))

        def value() -> bytes:
            if len(self._catalogue.caches) >= MAX_CACHES:
                raise Problem(400, f"there are {MAX_CACHES} caches, and there can't be more")
            return encoded(record)

        await self._catalogue.replace(cache_name(record.cache_id), value)
        return _json(CreateCacheResponse(cache_id=record.cache_id), 201)

    async def get_cache(self, request: web.Request) -> web.Response:
        await self._admit(request)
        cache_id = request.match_info["cache_id"]
        config = self._catalogue.configs.get(cache_id)
        return _json(self._of_settings(config) if config else self._made(self._record(cache_id)))

    async def update_cache(self, request: web.Request) -> web.Response:
        await self._admit(request)
        cache_id = request.match_info["cache_id"]
        body = await self._bodies.read(request, MAX_ADMIN_BYTES, _decode_change)
        self._changeable(cache_id)
        change = changed_cache(body)
        await self._catalogue.replace(cache_name(cache_id), lambda: encoded(change(self._record(cache_id))))
        return web.Response(status=201)

    async def delete_cache(self, request: web.Request) -> web.Response:
        await self._admit(request)
        cache_id = request.match_info["cache_id"]
        flush = _flush_wanted(request)
        self._changeable(cache_id)
        self._record(cache_id)
        if flush:  # first, so that it can be tried again
            await self._catalogue.clear(cache_id)

        for key in list(self._catalogue.keys.values()):
            if any(grant.cache_id == cache_id for grant in key.grants):
                await self._withdraw(key.key_id, cache_id)

        def nothing() -> None:
            self._record(cache_id)

        await self._catalogue.replace(cache_name(cache_id), nothing)
        try:
            await self._catalogue.drop(cache_id, flush)
        except (StoreError, EmbedderError) as error:
            _log.warning("the cache %s was deleted, and left something behind: %s", cache_id, error)
        return web.Response(status=200)

    async def flush_cache(self, request: web.Request) -> web.Response:
        """``DELETE .../entries`` with the admin key."""
        await self._admit(request)
        cache_id = request.match_info["cache_id"]
        if await self._bodies.read(request, MAX_ADMIN_BYTES, bytes.strip):
            # With a key of the cache this would delete some entries, and not all.
            raise Problem(400, "with the admin key all entries are deleted, for which there must be no body")
        if cache_id not in self._catalogue.configs:
            self._record(cache_id)
        await self._catalogue.clear(cache_id)
        return web.Response(status=204)

    async def list_embedding_providers(self, request: web.Request) -> web.Response:
        await self._admit(request)
        provider, model = self._embedder()
        models = [EmbeddingModel(name=model, dimensions=self._catalogue.embedder.dimensions)]
        return _json(_Providers([EmbeddingProvider(name=provider, models=models)]))

    async def list_keys(self, request: web.Request) -> web.Response:
        await self._admit(request)
        keys = list(self._catalogue.keys.values())
        infos = [
            KeyInfo(
                key_id=key.key_id,
                name=key.name,
                grants=[
                    KeyGrant(resource_id=grant.cache_id, actions=list(grant.actions)) for grant in key.grants
                ],
                created_at=_time(key.created_at),
            )
            for key in keys
        ]
        return await self._listed(request, _Keys(infos), sum(1 + len(key.grants) for key in keys))

    async def create_key(self, request: web.Request) -> web.Response:
        await self._admit(request)
        body = await self._bodies.read(request, MAX_ADMIN_BYTES, _decode_key)
        name, key_id, token = checked_name(body.name), secrets.token_hex(16), new_token()
        created_at = now_millis()

        def value() -> bytes:
            grants = checked_grants(body, {*self._catalogue.configs, *self._catalogue.caches})
            there = sum(len(key.grants) for key in self._catalogue.keys.values())
            if there + len(grants) > MAX_GRANTS:
                raise Problem(400, f"all keys together have {there} grants, and can have {MAX_GRANTS}")
            return encoded(_key(key_id, name, token, grants, created_at))

        await self._catalogue.replace(key_name(key_id), value)
        return _json(NewKey(key_id=key_id, token=token, created_at=_time(created_at)), 201)

    async def rotate_key(self, request: web.Request) -> web.Response:
        """A new key in place of the former one, which opens nothing from then on."""
        await self._admit(request)
        key_id, token, created_at = request.match_info["key_id"], new_token(), now_millis()

        def value() -> bytes:
            key = self._key(key_id)
            return encoded(_key(key_id, key.name, token, key.grants, created_at))

        await self._catalogue.replace(key_name(key_id), value)
        return _json(NewKey(key_id=key_id, token=token, created_at=_time(created_at)))

    async def revoke_key(self, request: web.Request) -> web.Response:
        await self._admit(request)
        key_id = request.match_info["key_id"]

        def nothing() -> None:
            self._key(key_id)

        await self._catalogue.replace(key_name(key_id), nothing)
        return web.Response(status=204)

    async def _admit(self, request: web.Request) -> None:
        """Raise `Problem` unless the request has the admin key. Then what is known is up to date."""
        given = digest_given(request)
        if not is_admin(self._catalogue.admin, given):
            if await self._catalogue.access(given) is None:
                raise Problem(401, "the admin key is not known here")
            raise Problem(403, "the key is for entries; caches and keys need the admin key of the service")
        await self._catalogue.refresh()

    async def _withdraw(self, key_id: str, cache_id: str) -> None:
        """Take the grants for a cache off a key, which is revoked if it has no others."""

        def value() -> bytes | None:
            key = self._key(key_id)
            grants = tuple(grant for grant in key.grants if grant.cache_id != cache_id)
            return encoded(msgspec.structs.replace(key, grants=grants)) if grants else None

        with contextlib.suppress(NotFound):  # revoked meanwhile
            await self._catalogue.replace(key_name(key_id), value)

    def _changeable(self, cache_id: str) -> None:
        if cache_id in self._catalogue.configs:
            raise Problem(
                400, "this cache is described by the settings that the service was started with; change those"
            )

    def _record(self, cache_id: str) -> CacheRecord:
        record = self._catalogue.caches.get(cache_id)
        if record is None:
            raise NotFound("cache", f"there is no cache {cache_id!r}")
        return record

    def _key(self, key_id: str) -> KeyRecord:
        key = self._catalogue.keys.get(key_id)
        if key is None:
            raise NotFound("key", f"there is no key with the id {key_id!r}")
        return key

    def _of_settings(self, config: CacheConfig) -> CacheInfo:
        record = CacheRecord(
            cache_id=config.cache_id,
            name=config.cache_id,
            database_id=DEFAULT_DATABASE,
            attributes=config.attributes,
            threshold=config.threshold,
            ttl_millis=config.ttl_millis,
            strategies=config.strategies or DEFAULT_STRATEGIES,
            created_at=0,
            max_entries=config.max_entries,
        )
        info = self._made(record)
        info.created_at = None
        return info

    def _made(self, record: CacheRecord) -> CacheInfo:
        provider, model = self._embedder()
        failed = self._catalogue.failures.get(record.cache_id)
        failure = None
        if failed is not None:
            failure = CacheFailure(message=_UNAVAILABLE, occurred_at=_time(failed.occurred_at))
        return CacheInfo(
            cache_id=record.cache_id,
            name=record.name,
            database_id=record.database_id,
            database_name=self._catalogue.storage.name,
            default_search_threshold=record.threshold,
            default_ttl_millis=-1 if record.ttl_millis is None else record.ttl_millis,
            max_entries=record.max_entries,
            attributes=list(record.attributes),
            search_strategies=list(record.strategies),
            embedding_provider=provider,
            embedding_model=model,
            embedding_dimensions=self._catalogue.embedder.dimensions,
            status=CacheStatus.READY if failure is None else CacheStatus.UNAVAILABLE,
            created_at=_time(record.created_at),
            failure=failure,
        )

    def _embedder(self) -> tuple[str, str]:
        provider, _, model = self._catalogue.embedder.name.partition("/")
        return provider, model or provider

    async def _listed(self, request: web.Request, model: Model, count: int) -> web.Response:
        return await self._bodies.reply(request, 1024 * count, _json, model)


def _key(key_id: str, name: str, token: str, grants: tuple[Grant, ...], created_at: int) -> KeyRecord:
    digest = digest_of(token.encode()).hex()
    return KeyRecord(key_id=key_id, name=name, digest=digest, grants=grants, created_at=created_at)


def _flush_wanted(request: web.Request) -> bool:
    """What ``?flush=`` says. Without it, entries go along with their cache."""
    text = request.query.get("flush", "true")
    if text not in ("true", "false"):
        raise LimitError("flush", "oneof", "must be true or false")
    return text == "true"


def _time(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, timezone.utc)


def _json(model: Model, status: int = 200) -> web.Response:
    body = _encode(model.model_dump(mode="json", by_alias=True, exclude_none=True))
    return web.Response(status=status, body=body, content_type="application/json")
