"""What is stored of an answer: only what comes back as it is, and what the program lets be stored."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, TypedDict

import msgspec
import numpy as np
import pydantic
import pytest
from pydantic.alias_generators import to_camel

from langcache.aside import JsonCodec, TextCodec
from langcache.aside.differences import first_difference
from langcache.limits import LimitError

QUESTION = "How do I reset my password?"


class Message(pydantic.BaseModel):
    content: str


class AIMessage(Message):
    tool_calls: list[str] = []


class Secret(pydantic.BaseModel):
    token: pydantic.SecretStr


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=to_camel)
    first_name: str

    @pydantic.computed_field
    @property
    def shout(self) -> str:
        return self.first_name.upper()


class Excluded(pydantic.BaseModel):
    shown: str
    hidden: str = pydantic.Field(default="none", exclude=True)


@dataclass
class Holder:
    message: Message


class Typed(TypedDict):
    message: Message


class Colour(Enum):
    RED = "red"


class Tagged(str):
    pass


COMES_BACK = {
    "text": (str, "text"),
    "aliases": (Aliased, Aliased(firstName="Ada")),
    "dataclass of a model": (Holder, Holder(Message(content="c"))),
    "typed dict of a model": (Typed, Typed(message=Message(content="c"))),
    "int keys": (dict[int, str], {1: "one"}),
    "dates": (list[date], [date(2026, 1, 2)]),
    "instant": (datetime, datetime(2026, 1, 2, tzinfo=timezone.utc)),
    "bytes": (bytes, b"\x00\xff"),
    "decimal": (Decimal, Decimal("1.10")),
    "enum": (Colour, Colour.RED),
    "NumPy scalar": (np.float64, np.float64(0.5)),
    "excluded, at its default": (Excluded, Excluded(shown="s")),
    "subclass as itself": (AIMessage, AIMessage(content="c", tool_calls=["t"])),
}

DOES_NOT = {
    "subclass": (Message, AIMessage(content="c", tool_calls=["t"])),
    "subclass in a list": (list[Message], [AIMessage(content="c")]),
    "secret": (Secret, Secret(token="hunter2")),
    "excluded": (Excluded, Excluded(shown="s", hidden="h")),
    "int keys of no type": (dict, {1: "one"}),
    "date of no type": (dict[str, Any], {"on": date(2026, 1, 2)}),
    "bytes of no type": (dict[str, Any], {"raw": b"x"}),
    "NaN": (float, float("nan")),
    "int for a float": (float, 1),
    "NumPy for a float": (float, np.float64(0.5)),
    "tuple for a list": (list[int], (1, 2)),
    "str subclass": (str, Tagged("text")),
    "dict for text": (str, {"a": 1}),
    "of no annotation": (None, {"a": 1}),
}


def function_giving(type_, value, calls):
    async def give(question: str):
        calls.append(question)
        return value

    if type_ is not None:
        give.__annotations__["return"] = type_
    return give


@pytest.mark.parametrize(("type_", "value"), COMES_BACK.values(), ids=COMES_BACK)
async def test_a_first_call_and_a_hit_never_differ(cache, type_, value):
    calls = []
    give = cache.cached()(function_giving(type_, value, calls))
    answers = [await give.answer(QUESTION) for _ in range(2)]
    assert [answer.status.value for answer in answers] == ["miss", "hit"]
    assert first_difference(answers[0].value, answers[1].value) is None
    assert len(calls) == 1


@pytest.mark.parametrize(("type_", "value"), DOES_NOT.values(), ids=DOES_NOT)
async def test_what_would_not_come_back_is_not_stored_and_said_to_be_so(cache, caplog, type_, value):
    calls = []
    give = cache.cached()(function_giving(type_, value, calls))
    for _ in range(3):
        answer = await give.answer(QUESTION)
        assert answer.value is value
        assert answer.status == "miss"
        assert isinstance(answer.error, Exception)
    assert len(calls) == 3
    assert not await cache.search(QUESTION)
    assert cache.stats().store_errors == 3
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "function_giving.<locals>.give: its answers are not stored" in warnings[0]
    assert not any(secret in warnings[0] for secret in ("hunter2", "one", "tool"))


async def test_what_would_not_come_back_can_be_an_error(cache):
    with pytest.raises(TypeError, match="AIMessage"):
        await cache.get_or_set(QUESTION, AIMessage(content="c"), codec=JsonCodec(Message), on_error="raise")


def test_threads_get_the_same(blocking_cache):
    @blocking_cache.cached()
    def give(question: str) -> Message:
        return AIMessage(content="c", tool_calls=["t"])

    assert [give.answer(QUESTION).status.value for _ in range(2)] == ["miss", "miss"]
    assert isinstance(give.answer(QUESTION).error, TypeError)


async def test_streams_of_what_would_not_come_back_are_not_stored(cache):
    async def source(question):
        yield AIMessage(content="c")

    async def read():
        return [
            chunk async for chunk in cache.get_or_stream(QUESTION, source, codec=JsonCodec(list[Message]))
        ]

    assert [type(chunk) for chunk in await read() + await read()] == [AIMessage] * 2
    assert cache.stats().store_errors == 2


# store_if


VERDICTS = [
    (lambda answer: answer != "truncated", "whole", True),
    (lambda answer: answer != "truncated", "truncated", False),
    (lambda answer: 60, "whole", True),
    (lambda answer: 0.5, "whole", True),
    (lambda answer: timedelta(minutes=1), "whole", True),
]


@pytest.mark.parametrize(("store_if", "answer", "stored"), VERDICTS)
@pytest.mark.parametrize("is_async", [True, False])
async def test_store_if_says_whether_an_answer_is_stored(cache, make, store_if, answer, stored, is_async):
    async def awaited(value):
        return store_if(value)

    make.answer = answer
    given = await cache.get_or_set(QUESTION, make, store_if=awaited if is_async else store_if)
    assert (given.value, given.status, given.error) == (answer, "miss", None)
    assert bool(await cache.search(QUESTION)) is stored
    assert cache.stats().declined == (not stored)


async def test_store_if_may_give_the_time_to_live(cache, make, until_gone):
    await cache.get_or_set(QUESTION, make, store_if=lambda answer: 0.001, ttl=timedelta(days=1))
    await until_gone(cache, QUESTION)


@pytest.mark.parametrize("wrong", [None, "yes", b"", -1, float("nan"), timedelta(days=9999)])
async def test_a_verdict_that_can_not_be_is_said_and_nothing_is_stored(cache, make, caplog, wrong):
    answer = await cache.get_or_set(QUESTION, make, store_if=lambda answer: wrong)
    assert (answer.value, answer.status) == ("the answer", "miss")
    assert isinstance(answer.error, TypeError | ValueError)
    assert "not stored" in caplog.text
    assert not await cache.search(QUESTION)


async def test_store_if_that_raises_keeps_the_answer(cache, make):
    answer = await cache.get_or_set(QUESTION, make, store_if=lambda answer: 1 / 0)
    assert (answer.value, type(answer.error)) == ("the answer", ZeroDivisionError)
    assert not await cache.search(QUESTION)


async def test_store_if_looks_at_all_chunks_of_a_stream(cache):
    seen = []

    async def source(question):
        for chunk in ("I ", "can't"):
            yield chunk

    def not_refused(chunks):
        seen.append(chunks)
        return "can't" not in "".join(chunks)

    assert [chunk async for chunk in cache.get_or_stream(QUESTION, source, store_if=not_refused)]
    assert seen == [["I ", "can't"]]
    assert not await cache.search(QUESTION)


def test_store_if_and_codecs_run_in_the_calling_thread_and_hold_up_no_other(blocking_cache):
    here, other = threading.current_thread(), []

    class Slow(TextCodec):
        def encode(self, value):
            assert threading.current_thread() is here
            with ThreadPoolExecutor(1) as pool:  # another call goes on meanwhile
                other.append(pool.submit(blocking_cache.search, "unrelated").result(30))
            return value

        def decode(self, text):
            return self.encode(text)

    def store_if(answer):
        return Slow().encode(answer) == "made"

    for _ in range(2):
        assert blocking_cache.get_or_set(QUESTION, "made", codec=Slow(), store_if=store_if).value == "made"
    assert len(other) == 4  # the verdict, to encode and to read back; and to decode


def test_blocking_streams_take_store_if(blocking_cache):
    @blocking_cache.cached(store_if=lambda chunks: len(chunks) > 1)
    def tell(question: str) -> Iterator[str]:
        yield "only one"

    assert [list(tell(QUESTION)), list(tell(QUESTION))] == [["only one"]] * 2
    assert blocking_cache.stats().declined == 2


# Time to live


async def test_ttl_is_given_as_in_set(cache, make, until_gone):
    for number, ttl in enumerate((0.001, timedelta(milliseconds=1), Decimal("0.001"), np.float64(0.001))):
        await cache.get_or_set(f"{QUESTION} {number}", make, ttl=ttl)
        await until_gone(cache, f"{QUESTION} {number}", similarity_threshold=1)


async def test_many_take_a_ttl(cache, blocking_cache, until_gone):
    assert (await cache.set_many([(QUESTION, "x")], ttl=0.001))[0].ok
    await until_gone(cache, QUESTION)
    results = await asyncio.to_thread(blocking_cache.set_many, [(QUESTION, "x")], ttl=timedelta(days=1))
    assert results[0].ok


# Refresh


@pytest.fixture
async def stored(cache):
    async def responses(prompt=QUESTION):
        found = await cache.search(prompt, search_strategies=["exact"], max_results=999)
        return sorted(entry.response for entry in found)

    return responses


async def test_refresh_leaves_an_answer_to_another_prompt_alone(cache, stored):
    await cache.set("what does it do", "of the thing")
    await cache.get_or_set("What does IT do", "of the department", refresh=True)
    assert await stored("what does it do") == ["of the department", "of the thing"]


async def test_refresh_leaves_nothing_stale_however_much_others_have_stored(cache, stored):
    tenants = [{"tenant": f"t{number}"} for number in range(40)]
    for attributes in tenants:
        await cache.set(QUESTION, "another's", attributes=attributes)
    await cache.set_many([(QUESTION, "stale")] * 30)
    await cache.set_many([(QUESTION, "another's")] * 30, attributes={"plan": "p"})
    await cache.get_or_set(QUESTION, "fresh", refresh=True)
    assert set(await stored()) == {"fresh", "another's"}
    assert (await stored()).count("another's") == 70


async def test_refresh_leaves_nothing_stale_however_long_the_answers_are(cache, stored):
    for _ in range(5):
        await cache.set(QUESTION, "stale" * 300_000)
    await cache.get_or_set(QUESTION, "fresh", refresh=True)
    assert await stored() == ["fresh"]
    await cache.set(QUESTION.upper(), "another's" * 400_000)
    with pytest.raises(LimitError, match="refresh: can't replace"):
        await cache.get_or_set(QUESTION, "fresh", refresh=True, on_error="raise")


async def test_two_that_refresh_at_once_lose_nothing(cache, stored):
    await cache.set(QUESTION, "stale")

    async def refresh(answer):
        await cache.get_or_set(QUESTION, answer, refresh=True)

    await asyncio.gather(refresh("one"), refresh("another"))
    left = await stored()
    assert left
    assert set(left) <= {"one", "another"}


# Many


@pytest.mark.parametrize(
    "item",
    [
        {"prompt": QUESTION, "response": "x"},
        "ab",
        b"ab",
        {"a", "b"},
        ("only one",),
        ("one", "two", "three"),
        ("one", 2),
        (1, "two"),
        None,
        5,
        iter(("one", "two")),
        msgspec.json.Encoder(),
    ],
)
async def test_only_a_pair_of_texts_is_taken_for_one(cache, item):
    (result,) = await cache.set_many([item])
    assert isinstance(result.error, TypeError)
    assert "items" in str(result.error)
    assert not await cache.search("prompt", similarity_threshold=0)


PAIRS = {"list": [("q", "a")], "of lists": [["q", "a"]], "items": {"q": "a"}.items(), "tuple": (("q", "a"),)}


@pytest.mark.parametrize("items", PAIRS.values(), ids=PAIRS)
async def test_pairs_of_every_collection_are_taken(cache, blocking_cache, items):
    assert [result.ok for result in await cache.set_many(items)] == [True]
    assert [result.ok for result in await cache.set_many(iter(items))] == [True]
    assert [result.ok for result in await asyncio.to_thread(blocking_cache.set_many, iter(items))] == [True]


@pytest.mark.parametrize("wrong", ["What is DNS?", b"What?", {"q": "a"}, 5, None])
async def test_what_is_no_collection_is_refused_before_anything_is_sent(cache, blocking_cache, wrong):
    for client in (cache, blocking_cache):
        with pytest.raises(TypeError, match="items: must be an iterable of"):
            client.set_many(wrong)
        with pytest.raises(TypeError, match="prompts: must be an iterable of questions"):
            client.search_many(wrong)
    assert not await cache.search("q", similarity_threshold=0)


@pytest.mark.parametrize(
    ("name", "arguments", "advice"),
    [
        ("set_many", {"ttl_seconds": 5}, r"write ttl= \(seconds"),
        ("search_many", {"threshold": 5}, "write similarity_threshold="),
        ("search_many", {"top_k": 5}, "write max_results="),
    ],
)
async def test_wrong_names_of_many_are_answered_as_those_of_one(
    cache, blocking_cache, name, arguments, advice
):
    for client in (cache, blocking_cache):
        with pytest.raises(TypeError, match=advice):
            getattr(client, name)([], **arguments)
