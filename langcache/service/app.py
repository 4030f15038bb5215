"""The REST API of LangCache, as an aiohttp.web application that calls the caches."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import web

from ..limits import Limits
from ..models import (
    ConversationalSearchRequest,
    ConversationalSearchResponseContent,
    DeleteQueryResponse,
    FieldError,
    HealthResponse,
    Model,
    SearchRequest,
    SearchResponse,
    SetRequest,
    SetResponse,
)
from .config import CacheConfig
from .engine import Cache
from .problems import Problem, answer_with_problems

__all__ = ["MAX_BODY_BYTES", "application"]

MAX_BODY_BYTES = 16 * 1024 * 1024
"""A larger request gets a 413. The hosted service documents no limit; this one is far above any prompt."""

_LIMITS = Limits()
_encode = msgspec.json.Encoder().encode


class _DeleteQueryBody(Model):
    # Attributes are optional here, unlike in the client's model, so that their absence gets the hosted
    # service's own error message.
    attributes: dict[str, str] | None = None


_decode_search = msgspec.json.Decoder(SearchRequest).decode
_decode_conversation = msgspec.json.Decoder(ConversationalSearchRequest).decode
_decode_set = msgspec.json.Decoder(SetRequest).decode
_decode_delete_query = msgspec.json.Decoder(_DeleteQueryBody).decode


def application(caches: Iterable[tuple[CacheConfig, Cache]]) -> web.Application:
    """The application that serves these caches: each has its own path and its own key."""
    api = _Api(caches)
    app = web.Application(middlewares=[answer_with_problems], client_max_size=MAX_BODY_BYTES)
    base = "/v1/caches/{cache_id}"
    app.add_routes(
        [
            web.post(f"{base}/entries/search", api.search),
            web.post(f"{base}/entries", api.set_entry),
            web.delete(f"{base}/entries/{{entry_id}}", api.delete_by_id),
            web.delete(f"{base}/entries", api.delete_query),
            web.post(f"{base}/flush", api.flush),
            web.post(f"{base}/conversations/search", api.conversational_search),
            web.get(f"{base}/health", api.health),
        ]
    )
    return app


class _Api:
    def __init__(self, caches: Iterable[tuple[CacheConfig, Cache]]) -> None:
        self._caches: dict[str, Cache] = {}
        self._ids_by_key: dict[bytes, set[str]] = {}
        for config, cache in caches:
            self._caches[config.cache_id] = cache
            self._ids_by_key.setdefault(config.api_key.encode(), set()).add(config.cache_id)

    async def search(self, request: web.Request) -> web.Response:
        cache = self._cache(request)
        body = _decode_search(await request.read())
        return _json(SearchResponse(data=await _search(cache, body)))

    async def conversational_search(self, request: web.Request) -> web.Response:
        # The hosted service rewrites the prompt with a language model. There is none here.
        cache = self._cache(request)
        body = _decode_conversation(await request.read())
        _LIMITS.context(body.context)
        found = await _search(cache, body)
        return _json(ConversationalSearchResponseContent(actual_prompt=body.prompt, data=found))

    async def set_entry(self, request: web.Request) -> web.Response:
        cache = self._cache(request)
        body = _decode_set(await request.read())
        entry_id = await cache.set(
            _LIMITS.prompt(body.prompt),
            body.response,
            _LIMITS.attribute_map(body.attributes),
            _LIMITS.ttl(body.ttl_millis),
        )
        return _json(SetResponse(entry_id=entry_id), status=201)

    async def delete_by_id(self, request: web.Request) -> web.Response:
        entry_id = request.match_info["entry_id"]
        if not await self._cache(request).delete_by_id(entry_id):
            raise Problem(404, f"there is no entry {entry_id!r} in this cache")
        return web.Response(status=204)

    async def delete_query(self, request: web.Request) -> web.Response:
        cache = self._cache(request)
        content = await request.read()
        attributes = _decode_delete_query(content).attributes if content else None
        if not attributes:
            blank = FieldError(field="attributes", rule="required", message="cannot be blank")
            raise Problem(400, "attributes: cannot be blank", [blank])
        count = await cache.delete_query(_LIMITS.required_attributes(attributes))
        return _json(DeleteQueryResponse(deleted_entries_count=count))

    async def flush(self, request: web.Request) -> web.Response:
        await self._cache(request).flush()
        return web.Response(status=204)

    async def health(self, request: web.Request) -> web.Response:
        self._cache(request)
        return _json(HealthResponse())

    def _cache(self, request: web.Request) -> Cache:
        """The cache that the request names. Raises `Problem` unless the request has its key."""
        allowed = self._allowed(request.headers.get("Authorization", ""))
        cache_id = request.match_info["cache_id"]
        if cache_id not in self._caches:
            raise Problem(404, f"there is no cache {cache_id!r}")
        if cache_id not in allowed:
            raise Problem(403, "the API key is for another cache")
        return self._caches[cache_id]

    def _allowed(self, authorization: str) -> set[str]:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Problem(401, "the API key is missing: send it as Authorization: Bearer <key>")
        given = key.strip().encode("utf-8", "surrogateescape")
        allowed: set[str] = set()
        for known, cache_ids in self._ids_by_key.items():  # every key, so that the time tells nothing of it
            if hmac.compare_digest(known, given):
                allowed = cache_ids
        if not allowed:
            raise Problem(401, "the API key is not known here")
        return allowed


async def _search(cache: Cache, body: SearchRequest) -> list[Any]:
    return await cache.search(
        _LIMITS.prompt(body.prompt),
        _LIMITS.similarity_threshold(body.similarity_threshold),
        _LIMITS.search_strategies(body.search_strategies),
        _LIMITS.attribute_map(body.attributes),
        _LIMITS.max_results(body.max_results),
    )


def _json(model: Model, status: int = 200) -> web.Response:
    return web.Response(status=status, body=_encode(model), content_type="application/json")
