"""The decorator, for async functions."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from langcache import AsyncLangCache

QUESTION = "How do I reset my password?"


class Reply(msgspec.Struct):
    text: str
    score: float


async def test_a_cached_function_is_called_once(cache):
    calls = []

    @cache.cached()
    async def ask(question: str) -> str:
        """Ask."""
        calls.append(question)
        return f"answer {len(calls)}"

    assert [await ask(QUESTION), await ask(question=QUESTION)] == ["answer 1"] * 2
    assert (await ask.answer(QUESTION)).hit
    assert await ask.bypass(QUESTION) == "answer 2"
    assert await ask(QUESTION) == "answer 1"
    assert await ask.refresh(QUESTION) == "answer 3"
    assert await ask(QUESTION) == "answer 3"


async def test_it_keeps_name_docstring_and_signature(cache):
    async def ask(question: str, *, model: str = "m") -> str:
        """Ask."""
        return question

    cached = cache.cached(attributes=("model",))(ask)
    assert (cached.__name__, cached.__doc__) == ("ask", "Ask.")
    assert inspect.signature(cached) == inspect.signature(ask)
    assert cached.__wrapped__ is ask
    with pytest.raises(TypeError, match="question"):
        await cached()


async def test_a_typed_function_gives_its_type_from_a_hit(cache):
    @cache.cached()
    async def ask(question: str) -> Reply:
        return Reply("yes", 0.5)

    assert [await ask(QUESTION), await ask(QUESTION)] == [Reply("yes", 0.5)] * 2
    assert (await cache.search(QUESTION)).response == '{"text":"yes","score":0.5}'


async def test_attributes_come_from_arguments(cache):
    @cache.cached(attributes=("model", "language"), ignore=("client",))
    async def ask(question: str, client: object, *, model: str, language: str = "en") -> str:
        return f"{model} {language}"

    assert await ask(QUESTION, None, model="a") == "a en"
    assert await ask(QUESTION, None, model="b") == "b en"
    assert await ask(QUESTION, 1, model="a", language="de") == "a de"
    assert (await ask.answer(QUESTION, 2, model="a")).attributes == {"model": "a", "language": "en"}


async def test_attributes_may_be_the_same_for_all_or_a_function(cache):
    @cache.cached(attributes={"model": "gpt/5"})
    async def fixed(question: str) -> str:
        return "fixed"

    @cache.cached(attributes=lambda question, user: {"user": user["id"]})
    async def computed(question: str, user: dict[str, int]) -> str:
        return "computed"

    await fixed(QUESTION)
    assert (await fixed.answer(QUESTION)).attributes == {"model": "gpt/5"}
    await computed(QUESTION, {"id": 7})
    assert (await computed.answer(QUESTION, {"id": 7})).attributes == {"user": 7}


async def test_the_question_may_be_a_named_argument_or_made_of_all(cache):
    @cache.cached(prompt="question", ignore="client", attributes={"plan": "named"})
    async def named(client: object, question: str) -> str:
        return "named"

    @cache.cached(key=lambda messages: messages[-1], attributes={"plan": "chat"})
    async def chat(messages: list[str]) -> str:
        return "chat"

    await named(None, QUESTION)
    assert (await cache.search(QUESTION)).response == "named"
    assert await chat(["hello", QUESTION]) == "chat"
    assert (await chat.answer([QUESTION])).hit


async def test_methods_can_be_cached(cache):
    class Bot:
        def __init__(self, name):
            self.name = name

        @cache.cached(ignore=("self",))
        async def ask(self, question: str) -> str:
            return self.name

    bot = Bot("first")
    assert await bot.ask(QUESTION) == "first"
    assert await Bot("second").ask(QUESTION) == "first"
    assert await Bot("second").ask.refresh(QUESTION) == "second"
    assert list(inspect.signature(bot.ask).parameters) == ["question"]
    assert (await Bot.ask.answer(bot, QUESTION)).hit


def sync(question: str) -> str:
    return question


async def nothing() -> str:
    return ""


async def two(question: str, language: str) -> str:
    return question


async def unreadable(question: str) -> NoSuchType:  # noqa: F821
    return question


@pytest.mark.parametrize(
    ("function", "arguments", "problem"),
    [
        (sync, {}, "LangCache"),
        (nothing, {}, "no argument"),
        (two, {}, "language"),
        (two, {"attributes": ("speed",)}, "speed"),
        (two, {"prompt": "query"}, "query"),
        (two, {"ignore": "language", "prompt": "question", "key": str}, "one of the two"),
        (unreadable, {}, "codec="),
    ],
)
def test_a_function_that_can_not_be_cached_so_is_refused_at_once(function, arguments, problem):
    with pytest.raises(TypeError, match=problem):
        AsyncLangCache(enabled=False).cached(**arguments)(function)


async def test_a_disabled_cache_decorates_all_the_same():
    @AsyncLangCache(enabled=False).cached()
    async def ask(question: str) -> str:
        return question

    assert await ask(QUESTION) == QUESTION
    assert (await ask.answer(QUESTION)).reason == "disabled"


async def test_a_scoped_cache_decorates_in_its_scope(cache):
    @cache.scoped(tenant="acme").cached()
    async def ask(question: str) -> str:
        return "acme's"

    await ask(QUESTION)
    assert not await cache.scoped(tenant="other").search(QUESTION)
