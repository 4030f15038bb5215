"""Tokens and money: what calls took, what they saved, and that nothing counts twice."""

from __future__ import annotations

import asyncio
import random
import threading
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from langcache import AsyncLangCache
from langcache.aside import AsideConfig, JsonCodec, Shadow, Spending, Usage, age
from langcache.errors import LangCacheError
from langcache.limits import LimitError
from langcache.telemetry import Telemetry

QUESTION = "How do I reset my password?"
REPLY = JsonCodec(dict[str, int | str | None])
TOOK = Usage(10, 3, "m")
NOTHING = Usage(0, 0)


def reply(prompt):
    return {"text": "the answer", "in": 10, "out": 3, "model": "m"}


def usage(answer):
    return Usage(answer["in"], answer["out"], answer["model"])


GIVEN = {"codec": REPLY, "usage": usage}


def tokens(spending):
    return spending.input_tokens, spending.output_tokens, spending.unknown


def counted(cache):
    """What was spent, saved and spent in the background: tokens in, tokens out, unknown answers."""
    stats = cache.stats()
    return tokens(stats.spent), tokens(stats.saved), tokens(stats.background)


NONE = (0, 0, 0)
ONE = (10, 3, 0)


async def test_a_hit_saves_what_a_miss_spent(either):
    cache = either()
    miss, hit = [await cache.get(QUESTION, reply, **GIVEN) for _ in range(2)]
    assert (miss.usage, miss.saved) == (TOOK, NOTHING)
    assert (hit.usage, hit.saved, hit.value) == (NOTHING, TOOK, miss.value)
    assert counted(cache) == (ONE, ONE, NONE)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"bypass": True}, (ONE, NONE, NONE)),
        ({"refresh": True}, (ONE, NONE, NONE)),
        ({"key": lambda prompt: None}, (ONE, NONE, NONE)),
        ({"no_store": True}, (NONE, ONE, NONE)),
        ({"store_if": lambda answer: False}, (NONE, ONE, NONE)),
    ],
)
@pytest.mark.parametrize("either", [AsyncLangCache], indirect=True)
async def test_each_call_counts_once(either, options, expected):
    cache = either()
    await cache.get(QUESTION, reply, codec=REPLY)
    assert counted(cache) == (NONE, NONE, NONE)
    await cache.get(QUESTION, reply, **GIVEN, **options)
    assert counted(cache) == expected


async def test_a_lookup_that_failed_is_spent(broken):
    async with AsyncLangCache(broken.url, "key", "c") as cache:
        answer = await cache.get_or_set(QUESTION, reply, **GIVEN)
        assert (answer.status.value, answer.usage, answer.saved) == ("error", TOOK, NOTHING)
        assert counted(cache) == (ONE, NONE, NONE)


async def test_what_raises_spends_nothing_that_is_known(either):
    cache = either()
    with pytest.raises(KeyError):
        await cache.get(QUESTION, lambda prompt: {}["x"], **GIVEN)
    assert counted(cache) == (NONE, NONE, NONE)


async def test_calls_that_share_an_answer_spend_once_and_save_the_rest(either, until):
    cache, go_on, calls = either(), threading.Event(), []

    def make(prompt):
        assert go_on.wait(60)
        return reply(prompt)

    def counting(answer):
        calls.append(answer)
        return usage(answer)

    async def ask():
        # Functions that are written in the call itself don't keep calls from sharing.
        return await cache.get(
            QUESTION,
            make,
            function="f",
            codec=REPLY,
            usage=lambda answer: counting(answer),
            store_if=lambda answer: True,
        )

    asked = [asyncio.create_task(ask()) for _ in range(4)]
    await until(lambda: cache.client._aside.state.execution.flights.participants == 4)
    go_on.set()
    answers = await asyncio.gather(*asked)
    assert sorted(answer.shared for answer in answers) == [False, True, True, True]
    for answer in answers:
        expected = (NOTHING, TOOK) if answer.shared else (TOOK, NOTHING)
        assert (answer.usage, answer.saved) == expected
    assert counted(cache) == (ONE, (30, 9, 0), NONE)
    assert len(calls) == 1


async def test_what_a_call_began_that_was_cancelled_is_spent_once(connection, until):
    async with AsyncLangCache(**connection, aside=AsideConfig(lookup_timeout=60)) as cache:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def make(prompt):
            begun.set()
            await go_on.wait()
            return reply(prompt)

        asked = [asyncio.create_task(cache.get_or_set(QUESTION, make, **GIVEN)) for _ in range(3)]
        await begun.wait()
        await until(lambda: cache._aside.state.execution.flights.participants == 3)
        asked[0].cancel()
        await asyncio.wait(asked[:1])
        go_on.set()
        await asyncio.gather(*asked[1:])
        assert [tokens(cache.stats().spent), tokens(cache.stats().saved)] == [ONE, (20, 6, 0)]


async def test_what_could_not_be_stored_is_spent(broken):
    broken.status, broken.fails_on = 200, ("entries",)
    connection = {"server_url": broken.url, "api_key": "k", "cache_id": "c", "retry_config": None}
    async with AsyncLangCache(**connection) as cache:
        with pytest.raises(LangCacheError):
            await cache.get_or_set(QUESTION, reply, **GIVEN, on_error="raise", lookup_timeout=60)
        assert tokens(cache.stats().spent) == ONE


async def test_calls_that_share_a_hit_save_each(connection):
    async with AsyncLangCache(**connection, aside=AsideConfig(lookup_timeout=60)) as cache:
        await cache.get_or_set(QUESTION, reply, **GIVEN)
        answers = await asyncio.gather(*(cache.get_or_set(QUESTION, reply, **GIVEN) for _ in range(3)))
        assert {(answer.hit, answer.saved, answer.usage) for answer in answers} == {(True, TOOK, NOTHING)}
        assert counted(cache) == (ONE, (30, 9, 0), NONE)


@pytest.mark.parametrize("when", ["after", "before"])
async def test_a_hit_that_is_measured_spends_in_the_background(either, when):
    cache = either(shadow=Shadow(share=1, when=when))
    for _ in range(2):
        await cache.get(QUESTION, reply, **GIVEN)
    await cache.client.aclose()
    assert cache.stats().shadow_right == 1
    assert counted(cache) == (ONE, ONE, ONE)


async def test_a_dry_run_saves_nothing(either):
    cache = either(shadow=Shadow(dry_run=True, when="before"))
    for _ in range(2):
        answer = await cache.get(QUESTION, reply, **GIVEN)
        assert (answer.usage, answer.saved) == (TOOK, NOTHING)
    assert cache.stats().shadow_right == 1
    assert counted(cache) == ((20, 6, 0), NONE, NONE)


async def test_a_renewal_spends_in_the_background(either, monkeypatch):
    now = SimpleNamespace(seconds=1_800_000_000.0)
    monkeypatch.setattr(age, "time", SimpleNamespace(time=lambda: now.seconds))
    cache = either(time_attribute="stored_at")
    await cache.get(QUESTION, reply, **GIVEN)
    now.seconds += 100
    await cache.get(QUESTION, reply, **GIVEN, stale_after=60)
    await cache.client.aclose()
    assert cache.stats().renewals == 1
    assert counted(cache) == (ONE, ONE, ONE)


def chunks(prompt):
    yield "the answer"
    yield "10 3"


def usage_of_chunks(chunks):
    assert isinstance(chunks, list)
    numbers = "".join(chunks).removeprefix("the answer").split()
    return Usage(int(numbers[0]), int(numbers[1]))


async def test_streams_count_as_calls_do(either):
    cache = either()
    _, miss = await cache.stream(QUESTION, chunks, usage=usage_of_chunks)
    assert (miss.usage, miss.saved) == (Usage(10, 3), NOTHING)
    _, hit = await cache.stream(QUESTION, chunks, usage=usage_of_chunks)
    assert (hit.hit, hit.usage, hit.saved) == (True, NOTHING, Usage(10, 3))
    assert counted(cache) == (ONE, ONE, NONE)
    _, plain = await cache.stream(QUESTION, chunks)
    assert (plain.hit, plain.usage, plain.saved) == (True, None, None)
    await cache.stream(QUESTION, chunks, usage=usage_of_chunks, bypass=True)
    assert counted(cache) == ((20, 6, 0), ONE, NONE)


async def test_streams_in_shadow_and_in_a_dry_run(either):
    measured = either(shadow=Shadow(share=1, when="before"))
    for _ in range(2):
        await measured.stream(QUESTION, chunks, usage=usage_of_chunks)
    assert counted(measured) == (ONE, ONE, ONE)
    dry = either(shadow=Shadow(dry_run=True, when="before"))
    _, stream = await dry.stream(QUESTION, chunks, usage=usage_of_chunks)
    assert (stream.usage, stream.saved) == (Usage(10, 3), NOTHING)
    assert counted(dry) == (ONE, NONE, NONE)


async def test_readers_that_share_a_stream_spend_once(connection):
    async with AsyncLangCache(**connection, aside=AsideConfig(lookup_timeout=60)) as cache:
        go_on = asyncio.Event()

        async def make(prompt):
            for chunk in chunks(prompt):
                yield chunk
                await go_on.wait()

        streams = [
            cache.get_or_stream(QUESTION, make, usage=lambda chunks: usage_of_chunks(chunks))
            for _ in range(3)
        ]
        for stream in streams:
            assert await anext(stream) == "the answer"
        await streams.pop().aclose()  # which saves nothing: it did not get the answer
        go_on.set()
        for stream in streams:
            assert [chunk async for chunk in stream] == ["10 3"]
        assert [stream.saved for stream in streams] == [NOTHING, Usage(10, 3)]
        assert counted(cache) == (ONE, ONE, NONE)


async def test_a_stream_that_is_not_read_to_its_end_has_no_usage(either):
    cache = either()

    def broken_off(prompt):
        yield "the answer"
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        await cache.stream(QUESTION, broken_off, usage=usage_of_chunks)
    assert counted(cache) == (NONE, NONE, NONE)


async def test_a_cached_function_has_usage_too(connection):
    async with AsyncLangCache(**connection, aside=AsideConfig(lookup_timeout=60)) as cache:

        @cache.cached(**GIVEN)
        async def ask(question: str) -> dict[str, int | str | None]:
            return reply(question)

        assert (await ask.answer(QUESTION)).usage == TOOK
        assert (await ask.answer(QUESTION)).saved == TOOK
        await ask.refresh(QUESTION)
        assert counted(cache) == ((20, 6, 0), ONE, NONE)


async def test_the_two_steps_count_too(either):
    cache = either()
    asked = await cache.look_up(QUESTION, **GIVEN)
    assert (asked.status.value, asked.saved) == ("miss", None)
    assert await cache.store(asked, reply(QUESTION)) is None
    asked = await cache.look_up(QUESTION, **GIVEN)
    assert (asked.status.value, asked.saved) == ("hit", TOOK)
    assert counted(cache) == (ONE, ONE, NONE)
    refused = await cache.look_up("What is DNS?", **GIVEN, store_if=lambda answer: False)
    await cache.store(refused, reply(QUESTION))
    assert counted(cache) == ((20, 6, 0), ONE, NONE)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "shadow", [None, Shadow(share=0.5, when="before"), Shadow(dry_run=True, when="before")]
)
async def test_whatever_is_asked_at_once_each_computation_counts_once(either, seed, shadow):
    rng, lock, calls = random.Random(seed), threading.Lock(), []
    cache = either(shadow=shadow)

    def make(prompt):
        with lock:
            calls.append(prompt)
        return reply(prompt)

    kinds = [{}, {}, {}, {"bypass": True}, {"refresh": True}, {"no_store": True}, {"ttl": 60}]
    answers = []
    for _ in range(4):
        asked = [(rng.choice([QUESTION, "What is DNS?"]), rng.choice(kinds)) for _ in range(12)]
        answers += await asyncio.gather(*(cache.get(q, make, **GIVEN, **kind) for q, kind in asked))
    spent, saved, background = counted(cache)
    assert spent == tuple(
        sum(numbers) for numbers in zip(*(tokens_of(a.usage) for a in answers), strict=True)
    )
    assert saved == tuple(
        sum(numbers) for numbers in zip(*(tokens_of(a.saved) for a in answers), strict=True)
    )
    assert spent[0] + background[0] == 10 * len(calls)
    assert saved[0] == 10 * sum(answer.hit or answer.shared for answer in answers)
    assert len(answers) == cache.stats().calls == 48


def tokens_of(usage):
    return usage.input_tokens, usage.output_tokens, 0


# What is unknown


@pytest.mark.parametrize(
    ("given", "expected", "known", "raises"),
    [
        (lambda answer: None, (0, 0, 1), None, False),
        (lambda answer: Usage(None, None), (0, 0, 1), Usage(), False),
        (lambda answer: Usage(None, 3), (0, 3, 1), Usage(None, 3), False),
        (lambda answer: Usage(10), (10, 0, 1), Usage(10), False),
        (lambda answer: Usage(0, 0), (0, 0, 0), Usage(0, 0), False),
        (lambda answer: 1 / 0, (0, 0, 1), None, True),
        (lambda answer: (10, 3), (0, 0, 1), None, True),
        (lambda answer: Usage(-1, 3), (0, 0, 1), None, True),
    ],
)
@pytest.mark.parametrize("either", [AsyncLangCache], indirect=True)
async def test_what_is_unknown_stays_unknown_and_breaks_no_call(
    either, caplog, given, expected, known, raises
):
    cache = either(price=lambda usage: usage.input_tokens + usage.output_tokens)
    miss, hit = [await cache.get(QUESTION, "the answer", usage=given, on_error="raise") for _ in range(2)]
    assert (miss.usage, miss.saved, hit.usage, hit.saved) == (known, NOTHING, NOTHING, known)
    assert counted(cache) == (expected, expected, NONE)
    assert cache.stats().saved.money == 0
    assert cache.stats().saved.unpriced == (known != Usage(0, 0))
    assert len(caplog.records) == raises  # once, not once for each call
    assert "the answer" not in caplog.text


async def test_a_coroutine_function_is_refused_without_a_warning_of_python(either, caplog):
    async def later(answer):
        return TOOK

    cache = either(price=later)
    await cache.get(QUESTION, "the answer", usage=later)
    await cache.get("What is DNS?", "another answer", usage=lambda answer: TOOK)
    assert counted(cache) == ((10, 3, 1), NONE, NONE)
    assert cache.stats().spent.unpriced == 2
    assert "usage= raised TypeError" in caplog.text
    assert "price= raised TypeError" in caplog.text


@pytest.mark.parametrize(
    ("price", "money"),
    [
        (lambda usage: usage.input_tokens * 0.5 + usage.output_tokens, 8.0),
        (lambda usage: Decimal("0.25"), 0.25),
        (lambda usage: Fraction(1, 4), 0.25),
        (lambda usage: np.float32(0.25), 0.25),
        (lambda usage: {"m": 2}[usage.model], 2.0),
        (lambda usage: 0, 0.0),
        (lambda usage: 1 / 0, None),
        (lambda usage: None, None),
        (lambda usage: float("nan"), None),
        (lambda usage: float("inf"), None),
        (lambda usage: -1, None),
        (lambda usage: "1", None),
    ],
)
@pytest.mark.parametrize("either", [AsyncLangCache], indirect=True)
async def test_money_is_what_the_price_function_says(either, caplog, price, money):
    cache = either(price=price)
    for _ in range(3):
        await cache.get(QUESTION, reply, **GIVEN)
    stats = cache.stats()
    assert (stats.spent.money, stats.saved.money) == ((money or 0.0), 2 * (money or 0.0))
    assert (stats.spent.unpriced, stats.saved.unpriced) == ((1, 2) if money is None else (0, 0))
    assert len(caplog.records) == (money is None)  # once, not once for each call


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((-1, 0), ValueError, "input_tokens: must be at least 0, but is -1"),
        ((0, 0.5), TypeError, "output_tokens: must be int"),
        (("1", 0), TypeError, "input_tokens: must be int"),
        ((True, 0), TypeError, "input_tokens: must be int"),
        ((0, 0, 3), TypeError, "model: must be str"),
    ],
)
def test_a_usage_is_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        Usage(*arguments)


def test_numbers_of_other_types_are_taken():
    assert Usage(np.int64(3), 4.0) == Usage(3, 4)
    assert type(Usage(np.int64(3)).input_tokens) is int


async def test_a_usage_option_that_is_no_function_is_refused(either):
    with pytest.raises(TypeError, match="usage: must be a function of the answer"):
        await either().get(QUESTION, "never", usage=TOOK)


# How it is told


async def test_stats_are_a_copy_and_say_it_in_words(either):
    cache = either(price=lambda usage: 0.5)
    await cache.get(QUESTION, reply, **GIVEN)
    before = cache.stats()
    await cache.get(QUESTION, reply, **GIVEN)
    await cache.get(QUESTION, reply, codec=REPLY, usage=lambda answer: None)
    assert before.saved == Spending()
    assert cache.stats().saved == Spending(input_tokens=10, output_tokens=3, unknown=1, money=0.5, unpriced=1)
    text = str(cache.stats())
    assert "spent         10 in, 3 out, money 0.5000\n" in text
    assert "saved         10 in, 3 out, unknown of 1, money 0.5000, without that of 1\n" in text


async def test_telemetry_counts_tokens_and_money(connection):
    reader = InMemoryMetricReader()
    telemetry = Telemetry(meter_provider=MeterProvider([reader]))
    config = AsideConfig(lookup_timeout=60, price=lambda usage: 0.5)
    async with AsyncLangCache(**connection, aside=config, telemetry=telemetry) as cache:
        await cache.get_or_set(QUESTION, reply, **GIVEN)
        await cache.get_or_set(QUESTION, reply, **GIVEN)
        await cache.get_or_set("What is DNS?", "the answer", usage=lambda answer: Usage(None, 5))
    points = {
        (metric.name, *sorted(point.attributes.items())): point.value
        for metric in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
        if metric.name in ("langcache.tokens", "langcache.money")
        for point in metric.data.data_points
    }

    def key(name, spending, token_type=None, model="m"):
        attributes = {"db.system.name": "langcache", "db.namespace": "local", "langcache.spending": spending}
        if token_type:
            attributes["gen_ai.token.type"] = token_type
        if model:
            attributes["gen_ai.response.model"] = model
        return (name, *sorted(attributes.items()))

    assert points == {
        key("langcache.tokens", "spent", "input"): 10,
        key("langcache.tokens", "spent", "output"): 3,
        key("langcache.tokens", "saved", "input"): 10,
        key("langcache.tokens", "saved", "output"): 3,
        key("langcache.tokens", "spent", "output", None): 5,
        key("langcache.money", "spent"): 0.5,
        key("langcache.money", "saved"): 0.5,
    }


async def test_an_option_of_the_call_is_checked_before_anything_is_asked(either):
    with pytest.raises(LimitError):
        await either().get(QUESTION, lambda prompt: 1 / 0, usage=usage, ttl=-1)
