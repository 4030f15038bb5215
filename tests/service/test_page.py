"""The page of the service over HTTP: what it sends, to whom, and what it keeps."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import aiohttp
import pytest

from langcache import AsyncLangCache
from langcache.admin import AsyncLangCacheAdmin
from langcache.cli.serve import _draw
from langcache.service import CacheConfig, LocalServer, ServerConfig
from langcache.service.operations import SearchBody
from langcache.service.page import _FILES, HEADERS
from langcache.service.page.recent import Recent
from langcache.service.server import serving
from langcache.service.stores.memory import MemoryStore
from langcache.service.stores.store import StoreError

ADMIN = "an-admin-key-of-tests"
CACHES = (
    CacheConfig(cache_id="one", api_key="key-one", attributes=("topic",)),
    CacheConfig(cache_id="two", api_key="key-two"),
)


class Service:
    def __init__(self, url, session):
        self.url, self._session = url, session

    async def __call__(self, path, body=None, key="key-one"):
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        method = "GET" if body is None else "POST"
        async with self._session.request(method, f"{self.url}{path}", json=body, headers=headers) as reply:
            return reply.status, await reply.json(content_type=None)

    async def asked(self, cache_id="one", key="key-one"):
        return (await self(f"/page/caches/{cache_id}/recent", key=key))[1]["asked"]


@pytest.fixture
def settings():
    return {}


@pytest.fixture
async def service(embedder, settings):
    config = ServerConfig(caches=CACHES, admin_key=ADMIN, **settings)
    async with serving(config, embedder, draw=_draw) as running, aiohttp.ClientSession() as session:
        yield Service(running.url, session)


ENTRIES = "/v1/caches/one/entries"


@pytest.mark.parametrize("path", _FILES)
async def test_each_file_has_the_headers_and_needs_no_key(service, path):
    async with aiohttp.ClientSession() as session, session.get(f"{service.url}{path}") as reply:
        assert reply.status == 200
        assert {name: reply.headers[name] for name in HEADERS} == HEADERS
        assert reply.content_type == _FILES[path][1]
        text = await reply.text()
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "<style",
        "style=",
    ):
        assert forbidden not in text
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


SHOWN = [
    ("/page/caches", None),
    ("/page/caches/one/recent", None),
    ("/page/caches/one/try", {"prompt": "p"}),
    ("/page/caches/one/picture", {"pairs": []}),
]


@pytest.mark.parametrize(("path", "body"), SHOWN)
async def test_what_it_shows_needs_a_key_that_is_known(service, path, body):
    assert (await service(path, body, key=None))[0] == 401
    assert (await service(path, body, key="wrong"))[0] == 401


@pytest.mark.parametrize(("path", "body"), SHOWN[1:])
async def test_what_it_shows_of_a_cache_needs_a_key_of_that_cache(service, path, body):
    assert (await service(path, body, key="key-two"))[0] == 403
    assert (await service(path, body, key=ADMIN))[0] == 403


async def test_what_it_shows_of_a_cache_needs_the_right_to_read(service):
    granted = {"name": "w", "grants": [{"resourceId": "one", "actions": ["write"]}]}
    status, made = await service("/v1/api-keys", granted, key=ADMIN)
    assert status == 201, made
    for path, body in SHOWN[1:]:
        assert (await service(path, body, key=made["token"]))[0] == 403
    _, shown = await service("/page/caches", key=made["token"])
    assert [cache.get("entries") for cache in shown["caches"]] == [None]


@pytest.mark.parametrize(
    ("key", "sizes"), [("key-one", {"one": 2}), ("key-two", {"two": 0}), (ADMIN, {"one": 2, "two": 0})]
)
async def test_caches_and_their_size_are_those_of_the_key(service, key, sizes):
    for prompt in ("p", "q"):
        await service(ENTRIES, {"prompt": prompt, "response": "a"})
    _, shown = await service("/page/caches", key=key)
    assert {cache["cacheId"]: cache["entries"] for cache in shown["caches"]} == sizes


@pytest.mark.parametrize("store", ["memory", "sqlite", "redis"])
async def test_the_size_is_that_of_the_store(embedder, kept_in, store):
    async with aiohttp.ClientSession() as session:
        with LocalServer(embedder=embedder, **kept_in(store)) as server:
            service = Service(server.url, session)
            for _ in range(3):
                await service("/v1/caches/local/entries", {"prompt": "p", "response": "a"}, server.api_key)
            _, shown = await service("/page/caches", key=server.api_key)
    assert [cache["entries"] for cache in shown["caches"]] == [3]


async def test_a_store_that_fails_hides_no_other_cache(service, monkeypatch):
    async def fails(store):
        raise StoreError("gone")

    monkeypatch.setattr(MemoryStore, "size", fails)
    status, shown = await service("/page/caches", key=ADMIN)
    assert status == 200
    assert [(cache["cacheId"], cache["failed"]) for cache in shown["caches"]] == [
        ("one", True),
        ("two", True),
    ]


async def test_searches_are_shown_latest_first_as_hit_or_miss(service):
    await service(ENTRIES, {"prompt": "stored @0", "response": "a"})
    for prompt in ("near @30", "far @90"):
        await service(f"{ENTRIES}/search", {"prompt": prompt, "similarityThreshold": 0.9})
    far, near = await service.asked()
    assert (near["prompt"], near["hit"], near["similarity"], near["nearest"]) == (
        "near @30",
        True,
        pytest.approx(0.933, abs=0.001),
        "stored @0",
    )
    assert (far["prompt"], far["hit"], far["similarity"], far["threshold"]) == ("far @90", False, 0.5, 0.9)
    assert await service.asked("two", "key-two") == []


async def test_a_question_is_tried_whatever_the_threshold_and_leaves_no_trace(service):
    await service(ENTRIES, {"prompt": "stored @0", "response": "a"})
    status, tried = await service("/page/caches/one/try", {"prompt": "far @90", "similarityThreshold": 1})
    assert status == 200
    assert [(entry["prompt"], entry["similarity"]) for entry in tried["data"]] == [("stored @0", 0.5)]
    assert await service.asked() == []


@pytest.mark.parametrize("settings", [{"recent": 3}], ids=["3"])
async def test_no_more_are_kept_than_the_setting_says_nor_more_of_a_text(service):
    for number in range(5):
        await service(f"{ENTRIES}/search", {"prompt": f"{number}" + "x" * 1000})
    asked = await service.asked()
    assert [each["prompt"][0] for each in asked] == ["4", "3", "2"]
    assert {len(each["prompt"]) for each in asked} == {500}


@pytest.mark.parametrize("settings", [{"recent": 0}], ids=["0"])
async def test_none_is_kept_if_the_setting_says_so(service):
    await service(f"{ENTRIES}/search", {"prompt": "p"})
    assert await service.asked() == []


@pytest.mark.parametrize("how", ["flush", "by_id", "query", "admin"])
async def test_what_was_asked_is_forgotten_with_the_entries(service, how):
    _, stored = await service(ENTRIES, {"prompt": "p", "response": "a"})
    await service(f"{ENTRIES}/search", {"prompt": "p"})
    await service("/v1/caches/two/entries/search", {"prompt": "other"}, key="key-two")
    assert len(await service.asked()) == 1
    async with aiohttp.ClientSession() as session:
        key = {"Authorization": f"Bearer {ADMIN if how == 'admin' else 'key-one'}"}
        body = {"attributes": {"topic": "t"}} if how == "query" else None
        paths = {"flush": "/v1/caches/one/flush", "by_id": f"{ENTRIES}/{stored['entryId']}"}
        async with session.request(
            "POST" if how == "flush" else "DELETE",
            f"{service.url}{paths.get(how, ENTRIES)}",
            headers=key,
            json=body,
        ) as reply:
            assert reply.status == (200 if how == "query" else 204)
    assert await service.asked() == []
    assert len(await service.asked("two", "key-two")) == 1


async def test_labelled_pairs_become_a_picture_and_a_table(service):
    pairs = [{"similarity": 0.5 + at / 100, "same": at > 25} for at in range(50)]
    status, drawn = await service("/page/caches/one/picture", {"pairs": pairs})
    assert status == 200
    assert drawn["svg"].startswith("<svg ")
    assert "50 pairs" in drawn["table"]


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [{"similarity": 0.5, "same": True}],
        [{"similarity": 2, "same": True}, {"similarity": 0.1, "same": False}],
        [{"similarity": 0.5, "same": at > 1} for at in range(2001)],
        [{"similarity": "x", "same": True}],
    ],
    ids=["none", "one-kind", "no-similarity", "too-many", "text"],
)
async def test_pairs_that_say_nothing_are_refused(service, pairs):
    assert (await service("/page/caches/one/picture", {"pairs": pairs}))[0] == 400


async def test_a_service_that_can_draw_none_says_so(embedder):
    with LocalServer(embedder=embedder) as server:
        async with aiohttp.ClientSession() as session:
            service = Service(server.url, session)
            _, shown = await service("/page/caches", key=server.api_key)
            assert shown["picture"] is False
            reply = await service("/page/caches/local/picture", {"pairs": []}, server.api_key)
            assert reply[0] == 404


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (True, 200)),
        ({"page": False}, (False, 0)),
        ({"page": False, "recent": 5}, (False, 0)),
        ({"recent": 0}, (True, 0)),
        ({"host": "0.0.0.0"}, (False, 0)),
        ({"host": "0.0.0.0", "page": True}, (True, 0)),
        ({"host": "0.0.0.0", "page": True, "recent": 5}, (True, 5)),
        ({"allowed_hosts": ("cache.example",)}, (False, 0)),
    ],
    ids=[
        "default",
        "no-page",
        "no-page-recent",
        "none-kept",
        "for-all",
        "asked-for",
        "asked-for-both",
        "behind-a-proxy",
    ],
)
def test_there_is_a_page_where_only_this_machine_reaches_it_unless_asked_for(given, expected):
    config = ServerConfig(caches=CACHES, **given)
    assert (config.has_page, config.kept_searches) == expected


async def test_a_search_under_way_while_its_cache_is_emptied_is_not_kept():
    recent, cache = Recent(10), SimpleNamespace(settings=CacheConfig(cache_id="one"))
    body = SearchBody(prompt="p")
    before = recent.times_forgotten
    recent.forget("one")
    recent.note(cache, body, [], before)
    assert recent.of("one") == []
    recent.note(cache, body, [], recent.times_forgotten)
    assert len(recent.of("one")) == 1


async def test_nothing_is_kept_of_a_cache_that_was_deleted(embedder, monkeypatch):
    kept = []
    monkeypatch.setattr("langcache.service.app.Recent", lambda most: kept.append(Recent(most)) or kept[0])
    config = ServerConfig(caches=CACHES, admin_key=ADMIN)
    async with (
        serving(config, embedder) as running,
        AsyncLangCacheAdmin(running.url, ADMIN) as admin,
        AsyncLangCache(running.url, "key-two", "two") as other,
    ):
        cache_id = (await admin.create_cache("made")).cache_id
        key = (await admin.create_key("k", {cache_id: ["read"]})).token
        async with AsyncLangCache(running.url, key, cache_id) as cache:
            await cache.search("p")
        await other.search("p")
        (recent,) = kept
        assert len(recent.of(cache_id)) == 1
        await admin.delete_cache(cache_id)
        assert [len(recent.of(each)) for each in (cache_id, "two")] == [0, 1]


@pytest.mark.parametrize("recent", [-1, 1001, True, "5"])
def test_a_number_of_searches_that_is_not_possible_is_refused(recent):
    with pytest.raises((ValueError, TypeError), match="recent"):
        ServerConfig(recent=recent)


@pytest.mark.parametrize("settings", [{"page": False}], ids=["off"])
async def test_without_a_page_nothing_of_it_is_there(service):
    for path, body in [*((path, None) for path in _FILES), *SHOWN]:
        assert (await service(path, body))[0] == 404


@pytest.mark.parametrize("settings", [{"rate_limit": "2/h"}], ids=["2/h"])
async def test_its_requests_count_for_the_limit_of_a_key(service):
    statuses = [(await service("/page/caches"))[0] for _ in range(3)]
    assert statuses == [200, 200, 429]


async def test_no_log_has_a_prompt(service, caplog):
    caplog.set_level(logging.DEBUG)
    await service(f"{ENTRIES}/search", {"prompt": "secret question"})
    await service("/page/caches/one/try", {"prompt": "secret question"})
    await service.asked()
    assert "secret question" not in caplog.text


async def test_a_web_page_of_another_host_gets_nothing(service):
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/page/caches"):
            async with session.get(
                f"{service.url}{path}", headers={"Origin": "http://evil.example"}
            ) as reply:
                assert reply.status == 403
