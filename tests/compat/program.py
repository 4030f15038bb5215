"""A program as it is written for the established package: it prints, as JSON, what it gets to see.

Arguments: the URL of a service, the key, the id of a cache with the attributes ``topic`` and ``user``, and
the id of a cache without any.
"""

import asyncio
import json
import logging
import sys

from langcache import LangCache, errors
from langcache.models import SearchStrategy
from langcache.utils import BackoffStrategy, RetryConfig

url, key, with_attributes, without = sys.argv[1:]
seen = []


def saw(what, value):
    seen.append([what, value])


def describe(entry):
    dumped = entry.model_dump(mode="json")
    dumped["similarity"] = round(dumped["similarity"], 4)
    del dumped["id"]
    return [dumped, sorted(entry.model_dump(by_alias=True)), entry.search_strategy.value]


def describe_error(error):
    data = error.data.model_dump(mode="json")
    return [
        error.status_code,
        error.headers.get("content-type"),
        json.loads(error.body)["detail"] == error.data.detail,
        error.raw_response.status_code,
        isinstance(error, errors.LangCacheError),
        {name: data[name] for name in ("status", "type", "detail")},
        "no attributes are configured" in str(error),
    ]


def failure(call, kind, **kwargs):
    try:
        call(**kwargs)
    except kind as error:
        return describe_error(error)
    return "no error"


def status_of_failure(call, **kwargs):
    # Each release knows other types of a 404, and raises another error for those that it does not know.
    try:
        call(**kwargs)
    except errors.NotFoundErrorResponseContent as error:
        return error.status_code
    return "no error"


def blocking():
    retries = RetryConfig("backoff", BackoffStrategy(1, 50, 1.1, 100), False)
    with LangCache(
        url,
        api_key=lambda: key,
        cache_id=with_attributes,
        retry_config=retries,
        timeout_ms=60_000,
        debug_logger=logging.getLogger("langcache"),
    ) as cache:
        cache.flush()
        saved = cache.set(
            prompt="How do I reset my password?",
            response="In Settings.",
            attributes={"topic": "account"},
            ttl_millis=60_000,
            retries=retries,
        )
        cache.set(prompt="What is the capital of Spain?", response="Madrid", http_headers={"X-Trace": "1"})
        saw("set", sorted(saved.model_dump()))
        found = cache.search(prompt="How can I reset my password?", similarity_threshold=0.7)
        saw("hit", [describe(entry) for entry in found.data])
        saw("same id", found.data[0].id == saved.entry_id)
        saw("miss", cache.search(prompt="Who wrote Hamlet?", similarity_threshold=0.9).data)
        both = cache.search(
            prompt="what is the CAPITAL of Spain?",
            search_strategies=[SearchStrategy.EXACT, SearchStrategy.SEMANTIC],
        )
        saw("exact", [describe(entry) for entry in both.data])
        for topic in ("account", "billing"):
            filtered = cache.search(prompt="How do I reset my password?", attributes={"topic": topic})
            saw(f"filtered by {topic}", [describe(entry) for entry in filtered.data])
        saw(
            "unknown attribute",
            failure(
                cache.search, errors.BadRequestErrorResponseContent, prompt="x", attributes={"color": "red"}
            ),
        )
        cache.set(prompt="Short-lived", response="Soon gone", ttl_millis=1)
        while cache.search(prompt="Short-lived", search_strategies=[SearchStrategy.EXACT]).data:
            pass
        saw("deleted", cache.delete_query(attributes={"topic": "account"}).model_dump())
        saw("left", len(cache.search(prompt="How do I reset my password?").data))
        spain = both.data[0].id
        saw("delete_by_id", cache.delete_by_id(entry_id=spain))
        saw("delete_by_id again", status_of_failure(cache.delete_by_id, entry_id=spain))
        saw("flush", cache.flush())


async def awaited():
    async with LangCache(server_url=url, api_key=key, cache_id=without) as cache:
        await cache.flush_async()
        await cache.set_async(prompt="What is Redis?", response="A database.", ttl_millis=60_000)
        found = await cache.search_async(prompt="what is redis?", search_strategies=[SearchStrategy.EXACT])
        saw("async hit", [describe(entry) for entry in found.data])
        for operation, arguments in (
            (cache.search_async, {"prompt": "What is Redis?"}),
            (cache.set_async, {"prompt": "What is Redis?", "response": "?"}),
            (cache.delete_query_async, {}),
        ):
            try:
                await operation(attributes={"topic": "x"}, **arguments)
            except errors.BadRequestErrorResponseContent as error:
                saw(f"{operation.__name__} without attributes", describe_error(error))
        saw("async delete_by_id", await cache.delete_by_id_async(entry_id=found.data[0].id))
        saw("async miss", (await cache.search_async(prompt="What is Redis?")).data)
        saw("async flush", await cache.flush_async())


def refused():
    with LangCache(url, api_key="wrong", cache_id=without) as cache:
        saw("wrong key", failure(cache.search, errors.AuthenticationErrorResponseContent, prompt="x"))
    with LangCache(url, api_key=key, cache_id="no-such-cache") as cache:
        saw("wrong cache", status_of_failure(cache.search, prompt="x"))


blocking()
asyncio.run(awaited())
refused()
print(json.dumps(seen))
