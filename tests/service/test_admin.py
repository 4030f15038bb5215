"""Caches and keys that are made while the service runs, over real HTTP and in each store."""

from __future__ import annotations

import asyncio
import json
import re
from urllib.parse import urlsplit

import pytest
from redis_servers import STORES

from langcache import AsyncLangCache, AsyncLangCacheAdmin, LimitError, errors
from langcache.caches import CacheStatus
from langcache.service import CacheConfig, LocalServer, ServerConfig, StoreError
from langcache.service.admin import Admin
from langcache.service.stores.recovery import recover
from langcache.service.stores.sqlite_file import SqliteFile

ADMIN_KEY = "admin-key-0123456789"
BOTH = ["read", "write"]


@pytest.fixture(params=STORES)
def kept(request, kept_in):
    return {**kept_in(request.param), "admin_key": ADMIN_KEY}


@pytest.fixture
async def admin(server):
    async with AsyncLangCacheAdmin(server.url, ADMIN_KEY) as admin:
        yield admin


@pytest.fixture
async def call(server, session):
    """The status and the body of a reply to a bare request."""

    async def call(method, path, body=None, key=ADMIN_KEY):
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        async with session.request(method, f"{server.url}/v1/{path}", json=body, headers=headers) as reply:
            text = await reply.text()
            return reply.status, await reply.json() if text else None

    return call


async def made(admin, actions=BOTH, **settings):
    """The id of a new cache and a key for it."""
    cache_id = (await admin.create_cache("made", **settings)).cache_id
    return cache_id, (await admin.create_key("made", {cache_id: actions})).token


async def used(server, cache_id, key):
    """Whether a cache can be used with a key: the kind of error if not."""
    async with AsyncLangCache(server.url, key, cache_id) as cache:
        try:
            await cache.set("used @0", "yes")
            return (await cache.search("used @0")).response
        except errors.StatusError as error:
            return error.status_code


async def test_a_cache_is_made_used_changed_and_deleted(admin, server):
    cache_id, key = await made(admin, attributes=["topic"], default_search_threshold=0.9)
    assert re.fullmatch("[0-9a-f]{32}", cache_id)
    async with AsyncLangCache(server.url, key, cache_id) as cache:
        await cache.set("a @0", "A", attributes={"topic": "t"})
        with pytest.raises(errors.BadRequestError, match="not configured"):
            await cache.set("a @0", "A", attributes={"tenant": "t"})
        assert not await cache.search("b @60")  # .75
        await admin.update_cache(cache_id, default_search_threshold=0.7, default_ttl_millis=60_000)
        assert (await cache.search("b @60")).response == "A"
        await admin.update_cache(cache_id, search_strategies=["exact"])
        assert not await cache.search("b @60")

        info = await admin.get_cache(cache_id)
        assert (info.name, info.attributes, info.status) == ("made", ["topic"], CacheStatus.READY)
        assert (info.default_search_threshold, info.default_ttl_millis) == (0.7, 60_000)
        assert info.search_strategies == ["exact"]
        assert info in await admin.list_caches()

        await admin.flush_cache(cache_id)
        assert not await cache.search("a @0")
        await cache.set("a @0", "A")
        await admin.delete_cache(cache_id)
        with pytest.raises(errors.AuthenticationError):  # its only key went along
            await cache.search("a @0")
    with pytest.raises(errors.NotFoundError):
        await admin.get_cache(cache_id)
    assert await admin.list_keys() == []
    assert [info.cache_id for info in await admin.list_caches()] == [server.cache_id]


@pytest.mark.parametrize("actions", [["read"], ["write"], BOTH], ids="+".join)
async def test_a_key_does_what_it_has_a_right_to(admin, call, actions):
    cache_id, key = await made(admin, actions, attributes=["topic"])
    of_each = {
        "read": [
            ("POST", "entries/search", {"prompt": "p"}),
            ("POST", "conversations/search", {"prompt": "p"}),
        ],
        "write": [
            ("POST", "entries", {"prompt": "p", "response": "r"}),
            ("DELETE", "entries/none", None),
            ("DELETE", "entries", {"attributes": {"topic": "t"}}),
            ("POST", "flush", None),
        ],
    }
    for action, requests in of_each.items():
        for method, path, body in requests:
            status, _ = await call(method, f"caches/{cache_id}/{path}", body, key)
            assert (status == 403) is (action not in actions), (method, path, status)
    assert (await call("GET", f"caches/{cache_id}/health", key=key))[0] == 200


async def test_a_key_opens_several_caches_and_a_cache_has_several_keys(admin, server):
    one, key_of_one = await made(admin)
    two, _ = await made(admin)
    both = (await admin.create_key("both", {one: BOTH, two: BOTH, server.cache_id: BOTH})).token
    assert [await used(server, each, both) for each in (one, two, server.cache_id)] == ["yes"] * 3
    assert [await used(server, each, key_of_one) for each in (one, two, server.cache_id)] == ["yes", 403, 403]
    assert await used(server, one, server.api_key) == 403
    assert await used(server, server.cache_id, server.api_key) == "yes"
    await admin.delete_cache(one)
    assert [await used(server, each, both) for each in (one, two)] == [404, "yes"]


async def test_a_key_that_is_rotated_or_revoked_opens_nothing(admin, server):
    cache_id, _ = await made(admin)
    first = await admin.create_key("k", {cache_id: BOTH})
    second = await admin.rotate_key(first.key_id)
    assert second.key_id == first.key_id
    assert [await used(server, cache_id, new.token) for new in (first, second)] == [401, "yes"]
    await admin.revoke_key(first.key_id)
    assert await used(server, cache_id, second.token) == 401
    for call in (admin.revoke_key, admin.rotate_key):
        with pytest.raises(errors.NotFoundError, match="no key"):
            await call(first.key_id)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "entries/search", {"prompt": "used @0"}),
        ("POST", "conversations/search", {"prompt": "used @0"}),
        ("POST", "entries", {"prompt": "used @0", "response": "no"}),
        ("DELETE", "entries", {"attributes": {"a": "b"}}),
    ],
)
async def test_a_key_that_is_revoked_while_a_body_comes_opens_nothing(admin, server, method, path, body):
    cache_id, _ = await made(admin, attributes=["a"])
    key = await admin.create_key("k", {cache_id: BOTH})
    content = json.dumps(body).encode()
    address = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = (
        f"{method} /v1/caches/{cache_id}/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {key.token}\r\nContent-Length: {len(content)}\r\n"
        "Expect: 100-continue\r\n\r\n"
    )
    writer.write(head.encode())
    assert b"100" in await reader.readuntil(b"\r\n\r\n")  # the key was good
    await admin.revoke_key(key.key_id)
    writer.write(content)
    assert (await reader.read()).startswith(b"HTTP/1.1 401")
    writer.close()
    await writer.wait_closed()


EVERY_OPERATION = [
    ("GET", "caches", None),
    ("POST", "caches", {"name": "n"}),
    ("GET", "caches/{id}", None),
    ("PATCH", "caches/{id}", {"defaultTtlMillis": 1}),
    ("DELETE", "caches/{id}", None),
    ("GET", "embedding-providers", None),
    ("GET", "api-keys", None),
    ("POST", "api-keys", {"name": "n", "grants": [{"resourceId": "local", "actions": ["read"]}]}),
    ("POST", "api-keys/none/rotate", None),
    ("DELETE", "api-keys/none", None),
]


@pytest.mark.parametrize(("method", "path", "body"), EVERY_OPERATION)
@pytest.mark.parametrize("kept", ["memory"], indirect=True)
async def test_every_operation_needs_the_admin_key(admin, call, server, method, path, body):
    cache_id, key = await made(admin)
    path = path.format(id=cache_id)
    assert [(await call(method, path, body, given))[0] for given in (None, "wrong", key, server.api_key)] == [
        *(401, 401),
        *(403, 403),
    ]
    assert (await admin.get_cache(cache_id)).default_ttl_millis == -1
    assert len(await admin.list_caches()) == 2
    assert len(await admin.list_keys()) == 1
    # The list has every route, so that one that is added is tried too.
    routes = {(route.method, re.sub(r"\{\w+\}", "", route.path)) for route in Admin(None, None).routes()}
    tried = {(method, f"/v1/{re.sub('none|{id}', '', path)}") for method, path, _ in EVERY_OPERATION}
    assert routes == tried


@pytest.mark.parametrize("kept", ["memory"], indirect=True)
async def test_the_admin_key_opens_no_entries(server):
    assert await used(server, server.cache_id, ADMIN_KEY) == 403


async def test_without_an_admin_key_nobody_makes_caches(embedder, session):
    with LocalServer(embedder=embedder) as server:
        for key, status in ((server.api_key, 403), ("None", 401), ("", 401)):
            headers = {"Authorization": f"Bearer {key}"}
            async with session.get(f"{server.url}/v1/caches", headers=headers) as reply:
                assert reply.status == status


async def test_the_settings_of_the_service_can_t_be_changed(admin, server):
    for change in (
        admin.update_cache(server.cache_id, default_ttl_millis=5),
        admin.delete_cache(server.cache_id),
    ):
        with pytest.raises(errors.BadRequestError, match="settings that the service was started with"):
            await change
    assert await used(server, server.cache_id, server.api_key) == "yes"
    await admin.flush_cache(server.cache_id)


@pytest.mark.parametrize("kept", ["memory"], indirect=True)
async def test_a_flush_by_the_admin_is_no_delete_by_attributes(admin, call, server):
    cache_id, key = await made(admin, attributes=["topic"])
    assert await used(server, cache_id, key) == "yes"
    status, body = await call("DELETE", f"caches/{cache_id}/entries", {"attributes": {"topic": "t"}})
    assert (status, body["detail"]) == (
        400,
        "with the admin key all entries are deleted, for which there must be no body",
    )
    async with AsyncLangCache(server.url, key, cache_id) as cache:
        assert await cache.search("used @0")


WRONG = [
    ("POST", "caches", {}, "name", "required"),
    ("POST", "caches", {"name": ""}, "name", "min"),
    ("POST", "caches", {"name": "n" * 65}, "name", "max"),
    ("POST", "caches", {"name": "a\nb"}, "name", "pattern"),
    ("POST", "caches", {"name": 1}, "name", "type"),
    ("POST", "caches", {"name": "n", "databaseId": "a/b"}, "databaseId", "pattern"),
    ("POST", "caches", {"name": "n", "databaseId": "d" * 33}, "databaseId", "pattern"),
    ("POST", "caches", {"name": "n", "defaultSearchThreshold": 1.1}, "defaultSearchThreshold", "range"),
    ("POST", "caches", {"name": "n", "defaultTtlMillis": -2}, "defaultTtlMillis", "min"),
    ("POST", "caches", {"name": "n", "defaultTtlMillis": 2**60}, "defaultTtlMillis", "max"),
    ("POST", "caches", {"name": "n", "maxEntries": -2}, "maxEntries", "min"),
    ("POST", "caches", {"name": "n", "maxEntries": "5"}, "maxEntries", "type"),
    ("PATCH", "caches/{id}", {"maxEntries": -2}, "maxEntries", "min"),
    ("POST", "caches", {"name": "n", "attributes": list("abcdef")}, "attributes", "max"),
    ("POST", "caches", {"name": "n", "attributes": ["a", "a"]}, "attributes", "unique"),
    ("POST", "caches", {"name": "n", "attributes": ["a b"]}, "attributes", "pattern"),
    ("POST", "caches", {"name": "n", "searchStrategies": []}, "searchStrategies", "min"),
    ("POST", "caches", {"name": "n", "searchStrategies": ["exact"] * 2}, "searchStrategies", "unique"),
    ("POST", "caches", {"name": "n", "searchStrategies": ["fuzzy"]}, "searchStrategies", "oneof"),
    ("PATCH", "caches/{id}", {}, "body", "required"),
    ("PATCH", "caches/{id}", {"defaultSearchThreshold": -1}, "defaultSearchThreshold", "range"),
    ("DELETE", "caches/{id}?flush=perhaps", None, "flush", "oneof"),
    ("POST", "api-keys", {"name": "n", "grants": []}, "grants", "min"),
    ("POST", "api-keys", {"name": "n", "grants": [{"resourceId": "nowhere"}]}, None, None),
    (
        "POST",
        "api-keys",
        {"name": "n", "grants": [{"resourceId": "x", "actions": ["read"]}]},
        "grants",
        "oneof",
    ),
    ("POST", "api-keys", {"name": "n", "grants": [{"resourceId": "{id}", "actions": []}]}, "grants", "oneof"),
    (
        *("POST", "api-keys"),
        {"name": "n", "grants": [{"resourceId": "{id}", "actions": ["read", "admin"]}]},
        *("grants", "oneof"),
    ),
    (
        *("POST", "api-keys"),
        {"name": "n", "grants": [{"product": "memory", "resourceId": "{id}", "actions": ["read"]}]},
        *("grants", "oneof"),
    ),
]


@pytest.mark.parametrize(("method", "path", "body", "field", "rule"), WRONG)
@pytest.mark.parametrize("kept", ["memory"], indirect=True)
async def test_what_is_wrong_is_named(admin, call, method, path, body, field, rule):
    cache_id, _ = await made(admin)
    for grant in (body or {}).get("grants", []):
        grant["resourceId"] = grant["resourceId"].format(id=cache_id)
    status, reply = await call(method, path.format(id=cache_id), body)
    assert (status, reply["type"]) == (400, "/errors/invalid-data")
    if field is not None:
        assert [(each["field"], each["rule"]) for each in reply["fields"]] == [(field, rule)]
    assert len(await admin.list_caches()) == 2
    assert len(await admin.list_keys()) == 1


@pytest.mark.parametrize("kept", ["memory"], indirect=True)
async def test_the_number_of_caches_and_of_grants_is_bounded(admin, monkeypatch):
    monkeypatch.setattr("langcache.service.admin.MAX_CACHES", 5)
    monkeypatch.setattr("langcache.service.admin.MAX_GRANTS", 6)
    outcomes = await asyncio.gather(*(admin.create_cache("n") for _ in range(9)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, errors.BadRequestError)]
    made = [outcome.cache_id for outcome in outcomes if outcome not in refused]
    assert (len(made), len(refused)) == (5, 4)
    keys = await asyncio.gather(
        *(admin.create_key("n", {made[0]: BOTH, made[1]: BOTH}) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(key, errors.BadRequestError) for key in keys) == 2
    await admin.delete_cache(made[0])
    await admin.create_cache("again")
    assert [len(key.grants) for key in await admin.list_keys()] == [1, 1, 1]


@pytest.mark.parametrize("kept", STORES[1:], indirect=True)
async def test_what_was_made_is_there_after_a_restart(embedder, kept):
    with LocalServer(embedder=embedder, **kept) as server:
        async with AsyncLangCacheAdmin(server.url, ADMIN_KEY) as admin:
            cache_id, key = await made(admin, attributes=["topic"])
            deleted, _ = await made(admin)
            await admin.delete_cache(deleted)
        assert await used(server, cache_id, key) == "yes"
    with LocalServer(embedder=embedder, **kept) as server:
        async with AsyncLangCache(server.url, key, cache_id) as cache:
            assert (await cache.search("used @0")).response == "yes"
        async with AsyncLangCacheAdmin(server.url, ADMIN_KEY) as admin:
            assert [info.cache_id for info in await admin.list_caches()] == [server.cache_id, cache_id]


@pytest.mark.parametrize("kept", STORES[1:], indirect=True)
@pytest.mark.parametrize("flush", [True, False])
async def test_the_entries_of_a_deleted_cache_stay_only_if_that_is_wanted(embedder, kept, flush):
    with LocalServer(embedder=embedder, **kept) as server:
        async with AsyncLangCacheAdmin(server.url, ADMIN_KEY) as admin:
            cache_id, key = await made(admin)
            assert await used(server, cache_id, key) == "yes"
            await admin.delete_cache(cache_id, flush=flush)
    with LocalServer(cache_id=cache_id, embedder=embedder, **kept) as server:
        async with AsyncLangCache(server.url, server.api_key, cache_id) as cache:
            assert (await cache.search("used @0")).response == (None if flush else "yes")


@pytest.mark.parametrize("kept", ["sqlite"], indirect=True)
async def test_a_damaged_file_keeps_the_caches_that_are_intact(embedder, kept):
    with LocalServer(embedder=embedder, **kept) as server:
        async with AsyncLangCacheAdmin(server.url, ADMIN_KEY) as admin:
            cache_id, key = await made(admin)
        async with AsyncLangCache(server.url, key, cache_id) as cache:
            for number in range(3):
                await cache.set(f"{number} @0", "the answer that is damaged" if number == 1 else "whole")
    content = kept["db"].read_bytes()
    assert b"that is damaged" in content
    kept["db"].write_bytes(content.replace(b"that is damaged", b"that is altered"))
    assert recover(kept["db"]).lost == 1
    with LocalServer(embedder=embedder, **kept) as server:
        assert await used(server, cache_id, key) == "yes"


@pytest.mark.parametrize("delete", [True, False], ids=["deleted", "flushed"])
async def test_a_cache_that_can_not_be_opened_can_be_emptied(embedder, tmp_path, monkeypatch, delete):
    with LocalServer(embedder=embedder, db=tmp_path / "c.db", admin_key=ADMIN_KEY) as server:
        async with AsyncLangCacheAdmin(server.url, ADMIN_KEY) as admin:
            cache_id, key = await made(admin)
            assert await used(server, cache_id, key) == "yes"
    load = SqliteFile.load

    def fail(file, wanted, index):
        if wanted == cache_id and file.count():
            raise StoreError("damaged")
        return load(file, wanted, index)

    monkeypatch.setattr(SqliteFile, "load", fail)
    with LocalServer(embedder=embedder, db=tmp_path / "c.db", admin_key=ADMIN_KEY) as server:
        async with AsyncLangCacheAdmin(server.url, ADMIN_KEY) as admin:
            assert await used(server, cache_id, key) == 424
            if delete:
                await admin.delete_cache(cache_id)
                assert await used(server, cache_id, key) == 401
            else:
                await admin.flush_cache(cache_id)
                assert await used(server, cache_id, key) == "yes"
    monkeypatch.undo()
    with LocalServer(cache_id=cache_id, embedder=embedder, db=tmp_path / "c.db") as server:
        async with AsyncLangCache(server.url, server.api_key, cache_id) as cache:
            assert len(await cache.search("used @0", max_results=9)) == (0 if delete else 1)


@pytest.mark.parametrize("kept", STORES[1:], indirect=True)
async def test_no_key_is_kept(admin, server, kept, request):
    cache_id, key = await made(admin)
    assert await used(server, cache_id, key) == "yes"
    if "db" in kept:
        content = b"".join(path.read_bytes() for path in kept["db"].parent.iterdir())
    else:
        redis = request.getfixturevalue("redis_server")
        content = b"".join(b"%r" % redis.do("HGETALL", name) for name in redis.do("KEYS", "*records*"))
    assert cache_id.encode() in content
    assert key.encode() not in content
    assert key.encode()[4:20] not in content


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"admin_key": "short"}, "admin_key: must have at least 16 characters"),
        ({"admin_key": "with a space in it"}, "admin_key: has a character"),
        ({"admin_key": 7}, "admin_key: must be str"),
        (
            {"admin_key": "the-same-key-for-both", "caches": (CacheConfig(api_key="the-same-key-for-both"),)},
            "admin_key: must be another key",
        ),
    ],
)
def test_an_admin_key_that_can_t_be_one_is_refused(settings, match):
    with pytest.raises((TypeError, ValueError), match=match) as caught:
        ServerConfig(**settings)
    assert str(settings["admin_key"]) not in str(caught.value)


def test_the_admin_key_is_in_no_representation():
    assert ADMIN_KEY not in repr(ServerConfig(admin_key=ADMIN_KEY))


@pytest.mark.parametrize("kept", ["memory"], indirect=True)
async def test_a_client_refuses_what_the_service_would(admin):
    for make in (
        lambda: admin.create_cache(""),
        lambda: admin.create_cache("n", attributes=["a", "a"]),
        lambda: admin.create_cache("n", default_search_threshold=2),
        lambda: admin.create_cache("n", default_ttl_millis=-2),
        lambda: admin.update_cache("c"),
        lambda: admin.create_key("n", {}),
        lambda: admin.create_key("n", {"c": ["all"]}),
        lambda: admin.get_cache("../api-keys"),
    ):
        with pytest.raises(LimitError):
            await make()
