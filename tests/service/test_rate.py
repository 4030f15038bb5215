"""A limit of requests for each key: counted exactly, by all processes together, and for known keys alone."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache import AsyncLangCache, LangCacheError
from langcache.retries import RetryConfig
from langcache.service import CacheConfig, ServerConfig
from langcache.service.rate import RateLimit, Usage
from langcache.service.server import serving


class Clock:
    now = 5.0

    def __call__(self):
        return self.now


def usage(limit, **options):
    clock = Clock()
    return Usage(RateLimit(limit), clock=clock, **options), clock


def key(number):
    return number.to_bytes(4, "little") * 4


def test_as_many_at_once_as_the_limit_says_then_one_each_time_a_part_is_over():
    taken, clock = usage("6/m")
    assert [taken.take(key(1)) for _ in range(6)] == [0.0] * 6
    assert taken.take(key(1)) == pytest.approx(10)
    assert taken.take(key(2)) == 0.0, "another key"
    clock.now += 9.5
    assert taken.take(key(1)) == pytest.approx(0.5), "what is refused is not counted"
    clock.now += 0.5
    assert taken.take(key(1)) == 0.0
    assert taken.take(key(1)) == pytest.approx(10)
    clock.now += 3600
    assert [taken.take(key(1)) for _ in range(7)].count(0.0) == 6, "no more than that is saved up"
    taken.close()


@given(
    requests=st.integers(1, 50),
    unit=st.sampled_from(["s", "m", "h"]),
    steps=st.lists(st.floats(0, 30), max_size=60),
)
def test_in_no_time_of_the_limit_are_there_more_than_twice_as_many(requests, unit, steps):
    limit = RateLimit(f"{requests}/{unit}")
    taken, clock = usage(f"{requests}/{unit}")
    granted = []
    for step in steps:
        clock.now += step
        if not taken.take(key(1)):
            granted.append(clock.now)
    taken.close()
    for start in granted:
        within = [each for each in granted if start <= each < start + limit.seconds]
        assert len(within) <= 2 * requests
    assert len(granted) <= requests + sum(steps) * requests / limit.seconds + 1e-6


def test_more_keys_than_there_are_places_cost_no_more_memory_and_none_that_counts_much():
    taken, clock = usage("2/s")
    for number in range(20_000):
        assert taken.take(key(number)) == 0.0
    clock.now += 10
    assert [taken.take(key(7)) for _ in range(3)].count(0.0) == 2
    assert [taken.take(key(8)) for _ in range(3)].count(0.0) == 2
    assert len(taken._places) < 200_000
    taken.close()


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="it forks")
def test_forked_processes_count_together():
    taken = Usage(RateLimit("1000/h"), shared=True)
    read, write = os.pipe()
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            granted = sum(not taken.take(key(1)) for _ in range(500))
            os.write(write, granted.to_bytes(4, "little"))
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    counts = [int.from_bytes(os.read(read, 4), "little") for _ in range(4)]
    os.close(read)
    os.close(write)
    taken.close()
    # Each part of the hour that is over while they run, 3.6 s, allows one more.
    assert 1000 <= sum(counts) <= 1010


@pytest.mark.parametrize(
    "text", ["", "5", "0/s", "5/d", "-1/s", "5/s ", "1.5/s", "5 / s", "9999999999/s", "٣/s", 5]
)
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(ValueError, match="rate_limit: must be requests in a time"):
        ServerConfig(rate_limit=text)


@pytest.fixture
async def limited(embedder):
    config = ServerConfig(
        caches=(CacheConfig(cache_id="a", api_key="k1"), CacheConfig(cache_id="b", api_key="k2")),
        rate_limit="3/h",
    )
    async with serving(config, embedder) as running:
        yield running.url


@pytest.fixture
def ask(limited, session):
    async def ask(key, path="/v1/caches/a/health", method="GET", scheme="Bearer"):
        headers = {} if key is None else {"Authorization": f"{scheme} {key}"}
        async with session.request(method, limited + path, headers=headers) as reply:
            return reply.status, reply.headers.get("Retry-After"), await reply.json()

    return ask


async def test_a_key_that_asks_too_often_gets_429_and_when_to_ask_again(ask):
    for _ in range(3):
        assert (await ask("k1"))[0] == 200
    status, wait, body = await ask("k1")
    assert (status, body["type"], body["status"]) == (429, "/errors/too-many-requests", 429)
    assert 1190 <= int(wait) <= 1200
    assert "k1" not in str(body)
    for scheme in ("bearer", "BEARER ", "Bearer  "):
        assert (await ask("k1", scheme=scheme))[0] == 429, "the same key, written in another way"
    assert (await ask("k1", path="/v1/caches/b/health"))[0] == 429, "whatever it asks for"
    assert (await ask("k2", path="/v1/caches/b/health"))[0] == 200, "another key"
    for path in ("/health", "/health/liveness", "/health/readiness"):
        assert (await ask("k1", path=path))[0] == 200, "probes are not counted"


async def test_keys_that_are_not_known_are_answered_as_ever_and_take_no_place(ask):
    for number in range(10):
        assert (await ask(f"unknown-{number}"))[0] == 401
        assert (await ask("unknown"))[0] == 401
        assert (await ask(None))[0] == 401
    for _ in range(3):
        assert (await ask("k1"))[0] == 200


async def test_no_number_of_other_keys_gives_a_key_more_requests(ask):
    for _ in range(3):
        assert (await ask("k1"))[0] == 200
    for number in range(5000):  # more than there are places
        path = "/v1/nothing" if number % 2 else "/v1/caches/a/health"
        await ask(f"made-up-{number}", path=path)
    assert (await ask("k1"))[0] == 429


async def test_the_client_understands_it(limited):
    none = RetryConfig(strategy="none")
    async with AsyncLangCache(limited, "k1", "a", retry_config=none) as cache:
        for _ in range(3):
            await cache.search("p")
        with pytest.raises(LangCacheError) as caught:
            await cache.search("p")
    assert caught.value.status_code == 429
