"""What must type-check. Checked by mypy and never run; `misuses.py` has what must not."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import aiohttp
from typing_extensions import assert_type

from langcache import (
    UNSET,
    AsyncLangCache,
    BackoffStrategy,
    CacheEntry,
    LangCache,
    LangCacheError,
    Limits,
    OptionalNullable,
    RetryConfig,
    SearchResponse,
    SearchStrategy,
    SetResponse,
    errors,
    models,
    utils,
    verifier,
)
from langcache._wire.exchange import Reply
from langcache.httpclient import AsyncHttpClient, HttpResponse
from langcache.service import MiniLMEmbedder
from langcache.tuning import Pair, Report, Row, read_pairs, tune


class Client:
    """A client of the user's own that satisfies the protocol without inheriting from it."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout: float | None,
    ) -> Reply:
        return Reply(200, {}, b"")

    async def aclose(self) -> None:
        pass


own: AsyncHttpClient = Client()
reply: HttpResponse = Reply(200, {}, b"")


async def fetch_key() -> str:
    return "key"


def construct(session: aiohttp.ClientSession) -> None:
    AsyncLangCache()
    AsyncLangCache("cache.example", "key", "cache", session, None, 5000, logging.getLogger())
    AsyncLangCache(api_key=lambda: "key", client=aiohttp.ClientSession)
    AsyncLangCache(api_key=fetch_key, client=lambda: aiohttp.ClientSession(), timeout_ms=0.5)
    AsyncLangCache(client=Client(), limits=Limits(prompt_chars=None), debug_bodies=True)
    LangCache("cache.example", "key", "cache", Client, session, None, 5000, logging.getLogger())
    LangCache(retry_config=RetryConfig("backoff", BackoffStrategy(500, 60_000, 1.5, 3_600_000), True))
    LangCache(retry_config=3)


async def call_async() -> None:
    async with AsyncLangCache() as cache:
        found = await cache.search(
            "Hi?",
            similarity_threshold=0.9,
            search_strategies=[SearchStrategy.EXACT, "semantic"],
            attributes={"a": "b"},
            max_results=3,
            retries=None,
            server_url="cache.example",
            timeout_ms=100,
            http_headers={"X-Trace": "t"},
        )
        assert_type(found, SearchResponse)
        assert_type(found.entry, CacheEntry | None)
        assert_type(found.response, str | None)
        assert_type(found[0], CacheEntry)
        assert_type(found[:2], list[CacheEntry])
        assert_type([entry.similarity for entry in found], list[float])
        assert_type(await cache.set("Hi?", "Ho!", ttl_millis=1000), SetResponse)
        assert_type((await cache.delete_query({"a": "b"})).deleted_entries_count, int)
        assert_type(await cache.health(), models.HealthResponse)
        more = await cache.conversational_search("And?", context=("Hi?",))
        assert_type(more.actual_prompt, str)


def call_sync() -> None:
    with LangCache() as cache:
        assert_type(cache.search("Hi?", max_results=1), SearchResponse)
        assert_type(cache.set("Hi?", "Ho!", attributes={"a": "b"}).entry_id, str)
        assert_type(cache.delete_query({"a": "b"}), models.DeleteQueryResponse)
        cache.delete_by_id("e1")
        cache.flush()
        cache.close()


async def call_sync_awaited() -> None:
    async with LangCache() as cache:
        assert_type(await cache.search_async("Hi?", search_strategies=("exact",)), SearchResponse)
        assert_type(await cache.set_async("Hi?", "Ho!"), SetResponse)
        await cache.flush_async(retries=RetryConfig("none"))
        await cache.flush_async(retries=3)


def handle(error: LangCacheError) -> None:
    assert_type(error.status_code, int)
    assert_type(error.headers.get("Retry-After"), str | None)
    assert_type(error.data.detail, str | None)
    assert_type(error.raw_response, Reply | None)
    if isinstance(error, errors.ResponseValidationError):
        assert_type(error.cause, Exception)
    if isinstance(error, errors.BadRequestErrorResponseContent):
        assert_type(error.data.fields, list[models.FieldError] | None)


def wrap(prompt: str, retries: OptionalNullable[utils.RetryConfig] = UNSET) -> models.SearchResponseTypedDict:
    """A function with a signature such as the established client's."""
    with LangCache() as cache:
        cache.set(prompt, "Ho!", ttl=timedelta(minutes=1))
        assert_type(models.SearchResponse.model_validate_json("{}"), SearchResponse)
        entries = [entry.model_copy() for entry in cache.search(prompt, retries=retries)]
        assert_type(entries, list[CacheEntry])
    return {"data": []}


def choose(pairs: list[tuple[str, str, bool]]) -> float | None:
    """A threshold from labelled pairs, with each source of similarities."""
    with LangCache() as cache:
        report = tune(pairs, client=cache, attribute="run", max_wrong=0.05, progress=print)
    assert_type(report, Report)
    assert_type(report.certified, Row | None)
    tune(read_pairs("pairs.tsv"), embedder=MiniLMEmbedder(), accept=verifier, thresholds=[0.8, 0.9])
    tune([Pair("a", "b", same=True, similarity=0.9), ("c", "d", False), "pairs.tsv", Path("more.csv")])
    assert_type(report.svg(), str)
    return report.threshold


class MyCache(AsyncLangCache):
    """A client of a program's own stays what it is under ``with``."""


class MyBlockingCache(LangCache):
    """The same, blocking."""


async def own_clients() -> None:
    async with MyCache() as cache:
        assert_type(cache, MyCache)
    with MyBlockingCache() as blocking:
        assert_type(blocking, MyBlockingCache)
    async with MyBlockingCache() as both:
        assert_type(both, MyBlockingCache)
