"""`cached(messages=...)`: functions of the messages of a chat, in both clients, plain and in streams."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import inspect
import logging

import pytest

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig
from langcache.chat import chat_key
from langcache.errors import BadRequestError

pytestmark = pytest.mark.langcache(attributes=("fingerprint", "tenant", "function"))

OPENING = [{"role": "user", "content": "When is the museum open?"}]


def conversation(about):
    return [
        {"role": "user", "content": f"When is the {about} open?"},
        {"role": "assistant", "content": "From nine to five."},
        {"role": "user", "content": "And on Sundays?"},
    ]


class Llm:
    """Asks functions of each kind that either client decorates, by one name, with one signature."""

    def __init__(self, connection, kind, *, blocking, **config):
        self.kind, self.blocking, self.calls = kind, blocking, 0
        client = LangCache if blocking else AsyncLangCache
        self.cache = client(**connection, aside=AsideConfig(**{"lookup_timeout": 60, **config}))

    def reply(self, messages):
        self.calls += 1
        return f"{self.calls}: {[message['content'] for message in messages]}"

    def function(self, **settings):
        """The decorated function: messages, model="small", temperature=0.0, client=None, and any others."""
        cached = self.cache.cached(**{"messages": "messages", "ignore": ("client",), **settings})

        async def llm(messages, model="small", temperature=0.0, client=None, **others):
            return self.reply(messages)

        async def stream(messages, model="small", temperature=0.0, client=None, **others):
            yield self.reply(messages)

        def llm_blocking(messages, model="small", temperature=0.0, client=None, **others):
            return self.reply(messages)

        def stream_blocking(messages, model="small", temperature=0.0, client=None, **others):
            yield self.reply(messages)

        functions = {(False, "plain"): llm, (False, "stream"): stream}
        functions |= {(True, "plain"): llm_blocking, (True, "stream"): stream_blocking}
        return cached(functions[self.blocking, self.kind])

    async def ask(self, function, *args, **kwargs):
        """The answer's value, whether it was a hit, and the reason."""
        if self.blocking:
            return await asyncio.to_thread(self._ask_blocking, function, args, kwargs)
        answer = function.answer(*args, **kwargs)
        if self.kind == "plain":
            answer = await answer
            return answer.value, answer.hit, answer.reason
        async with answer as chunks:
            lookup = await chunks.look_up()
            return "".join([chunk async for chunk in chunks]), lookup.hit, lookup.reason

    def _ask_blocking(self, function, args, kwargs):
        answer = function.answer(*args, **kwargs)
        if self.kind == "plain":
            return answer.value, answer.hit, answer.reason
        with answer as chunks:
            lookup = chunks.look_up()
            return "".join(chunks), lookup.hit, lookup.reason

    async def hit(self, function, *args, **kwargs):
        return (await self.ask(function, *args, **kwargs))[1]


@pytest.fixture(
    params=[(kind, blocking) for blocking in (False, True) for kind in ("plain", "stream")],
    ids=lambda param: f"{param[0]}-{'blocking' if param[1] else 'async'}",
)
async def llm(request, connection):
    kind, blocking = request.param
    llm = Llm(connection, kind, blocking=blocking)
    yield llm
    await llm.cache.aclose()


async def test_a_follow_up_in_two_conversations_gets_two_answers(llm):
    function = llm.function()
    for _ in range(2):
        museum, pool = [await llm.ask(function, conversation(about)) for about in ("museum", "pool")]
        assert "When is the museum open?" in museum[0]
        assert "When is the pool open?" in pool[0]
        assert museum[1:] == pool[1:] == (False, "conversation")
    assert [await llm.hit(function, OPENING) for _ in range(2)] == [False, True]


async def test_with_hashed_turns_the_same_conversation_alone_hits(llm):
    function = llm.function(key=chat_key(turns="hashed"))
    for _ in range(2):
        for about in ("museum", "pool"):
            value, hit, _ = await llm.ask(function, conversation(about))
            assert f"When is the {about} open?" in value
    assert hit


OTHERS = [
    {"model": "large"},
    {"temperature": 0.5},
    {"temperature": 0},
    {"temperature": False},
    {"temperature": "0.0"},
    {"tools": [{"name": "search"}]},
    {"user": "u1"},  # which a request may have and leave out of the key, but a parameter not
    {"stream": True},
]


async def test_every_other_parameter_counts(llm):
    function = llm.function()
    for other in ({}, *OTHERS):
        assert await llm.hit(function, OPENING, **other) is False, other
    for other in ({}, *OTHERS):
        assert await llm.hit(function, OPENING, **other) is True, other


async def test_what_is_ignored_does_not_count_and_defaults_are_what_they_are(llm):
    function = llm.function()
    await llm.ask(function, OPENING, client=object())
    assert await llm.hit(function, OPENING, client=object())
    assert await llm.hit(function, messages=[*OPENING], model="small", temperature=0.0)


async def test_attributes_and_scopes_come_in_addition(llm):
    whole, llm.cache = llm.cache, llm.cache.scoped(tenant="a")
    function = llm.function()
    await llm.ask(function, OPENING)
    assert await llm.hit(function, OPENING)
    llm.cache = whole.scoped(tenant="b")
    assert not await llm.hit(llm.function(), OPENING)
    llm.cache = whole


async def test_refresh_and_bypass(llm):
    function = llm.function()
    first = (await llm.ask(function, OPENING))[0]

    def value(given):
        return given if llm.kind == "plain" else "".join(given)

    if llm.blocking:
        bypassed, refreshed = await asyncio.to_thread(
            lambda: (value(function.bypass(OPENING)), value(function.refresh(OPENING)))
        )
    elif llm.kind == "plain":
        bypassed, refreshed = await function.bypass(OPENING), await function.refresh(OPENING)
    else:
        bypassed = value([chunk async for chunk in function.bypass(OPENING)])
        refreshed = value([chunk async for chunk in function.refresh(OPENING)])
    assert len({first, bypassed, refreshed}) == 3
    assert (await llm.ask(function, OPENING))[:2] == (refreshed, True)


async def test_a_key_of_chat_key_alone_takes_the_first_parameter_for_the_messages(llm):
    function = llm.function(messages=None, key=chat_key(system="Be brief."))
    await llm.ask(function, OPENING)
    assert await llm.hit(function, OPENING)
    assert not await llm.hit(function, OPENING, model="large")
    assert (await llm.ask(function, conversation("museum")))[2] == "conversation"


class Mode(enum.Enum):
    FAST = 1
    GOOD = 2


@dataclasses.dataclass
class Celsius:
    degrees: float


@dataclasses.dataclass
class Fahrenheit:
    degrees: float


async def test_enums_dataclasses_and_models_are_told_apart(llm):
    function = llm.function()
    values = (Mode.FAST, Mode.GOOD, "FAST", Celsius(1.0), Fahrenheit(1.0), {"degrees": 1.0})
    for value in values:
        assert not await llm.hit(function, OPENING, heat=value), value
    for value in values:
        assert await llm.hit(function, OPENING, heat=value), value


NO_JSON = [
    (object(), "a value of type builtins.object"),
    (int, "the class builtins.int"),
    (b"bytes", "a value of type builtins.bytes"),
    ({1: "a"}, "a key that is int instead of str"),
    (lambda: None, "a value of type builtins.function"),
    ([{"deep": {1, 2}}], "a value of type builtins.set"),
]


async def test_a_parameter_that_can_not_be_hashed_is_named_with_the_way_out(llm):
    way_out, function = "name the parameter in ignore= or attributes=", llm.function()
    for value, named in NO_JSON:
        with pytest.raises(TypeError, match=rf"others: has {named}.*; {way_out}"):
            await llm.ask(function, OPENING, extra=value)
        with pytest.raises(TypeError, match=rf"model: has {named}.*; {way_out}"):
            await llm.ask(function, OPENING, value)


async def test_a_value_that_no_json_has_bypasses_the_cache(llm):
    function = llm.function()
    cycle = []
    cycle.append(cycle)
    for value in (float("nan"), float("inf"), 10**5000, cycle):
        assert (await llm.ask(function, OPENING, temperature=value))[1:] == (False, "not JSON")


async def test_calls_of_one_moment_share_by_the_key(connection, until):
    class Message:
        def __init__(self, role, content):
            self.role, self.content = role, content

    go_on, calls = asyncio.Event(), []
    async with AsyncLangCache(**connection, aside=AsideConfig(lookup_timeout=60)) as cache:

        @cache.cached(messages="messages")
        async def llm(messages: list, model: str) -> str:
            calls.append(model)
            await go_on.wait()
            return model

        def asked(model):
            return asyncio.create_task(llm.answer([Message("user", "Hi there?")], model))

        tasks = [asked("small"), asked("large"), asked("small")]
        await until(lambda: len(calls) == 2)
        go_on.set()
        answers = await asyncio.gather(*tasks)
    assert [answer.value for answer in answers] == ["small", "large", "small"]
    assert sorted(calls) == ["large", "small"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"messages": "conversation"}, "messages: .* has no parameter 'conversation'"),
        ({"messages": "messages", "prompt": "model"}, "prompt, messages: give one of the two"),
        ({"messages": "messages", "key": len}, r"key: .* what langcache\.chat\.chat_key returns"),
        ({"prompt": "model", "key": chat_key()}, "prompt, messages: give one of the two"),
    ],
)
def test_settings_that_do_not_fit_are_refused_at_once(llm_blocking_cache, settings, problem):
    def llm(messages, model):
        return model

    with pytest.raises(TypeError, match=problem):
        llm_blocking_cache.cached(**settings)(llm)


@pytest.fixture
def llm_blocking_cache():
    with LangCache(enabled=False) as cache:
        yield cache


def test_a_method_must_say_that_its_object_changes_nothing(llm_blocking_cache):
    with pytest.raises(TypeError, match="may depend on self, which can't be hashed; name it in ignore="):

        class Bot:
            @llm_blocking_cache.cached(messages="messages")
            def ask(self, messages):
                return "x"

    class Other:
        @llm_blocking_cache.cached(messages="messages", ignore="self")
        def ask(self, messages):
            return "x"

    assert Other().ask([]) == "x"


def test_two_functions_of_messages_are_told_apart(connection):
    config = AsideConfig(lookup_timeout=60)
    with LangCache(**connection, aside=config) as cache:

        @cache.cached(messages="messages")
        def one(messages: list) -> str:
            return "one"

        with pytest.raises(TypeError, match="would get answers that"):

            @cache.cached(messages="messages")
            def two(messages: list) -> str:
                return "two"

    with LangCache(
        **connection, aside=AsideConfig(lookup_timeout=60, function_attribute="function")
    ) as cache:

        @cache.cached(messages="messages", function="one")
        def first(messages: list) -> str:
            return "one"

        @cache.cached(messages="messages", function="two")
        def second(messages: list) -> str:
            return "two"

        for _ in range(2):
            assert (first(OPENING), second(OPENING)) == ("one", "two")
        assert first.answer(OPENING).hit


@pytest.mark.langcache(attributes=("tenant",))
@pytest.mark.parametrize("call", ["cached", "look_up", "store", "raise"])
async def test_an_attribute_that_is_not_declared_is_told_with_what_to_declare(connection, caplog, call):
    caplog.set_level(logging.WARNING)
    async with AsyncLangCache(**connection, aside=AsideConfig(lookup_timeout=60)) as cache:
        if call == "cached":

            @cache.cached(messages="messages")
            async def llm(messages: list) -> str:
                return "x"

            answer = await llm.answer(OPENING)
            assert answer.status == "error"
            error = answer.error
        elif call == "raise":
            with pytest.raises(BadRequestError) as raised:
                await cache.look_up(OPENING, key=chat_key(), on_error="raise")
            error = raised.value
        elif call == "store":
            error = (await cache.get_or_set(OPENING, "x", key=chat_key(), refresh=True)).error
        else:
            error = (await cache.look_up(OPENING, key=chat_key(), attributes={"tenant": "a"})).error
        assert isinstance(error, BadRequestError)
        names = "'fingerprint', 'tenant'" if call == "look_up" else "'fingerprint'"
        said = f"The question has {names}: declare all of these when the cache is made."
        assert str(error).count(said) == 1
        if call != "raise":
            assert said in caplog.text


def test_both_clients_take_the_same_arguments():
    ours, theirs = (inspect.signature(client.cached).parameters for client in (AsyncLangCache, LangCache))
    assert list(ours) == list(theirs)
