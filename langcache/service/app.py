"""The REST API of LangCache, as an aiohttp.web application that calls the caches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

import msgspec
from aiohttp import web

from ..models import CacheEntry, HealthResponse, Model
from .access import Action, digest_given, is_admin
from .admin import Admin
from .bodies import Bodies, leave_for_later
from .catalogue import Catalogue
from .connections import Connection
from .engine import Cache
from .hosts import AllowedHosts
from .operations import (
    Operations,
    chars_of,
    decode_attributes_to_delete,
    decode_conversation,
    decode_search,
    decode_set,
)
from .page import Draw, Page
from .page.recent import Recent
from .problem_replies import answer_with_problems
from .problems import NotFound, Problem
from .traffic import FOUND

__all__ = ["MAX_BODY_BYTES", "application"]

MAX_BODY_BYTES = 4 * 1024 * 1024
"""The largest body of a ``set``, packed or not. The hosted service documents no limit."""

MAX_SEARCH_BYTES = 128 * 1024
"""The largest body of a search or a delete: a prompt and five attributes take less than half."""

MAX_CONVERSATION_BYTES = 1024 * 1024
"""The largest body of a conversational search."""

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


def application(
    catalogue: Catalogue,
    allowed: AllowedHosts,
    *,
    page: bool = False,
    recent: int = 0,
    draw: Draw | None = None,
) -> web.Application:
    """The application that serves the caches of a catalogue: each has its own path and its own keys.

    It runs in connections of the kind `Connection`. ``page`` says whether it has a page to look at,
    ``recent`` how many searches are kept for it, ``draw`` makes the picture of labelled pairs.
    """
    api = _Api(catalogue, allowed, Recent(recent))
    catalogue.on_forget = api.recent.forget
    # aiohttp's own limit of a body is not used: bodies are read by `Bodies`.
    app = web.Application(middlewares=[answer_with_problems, api.admit])
    base = "/v1/caches/{cache_id}"
    routes = [
        web.post(f"{base}/entries/search", api.search, expect_handler=leave_for_later),
        web.post(f"{base}/entries", api.set_entry, expect_handler=leave_for_later),
        web.delete(f"{base}/entries/{{entry_id}}", api.delete_by_id),
        web.delete(f"{base}/entries", api.delete_query, expect_handler=leave_for_later),
        web.post(f"{base}/flush", api.flush),
        web.post(f"{base}/conversations/search", api.conversational_search, expect_handler=leave_for_later),
        web.get(f"{base}/health", api.health),
        *(web.get(path, api.alive) for path in ("/health", "/health/liveness")),
    ]
    app.add_routes([*routes, *api.admin.routes()])
    if page:
        app.add_routes(Page(catalogue, api.cache, api.operations, api.bodies, api.recent, draw).routes())
    return app


class _Api:
    def __init__(self, catalogue: Catalogue, allowed: AllowedHosts, recent: Recent) -> None:
        self._hosts = allowed
        self.recent = recent
        self.bodies = Bodies()
        self.operations = Operations()
        self._catalogue = catalogue
        self.admin = Admin(catalogue, self.bodies)

    @web.middleware
    async def admit(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Refuse a request for another host, or from a web page of another, before anything else."""
        cast(Connection, request.protocol).begin_reply()
        refusal = self._hosts.refusal(request)
        if refusal is not None:
            raise Problem(*refusal)
        return await handler(request)

    async def search(self, request: web.Request) -> web.Response:
        cache, body = await self._read(request, "read", MAX_SEARCH_BYTES, decode_search)
        forgotten = self.recent.times_forgotten
        reply = await self.operations.search(cache, body)
        self.recent.note(cache, body, reply.data, forgotten)
        return await self._found(request, reply, reply.data)

    async def conversational_search(self, request: web.Request) -> web.Response:
        cache, body = await self._read(request, "read", MAX_CONVERSATION_BYTES, decode_conversation)
        forgotten = self.recent.times_forgotten
        reply = await self.operations.conversational_search(cache, body)
        self.recent.note(cache, body, reply.data, forgotten)
        return await self._found(request, reply, reply.data)

    async def set_entry(self, request: web.Request) -> web.Response:
        cache, body = await self._read(request, "write", MAX_BODY_BYTES, decode_set)
        return _json(await self.operations.set(cache, body), status=201)

    async def delete_by_id(self, request: web.Request) -> web.Response:
        cache = await self.cache(request, "write")
        await self.operations.delete_by_id(cache, request.match_info["entry_id"])
        self.recent.forget(cache.settings.cache_id)
        return web.Response(status=204)

    async def delete_query(self, request: web.Request) -> web.Response:
        if is_admin(self._catalogue.admin, digest_given(request)):
            reply = await self.admin.flush_cache(request)
            self.recent.forget(request.match_info["cache_id"])
            return reply
        cache, attributes = await self._read(request, "write", MAX_SEARCH_BYTES, decode_attributes_to_delete)
        deleted = await self.operations.delete_query(cache, attributes)
        self.recent.forget(cache.settings.cache_id)
        return _json(deleted)

    async def flush(self, request: web.Request) -> web.Response:
        cache = await self.cache(request, "write")
        await self.operations.flush(cache)
        self.recent.forget(cache.settings.cache_id)
        return web.Response(status=204)

    async def health(self, request: web.Request) -> web.Response:
        await self.cache(request)
        return _json(HealthResponse())

    async def alive(self, request: web.Request) -> web.Response:
        """The health of the whole service, which a probe asks for without a key."""
        return _json(HealthResponse())

    async def _found(self, request: web.Request, reply: Model, found: Sequence[CacheEntry]) -> web.Response:
        FOUND.set(len(found))
        return await self.bodies.reply(request, sum(map(chars_of, found)), _json, reply)

    async def _read(
        self, request: web.Request, action: Action, most: int, decode: Callable[[bytes], T]
    ) -> tuple[Cache, T]:
        """The cache that the request names, and its body. Raises `Problem` as `cache` does."""
        digest = digest_given(request)
        await self._opened(request, digest, action)  # nothing of a body is read for who has no right
        body = await self.bodies.read(request, most, decode)
        return await self._opened(request, digest, action), body  # the key may have been revoked meanwhile

    async def cache(self, request: web.Request, action: Action | None = None) -> Cache:
        """The cache that the request names.

        Raises `Problem` unless the request has a key that may do this there; None stands for anything.
        """
        return await self._opened(request, digest_given(request), action)

    async def _opened(self, request: web.Request, digest: bytes, action: Action | None) -> Cache:
        """The same for a key with this digest."""
        access = await self._catalogue.access(digest)
        if access is None:
            raise Problem(401, "the API key is not known here")
        cache_id = request.match_info["cache_id"]
        if not await self._catalogue.has(cache_id):
            raise NotFound("cache", f"there is no cache {cache_id!r}")
        actions = access.get(cache_id)
        if not actions:
            raise Problem(403, "the API key is for another cache")
        if action is not None and action not in actions:
            raise Problem(403, f"the API key has no right to {action} in this cache")
        return await self._catalogue.cache(cache_id)


def _json(model: Model, status: int = 200) -> web.Response:
    return web.Response(status=status, body=_encode(model), content_type="application/json")
