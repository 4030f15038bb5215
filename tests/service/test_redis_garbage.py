"""What others write in our keys: never a wrong answer, and all is well again without a restart."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from redis_servers import Server, tells_nothing

from langcache.service import LocalServer
from langcache.service.stores.redis_url import redis_url
from langcache.service.stores.store import StoreError


def entry_key(server: Server) -> bytes:
    """The key of the entry that is harmed."""
    (key,) = (key for key in server.do("KEYS", "*:e:*") if b"before" in server.do("HGET", key, "entry"))
    return key


def meta_key(server: Server) -> bytes:
    (key,) = server.do("KEYS", "*:meta")
    return key


def field(name: str, value: Any) -> Callable[[Server], None]:
    """Gives a field of the entry a value; a function makes it of what it is."""

    def harm(server: Server) -> None:
        key = entry_key(server)
        server.do("HSET", key, name, value(server.do("HGET", key, name)) if callable(value) else value)

    return harm


def without(*names: str) -> Callable[[Server], object]:
    return lambda server: server.do("HDEL", entry_key(server), *names)


def numbers(value: float) -> Callable[[bytes], bytes]:
    return lambda vector: np.full(len(vector) // 4, value, np.float32).tobytes()


def text_at(find: Callable[[Server], bytes]) -> Callable[[Server], None]:
    """Puts a text where there was a hash."""

    def harm(server: Server) -> None:
        key = find(server)
        server.do("DEL", key)
        server.do("SET", key, "garbage")

    return harm


def foreign(server: Server) -> None:
    """A newer entry with the marks and the vector of ours, and nothing in it."""
    key = entry_key(server)
    found = server.do("HGETALL", key)
    kept = {name: found[name] for name in (b"vector", b"tags")}
    newer = {**kept, b"number": b"%d" % (int(found[b"number"]) + 1)}
    server.do("HSET", key + b"x", *(part for pair in newer.items() for part in pair))


def made(**changes: object) -> Callable[[Server], None]:
    def harm(server: Server) -> None:
        key = meta_key(server)
        there = json.loads(server.do("HGET", key, "made"))
        server.do("HSET", key, "made", json.dumps({**there, **changes}))

    return harm


def meta(name: str, value: str) -> Callable[[Server], object]:
    return lambda server: server.do("HSET", meta_key(server), name, value)


OF_AN_ENTRY: dict[str, tuple[Callable[[Server], object], int, int]] = {
    # with the status of a search for its prompt, and of one for what is near to it
    "the entry is cut off": (field("entry", lambda value: value[:-3]), 424, 424),
    "the entry is empty": (field("entry", b""), 424, 424),
    "the entry is garbage": (field("entry", b"\xff\x00"), 424, 424),
    "there is no entry": (without("entry"), 200, 200),
    "there is nothing but the vector": (without("entry", "tags", "number"), 200, 200),
    "it is a text": (text_at(entry_key), 200, 200),
    "there is no number": (without("number"), 200, 200),
    **{f"the number is {value}": (field("number", value), 200, 200) for value in ("x", "nan", "inf", "")},
    **{
        f"it expires at {value[:9]}": (field("expires_at", value), 200, 200)
        for value in ("soon", "inf", "5", "9" * 5000)
    },
    "the vector is cut off": (field("vector", lambda value: value[:-1]), 200, 200),
    "there is no vector": (without("vector"), 200, 200),
    **{
        f"the vector is all {value}": (field("vector", numbers(value)), 200, 200)
        for value in (float("nan"), float("inf"), float("-inf"), 1000.0)
    },
    "its tags are garbage": (field("tags", ",,|{}*"), 200, 200),
    "there is a foreign one": (foreign, 200, 200),
}


def prompts(answer: Any) -> list[str]:
    return [found["prompt"] for found in answer["data"]]


@pytest.mark.parametrize("harm", OF_AN_ENTRY)
async def test_an_entry_that_others_have_changed_gives_no_wrong_answer(
    harm, redis_server, redis_at, embedder, api_of
):
    change, same, near = OF_AN_ENTRY[harm]
    is_text = "is a text" in harm
    with LocalServer(store=redis_at, embedder=embedder) as service:
        api = api_of(service)
        entry_id = await api.set("before @0")
        await api.set("other @90")
        change(redis_server)
        exact = {"prompt": "before @0", "searchStrategies": ["exact"]}
        for body, expected in ((exact, same), ({"prompt": "before @3", "maxResults": 3}, near)):
            status, answer = await api("POST", "entries/search", body)
            assert status == expected, answer
            if status == 424:
                tells_nothing(answer, redis_server.port)
            else:
                assert prompts(answer) in ([], ["before @0"])
        status, answer = await api("POST", "entries/search", {"prompt": "other @90"})
        assert (status, prompts(answer)) == (200, ["other @90"])
        assert await api.search("far from all @200") == []
        await api.set("before @0", "again")
        for body in (exact, {"prompt": "before @0"}):
            status, answer = await api("POST", "entries/search", body)
            assert (status, answer["data"][0]["response"]) == (200, "again")
        assert (await api("DELETE", f"entries/{entry_id}"))[0] in ((424,) if is_text else (204, 404))
        assert (await api("POST", "flush"))[0] == 204
        assert await api.search("before @0", similarityThreshold=0.5) == []
        if not is_text:  # which no search lists
            assert not [key for key in redis_server.do("KEYS", "*:e:*") if redis_server.do("HLEN", key) > 1]


UNUSABLE: dict[str, Callable[[Server], object]] = {
    "the metadata are a text": text_at(meta_key),
    "the metadata are cut off": meta("made", "{"),
    "of another embedder": made(embedder="x"),
    "of another size": made(dimensions=3),
    "of another version": made(schema=99),
    "of an unknown index": made(index="tree"),
    "a cosine of 1": made(unrelated_cosine=1.0),
    "a cosine beyond 1": made(unrelated_cosine=1e300),
}


@pytest.mark.parametrize("harm", UNUSABLE)
async def test_metadata_that_others_have_changed_are_a_424_until_they_are_gone(
    harm, redis_server, redis_at, embedder, api_of
):
    with LocalServer(store=redis_at, embedder=embedder) as service:
        api = api_of(service)
        await api.set("before @0")
        UNUSABLE[harm](redis_server)
        for path, body in (
            ("entries/search", {"prompt": "before @0"}),
            ("entries", {"prompt": "during @0", "response": "r"}),
        ):
            status, answer = await api("POST", path, body)
            assert status == 424
            tells_nothing(answer, redis_server.port)
        redis_server.do("DEL", meta_key(redis_server))
        assert [found["prompt"] for found in await api.search("before @0")] == ["before @0"]
        await api.set("after @0")
        assert [found["prompt"] for found in await api.search("before @0")] == ["after @0"]


def in_place_of(old: str, *new: object, count: int = 1) -> Callable[[list[object]], None]:
    """Changes an FT.CREATE: what begins with a word of it becomes something else."""

    def change(command: list[object]) -> None:
        at = command.index(old)
        command[at : at + count] = new

    return change


FOREIGN: dict[str, Callable[[list[object]], None]] = {
    "vectors of another size": in_place_of("DIM", "DIM", 3, count=2),
    "of another number": in_place_of("FLOAT32", "FLOAT64"),
    "by another distance": in_place_of("IP", "L2"),
    "by the cosine": in_place_of("IP", "COSINE"),
    "of another algorithm": in_place_of("FLAT", "HNSW"),
    "of another field": in_place_of("vector", "other", "AS", "vector"),
    "no vectors": in_place_of("VECTOR", "TAG", count=2 + 1 + 6),
    "no tags": in_place_of("tags", count=2),
    "tags that are texts": in_place_of("TAG", "TEXT"),
    "tags apart by another mark": in_place_of("TAG", "TAG", "SEPARATOR", "|"),
    "tags that can't be asked for": in_place_of("TAG", "TAG", "NOINDEX"),
    "no numbers": in_place_of("number", count=3),
    "numbers that are texts": in_place_of("NUMERIC", "TEXT"),
    "other keys": in_place_of("PREFIX", "PREFIX", 1, "other:", count=3),
    "some of the keys": in_place_of("SCHEMA", "FILTER", "@number>5e99", "SCHEMA"),
}


def put_index(server: Server, dimensions: int, change: Callable[[list[object]], None]) -> bytes:
    """Another index in place of ours, which is FLAT. Returns its name."""
    (name,) = server.do("FT._LIST")
    entries = name.removesuffix(b"flat") + b"e:"
    command: list[object] = ["FT.CREATE", name, "ON", "HASH", "PREFIX", 1, entries, "SCHEMA"]
    command += ["vector", "VECTOR", "FLAT", 6, "TYPE", "FLOAT32", "DIM", dimensions, "DISTANCE_METRIC", "IP"]
    command += ["tags", "TAG", "number", "NUMERIC", "SORTABLE"]
    change(command)
    server.do("FT.DROPINDEX", name)
    server.do(*command)
    return name


@pytest.mark.parametrize("what", FOREIGN)
async def test_an_index_that_is_not_ours_is_a_424_until_it_is_gone(
    what, redis_server, redis_at, embedder, api_of, caplog
):
    with LocalServer(store=redis_at, embedder=embedder) as service:
        api = api_of(service)
        await api.set("before @0")
        name = put_index(redis_server, embedder.dimensions, FOREIGN[what])
        redis_server.do("CLIENT", "KILL", "TYPE", "normal")
        exact = {"prompt": "before @0", "searchStrategies": ["exact"]}
        for path, body in (
            ("entries/search", {"prompt": "before @0"}),
            ("entries/search", exact),
            ("entries", {"prompt": "during @0", "response": "r"}),
        ):
            status, answer = await api("POST", path, body)
            assert status == 424, answer
            tells_nothing(answer, redis_server.port)
        assert "FT.DROPINDEX" in caplog.text
        redis_server.do("FT.DROPINDEX", name)
        assert [found["prompt"] for found in await api.search("before @0")] == ["before @0"]


async def test_a_check_sees_that_an_index_was_replaced(redis_server, redis_at, embedder, api_of, session):
    with LocalServer(store=redis_at, embedder=embedder) as service:
        api = api_of(service)
        await api.set("before @0")
        put_index(redis_server, embedder.dimensions, FOREIGN["by another distance"])
        async with session.get(f"{service.url}/health/readiness") as reply:
            assert reply.status == 503
        assert (await api("POST", "entries/search", {"prompt": "before @0"}))[0] == 424


@pytest.mark.parametrize("last", ["x", "", "inf", "nan", "9" * 30, "-5", "1.5"])
async def test_the_newest_come_first_whatever_others_say_is_the_last(
    last, redis_server, redis_at, embedder, api_of
):
    with LocalServer(store=redis_at, embedder=embedder) as service:
        api = api_of(service)
        for number in range(3):
            meta("last", last)(redis_server) if number else None
            await api.set("p @0", f"{number}")
            assert [found["response"] for found in await api.search("p @0")] == [f"{number}"]
        meta("last", last)(redis_server)
        assert (await api("POST", "flush"))[0] == 204
        assert await api.search("p @0") == []


async def test_a_listing_passes_over_what_is_no_entry(redis_server, redis_at, embedder, api_of):
    from langcache.service.stores.redis_listing import redis_listing

    with LocalServer(store=redis_at, embedder=embedder) as service:
        api = api_of(service)
        await api.set("before @0")
        await api.set("other @90")
        field("number", "x")(redis_server)
        async with redis_listing(redis_url(redis_at), service.cache_id) as (_, entries):
            assert [entry.prompt async for entry in entries] == ["other @90"]
        meta("made", "{")(redis_server)
        with pytest.raises(StoreError, match="can't be read"):
            async with redis_listing(redis_url(redis_at), service.cache_id):
                pass
