"""The page at ``/`` of the service: static files, which need no key, and what they show, which does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec
from aiohttp import web

from ...limits import LimitError
from ...models import CacheEntry, Model
from ..access import Action, digest_given, is_admin
from ..bodies import Bodies, leave_for_later
from ..catalogue import Catalogue
from ..config import CacheSettings
from ..embedders import EmbedderError
from ..engine import Cache
from ..operations import Operations, SearchBody, chars_of, decode_search
from ..problems import Problem
from ..stores.store import StoreError
from .recent import Asked, Recent

__all__ = ["HEADERS", "Draw", "Page"]

Draw: TypeAlias = Callable[[Sequence[tuple[float, bool]]], tuple[str, str]]
"""Makes a picture, as an SVG document, and a text of similarities and whether the answers were the same."""

CacheOf: TypeAlias = Callable[[web.Request, Action], Awaitable[Cache]]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""What every file of the page is sent with."""

_FILES = {
    "/": ("page.html", "text/html"),
    "/page/page.css": ("page.css", "text/css"),
    "/page/page.js": ("page.js", "text/javascript"),
    "/page/parts.js": ("parts.js", "text/javascript"),
}

_TRIED = 10
"""How many entries a question that is tried is shown."""

_MOST_BYTES = 128 * 1024
_MOST_PAIRS = 2000


class _Shown(Model, kw_only=True):
    cache_id: str
    attributes: list[str]
    threshold: float
    entries: int | None = None
    failed: bool = False
    ttl_millis: int | None = None
    max_entries: int | None = None


class _Caches(Model, kw_only=True):
    caches: list[_Shown]
    recent: int
    picture: bool
    admin: bool


class _Recent(Model):
    asked: list[Asked]


class _Tried(Model):
    data: list[CacheEntry]


class _Pair(Model):
    similarity: float
    same: bool


class _Pairs(Model):
    pairs: list[_Pair]


class _Picture(Model):
    svg: str
    table: str


_encode = msgspec.json.Encoder().encode
_decode_pairs = msgspec.json.Decoder(_Pairs).decode


class Page:
    """Answers the requests for the page and of it.

    Args:
        catalogue: the caches.
        cache_of: the cache that a request names. Raises `Problem` unless its key may do this there.
        operations: makes the searches that are tried.
        bodies: reads bodies.
        recent: the latest searches.
        draw: makes the picture of labelled pairs. None: there is none.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        cache_of: CacheOf,
        operations: Operations,
        bodies: Bodies,
        recent: Recent,
        draw: Draw | None,
    ) -> None:
        self._catalogue = catalogue
        self._cache_of = cache_of
        self._operations = operations
        self._bodies = bodies
        self._recent = recent
        self._draw = draw
        self._drawing = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """The routes of the page."""
        later = leave_for_later
        return [
            *(web.get(path, _file(name, kind)) for path, (name, kind) in _FILES.items()),
            web.get("/page/caches", self.page_caches),
            web.get("/page/caches/{cache_id}/recent", self.page_recent),
            web.post("/page/caches/{cache_id}/try", self.page_try, expect_handler=later),
            web.post("/page/caches/{cache_id}/picture", self.page_picture, expect_handler=later),
        ]

    async def page_caches(self, request: web.Request) -> web.Response:
        """The caches that the key opens, and their sizes where it may read; for the admin key all sizes."""
        digest = digest_given(request)
        access = await self._catalogue.access(digest)
        if access is None:
            raise Problem(401, "the API key is not known here")
        admin = is_admin(self._catalogue.admin, digest)
        if admin:
            sized = {*self._catalogue.configs, *self._catalogue.caches}
            opened = sized
        else:
            opened = {cache_id for cache_id in access if self._catalogue.knows(cache_id)}
            sized = {cache_id for cache_id in opened if "read" in access[cache_id]}
        caches = [await self._shown(cache_id, cache_id in sized) for cache_id in sorted(opened)]
        picture = self._draw is not None
        return _json(_Caches(caches=caches, recent=self._recent.most, picture=picture, admin=admin))

    async def page_recent(self, request: web.Request) -> web.Response:
        """The latest searches of a cache."""
        cache = await self._cache_of(request, "read")
        asked = self._recent.of(cache.settings.cache_id)
        size = sum(200 + len(each.prompt) + len(each.nearest or "") for each in asked)
        return await self._bodies.reply(request, size, _json, _Recent(asked))

    async def page_try(self, request: web.Request) -> web.Response:
        """The nearest entries, whatever their similarity. Such a search is not counted and not kept."""
        await self._cache_of(request, "read")
        asked = await self._bodies.read(request, _MOST_BYTES, decode_search)
        cache = await self._cache_of(request, "read")
        body = SearchBody(
            prompt=asked.prompt,
            similarity_threshold=0.0,
            search_strategies=msgspec.Raw(b'["semantic"]'),
            attributes=asked.attributes,
            max_results=_TRIED,
        )
        found = (await self._operations.search(cache, body)).data
        return await self._bodies.reply(request, sum(map(chars_of, found)), _json, _Tried(found))

    async def page_picture(self, request: web.Request) -> web.Response:
        """What each threshold keeps and lets through of labelled pairs, as `langcache tune` draws it."""
        await self._cache_of(request, "read")
        if self._draw is None:
            raise Problem(404, "this service draws no picture; `python -m langcache serve` does")
        pairs = (await self._bodies.read(request, _MOST_BYTES, _decode_pairs)).pairs
        if len(pairs) > _MOST_PAIRS:
            raise LimitError("pairs", "max", f"must be at most {_MOST_PAIRS}, but are {len(pairs)}")
        if not all(-1 <= pair.similarity <= 1 for pair in pairs):
            raise LimitError("pairs", "range", "must have similarities from -1 to 1")
        if {pair.same for pair in pairs} != {True, False}:
            raise LimitError("pairs", "min", "must have both: one with the same answer and one with another")
        scored = [(pair.similarity, pair.same) for pair in pairs]
        async with self._drawing:  # it takes a moment, for which others need not wait
            return _json(_Picture(*await asyncio.to_thread(self._draw, scored)))

    async def _shown(self, cache_id: str, sized: bool) -> _Shown:
        record = self._catalogue.caches.get(cache_id)
        settings = self._catalogue.configs.get(cache_id) or (record.settings() if record else CacheSettings())
        entries: int | None = None
        failed = False
        if sized and self._catalogue.knows(cache_id):  # others may delete it while sizes are asked for
            try:
                entries = await (await self._catalogue.cache(cache_id)).store.size()
            except (StoreError, EmbedderError):
                failed = True
        return _Shown(
            cache_id=cache_id,
            attributes=list(settings.attributes),
            threshold=settings.threshold,
            entries=entries,
            failed=failed,
            ttl_millis=settings.ttl_millis,
            max_entries=settings.max_entries,
        )


def _file(name: str, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    content = (Path(__file__).parent / name).read_bytes()

    async def page_file(_: web.Request) -> web.Response:
        return web.Response(body=content, content_type=kind, charset="utf-8", headers=HEADERS)

    return page_file


def _json(model: Model) -> web.Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=_encode(model), content_type="application/json", headers=headers)
