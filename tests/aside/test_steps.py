"""The two steps of cache-aside one by one: `look_up`, then `store` on what it returns."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import pickle
from datetime import timedelta

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig, AsyncLookup, BlockingLookup, JsonCodec, Key, Shadow
from langcache.errors import LangCacheError
from langcache.telemetry import Telemetry

QUESTION = "What does the museum cost on Sundays?"
OTHER_WORDS = "what does  the museum cost on sundays?"


class Steps:
    """Takes both steps with either client. The blocking one works in a thread."""

    def __init__(self, connection, *, blocking, **settings):
        telemetry = settings.pop("telemetry", None)
        self.blocking = blocking
        kind = LangCache if blocking else AsyncLangCache
        aside = AsideConfig(**{"lookup_timeout": 60, **settings})
        self.cache = kind(**connection, aside=aside, telemetry=telemetry)

    async def _call(self, method, *args, **options):
        if self.blocking:
            return await asyncio.to_thread(method, *args, **options)
        return await method(*args, **options)

    async def look_up(self, prompt=QUESTION, **options):
        return await self._call(self.cache.look_up, prompt, **options)

    async def store(self, asked, value):
        return await self._call(asked.store, value)

    async def wrong(self, asked, **options):
        return await self._call(asked.wrong, **options)

    async def right(self, asked):
        return await self._call(asked.right)

    async def get_or_set(self, make, prompt=QUESTION, **options):
        if self.blocking:
            return await asyncio.to_thread(self.cache.get_or_set, prompt, make, **options)
        return await self.cache.get_or_set(prompt, make, **options)


@pytest.fixture(params=[False, True], ids=["async", "blocking"])
def blocking(request):
    return request.param


@pytest.fixture
async def steps(connection, blocking):
    steps = Steps(connection, blocking=blocking)
    yield steps
    await steps.cache.aclose()


async def test_an_answer_stored_after_a_miss_is_found(steps, blocking):
    asked = await steps.look_up()
    assert isinstance(asked, BlockingLookup if blocking else AsyncLookup)
    assert (asked.hit, asked.status, asked.value, asked.reason, asked.error) == (
        False,
        "miss",
        None,
        None,
        None,
    )
    assert (asked.entry, asked.similarity, asked.attributes) == (None, None, {})
    assert await steps.store(asked, "Nothing.") is None
    again = await steps.look_up()
    assert (again.hit, again.value, again.entry.prompt) == (True, "Nothing.", QUESTION)
    assert again.similarity > 0.99
    stats = steps.cache.stats()
    assert (stats.hits, stats.misses, stats.bypasses, stats.errors, stats.stores) == (1, 1, 0, 0, 1)


async def test_options_attributes_keys_codecs_and_scopes_are_those_of_get_or_set(steps):
    whole, steps.cache = steps.cache, steps.cache.scoped(tenant="a")
    options = {
        "key": lambda messages: Key(messages[-1], {"model": "small"}),
        "codec": JsonCodec(dict[str, int]),
        "attributes": {"language": "en"},
        "function": "prices",
    }
    asked = await steps.look_up([QUESTION], **options)
    assert await steps.store(asked, {"price": 0}) is None
    again = await steps.look_up([QUESTION], **options)
    assert again.value == {"price": 0}
    assert again.attributes == {"model": "small", "language": "en", "tenant": "a"}
    assert not (await steps.look_up([QUESTION], **{**options, "attributes": {"language": "it"}})).hit
    assert not (await steps.look_up([QUESTION], **options, accept=lambda question, entry: False)).hit
    steps.cache = whole
    for wrong in ({"threshold": 0.5}, {"similarity_threshold": 2}, {"key": "messages"}, {"codec": "json"}):
        with pytest.raises((TypeError, ValueError)):
            await steps.look_up(**wrong)
    with pytest.raises(TypeError, match="prompt: must be str, but is list"):
        await steps.look_up([QUESTION])


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        ({"bypass": True}, "bypass", "asked"),
        ({"key": lambda prompt: Key(None, reason="tool call")}, "bypass", "tool call"),
        ({"key": lambda prompt: prompt * 100}, "bypass", "long prompt"),
        ({"no_store": True}, "miss", None),
        ({"store_if": lambda value: False}, "miss", None),
    ],
)
async def test_nothing_is_stored_that_get_or_set_would_not_store(steps, options, status, reason):
    asked = await steps.look_up(**options)
    assert (asked.status, asked.reason) == (status, reason)
    assert await steps.store(asked, "Nothing.") is None
    assert steps.cache.stats().stores == 0
    assert (await steps.look_up()).status == "miss"


async def test_after_a_hit_nothing_is_stored(steps):
    await steps.store(await steps.look_up(), "Nothing.")
    hit = await steps.look_up()
    assert await steps.store(hit, "Ten euros.") is None
    assert (await steps.look_up()).value == "Nothing."
    assert steps.cache.stats().stores == 1


async def test_refresh_replaces_and_store_if_says_for_how_long(steps):
    await steps.store(await steps.look_up(), "Nothing.")
    asked = await steps.look_up(refresh=True, store_if=lambda value: timedelta(hours=1))
    assert asked.status == "miss"
    assert await steps.store(asked, "Ten euros.") is None
    assert (await steps.look_up()).value == "Ten euros."


async def test_why_an_answer_is_not_stored_is_returned(steps):
    asked = await steps.look_up()
    error = await steps.store(asked, 5)
    assert isinstance(error, TypeError)
    assert steps.cache.stats().store_errors == 1
    raising = await steps.look_up(on_error="raise")
    with pytest.raises(TypeError):
        await steps.store(raising, 5)


async def test_a_service_that_fails_is_told_of_and_nothing_is_stored(broken, blocking):
    connection = {"server_url": broken.url, "api_key": "k", "cache_id": "c"}
    steps = Steps(connection, blocking=blocking)
    asked = await steps.look_up()
    assert asked.status == "error"
    assert isinstance(asked.error, LangCacheError)
    assert await steps.store(asked, "Nothing.") is asked.error
    with pytest.raises(LangCacheError):
        await steps.look_up(on_error="raise")
    assert broken.asked == ["search", "search"]
    broken.status = 200
    asked = await steps.look_up()
    broken.status = 500
    assert isinstance(await steps.store(asked, "Nothing."), LangCacheError)
    stats = steps.cache.stats()
    assert (stats.errors, stats.misses, stats.store_errors) == (1, 1, 1)
    await steps.cache.aclose()


async def test_the_breaker_has_its_say_and_a_lookup_that_is_left_keeps_no_probe(broken, blocking):
    connection = {"server_url": broken.url, "api_key": "k", "cache_id": "c"}
    steps = Steps(connection, blocking=blocking, breaker_failures=1, breaker_cooldown=1e-9)
    assert (await steps.look_up()).status == "error"
    broken.status = 200
    for _ in range(3):  # each is a probe that ends with the lookup, or takes none
        assert (await steps.look_up(refresh=True)).status == "miss"
        assert (await steps.look_up()).status == "miss"
    await steps.cache.aclose()
    steps = Steps(connection, blocking=blocking, breaker_failures=1, breaker_cooldown=1e9)
    broken.status = 500
    assert (await steps.look_up()).status == "error"
    asked = await steps.look_up()
    assert (asked.status, asked.reason) == ("bypass", "circuit open")
    await steps.cache.aclose()


async def test_verdicts_are_taken_on_hits_and_on_what_was_stored(steps):
    asked = await steps.look_up()
    await steps.store(asked, "Nothing.")
    await steps.right(asked)
    hit = await steps.look_up()
    await steps.wrong(hit)
    assert not (await steps.look_up()).hit
    asked = await steps.look_up()
    await steps.store(asked, "Ten euros.")
    await steps.wrong(asked)
    assert not (await steps.look_up()).hit
    stats = steps.cache.stats()
    assert (stats.verdicts_right, stats.verdicts_wrong) == (1, 2)


async def test_an_answer_that_was_replaced_meanwhile_is_not_stored(steps):
    asked = await steps.look_up()
    await steps.store(await steps.look_up(refresh=True), "New.")
    assert await steps.store(asked, "Old.") is None
    assert (await steps.look_up()).value == "New."
    assert steps.cache.stats().stores_dropped == 1


async def test_code_between_two_steps_counts_as_one_function_unless_it_has_a_name(steps, blocking, caplog):
    async def other(prompt):
        return "another's"

    def other_blocking(prompt):
        return "another's"

    make = other_blocking if blocking else other
    await steps.store(await steps.look_up(), "Nothing.")
    assert (await steps.look_up()).hit
    named = await steps.look_up(function="prices")
    assert (named.status, named.reason) == ("bypass", "another function")
    assert str(named.error).startswith("prices would get answers that look_up computed")
    assert "function='...'" in str(named.error)
    assert (await steps.get_or_set(make)).reason == "another function"
    assert (await steps.get_or_set(make, function="look_up")).hit


async def test_the_function_attribute_has_the_name(connection, blocking):
    steps = Steps(connection, blocking=blocking, function_attribute="model")
    await steps.store(await steps.look_up(), "Nothing.")
    assert (await steps.look_up()).attributes == {"model": "look_up"}
    named = await steps.look_up(function="prices")
    assert named.status == "miss"
    await steps.store(named, "Prices.")
    assert (await steps.look_up(function="prices")).value == "Prices."
    await steps.cache.aclose()


async def test_a_dry_run_gives_no_hit_and_measures_what_is_stored(connection, blocking):
    async with AsyncLangCache(**connection, aside=AsideConfig(lookup_timeout=60)) as filling:
        await filling.set(QUESTION, "Nothing.")
    steps = Steps(connection, blocking=blocking, shadow=Shadow(dry_run=True))
    asked = await steps.look_up()
    assert (asked.status, asked.reason, asked.value) == ("miss", "dry run", None)
    assert await steps.store(asked, "Nothing.") is None
    asked = await steps.look_up()
    await steps.store(asked, "Ten euros.")
    await steps.cache.aclose()  # which waits for what is being compared
    stats = steps.cache.stats()
    assert (stats.shadow_right, stats.shadow_wrong, stats.misses, stats.stores) == (1, 1, 2, 0)


async def test_the_span_ends_with_the_lookup(connection, blocking):
    spans, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    steps = Steps(connection, blocking=blocking, telemetry=Telemetry(tracer_provider=tracers))
    asked = await steps.look_up()
    names = [span.name.partition(" ")[0] for span in spans.get_finished_spans()]
    assert names == ["search", "get_or_set"]
    assert spans.get_finished_spans()[1].attributes["langcache.status"] == "miss"
    await steps.store(asked, "Nothing.")
    names = [span.name.partition(" ")[0] for span in spans.get_finished_spans()]
    assert names == ["search", "get_or_set", "set"]
    await steps.cache.aclose()


async def test_what_is_left_after_the_first_step_leaves_nothing_behind(steps):
    for _ in range(3):
        await steps.look_up()
    gc.collect()
    assert not steps.cache._aside.pending
    assert steps.cache._aside.state.execution.flights.participants == 0


async def test_a_copy_knows_no_client(steps):
    asked = await steps.look_up()
    for twin in (pickle.loads(pickle.dumps(asked)), copy.copy(asked), copy.deepcopy(asked)):
        assert twin == asked
        with pytest.raises(RuntimeError, match="use what the client returned"):
            await steps.store(twin, "Nothing.")
    assert repr(asked).startswith(type(asked).__name__)


async def test_in_both_clients_a_stream_has_its_status_before_its_first_chunk(connection):
    made = []

    async def stream(prompt):
        made.append(prompt)
        yield "Nothing."

    def stream_blocking(prompt):
        made.append(prompt)
        yield "Nothing."

    def read_blocking():
        with LangCache(**connection, aside=AsideConfig(lookup_timeout=60)) as cache:
            for expected in ("hit", "hit"):
                with cache.get_or_stream(QUESTION, stream_blocking, function="f") as chunks:
                    assert chunks.status is None
                    assert chunks.look_up().status == chunks.status == expected
                    assert list(chunks) == ["Nothing."]
            with cache.get_or_stream("Where is it?", stream_blocking, function="f") as chunks:
                before = len(made)
                assert (chunks.look_up().status, chunks.hit, len(made)) == ("miss", False, before)
                assert list(chunks) == ["Nothing."]

    async with (
        AsyncLangCache(**connection, aside=AsideConfig(lookup_timeout=60)) as cache,
        cache.get_or_stream(QUESTION, stream, function="f") as chunks,
    ):
        assert ((await chunks.look_up()).status, chunks.hit, made) == ("miss", False, [])
        assert [chunk async for chunk in chunks] == ["Nothing."]
    await asyncio.to_thread(read_blocking)


def test_both_clients_take_the_same_arguments():
    ours, theirs = (inspect.signature(client.look_up).parameters for client in (AsyncLangCache, LangCache))
    assert list(ours) == list(theirs)
