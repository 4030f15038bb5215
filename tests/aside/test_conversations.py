"""Conversations, asked with `langcache.chat.chat_key` by each call of either client."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig
from langcache.chat import chat_key, request_key

pytestmark = pytest.mark.langcache(attributes=("fingerprint", "tenant"))

CALLS = ("get_or_set", "get_or_stream", "look_up")


def conversation(about):
    return [
        {"role": "user", "content": f"When is the {about} open?"},
        {"role": "assistant", "content": "From nine to five."},
        {"role": "user", "content": "And on Sundays?"},
    ]


def told(messages):
    return f"{messages[0]['content']} -> {messages[-1]['content']}"


async def ask(connection, call, key, questions, *, blocking):
    """The values and the reasons of the answers to these questions, one after the other."""
    config = AsideConfig(lookup_timeout=60)

    def ask_blocking():
        with LangCache(**connection, aside=config) as cache:
            for messages in questions:
                if call == "get_or_set":
                    answer = cache.get_or_set(messages, told, key=key)
                    yield answer.value, answer.hit, answer.reason
                elif call == "look_up":
                    asked = cache.look_up(messages, key=key)
                    asked.store(told(messages))
                    yield asked.value or told(messages), asked.hit, asked.reason
                else:
                    with cache.get_or_stream(messages, lambda given: iter([told(given)]), key=key) as chunks:
                        lookup = chunks.look_up()
                        yield "".join(chunks), lookup.hit, lookup.reason

    if blocking:
        return await asyncio.to_thread(lambda: [*ask_blocking()])

    async def stream(messages):
        yield told(messages)

    answers = []
    async with AsyncLangCache(**connection, aside=config) as cache:
        for messages in questions:
            if call == "get_or_set":
                answer = await cache.get_or_set(messages, told, key=key)
                answers.append((answer.value, answer.hit, answer.reason))
            elif call == "look_up":
                asked = await cache.look_up(messages, key=key)
                await asked.store(told(messages))
                answers.append((asked.value or told(messages), asked.hit, asked.reason))
            else:
                async with cache.get_or_stream(messages, stream, key=key) as chunks:
                    lookup = await chunks.look_up()
                    answers.append(("".join([chunk async for chunk in chunks]), lookup.hit, lookup.reason))
    return answers


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "blocking"])
@pytest.mark.parametrize("call", CALLS)
async def test_and_on_sundays_in_two_conversations(connection, call, blocking):
    questions = [conversation("museum"), conversation("pool")] * 2
    answers = await ask(connection, call, chat_key(), questions, blocking=blocking)
    assert answers == [(told(messages), False, "conversation") for messages in questions]
    answers = await ask(connection, call, chat_key(turns="hashed"), questions, blocking=blocking)
    assert answers == [(told(messages), at >= 2, None) for at, messages in enumerate(questions)]


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "blocking"])
@pytest.mark.parametrize("call", CALLS)
async def test_what_the_question_leans_on_is_never_shared(connection, call, blocking):
    """Two system prompts, two images, two models: each asked twice, and each gets its own."""

    def messages(system, image):
        return [
            {"role": "system", "content": system},
            {"role": "user", "content": [{"type": "image_url", "image_url": image}, "What is this?"]},
        ]

    for key in (chat_key(model="small"), chat_key(model="large")):
        questions = [messages(system, image) for system in ("a", "b") for image in ("1.png", "2.png")] * 2
        answers = await ask(connection, call, key, questions, blocking=blocking)
        assert [hit for _, hit, _ in answers] == [False] * 4 + [True] * 4
        assert [value for value, _, _ in answers] == [told(question) for question in questions]


async def test_a_request_and_its_stream_share_one_entry(connection):
    def key(body):
        return request_key(body, api="openai.chat", place="api.example.com/v1/chat/completions")

    body = {"model": "gpt-5", "messages": conversation("museum")[:1]}
    async with AsyncLangCache(**connection, aside=AsideConfig(lookup_timeout=60)) as cache:
        await cache.get_or_set(body, "Nine.", key=key)
        assert (
            await cache.get_or_set({**body, "stream": True, "user": "u"}, "Ten.", key=key)
        ).value == "Nine."
        assert (await cache.get_or_set({**body, "model": "gpt-6"}, "Ten.", key=key)).value == "Ten."


async def test_messages_that_differ_by_their_ids_alone_share_a_flight(connection, make, until):
    make.go_on.clear()
    async with AsyncLangCache(**connection, aside=AsideConfig(lookup_timeout=60)) as cache:

        def asked(about):
            messages = [{**message, "id": str(uuid.uuid4())} for message in conversation(about)]
            return asyncio.create_task(cache.get_or_set(messages, make, key=chat_key(turns="hashed")))

        tasks = [asked("museum"), asked("pool"), asked("museum")]
        await until(lambda: make.calls == 2 and cache._aside.state.execution.flights.participants == 3)
        make.go_on.set()
        answers = await asyncio.gather(*tasks)
    assert [answer.shared for answer in answers] == [False, False, True]
    assert make.calls == 2
