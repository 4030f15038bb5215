"""Caches and keys that are made at run time, as several services on one Redis see them."""

from __future__ import annotations

import asyncio
import re
import shlex
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from angle_embedder import AngleEmbedder
from redis_servers import needs

from langcache import AsyncLangCache, AsyncLangCacheAdmin, errors
from langcache.service import LocalServer, catalogue

ADMIN_KEY = "admin-key-0123456789"
BOTH = ["read", "write"]


class Service:
    """One service, with clients for it."""

    def __init__(self, server, admin):
        self.server = server
        self.admin = admin

    async def use(self, cache_id, key):
        """The number of entries found after one more was stored, or the status of an error."""
        async with AsyncLangCache(self.server.url, key, cache_id) as cache:
            try:
                await cache.set("p @0", "r")
                return len(await cache.search("p @0", max_results=100))
            except errors.StatusError as error:
                return error.status_code


@pytest.fixture
async def services(redis_at):
    needs()
    async with AsyncExitStack() as stack:
        services = []
        for _ in range(2):
            embedder = AngleEmbedder()
            server = await stack.enter_async_context(
                LocalServer(embedder=embedder, store=redis_at, admin_key=ADMIN_KEY)
            )
            admin = await stack.enter_async_context(AsyncLangCacheAdmin(server.url, ADMIN_KEY))
            services.append(Service(server, admin))
        yield services


async def sooner_or_later(outcome, expected):
    """Wait until a call has an outcome: as long as a service may take to see a change, and longer."""
    for _ in range(600):
        if await outcome() == expected:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"it never became {expected}")


async def test_what_one_makes_the_others_know_at_once(services):
    one, two = services
    for _ in range(5):
        cache_id = (await one.admin.create_cache("n")).cache_id
        key = (await one.admin.create_key("k", {cache_id: BOTH})).token
        assert await two.use(cache_id, key) == 1
        assert await one.use(cache_id, key) == 2
        assert await two.admin.get_cache(cache_id) == await one.admin.get_cache(cache_id)


async def test_what_one_revokes_changes_or_deletes_the_others_see_within_a_second(services):
    one, two = services
    cache_id = (await one.admin.create_cache("n")).cache_id
    first, second = [await one.admin.create_key("k", {cache_id: BOTH}) for _ in range(2)]
    assert await two.use(cache_id, first.token) == 1
    await one.admin.update_cache(cache_id, search_strategies=["exact"])
    await one.admin.revoke_key(first.key_id)
    await sooner_or_later(lambda: two.use(cache_id, first.token), 401)
    async with AsyncLangCache(two.server.url, second.token, cache_id) as cache:
        assert not await cache.search("other @0")
    await one.admin.delete_cache(cache_id)
    await sooner_or_later(lambda: two.use(cache_id, second.token), 401)
    assert catalogue._POLL_SECONDS <= 1


async def test_two_that_begin_with_a_cache_at_once_share_it(services):
    cache_id = (await services[0].admin.create_cache("n")).cache_id
    key = (await services[0].admin.create_key("k", {cache_id: BOTH})).token
    used = await asyncio.gather(*(service.use(cache_id, key) for service in services * 4))
    assert sorted(used)[-1] == 8
    assert [status for status in used if status > 8] == []


async def test_two_that_create_and_change_at_once_lose_nothing(services):
    created = await asyncio.gather(*(service.admin.create_cache("n") for service in services * 10))
    ids = {each.cache_id for each in created}
    assert len(ids) == 20
    for service in services:
        assert {cache.cache_id for cache in await service.admin.list_caches()} >= ids
    one, two = (service.admin for service in services)
    for cache_id in sorted(ids)[:5]:
        await asyncio.gather(
            one.update_cache(cache_id, default_search_threshold=0.5),
            two.update_cache(cache_id, default_ttl_millis=5000),
            one.update_cache(cache_id, search_strategies=["exact"]),
        )
        cache = await two.get_cache(cache_id)
        changed = cache.default_search_threshold, cache.default_ttl_millis, cache.search_strategies
        assert changed == (0.5, 5000, ["exact"])


async def test_a_deleted_cache_leaves_nothing_in_redis(services, redis_server):
    one, two = services
    cache_id = (await one.admin.create_cache("n")).cache_id
    key = (await one.admin.create_key("k", {cache_id: BOTH})).token
    assert [await service.use(cache_id, key) for service in services] == [1, 2]
    await one.admin.delete_cache(cache_id)
    await sooner_or_later(lambda: two.use(cache_id, key), 401)

    async def left():
        return [name for name in redis_server.do("KEYS", "*") if cache_id.encode() in name]

    await sooner_or_later(left, [])
    assert not [name for name in redis_server.do("FT._LIST") if cache_id.encode() in name]


async def test_after_the_data_are_lost_nothing_is_there_that_was_made(services, redis_server):
    one, two = services
    cache_id = (await one.admin.create_cache("n")).cache_id
    key = (await one.admin.create_key("k", {cache_id: BOTH})).token
    assert await two.use(cache_id, key) == 1
    redis_server.do("FLUSHALL")
    await sooner_or_later(lambda: two.use(cache_id, key), 401)
    again = (await one.admin.create_cache("n")).cache_id
    key = (await one.admin.create_key("k", {again: BOTH})).token
    assert await two.use(again, key) == 1


@pytest.fixture
async def newer(redis_at):
    """A service with another embedder, on the same Redis."""
    needs()
    other = AngleEmbedder()
    other.name = "other"
    async with (
        LocalServer(cache_id="others", embedder=other, store=redis_at, admin_key=ADMIN_KEY) as server,
        AsyncLangCacheAdmin(server.url, ADMIN_KEY) as admin,
    ):
        yield Service(server, admin)


async def test_a_cache_of_another_embedder_is_unavailable_and_the_rest_works(services, newer):
    one, _ = services
    cache_id = (await one.admin.create_cache("n")).cache_id
    key = (await one.admin.create_key("k", {cache_id: BOTH})).token
    assert await one.use(cache_id, key) == 1
    assert await newer.use(cache_id, key) == 424
    cache = await newer.admin.get_cache(cache_id)
    assert (cache.status, cache.failure.message) == (
        "UNAVAILABLE",
        "the entries can't be used at the moment; the log of the service says why",
    )
    assert await newer.use("others", newer.server.api_key) == 1


@pytest.mark.parametrize("index", ["there", "dropped"])
async def test_a_cache_of_another_embedder_is_deleted_with_its_entries(services, newer, redis_server, index):
    one, _ = services
    cache_id = (await one.admin.create_cache("n")).cache_id
    key = (await one.admin.create_key("k", {cache_id: BOTH})).token
    assert [await one.use(cache_id, key) for _ in range(3)] == [1, 2, 3]

    def of_cache(names):
        return [name for name in names if cache_id.encode() in name]

    if index == "dropped":
        for name in of_cache(redis_server.do("FT._LIST")):
            redis_server.do("FT.DROPINDEX", name)
    await newer.admin.delete_cache(cache_id)
    assert of_cache(redis_server.do("KEYS", "*")) == of_cache(redis_server.do("FT._LIST")) == []
    assert cache_id not in [cache.cache_id for cache in await newer.admin.list_caches()]
    await sooner_or_later(lambda: one.use(cache_id, key), 401)


async def test_a_flushed_cache_of_another_embedder_is_the_flushers(services, newer):
    one, _ = services
    cache_id = (await one.admin.create_cache("n")).cache_id
    key = (await one.admin.create_key("k", {cache_id: BOTH})).token
    assert await one.use(cache_id, key) == 1
    await newer.admin.flush_cache(cache_id)
    assert await newer.use(cache_id, key) == 1
    assert (await newer.admin.get_cache(cache_id)).status == "READY"
    assert await one.use(cache_id, key) == 424


@pytest.mark.parametrize("more", ["", "+hgetall +hdel"], ids=["entries", "all"])
async def test_the_rights_on_the_page_about_redis_suffice(redis_server, redis_at, more):
    """Those for entries alone too, as long as nothing is made at run time."""
    page = (Path(__file__).parents[2] / "docs" / "redis.md").read_text("utf-8")
    command = re.search(r"redis-cli (ACL SETUSER .*?)\n\n", page, re.DOTALL)[1]
    rights = " ".join(shlex.split(command.replace("\\\n", " "))[6:])
    redis_server.do("ACL", "SETUSER", "limited", "on", ">pw", "~*", *rights.split(), *more.split())
    url = redis_at.replace("redis://", "redis://limited:pw@")
    try:
        async with (
            LocalServer(embedder=AngleEmbedder(), store=url, admin_key=ADMIN_KEY) as server,
            AsyncLangCacheAdmin(server.url, ADMIN_KEY) as admin,
        ):
            service = Service(server, admin)
            assert await service.use(server.cache_id, server.api_key) == 1
            if more:
                cache_id = (await admin.create_cache("n")).cache_id
                key = await admin.create_key("k", {cache_id: BOTH})
                assert await service.use(cache_id, key.token) == 1
                await admin.revoke_key(key.key_id)
                await admin.delete_cache(cache_id)
    finally:
        redis_server.do("ACL", "DELUSER", "limited")
