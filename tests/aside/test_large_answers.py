"""Answers that a lookup could not read, since the reply that has them would be too large."""

from __future__ import annotations

import pytest
from either_client import Either

from langcache import AsyncLangCache, LangCache, Limits
from langcache.aside import AsideConfig
from langcache.limits import LimitError

QUESTION = "How do I reset my password?"
OTHER = "Where is my parcel?"
LIMIT = 4000
TOO_LARGE = r"response: makes an entry of \d+ bytes, but .*\(Limits\(reply_bytes=\.\.\.\) allows more"


@pytest.fixture(params=[AsyncLangCache, LangCache], ids=["async", "blocking"])
async def cache(request, connection):
    aside = AsideConfig(lookup_timeout=60, time_attribute="stored_at", close_timeout=60)
    client = request.param(**connection, aside=aside, limits=Limits(reply_bytes=LIMIT))
    yield Either(client)
    await client.aclose()


@pytest.mark.parametrize("character", ["x", "ü", '"', "\n"], ids=["ascii", "umlaut", "quote", "line"])
async def test_what_is_stored_can_be_found_and_the_rest_is_counted(cache, character):
    width = len(character.encode()) if character > "~" else {"x": 1}.get(character, 2)
    refused = 0
    for size in range(LIMIT - 700, LIMIT + 101, 100):
        answer = character * (size // width)
        for _ in range(2):
            given = await cache.get(QUESTION, answer, attributes={"user": size})
            assert given.value == answer
            assert given.status != "error"
        if given.error is None:
            assert given.hit
        else:
            refused += 1
            assert isinstance(given.error, LimitError)
    assert 0 < refused < 9
    assert (cache.stats().store_errors, cache.stats().errors) == (2 * refused, 0)


async def test_an_answer_that_is_too_large_keeps_no_other_from_the_cache(cache):
    for _ in range(AsideConfig().breaker_failures + 1):
        given = await cache.get(QUESTION, "x" * LIMIT, function="f")
        assert (given.status, given.reason) == ("miss", None)
    assert (await cache.get(OTHER, "tomorrow", function="f")).status == "miss"
    assert (await cache.get(OTHER, "tomorrow", function="f")).hit
    with pytest.raises(LimitError, match=TOO_LARGE):
        await cache.get(QUESTION, "x" * LIMIT, function="f", on_error="raise")


async def test_a_refresh_deletes_the_old_answer_though_the_new_one_is_too_large(cache):
    await cache.get(QUESTION, "old", function="f")
    given = await cache.get(QUESTION, "x" * LIMIT, function="f", refresh=True)
    assert isinstance(given.error, LimitError)
    assert await cache.entries(QUESTION) == []


async def test_a_stale_answer_stays_if_the_new_one_is_too_large(cache, until):
    await cache.get(QUESTION, "old", function="f")
    given = await cache.get(QUESTION, "x" * LIMIT, function="f", stale_after=1e-9)
    assert (given.value, given.stale) == ("old", True)
    await until(lambda: cache.stats().renewal_failures == 1)
    assert [entry.response for entry in await cache.entries(QUESTION)] == ["old"]


@pytest.mark.parametrize("kind", [AsyncLangCache, LangCache])
async def test_nothing_is_sent_of_what_could_not_be_read_again(kind, dead_url):
    client = kind(dead_url, "key", "cache", limits=Limits(reply_bytes=LIMIT))
    with pytest.raises(LimitError, match=TOO_LARGE):
        await (client.set if kind is AsyncLangCache else client.set_async)(QUESTION, "x" * LIMIT)
    await client.aclose()
