"""What the adapters of frameworks share, without a framework."""

from __future__ import annotations

import asyncio

import pytest

from langcache import AsyncLangCache, LangCache
from langcache.aside import Usage
from langcache.chat.adapters.asking import Asking, Reply
from langcache.service import LocalServer


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


QUESTION = [{"role": "user", "content": "How do I reset my password?"}]


@pytest.fixture(scope="module")
def server():
    with LocalServer(attributes=("fingerprint", "user")) as server:
        yield server


@pytest.fixture
def blocking(server):
    with LangCache(server.url, server.api_key, server.cache_id) as cache:
        cache.flush()
        yield cache


@pytest.fixture
async def awaited(server, blocking):
    async with AsyncLangCache(server.url, server.api_key, server.cache_id) as cache:
        yield cache


async def test_the_async_client_is_awaited_and_the_blocking_one_asked_in_a_thread(awaited, blocking):
    reply = Reply("Click on it.", model="small", input_tokens=3, output_tokens=2)
    for cache, blocking_cache in ((awaited, None), (blocking, None), (awaited, blocking)):
        asking = Asking("test", cache, blocking_cache, {})
        asked = await asking.look_up(None, QUESTION, {"model": str(cache)})
        assert asked.status == ("miss" if blocking_cache is None else "hit")
        await asking.store(asked, reply)
        hit = await asking.look_up(None, QUESTION, {"model": str(cache)})
        assert (hit.hit, hit.value, hit.saved) == (True, reply, Usage(3, 2, "small"))


def test_a_call_that_blocks_asks_the_blocking_client(blocking):
    asking = Asking("test", blocking, None, {})
    asked = asking.look_up_blocking(None, QUESTION, {})
    assert asked.status == "miss"
    asked.store(Reply("Click on it."))
    hit = asking.look_up_blocking(None, QUESTION, {})
    assert (hit.value, hit.saved) == (Reply("Click on it."), None)  # of which no usage is known


async def test_a_call_that_blocks_needs_a_blocking_client(awaited):
    with pytest.raises(TypeError, match="test: a call that blocks can't ask an AsyncLangCache"):
        Asking("test", awaited, None, {}).look_up_blocking(None, QUESTION, {})
    with pytest.raises(TypeError, match="blocking: must be a LangCache; an AsyncLangCache goes in its place"):
        Asking("test", awaited, awaited, {})


async def test_two_adapters_never_share(awaited, blocking):
    await Asking("one", awaited, None, {}).store(
        await Asking("one", awaited, None, {}).look_up(None, QUESTION, {}), Reply("Click on it.")
    )
    assert (await Asking("one", awaited, None, {}).look_up(None, QUESTION, {})).hit
    assert not (await Asking("another", awaited, None, {}).look_up(None, QUESTION, {})).hit


BYPASSED = {
    "when": ({"when": lambda request: request == "other"}, {}),
    "not JSON": ({}, {"settings": object()}),
    "several answers": ({}, "several answers"),
    "no text": ({"text": lambda text: None}, {}),
}


@pytest.mark.parametrize(
    "setting",
    [float("inf"), float("nan"), nested(200), nested(100_000), object(), b"1", {1: 2, object(): 3}, "\ud800"],
    ids=["inf", "nan", "deep", "very deep", "object", "bytes", "keys", "surrogate"],
)
def test_no_setting_of_a_model_is_an_error(blocking, setting):
    for at in (setting, {"inner": [setting]}):
        asked = Asking("test", blocking, None, {}).look_up_blocking(None, QUESTION, {"settings": at})
        assert (asked.status.value, asked.reason) in (("bypass", "not JSON"), ("miss", None))
    if setting != setting or setting == float("inf"):
        assert asked.reason == "not JSON"


@pytest.mark.parametrize("reason", BYPASSED)
async def test_the_reason_for_a_bypass_is_told_and_no_attributes_are_asked_for(awaited, reason):
    options, others = BYPASSED[reason]
    seen = []
    asking = Asking(
        "test", awaited, None, {"attributes": lambda request: 1 / 0, "on_lookup": seen.append, **options}
    )
    asked = await asking.look_up("request", QUESTION, others)
    assert (asked.status, asked.reason, seen) == ("bypass", reason, [asked])
    await asking.store(asked, Reply("Click on it."))
    assert (awaited.stats().bypasses, awaited.stats().stores) == (1, 0)


async def test_attributes_may_come_from_the_request(awaited):
    asking = Asking("test", awaited, None, {"attributes": lambda request: {"user": request}})
    await asking.store(await asking.look_up("ann", QUESTION, {}), Reply("Click on it, Ann."))
    assert (await asking.look_up("ann", QUESTION, {})).attributes["user"] == "ann"
    assert not (await asking.look_up("bob", QUESTION, {})).hit


@pytest.mark.parametrize(
    ("text", "options", "is_exact"),
    [
        ("How?", {}, False),
        ("How? " * 41, {}, True),
        ("Context: a\nQuestion: how?", {}, True),
        ("Context: a\nQuestion: how?", {"text": lambda text: "how?"}, False),
        ("Context: a\nQuestion: how?", {"search_strategies": ["semantic"]}, False),
    ],
)
async def test_what_may_be_a_template_is_found_by_the_same_text_alone(awaited, text, options, is_exact):
    arguments = Asking("test", awaited, None, options)._arguments(
        None, [{"role": "user", "content": text}], {}
    )
    assert (arguments.get("search_strategies") == ("exact",)) is is_exact


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"when": 1}, TypeError),
        ({"attributes": 1}, TypeError),
        ({"on_lookup": 1}, TypeError),
        ({"turns": "all"}, ValueError),
        ({"simliarity_threshold": 0.9}, TypeError),
        ({"similarity_threshold": 9}, ValueError),
        ({"ttl": -1}, ValueError),
    ],
)
async def test_a_mistake_is_found_at_once(awaited, wrong, error):
    with pytest.raises(error, match=next(iter(wrong))):
        Asking("test", awaited, None, wrong)


def test_what_is_no_cache_is_a_clear_error():
    with pytest.raises(TypeError, match="cache: must be an AsyncLangCache or a LangCache, but is dict"):
        Asking("test", {}, None, {})


def test_programs_may_ask_from_several_event_loops(blocking):
    asking = Asking("test", blocking, None, {})
    asked = asyncio.run(asking.look_up(None, QUESTION, {}))
    asyncio.run(asking.store(asked, Reply("Click on it.")))
    assert asyncio.run(asking.look_up(None, QUESTION, {})).hit
