"""`Key`, as what ``key=`` returns: text, attributes, or the reason not to ask the cache."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig, Key
from langcache.limits import LimitError

QUESTION = "What does the museum cost on Sundays?"
SMALL, LARGE = (Key(QUESTION, {"model": model}) for model in ("small", "large"))


async def told(prompt):
    return f"told {prompt!r}"


async def streamed(prompt):
    yield f"told {prompt!r}"


def told_blocking(prompt):
    return f"told {prompt!r}"


def streamed_blocking(prompt):
    yield f"told {prompt!r}"


class Asker:
    """Asks in the same way by each of the calls that take ``key``, of either client."""

    def __init__(self, connection, call, *, blocking, **settings):
        self.call, self.blocking = call, blocking
        aside = AsideConfig(lookup_timeout=60, **settings)
        self.cache = (LangCache if blocking else AsyncLangCache)(**connection, aside=aside)

    async def ask(self, key, attributes=None, **options):
        """Returns whether it was a hit, and why the cache was not asked."""
        if self.blocking:
            return await asyncio.to_thread(self._ask_blocking, key, attributes, options)
        settings = {"key": lambda prompt: key, "attributes": attributes, **options}
        if self.call == "get_or_set":
            answer = await self.cache.get_or_set("x", told, **settings)
        elif self.call == "cached":
            answer = await self.cache.cached(**settings)(told).answer("x")
        elif self.call == "get_or_stream":
            async with self.cache.get_or_stream("x", streamed, **settings) as stream:
                answer = await stream.look_up()
                assert [chunk async for chunk in stream] == ["told 'x'"]
        else:
            async with self.cache.cached(**settings)(streamed).answer("x") as stream:
                answer = await stream.look_up()
                assert [chunk async for chunk in stream] == ["told 'x'"]
        return answer.hit, answer.reason

    def _ask_blocking(self, key, attributes, options):
        settings = {"key": lambda prompt: key, "attributes": attributes, **options}
        if self.call == "get_or_set":
            answer = self.cache.get_or_set("x", told_blocking, **settings)
        elif self.call == "cached":
            answer = self.cache.cached(**settings)(told_blocking).answer("x")
        elif self.call == "get_or_stream":
            with self.cache.get_or_stream("x", streamed_blocking, **settings) as stream:
                answer = stream.look_up()
                assert list(stream) == ["told 'x'"]
        else:
            with self.cache.cached(**settings)(streamed_blocking).answer("x") as stream:
                answer = stream.look_up()
                assert list(stream) == ["told 'x'"]
        return answer.hit, answer.reason


@pytest.fixture(
    params=[
        (call, blocking)
        for blocking in (False, True)
        for call in ("get_or_set", "cached", "get_or_stream", "cached stream")
    ],
    ids=lambda param: f"{param[0]}-{'blocking' if param[1] else 'async'}",
)
async def asker(request, connection):
    call, blocking = request.param
    asker = Asker(connection, call, blocking=blocking)
    yield asker
    await asker.cache.aclose()


async def test_the_attributes_of_a_key_are_looked_up_and_stored(asker):
    assert await asker.ask(SMALL) == (False, None)
    assert await asker.ask(SMALL) == (True, None)
    assert await asker.ask(LARGE) == (False, None)
    assert await asker.ask(LARGE) == (True, None)


async def test_they_are_added_to_those_of_the_call_and_of_the_scope(asker):
    scoped = asker.cache.scoped(tenant="a")
    whole, asker.cache = asker.cache, scoped
    assert await asker.ask(SMALL, {"language": "en"}) == (False, None)
    entry = (await (whole.search_async if asker.blocking else whole.search)(QUESTION)).data[0]
    assert entry.attributes == {"model": "small", "language": "en", "tenant": "a"}
    assert await asker.ask(SMALL, {"language": "en", "model": "small"}) == (True, None)
    assert await asker.ask(SMALL, {"language": "it"}) == (False, None)
    asker.cache = whole


@pytest.mark.parametrize("reason", [None, "tool call"])
async def test_a_key_without_text_bypasses_the_cache_for_its_reason(asker, reason):
    assert await asker.ask(Key(None, {"model": "small"}, reason)) == (False, reason or "no question")
    assert asker.cache.stats().bypasses == 1
    assert asker.cache.stats().stores == 0


async def test_a_contradiction_is_an_error_that_names_it(asker):
    with pytest.raises(ValueError, match=r"attributes: 'model' is 'large' in attributes= and 'small' in"):
        await asker.ask(SMALL, {"model": "large"})
    with pytest.raises(ValueError, match=r"'user' is 'int~1' in attributes= and '1' in the Key"):
        await asker.ask(Key(QUESTION, {"user": "1"}), {"user": 1})
    whole, asker.cache = asker.cache, asker.cache.scoped(model="large")
    with pytest.raises(ValueError, match="'model' is 'large' in this scope and can't be 'small'"):
        await asker.ask(SMALL)
    asker.cache = whole


async def test_what_else_a_key_function_returns_is_an_error(asker):
    for returned in (1, b"text", ("text", {}), {"text": QUESTION}, Key):
        with pytest.raises(TypeError, match=r"key: must return str, a langcache\.aside\.Key, or None"):
            await asker.ask(returned)


async def test_values_are_those_that_attributes_may_have(asker):
    with pytest.raises(TypeError, match=r"attributes\['model'\]: must be str"):
        await asker.ask(Key(QUESTION, {"model": None}))
    with pytest.raises(LimitError, match="values must not be empty, but 'model' is"):
        await asker.ask(Key(QUESTION, {"model": ""}), {"language": "en"})


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"text": 1}, TypeError, r"Key\.text: must be str, or None to bypass the cache, but is int"),
        ({"text": "a", "attributes": [("a", "b")]}, TypeError, r"Key\.attributes: must be a mapping"),
        ({"text": None, "reason": 3}, TypeError, r"Key\.reason: must be str, but is int"),
        ({"text": "a", "reason": "tools"}, ValueError, r"Key\.reason: .* with text=None alone"),
        ({"text": None, "reason": ""}, ValueError, r"Key\.reason: must be a line of 1 to 64"),
        ({"text": None, "reason": "a" * 65}, ValueError, r"Key\.reason: .* but has 65"),
        ({"text": None, "reason": "two\nlines"}, ValueError, r"Key\.reason: must be a line"),
        ({"text": None, "reason": "\ud800"}, ValueError, r"Key\.reason: .* lone surrogate"),
    ],
)
def test_a_key_that_breaks_a_rule_is_refused_where_it_is_made(fields, error, message):
    with pytest.raises(error, match=message):
        Key(**fields)


async def test_calls_of_one_moment_share_by_text_and_attributes(cache, make, until):
    def tasks(*models):
        # A new list for each call: equal messages in other objects are the same question.
        return [
            asyncio.create_task(
                cache.get_or_set(
                    [{"role": "user", "content": QUESTION}],
                    make,
                    key=lambda messages, model=model: Key(messages[-1]["content"], {"model": model}),
                )
            )
            for model in models
        ]

    make.go_on.clear()
    asked = tasks("small", "large", "small", "large", "small")
    await until(lambda: make.calls == 2)
    make.go_on.set()
    answers = await asyncio.gather(*asked)
    assert sum(answer.shared for answer in answers) == 3
    assert make.calls == 2


def test_threads_that_ask_with_other_attributes_do_not_share(blocking_cache):
    def ask(model):
        return blocking_cache.get_or_set(
            "x", lambda prompt: model, key=lambda prompt: Key(QUESTION, {"model": model}), function="ask"
        ).value

    models = ["small", "large", "huge"] * 4
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, models)) == models
