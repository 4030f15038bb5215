"""What must type-check of cache-aside, with the types that come out. Checked by mypy and never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from datetime import timedelta
from typing import Any, Protocol

import msgspec
from typing_extensions import assert_type

from langcache import AsyncLangCache, CacheEntry, LangCache, SearchResponse, SetResponse
from langcache.aside import (
    Answer,
    AnswerStream,
    AsideConfig,
    AsyncAnswer,
    AsyncLookup,
    BlockingAnswer,
    BlockingAnswerStream,
    BlockingLookup,
    CacheStatus,
    JsonCodec,
    Judge,
    Key,
    Lookup,
    Shadow,
    Usage,
    lexical_guard,
)
from langcache.chat import chat_key, request_key
from langcache.many import Result

cache = AsyncLangCache(aside=AsideConfig(lookup_timeout=0.5))
blocking = LangCache(enabled=False)


class Reply(msgspec.Struct):
    text: str


class Maker:
    async def __call__(self, prompt: str) -> Reply:
        return Reply(prompt)

    def make(self, prompt: str) -> int:
        return len(prompt)


async def make(prompt: str) -> str:
    return prompt


def made(prompt: str) -> str:
    return prompt


def last(messages: list[str]) -> str:
    return messages[-1]


def whole(messages: list[str]) -> Key:
    return Key(messages[-1], {"turns": len(messages)}) if messages else Key(None, reason="empty")


def sometimes(messages: list[str]) -> str | Key | None:
    return whole(messages) if len(messages) > 1 else None


async def get_or_set() -> None:
    answer = await cache.get_or_set("Hi?", make, accept=lexical_guard, on_error="raise")
    assert_type(answer, AsyncAnswer[str])
    assert_type(answer.value, str)
    assert_type(answer.status, CacheStatus)
    assert_type((await cache.get_or_set("Hi?", made)).value, str)
    assert_type((await cache.get_or_set("Hi?", "ready")).value, str)
    assert_type((await cache.get_or_set("Hi?", Reply("Ho"), codec=JsonCodec(Reply))).value, Reply)
    assert_type((await cache.get_or_set(["Hi?"], last, key=last)).value, str)
    assert_type((await cache.get_or_set(["Hi?"], last, key=whole)).value, str)
    asked = await cache.look_up(["Hi?"], key=whole, ttl=5)
    assert_type(asked, AsyncLookup[str])
    assert_type(asked.value, str | None)
    assert_type(await asked.store("Ho"), Exception | None)
    assert_type(await cache.look_up("Hi?", codec=JsonCodec(Reply)), AsyncLookup[Reply])
    assert_type(blocking.look_up("Hi?"), BlockingLookup[str])
    messages = [{"role": "user", "content": "Hi?"}]
    assert_type((await cache.look_up(messages, key=chat_key(model="small"))).value, str | None)
    assert_type(request_key({"messages": messages}, api="openai.chat"), Key)
    assert_type(await chat(messages, "small"), Reply)
    assert_type(await chat.answer(messages, "small"), AsyncAnswer[Reply])
    assert_type(chat_blocking.answer(messages), BlockingAnswerStream[str])
    assert_type(blocking.look_up("Hi?", codec=JsonCodec(Reply)).store(Reply("Ho")), Exception | None)
    assert_type(blocking.get_or_set(["Hi?"], last, key=sometimes).value, str)
    assert_type((await cache.get_or_set("Hi?", Maker(), codec=JsonCodec(Reply))).value, Reply)
    assert_type((await cache.get_or_set("Hi?", Maker().make, codec=JsonCodec(int))).value, int)
    # To mypy a lambda might be a ready value as well, and the answer is Any; an annotation says what it is.
    of_value: AsyncAnswer[str] = await cache.get_or_set("Hi?", lambda prompt: prompt)
    of_awaitable: Answer[str] = await cache.get_or_set(["Hi?"], lambda all: make(all[0]), key=last)
    of_blocking: Answer[str] = blocking.get_or_set("Hi?", lambda prompt: prompt)
    assert_type([of_value.value, of_awaitable.value, of_blocking.value], list[str])
    assert_type(cache.scoped(tenant="a", user=1), AsyncLangCache)
    assert_type(blocking.scoped(tenant="a").get_or_set("Hi?", made).value, str)


async def stream(prompt: str) -> AsyncIterator[str]:
    yield prompt


@cache.cached(attributes=("user",))
async def ask(question: str, *, user: int = 0) -> Reply:
    return Reply(question)


@cache.cached()
async def tell(question: str) -> AsyncIterator[str]:
    yield question


@blocking.cached()
def ask_blocking(question: str) -> list[int]:
    return [len(question)]


@blocking.cached()
def tell_blocking(question: str) -> Iterator[str]:
    yield question


@cache.cached
async def bare(question: str) -> Reply:
    return Reply(question)


@blocking.cached
def bare_blocking(question: str) -> int:
    return len(question)


class Bot:
    @cache.cached(ignore=("self",))
    async def ask(self, question: str) -> str:
        return question


@cache.cached(messages="messages", ignore=("user",))
async def chat(messages: list[dict[str, str]], model: str, user: str | None = None) -> Reply:
    return Reply(model)


@blocking.cached(key=chat_key(model="small", turns="hashed", temperature=0.0))
def chat_blocking(messages: list[dict[str, str]]) -> Iterator[str]:
    yield "Hi!"


class BlockingBot:
    @blocking.cached(ignore=("self",))
    def ask(self, question: str) -> str:
        return question

    @classmethod
    @blocking.cached(ignore=("cls",))
    def of_class(cls, question: str) -> str:
        return question

    @staticmethod
    @blocking.cached()
    def of_none(question: str) -> str:
        return question


class Asks(Protocol):
    async def ask(self, question: str) -> str: ...


class AsksBlocking(Protocol):
    def ask(self, question: str) -> str: ...


class CachedProtocol(Protocol):
    @cache.cached(ignore=("self",))
    async def ask(self, question: str) -> str:
        return question


def protocols() -> None:
    asks: Asks = Bot()
    asks_blocking: AsksBlocking = BlockingBot()
    function: Callable[[str], Awaitable[Reply]] = bare
    coroutine_function: Callable[[str], Coroutine[Any, Any, Reply]] = ask
    print(asks, asks_blocking, function, coroutine_function)


async def cached() -> None:
    assert_type(await ask("Hi?", user=1), Reply)
    assert_type(await ask.refresh("Hi?"), Reply)
    assert_type(await ask.answer("Hi?"), AsyncAnswer[Reply])
    assert_type(ask_blocking.answer("Hi?"), BlockingAnswer[list[int]])
    assert_type(tell("Hi?"), AsyncIterator[str])
    assert_type(ask_blocking("Hi?"), list[int])
    assert_type(ask_blocking.bypass("Hi?"), list[int])
    assert_type(tell_blocking("Hi?"), Iterator[str])
    assert_type(await Bot().ask("Hi?"), str)
    assert_type(await Bot().ask.refresh("Hi?"), str)
    assert_type(await bare("Hi?"), Reply)
    assert_type(bare_blocking("Hi?"), int)
    assert_type(BlockingBot().ask("Hi?"), str)
    assert_type(BlockingBot.of_class("Hi?"), str)
    assert_type(BlockingBot.of_none("Hi?"), str)
    assert_type(await tell.answer("Hi?").look_up(), Lookup)
    assert_type(tell_blocking.answer("Hi?").look_up(), Lookup)
    assert_type(cache.get_or_stream("Hi?", stream), AnswerStream[str])
    assert_type(
        await cache.get_or_set("Hi?", make, ttl=timedelta(1), store_if=bool, function="m"), AsyncAnswer[str]
    )
    await ask(1)  # type: ignore[arg-type]
    await ask("Hi?", speed=1)  # type: ignore[call-arg]
    await Bot().ask()  # type: ignore[call-arg]
    await cache.get_or_set("Hi?", make, on_error="hide")  # type: ignore[call-overload]


async def judge_async(question: str, entry: CacheEntry) -> bool:
    return question == entry.prompt


def judge(question: str, entry: CacheEntry) -> bool:
    return question == entry.prompt


async def compare(cached: str, computed: str) -> bool:
    return cached == computed


async def verdicts() -> None:
    answer = await cache.get_or_set("Hi?", make, accept=Judge(judge_async, sure=0.9))
    assert_type(await answer.wrong(), None)
    assert_type(await answer.wrong(delete=True), None)
    assert_type(await answer.right(), None)
    of_blocking = blocking.get_or_set("Hi?", made, accept=Judge(judge))
    assert_type(of_blocking, BlockingAnswer[str])
    of_blocking.wrong(delete=True)
    of_blocking.right()
    await of_blocking.wrong()  # type: ignore[func-returns-value, misc]
    either: list[Answer[str]] = [answer, of_blocking]
    assert_type(either[0].value, str)
    stream_of_text = cache.get_or_stream("Hi?", stream)
    assert_type(await stream_of_text.wrong(), None)
    tell_blocking.answer("Hi?").right()
    AsideConfig(accept=Judge(judge), labels="pairs.jsonl", shadow=Shadow(share=0.1, compare=compare))
    AsideConfig(shadow=Shadow(compare=0.9, when="later"))  # type: ignore[arg-type]


async def many() -> None:
    assert_type(await cache.set_many([("Hi?", "Ho!")]), list[Result[tuple[str, str], SetResponse]])
    async for result in cache.search_many(["Hi?"], ordered=False):
        assert_type(result.value, SearchResponse | None)
    assert_type(blocking.search_many(["Hi?"]), list[Result[str, SearchResponse]])


def usage(answer: str) -> Usage | None:
    return Usage(len(answer), None, "a model")


def price(used: Usage) -> float:
    return 0.1 * (used.input_tokens or 0)


async def freshness_and_cost() -> None:
    config = AsideConfig(source_attribute="sources", time_attribute="stored_at", price=price)
    client = AsyncLangCache(aside=config)
    answer = await client.get_or_set(
        "Hi?", make, usage=usage, sources=["doc:42@v7"], stale_after=timedelta(hours=1)
    )
    assert_type(answer, AsyncAnswer[str])
    assert_type(answer.usage, Usage | None)
    assert_type(answer.saved, Usage | None)
    assert_type(answer.stale, bool)
    assert_type(await client.invalidate("doc:42"), int)
    assert_type(blocking.invalidate(source="doc:42"), int)
    blocking.get_or_set("Hi?", made, sources=lambda answer: [answer], stale_after=60)
    assert_type(client.stats().saved.input_tokens, int)
    assert_type(client.stats().saved.money, float)
