"""The REST API of LangCache, as an aiohttp.web application that calls the caches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

import msgspec
from aiohttp import web

from ..limits import LimitError, Limits
from ..models import (
    CacheEntry,
    ConversationalSearchResponseContent,
    DeleteQueryResponse,
    FieldError,
    HealthResponse,
    Model,
    SearchResponse,
    SearchStrategy,
    SetResponse,
)
from .access import Action, digest_given, is_admin
from .admin import Admin
from .bodies import Bodies, leave_for_later
from .catalogue import Catalogue
from .connections import Connection
from .engine import Cache
from .hosts import AllowedHosts
from .problems import NotFound, Problem, answer_with_problems
from .traffic import FOUND

__all__ = ["MAX_BODY_BYTES", "MAX_RESULTS", "MAX_SEMANTIC_RESULTS", "application"]

MAX_BODY_BYTES = 4 * 1024 * 1024
"""The largest body of a ``set``, packed or not. The hosted service documents no limit."""

MAX_SEARCH_BYTES = 128 * 1024
"""The largest body of a search or a delete: a prompt and five attributes take less than half."""

MAX_CONVERSATION_BYTES = 1024 * 1024
"""The largest body of a conversational search."""

MAX_CONTEXT = 1000
"""The most texts in the context of a conversational search."""

MAX_RESULTS = 4096
"""The most entries that an exact search may ask for. The published description names no limit. Cache-aside
asks for as many when it replaces the entries of a prompt."""

MAX_SEMANTIC_RESULTS = 100
"""The most entries that a search by meaning may ask for: each is compared, text by text and word by word,
which takes some milliseconds."""

MAX_REPLY_CHARS = 2 * 1024 * 1024
"""Once the entries of a reply have so many characters, further ones are left out. So a reply with fewer has
all entries, and none is larger than a client takes in: this and the largest `set`."""

_SEARCHES_AT_ONCE = 32
"""How many searches are under way at once, as many as are embedded together. The others wait, so that a crowd
of them does not hold up what takes less."""

_MAX_STRATEGIES = 2  # there are no more
_MAX_PART_BYTES = 64 * 1024

T = TypeVar("T")

_LIMITS = Limits()
_encode = msgspec.json.Encoder().encode


class _DeleteQueryBody(Model):
    # Attributes are optional here, unlike in the client's model, so that their absence gets the hosted
    # service's own error message.
    attributes: dict[str, str] | None = None


_NULL = msgspec.Raw(b"null")


class _SearchBody(Model, kw_only=True):
    # What may have many parts is left as it is until its size is known: building the parts takes time.
    prompt: str
    similarity_threshold: float | None = None
    search_strategies: msgspec.Raw = _NULL
    attributes: msgspec.Raw = _NULL
    max_results: int | None = None


class _ConversationBody(_SearchBody, kw_only=True):
    context: list[str] | None = None


class _SetBody(Model):
    prompt: str
    response: str
    attributes: msgspec.Raw = _NULL
    ttl_millis: int | None = None


_decode_search = msgspec.json.Decoder(_SearchBody).decode
_decode_conversation = msgspec.json.Decoder(_ConversationBody).decode
_decode_set = msgspec.json.Decoder(_SetBody).decode
_decode_delete_query = msgspec.json.Decoder(_DeleteQueryBody).decode
_decode_attributes = msgspec.json.Decoder(dict[str, str] | None).decode
_decode_strategies = msgspec.json.Decoder(list[str] | None).decode


def application(catalogue: Catalogue, allowed: AllowedHosts) -> web.Application:
    """The application that serves the caches of a catalogue: each has its own path and its own keys.

    It runs in connections of the kind `Connection`.
    """
    api = _Api(catalogue, allowed)
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
    return app


class _Api:
    def __init__(self, catalogue: Catalogue, allowed: AllowedHosts) -> None:
        self._hosts = allowed
        self._bodies = Bodies()
        self._catalogue = catalogue
        self.admin = Admin(catalogue, self._bodies)
        self._searches = asyncio.Semaphore(_SEARCHES_AT_ONCE)

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
        cache = await self._cache(request, "read")
        body = await self._bodies.read(request, MAX_SEARCH_BYTES, _decode_search)
        found = await self._search(cache, body)
        return await self._found(request, SearchResponse(data=found), found)

    async def conversational_search(self, request: web.Request) -> web.Response:
        # The hosted service rewrites the prompt with a language model. There is none here.
        cache = await self._cache(request, "read")
        body = await self._bodies.read(request, MAX_CONVERSATION_BYTES, _decode_conversation)
        if body.context and len(body.context) > MAX_CONTEXT:
            raise _too_many("context", "texts", MAX_CONTEXT, len(body.context))
        _LIMITS.context(body.context)
        found = await self._search(cache, body)
        reply = ConversationalSearchResponseContent(actual_prompt=body.prompt, data=found)
        return await self._found(request, reply, found)

    async def set_entry(self, request: web.Request) -> web.Response:
        cache = await self._cache(request, "write")
        body = await self._bodies.read(request, MAX_BODY_BYTES, _decode_set)
        entry_id = await cache.set(
            _LIMITS.prompt(body.prompt),
            body.response,
            _LIMITS.attribute_map(_part("attributes", body.attributes, _decode_attributes)),
            _LIMITS.ttl(body.ttl_millis),
        )
        return _json(SetResponse(entry_id=entry_id), status=201)

    async def delete_by_id(self, request: web.Request) -> web.Response:
        entry_id = request.match_info["entry_id"]
        cache = await self._cache(request, "write")
        if not await cache.delete_by_id(entry_id):
            raise NotFound("entry", f"there is no entry {entry_id!r} in this cache")
        return web.Response(status=204)

    async def delete_query(self, request: web.Request) -> web.Response:
        if is_admin(self._catalogue.admin, digest_given(request)):
            return await self.admin.flush_cache(request)
        cache = await self._cache(request, "write")
        attributes = await self._bodies.read(request, MAX_SEARCH_BYTES, _attributes_to_delete)
        if not attributes:
            blank = FieldError(field="attributes", rule="required", message="cannot be blank")
            raise Problem(400, "attributes: cannot be blank", [blank])
        count = await cache.delete_query(_LIMITS.required_attributes(attributes))
        return _json(DeleteQueryResponse(deleted_entries_count=count))

    async def flush(self, request: web.Request) -> web.Response:
        cache = await self._cache(request, "write")
        await cache.flush()
        return web.Response(status=204)

    async def health(self, request: web.Request) -> web.Response:
        await self._cache(request)
        return _json(HealthResponse())

    async def alive(self, request: web.Request) -> web.Response:
        """The health of the whole service, which a probe asks for without a key."""
        return _json(HealthResponse())

    async def _search(self, cache: Cache, body: _SearchBody) -> list[CacheEntry]:
        strategies = _part("search_strategies", body.search_strategies, _decode_strategies)
        if strategies and len(strategies) > _MAX_STRATEGIES:
            raise _too_many("search_strategies", "strategies", _MAX_STRATEGIES, len(strategies))
        chosen = _LIMITS.search_strategies(strategies)
        if chosen and len(set(chosen)) < len(chosen):
            raise LimitError("search_strategies", "unique", "must be different ones, but has one twice")
        only_exact = chosen is not None and SearchStrategy.SEMANTIC not in chosen
        limit = MAX_RESULTS if only_exact else MAX_SEMANTIC_RESULTS
        most = _LIMITS.max_results(body.max_results)
        if most is not None and most > limit:
            ask_for_more = "" if only_exact else f"; up to {MAX_RESULTS} with the strategy 'exact' alone"
            raise LimitError("max_results", "max", f"must be at most {limit}, but is {most}{ask_for_more}")
        prompt = _LIMITS.prompt(body.prompt)
        threshold = _LIMITS.similarity_threshold(body.similarity_threshold)
        attributes = _LIMITS.attribute_map(_part("attributes", body.attributes, _decode_attributes))
        async with self._searches:
            found = await cache.search(prompt, threshold, chosen, attributes, most)
        chars = 0
        for number, entry in enumerate(found, 1):
            chars += _chars(entry)
            if chars >= MAX_REPLY_CHARS:
                return found[:number]
        return found

    async def _found(self, request: web.Request, reply: Model, found: Sequence[CacheEntry]) -> web.Response:
        FOUND.set(len(found))
        return await self._bodies.reply(request, sum(map(_chars, found)), _json, reply)

    async def _cache(self, request: web.Request, action: Action | None = None) -> Cache:
        """The cache that the request names.

        Raises `Problem` unless the request has a key that may do this there; None stands for anything.
        """
        access = await self._catalogue.access(digest_given(request))
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


def _chars(entry: CacheEntry) -> int:
    """The characters of an entry's texts."""
    attributes = sum(len(name) + len(value) for name, value in entry.attributes.items())
    return len(entry.prompt) + len(entry.response) + attributes


def _attributes_to_delete(content: bytes) -> dict[str, str] | None:
    return _decode_delete_query(content).attributes if content else None


def _part(argument: str, raw: msgspec.Raw, decode: Callable[[msgspec.Raw], T]) -> T:
    """A part of a body that was left as it is. Raises `LimitError`."""
    if len(memoryview(raw)) > _MAX_PART_BYTES:
        raise LimitError(argument, "max", f"must have at most {_MAX_PART_BYTES} bytes")
    try:
        return decode(raw)
    except msgspec.ValidationError as error:
        raise LimitError(argument, "type", str(error).partition(" - at ")[0]) from None


def _too_many(argument: str, what: str, most: int, count: int) -> LimitError:
    return LimitError(argument, "max", f"must have at most {most} {what}, but has {count}")


def _json(model: Model, status: int = 200) -> web.Response:
    return web.Response(status=status, body=_encode(model), content_type="application/json")
