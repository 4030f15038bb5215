"""The clients for the control plane, against replies in the shapes that the vendor's services describe."""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
import pickle
from datetime import datetime, timezone

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from langcache import AsyncLangCacheAdmin, BackoffStrategy, LangCacheAdmin, LimitError, RetryConfig, errors
from langcache.caches import CacheStatus, NewKey

ADMIN_KEY, IDENTITY_KEY = "the-admin-key-of-the-control-plane", "the-key-of-the-identity-service"
TOKEN = "agent-key-that-is-told-once"
CACHE_ID = "0123456789abcdef0123456789abcdef"
CACHE = {
    "cacheId": CACHE_ID,
    "name": "my-cache",
    "databaseId": "cache-primary",
    "databaseName": "Primary",
    "defaultSearchThreshold": 0.9,
    "defaultTtlMillis": -1,
    "attributes": ["topic"],
    "searchStrategies": ["semantic"],
    "embeddingProvider": "openai",
    "embeddingModel": "text-embedding-3-small",
    "embeddingDimensions": 1536,
    "status": "UNAVAILABLE",
    "createdAt": "2026-11-03T10:15:57Z",
    "failure": {"message": "the database is out of memory", "occurredAt": "2026-11-03T11:00:00+00:00"},
    "aFieldOfALaterRelease": {"any": "thing"},
}
KEY = {"keyId": "key-1", "token": TOKEN, "createdAt": "2026-11-03T10:15:57Z"}
FAST = RetryConfig("backoff", BackoffStrategy(1, 5, 1.5, 5000), True)


class Vendor:
    """A service that gives prepared replies, and keeps the requests."""

    def __init__(self):
        self.replies = []
        self.requests = []

    async def handle(self, request):
        body = await request.text()
        self.requests.append((request.method, request.path_qs, body, request.headers["Authorization"]))
        status, reply = self.replies.pop(0)
        if isinstance(reply, str):
            return web.Response(status=status, text=reply, content_type="text/plain")
        return web.json_response(reply, status=status)


@pytest.fixture
async def start():
    """Starts a `Vendor`, and gives it with its URL."""
    servers = []

    async def start():
        vendor = Vendor()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", vendor.handle)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        return vendor, str(server.make_url("")).rstrip("/")

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
async def vendor(start):
    vendor, vendor.url = await start()
    return vendor


@pytest.fixture
async def admin(vendor):
    async with AsyncLangCacheAdmin(vendor.url, ADMIN_KEY) as admin:
        yield admin


OPERATIONS = {
    "list_caches": (lambda admin: admin.list_caches(), "GET /v1/caches", "", (200, {"caches": [CACHE]})),
    "create_cache": (
        lambda admin: admin.create_cache("my-cache", attributes=("topic",), database_id="cache-primary"),
        "POST /v1/caches",
        '{"name":"my-cache","databaseId":"cache-primary","defaultSearchThreshold":0.85,'
        '"defaultTtlMillis":-1,"attributes":["topic"]}',
        (201, {"cacheId": CACHE_ID}),
    ),
    "get_cache": (lambda admin: admin.get_cache(CACHE_ID), f"GET /v1/caches/{CACHE_ID}", "", (200, CACHE)),
    "update_cache": (
        lambda admin: admin.update_cache(CACHE_ID, default_ttl_millis=0, max_entries=5),
        f"PATCH /v1/caches/{CACHE_ID}",
        '{"defaultTtlMillis":0,"maxEntries":5}',
        (201, ""),
    ),
    "delete_cache": (
        lambda admin: admin.delete_cache(CACHE_ID, flush=False),
        f"DELETE /v1/caches/{CACHE_ID}?flush=false",
        "",
        (200, ""),
    ),
    "flush_cache": (
        lambda admin: admin.flush_cache(CACHE_ID),
        f"DELETE /v1/caches/{CACHE_ID}/entries",
        "",
        (200, ""),
    ),
    "list_embedding_providers": (
        lambda admin: admin.list_embedding_providers(),
        "GET /v1/embedding-providers",
        "",
        (200, {"embeddingProviders": [{"name": "o", "models": [{"name": "m", "dimensions": 3}]}]}),
    ),
    "create_key": (
        lambda admin: admin.create_key("app", {CACHE_ID: ["write", "read"]}),
        "POST /v1/api-keys",
        '{"name":"app","grants":[{"product":"langcache","resourceType":"lc-cache",'
        f'"resourceId":"{CACHE_ID}","actions":["read","write"]}}]}}',
        (201, KEY),
    ),
    "list_keys": (
        lambda admin: admin.list_keys(),
        "GET /v1/api-keys",
        "",
        (200, {"apiKeys": [{"keyId": "key-1", "name": "app", "grants": [], "createdAt": None}]}),
    ),
    "rotate_key": (lambda admin: admin.rotate_key("key-1"), "POST /v1/api-keys/key-1/rotate", "", (200, KEY)),
    "revoke_key": (lambda admin: admin.revoke_key("key-1"), "DELETE /v1/api-keys/key-1", "", (204, "")),
}
OF_KEYS = {name for name in OPERATIONS if "key" in name}


def operations(kind):
    return {name for name, member in vars(kind).items() if inspect.isfunction(member) and name[0] != "_"}


def test_every_operation_is_tried_here_and_both_clients_have_it():
    assert operations(AsyncLangCacheAdmin) == {*OPERATIONS, "aclose", "discard"}
    assert operations(LangCacheAdmin) == {*OPERATIONS, "close"}
    for name in OPERATIONS:
        signatures = [
            inspect.signature(getattr(kind, name)) for kind in (AsyncLangCacheAdmin, LangCacheAdmin)
        ]
        assert signatures[0] == signatures[1]


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_sends_what_the_vendor_describes(admin, vendor, name):
    call, request, body, reply = OPERATIONS[name]
    vendor.replies = [reply]
    await call(admin)
    (method, path, sent, authorization) = vendor.requests[0]
    assert (f"{method} {path}", sent, authorization) == (request, body, f"Bearer {ADMIN_KEY}")


@pytest.mark.parametrize("name", OPERATIONS)
async def test_keys_are_asked_of_the_identity_service_with_its_own_key(start, name):
    (control, control_url), (identity, identity_url) = await start(), await start()
    call, _, _, reply = OPERATIONS[name]
    asked, other, key = (
        (identity, control, IDENTITY_KEY) if name in OF_KEYS else (control, identity, ADMIN_KEY)
    )
    asked.replies = [reply]
    async with AsyncLangCacheAdmin(
        control_url, ADMIN_KEY, identity_url=identity_url, identity_key=IDENTITY_KEY
    ) as admin:
        await call(admin)
    assert [request[3] for request in asked.requests] == [f"Bearer {key}"]
    assert other.requests == []


async def test_what_the_vendor_says_of_a_cache_is_read(admin, vendor):
    vendor.replies = [(200, CACHE), (200, {"cacheId": "c", "name": "n", "status": "LATER"})]
    cache = await admin.get_cache(CACHE_ID)
    assert (cache.cache_id, cache.database_name, cache.embedding_dimensions) == (CACHE_ID, "Primary", 1536)
    assert cache.status is CacheStatus.UNAVAILABLE
    assert cache.failure.message == "the database is out of memory"
    assert cache.created_at == datetime(2026, 11, 3, 10, 15, 57, tzinfo=timezone.utc)
    assert (await admin.get_cache("c")).status.value == "LATER"


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "/errors/invalid-data", errors.BadRequestError),
        (401, "/errors/authentication-failed", errors.AuthenticationError),
        (403, "/errors/insufficient-permissions", errors.ForbiddenError),
        (404, "/errors/resource-not-found", errors.NotFoundError),
        (424, "/errors/resource-unavailable", errors.StatusError),
        (500, "/errors/unexpected-error", errors.StatusError),
        (503, "/errors/service-unavailable", errors.StatusError),
    ],
)
@pytest.mark.parametrize("name", ["get_cache", "create_key"])
async def test_a_problem_is_the_error_of_its_status(admin, vendor, name, status, kind, error):
    vendor.replies = [(status, {"title": "T", "type": kind, "status": status, "detail": "why"})]
    with pytest.raises(error, match="why") as caught:
        await OPERATIONS[name][0](admin)
    assert (caught.value.status_code, caught.value.tries) == (status, 1)


async def test_failures_are_retried_as_configured(vendor):
    vendor.replies = [(503, ""), (503, ""), (200, CACHE), (503, "")]
    async with AsyncLangCacheAdmin(vendor.url, ADMIN_KEY, retry_config=FAST) as admin:
        assert (await admin.get_cache(CACHE_ID)).tries == 3
        with pytest.raises(errors.StatusError):
            await admin.list_caches(retries=None)


async def test_the_key_may_come_from_a_callable_and_headers_may_be_added(vendor):
    keys = iter(["first", "second"])
    vendor.replies = [(200, {"caches": []})] * 2
    async with AsyncLangCacheAdmin(vendor.url, lambda: next(keys)) as admin:
        await admin.list_caches()
        await admin.list_caches(http_headers={"X-Any": "1"})
    assert [request[3] for request in vendor.requests] == ["Bearer first", "Bearer second"]


async def test_a_new_key_is_shown_nowhere(admin, vendor, caplog):
    caplog.set_level(logging.DEBUG)
    vendor.replies = [(201, KEY)]
    key = await OPERATIONS["create_key"][0](admin)
    assert key.token == TOKEN
    assert TOKEN not in f"{key!r} {key} {caplog.text}"
    for refuse in (pickle.dumps, lambda key: pickle.dumps([key])):
        with pytest.raises(TypeError, match="pickled"):
            refuse(key)
    assert TOKEN not in repr(copy.copy(key))
    assert isinstance(copy.deepcopy(key), NewKey)


@pytest.mark.parametrize("reply", [{"token": TOKEN}, {**KEY, "keyId": 7}, f"not JSON: {TOKEN}"], ids=str)
@pytest.mark.parametrize("name", ["create_key", "rotate_key"])
async def test_a_new_key_is_in_no_error(vendor, name, reply, caplog):
    caplog.set_level(logging.DEBUG)
    vendor.replies = [(201, reply)]
    async with AsyncLangCacheAdmin(vendor.url, ADMIN_KEY, debug_logger=logging.getLogger("test")) as admin:
        with pytest.raises(errors.ResponseValidationError) as caught:
            await OPERATIONS[name][0](admin)
    error = caught.value
    shown = f"{error} {error!r} {error.body} {error.raw_response.content} {error.cause!r} {caplog.text}"
    assert "status 201" in caplog.text
    assert TOKEN not in shown
    assert ADMIN_KEY not in shown


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("", "key"), "server_url"),
        (("http://h/?q", "key"), "server_url: must end before any"),
        (("http://h", ""), "admin_key: is empty"),
        (("http://h", "a b"), "admin_key: has a character"),
        (("http://h", 7), "admin_key: must be str"),
        (("http://h", "k", "ftp://h", "k2"), "identity_url: must begin with https"),
        (("http://h", "k", "http://i"), "identity_key: is needed along with identity_url"),
        (("http://h", "k", "http://i", "a b"), "identity_key: has a character"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-",
)
@pytest.mark.parametrize("kind", [AsyncLangCacheAdmin, LangCacheAdmin])
def test_what_can_t_be_meant_is_refused(kind, arguments, reason):
    names = ("server_url", "admin_key", "identity_url", "identity_key")
    with pytest.raises((TypeError, ValueError), match=reason):
        kind(**dict(zip(names, arguments, strict=False)))


def test_what_is_missing_is_named(monkeypatch):
    for variable in ("LANGCACHE_SERVER_URL", "LANGCACHE_ADMIN_KEY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ValueError, match=r"LANGCACHE_SERVER_URL(.|\n)*LANGCACHE_ADMIN_KEY"):
        AsyncLangCacheAdmin()


@pytest.mark.parametrize(
    "call",
    [
        lambda admin: admin.create_cache(""),
        lambda admin: admin.create_cache("n" * 65),
        lambda admin: admin.create_cache("n", attributes="topic"),
        lambda admin: admin.create_cache("n", attributes=["a"] * 2),
        lambda admin: admin.create_cache("n", attributes=list("abcdef")),
        lambda admin: admin.create_cache("n", default_search_threshold=1.5),
        lambda admin: admin.create_cache("n", default_ttl_millis=-2),
        lambda admin: admin.create_cache("n", max_entries=-2),
        lambda admin: admin.update_cache(CACHE_ID, max_entries=1.5),
        lambda admin: admin.create_cache("n", search_strategies=["exact", "exact"]),
        lambda admin: admin.create_cache("n", database_id="a/b"),
        lambda admin: admin.update_cache(CACHE_ID),
        lambda admin: admin.get_cache("../api-keys"),
        lambda admin: admin.delete_cache(CACHE_ID, flush="no"),
        lambda admin: admin.create_key("k", {}),
        lambda admin: admin.create_key("k", [CACHE_ID]),
        lambda admin: admin.create_key("k", {CACHE_ID: "read"}),
        lambda admin: admin.create_key("k", {CACHE_ID: ["admin"]}),
        lambda admin: admin.revoke_key(""),
    ],
)
async def test_what_breaks_a_rule_is_not_sent(admin, vendor, call):
    with pytest.raises((LimitError, TypeError)):
        await call(admin)
    assert vendor.requests == []


async def test_the_clients_end_and_are_never_pickled(vendor):
    admin = AsyncLangCacheAdmin(vendor.url, ADMIN_KEY)
    assert repr(admin) == f"<AsyncLangCacheAdmin {vendor.url}/v1/>"
    await admin.aclose()
    with pytest.raises(errors.ClosedError):
        await admin.list_caches()
    with LangCacheAdmin(vendor.url, ADMIN_KEY) as sync_admin:
        vendor.replies = [(200, {"caches": [CACHE]})]
        caches = await asyncio.to_thread(sync_admin.list_caches)
        assert [cache.cache_id for cache in caches] == [CACHE_ID]
        assert repr(sync_admin) == f"<LangCacheAdmin {vendor.url}/v1/>"
        assert copy.deepcopy(sync_admin) is sync_admin
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(sync_admin)
    with pytest.raises(errors.ClosedError):
        await asyncio.to_thread(sync_admin.list_caches)
