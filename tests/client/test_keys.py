"""An API key that a callable gives."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from langcache import AsyncLangCache, BackoffStrategy, RetryConfig
from langcache._wire.exchange import Reply
from langcache.errors import AuthenticationError, TimeoutException

QUICK = BackoffStrategy(1, 1, 1, 60_000, 0)


def sent_keys(service):
    return [seen.headers["Authorization"] for seen in service.seen]


async def test_a_callable_is_asked_before_each_try(connect, service):
    keys = iter(["k1", "k2", "k3"])
    client = connect(api_key=lambda: next(keys))
    service.replies(503)
    await client.flush(retries=RetryConfig("backoff", QUICK))
    await client.flush()
    assert sent_keys(service) == ["Bearer k1", "Bearer k2", "Bearer k3"]


async def test_a_callable_may_be_a_coroutine_function(connect, service):
    async def fetch():
        await asyncio.sleep(0)
        return "k1"

    await connect(api_key=fetch).flush()
    assert sent_keys(service) == ["Bearer k1"]


@pytest.mark.parametrize(
    ("key", "error", "words"),
    [
        (None, ValueError, "returned None"),
        (b"hunter2", TypeError, "but is bytes"),
        ("", ValueError, "is empty"),
        ("hunter2\n", ValueError, "character that no key has"),
    ],
)
async def test_what_is_no_key_is_refused_before_anything_is_sent(connect, service, key, error, words):
    with pytest.raises(error, match=r"^api_key: ") as raised:
        await connect(api_key=lambda: key).flush()
    assert words in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert service.seen == []


async def test_an_error_of_the_callable_is_the_callers(connect, service):
    def refuse():
        raise LookupError("no key in the vault")

    with pytest.raises(LookupError, match="no key in the vault"):
        await connect(api_key=refuse).flush()


async def test_a_callable_that_hangs_is_cut_off_by_the_timeout(connect, service):
    with pytest.raises(TimeoutException, match=r"api_key: the callable gave no key within 0\.05 s"):
        await connect(api_key=asyncio.Event().wait, timeout_ms=50).flush()
    assert service.seen == []


async def test_a_callable_that_hangs_is_cut_off_by_the_deadline(connect, service):
    config = RetryConfig("backoff", BackoffStrategy(1, 1, 1, 50, 0), True)
    with pytest.raises(TimeoutException, match="api_key"):
        await connect(api_key=asyncio.Event().wait).flush(retries=config)


async def test_the_wait_for_a_key_is_part_of_the_timeout():
    class Recorder:
        async def request(self, method, url, *, headers, content, timeout):
            self.timeout = timeout
            return Reply(204, {}, b"")

        async def aclose(self):
            raise AssertionError("not ours to close")

    async def slowly():
        await asyncio.sleep(0.02)
        return "k"

    recorder = Recorder()
    await AsyncLangCache("cache.example", slowly, "c", recorder, timeout_ms=60_000).flush()
    assert recorder.timeout < 59.99


async def test_a_timeout_of_the_callables_own_is_one_of_ours_even_without_a_timeout(service):
    async def time_out():
        raise asyncio.TimeoutError

    async with aiohttp.ClientSession() as session:
        with pytest.raises(TimeoutException, match=r"api_key: the callable raised TimeoutError"):
            await AsyncLangCache(service.url, time_out, "c", session).flush()


async def test_a_callable_needs_no_timeout(service):
    async with aiohttp.ClientSession() as session:
        await AsyncLangCache(service.url, lambda: "k1", "c", session).flush()
    assert sent_keys(service) == ["Bearer k1"]


async def test_an_error_does_not_show_a_key_that_the_service_quotes(connect, service):
    key = "sk-0123456789abcdef"
    client = connect(api_key=key)
    service.replies(401, {"detail": f"bad key Bearer {key}"}, X_Seen=key)
    with pytest.raises(AuthenticationError, match=r"bad key Bearer \*\*\*$") as raised:
        await client.flush()
    error = raised.value
    assert error.headers["x-seen"] == "***"
    assert key not in f"{error.body} {error.data} {error.raw_response!r}"


async def test_a_key_of_a_few_letters_is_masked_in_no_word(connect, service):
    service.replies(401, {"detail": "unknown key"})
    with pytest.raises(AuthenticationError, match="unknown key"):
        await connect(api_key="key").flush()
