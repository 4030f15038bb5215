"""Which calls of Redis go out together, when they end, and what replies to searches say; without a server."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from langcache.service.stores import redis_calls
from langcache.service.stores.redis_calls import Calls
from langcache.service.stores.redis_model import Keys, definition
from langcache.service.stores.redis_queries import Hit, difference, is_complete, read
from langcache.service.stores.store import StoreError


class Redis:
    """Answers each command with itself, once ``open`` is set."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open, self.asked = asyncio.Event(), asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def send(self, calls):
        self.asked.set()
        self.batches.append(["".join(command) for call in calls for command in call.commands])
        await self.open.wait()
        if self.error:
            raise self.error
        return [list(call.commands) for call in calls]


def reason(error):
    return StoreError(f"because of {error}")


@pytest.fixture
async def redis():
    return Redis()


def test_caches_that_come_and_go_in_a_cluster_share_the_calls_of_their_slot():
    pytest.importorskip("redis")
    from redis.crc import key_slot

    from langcache.service.stores.redis_connect import Connection
    from langcache.service.stores.redis_url import redis_url

    connection = Connection(redis_url("redis+cluster://h"))
    connection._cluster = SimpleNamespace(keyslot=lambda key: key_slot(key.encode()) % 8)
    calls = {id(connection.calls(f"langcache:{{{number}}}:meta")) for number in range(100)}
    assert len(calls) == 8


async def test_calls_of_one_turn_are_one_batch_and_each_gets_its_replies(redis):
    call = Calls(redis.send, reason, 60)
    replies = await asyncio.gather(*(call((f"a{number}",), (f"b{number}",)) for number in range(40)))
    assert replies == [[(f"a{number}",), (f"b{number}",)] for number in range(40)]
    assert redis.batches == [[f"{letter}{number}" for number in range(40) for letter in "ab"]]


async def test_calls_that_have_the_same_last_command_share_it_and_it_comes_after_all(redis):
    call = Calls(redis.send, reason, 60)
    lasts = ("x",), ("y",), None
    replies = await asyncio.gather(
        *(call((f"{number}",), last=lasts[number % 3]) for number in range(6)),
        call(last=("x",)),
    )
    expected = [[(f"{number}",), *([lasts[number % 3]] if lasts[number % 3] else [])] for number in range(6)]
    assert replies == [*expected, [("x",)]]
    assert redis.batches == [["0", "1", "2", "3", "4", "5", "x", "y"]]


async def test_a_batch_is_bounded_in_commands_and_bytes(redis, monkeypatch):
    call = Calls(redis.send, reason, 60)
    await asyncio.gather(*(call(("a",)) for _ in range(300)))
    assert [len(batch) for batch in redis.batches] == [128, 128, 44]
    redis.batches.clear()
    await asyncio.gather(*(call(("a",), size=10_000) for _ in range(10)))
    assert [len(batch) for batch in redis.batches] == [2, 2, 2, 2, 2]


async def test_calls_beyond_those_under_way_wait_and_share_the_next_batch(redis, monkeypatch):
    monkeypatch.setattr(redis_calls, "_AT_ONCE", 1)
    redis.open.clear()
    call = Calls(redis.send, reason, 60)
    tasks = [asyncio.create_task(call(("first",)))]
    await redis.asked.wait()
    tasks += [asyncio.create_task(call((f"{number}",))) for number in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.sleep(0)
    redis.open.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert redis.batches == [["first"], ["0", "2", "3", "4"]]  # whose caller has left is not sent


async def test_no_call_outlives_its_deadline_and_later_ones_are_made(redis, monkeypatch):
    monkeypatch.setattr(redis_calls, "_AT_ONCE", 1)
    redis.open.clear()
    call = Calls(redis.send, reason, 0.05)
    outcomes = await asyncio.wait_for(
        asyncio.gather(*(call(("a",)) for _ in range(300)), return_exceptions=True), 60
    )
    assert {str(outcome) for outcome in outcomes} == {"Redis has not answered within 0.05 s"}
    assert len(redis.batches) == 1
    redis.open.set()
    call._seconds = 60
    assert await call(("b",)) == [("b",)]
    assert [len(batch) for batch in redis.batches] == [128, 1]


async def test_a_batch_that_fails_is_an_error_of_each_call(redis):
    redis.error = OSError("broken")
    call = Calls(redis.send, reason, 60)
    outcomes = await asyncio.gather(*(call(("a",)) for _ in range(3)), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["because of broken"] * 3
    assert len({id(outcome) for outcome in outcomes}) == 3


async def test_closing_finishes_what_was_begun(redis, monkeypatch):
    monkeypatch.setattr(redis_calls, "_AT_ONCE", 1)
    monkeypatch.setattr(redis_calls, "_COMMANDS", 2)
    call = Calls(redis.send, reason, 60)
    tasks = [asyncio.create_task(call(("a",))) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.wait_for(call.close(), 60)
    assert await asyncio.gather(*tasks) == [[("a",)]] * 5
    with pytest.raises(StoreError, match="is closed"):
        await call(("b",))
    await call.close()


FIELDS = {b"number": b"7", b"distance": b"0.5", b"expires_at": b"100"}
HIT = Hit(b"key", number=7, similarity=0.75, expires_at=100, entry=None)


@pytest.mark.parametrize(
    "reply",
    [
        {b"results": [{b"id": b"key", b"extra_attributes": FIELDS}], b"total_results": 1, b"warning": []},
        [1, b"key", [part for pair in FIELDS.items() for part in pair]],
    ],
)
def test_each_shape_of_a_reply_says_the_same(reply):
    found = read(reply, 2)
    assert (list(found.hits), found.are_all) == ([HIT], True)
    assert not read(reply, 1).are_all


def test_an_entry_that_is_listed_without_content_is_not_there():
    for reply in ({b"results": [{b"id": b"key"}], b"total_results": 1}, [1, b"key", None]):
        assert read(reply, 9).hits[0].expires_at == 0


@pytest.mark.parametrize(
    "reply",
    [
        {b"results": [], b"total_results": 0, b"warning": [b"Timeout limit was reached"]},
        {b"total_results": 0},
        {},
        [],
        None,
        b"OK",
    ],
)
def test_a_reply_that_may_lack_entries_is_an_error(reply):
    with pytest.raises(StoreError, match="a search"):
        read(reply, 1)


def test_an_index_is_complete_if_it_says_so_twice():
    def info(indexing, share):
        return {b"indexing": indexing, b"percent_indexed": share}

    assert is_complete(info(0, 1.0))
    assert is_complete([b"indexing", b"0", b"percent_indexed", b"1"])
    assert not is_complete(info(1, 1.0))
    assert not is_complete(info(0, 0.99))
    with pytest.raises(StoreError, match="an index"):
        is_complete({b"indexing": 0})


OURS = definition(Keys("p", "c", "e", 8), "flat", 8)
TOLD = {
    b"index_definition": {
        b"key_type": b"HASH",
        b"prefixes": OURS["index"]["prefixes"],
        b"default_score": 1.0,
    },
    b"attributes": [
        [b"identifier", b"vector", b"attribute", b"vector", b"type", b"VECTOR", b"dim", b"8"],
        [
            b"identifier",
            b"tags",
            b"attribute",
            b"tags",
            b"type",
            b"TAG",
            b"SEPARATOR",
            b",",
            b"CASESENSITIVE",
        ],
        {b"identifier": b"number", b"attribute": b"number", b"type": b"NUMERIC", b"flags": [b"SORTABLE"]},
    ],
}


SHAPES = {
    "nothing": {},
    "fields": {b"attributes": TOLD[b"attributes"]},
    "all": TOLD,
    "as a list": [part for pair in TOLD.items() for part in pair],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_a_version_does_not_tell_of_an_index_is_taken_to_be_right(shape):
    assert difference(SHAPES[shape], OURS) is None


def test_in_what_an_index_differs_is_named():
    fields = TOLD[b"attributes"]
    assert difference({**TOLD, b"attributes": fields[:2]}, OURS) == "it has no field number"
    other = [[*fields[0][:-1], 9], *fields[1:]]
    assert difference({**TOLD, b"attributes": other}, OURS) == "vector has dim 9, and not 8"
    with pytest.raises(StoreError, match="not known here"):
        difference({b"attributes": [7]}, OURS)
