"""The capability for Pydantic AI: what is of Pydantic AI alone."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

import pytest

pytest.importorskip("pydantic_ai")

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, UnexpectedModelBehavior
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import (
    ImageUrl,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    UserPromptPart,
)
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.test import TestModel

from langcache.chat.adapters.pydantic_ai import LangCacheCapability

from .frameworks import PydanticAi, PydanticAiResponses
from .provider import Reply

QUESTION = "How do I reset my password?"


@pytest.fixture
async def cache(shared_cache):
    return shared_cache


@pytest.fixture
async def framework(provider, cache):
    framework = PydanticAi(provider, cache)
    yield framework
    await framework.aclose()


async def test_a_hit_used_no_tokens_and_what_it_saved_is_counted(framework, cache):
    agent = framework.agent()
    used = (await agent.run(QUESTION)).all_messages()[-1].usage
    result = await agent.run(QUESTION)
    [*_, hit] = result.all_messages()
    assert framework.last == ("hit", None)
    assert (hit.usage.input_tokens, hit.usage.output_tokens, hit.provider_response_id) == (0, 0, None)
    assert hit.parts[0].id is None
    assert hit.metadata == {"langcache": {"similarity": 1.0, "entry": framework.seen[-1].entry.id}}
    saved = cache.stats().saved
    assert saved.input_tokens == used.input_tokens - used.cache_read_tokens
    assert saved.output_tokens == used.output_tokens


async def test_a_hit_in_a_stream_gives_events_and_the_whole_result(framework):
    agent = framework.agent()
    first = (await agent.run(QUESTION)).output
    async with agent.run_stream(QUESTION) as result:
        assert [each async for each in result.stream_text()][-1] == first
        assert await result.get_output() == first
        assert result.is_complete


class City(BaseModel):
    name: str


class River(BaseModel):
    name: str


@pytest.mark.parametrize("kind", [NativeOutput, PromptedOutput], ids=["native", "prompted"])
async def test_structured_output_in_text_is_cached_by_its_type(framework, provider, kind):
    for schema in (City, River, City, River):
        provider.script(Reply(text='{"name": "Seine"}'))
        result = await framework.agent(output_type=kind(schema)).run(QUESTION)
        assert result.output == schema(name="Seine")
    assert [each.status.value for each in framework.seen] == ["miss", "miss", "hit", "hit"]


async def test_structured_output_by_tools_is_not_stored(framework, provider, cache):
    for _ in range(2):
        provider.script(Reply(tools=(("final_result", {"name": "Paris"}),)))
        assert (await framework.agent(output_type=City).run(QUESTION)).output == City(name="Paris")
    assert {each.status.value for each in framework.seen} == {"miss"}
    assert cache.stats().stores == 0


async def test_instructions_that_differ_by_user_never_share(framework, provider):
    agent = framework.agent(deps_type=str)

    @agent.instructions
    def about_the_user(ctx) -> str:
        return f"You talk to {ctx.deps}."

    answers = [(await agent.run(QUESTION, deps=name)).output for name in ("ann", "bob", "ann", "bob")]
    assert answers[0] != answers[1]
    assert answers[:2] == answers[2:]
    assert provider.count == 2


async def test_attributes_may_come_from_what_the_run_depends_on(provider, cache):
    framework = PydanticAi(provider, cache, attributes=lambda ctx: {"user": ctx.deps})
    agent = framework.agent(deps_type=str)
    answers = [(await agent.run(QUESTION, deps=name)).output for name in ("ann", "bob", "ann", "bob")]
    assert answers[0] != answers[1]
    assert answers[:2] == answers[2:]
    assert framework.seen[-1].attributes["user"] == "bob"
    await framework.aclose()


@dataclass
class TellsOfTheUser(AbstractCapability):
    """Adds a message about the user to each request, while it is made."""

    user: str

    async def before_model_request(self, ctx, request_context):
        about = ModelRequest(parts=[SystemPromptPart(f"You talk to {self.user}.")])
        return replace(request_context, messages=[about, *request_context.messages])


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
async def test_what_other_capabilities_add_to_a_request_is_never_shared(framework, stream, last):
    answers = []
    for user in ("ann", "bob"):
        agent = Agent(
            framework.model("small"),
            capabilities=[framework.adapter, TellsOfTheUser(user)][:: -1 if last else 1],
        )
        if not stream:
            answers.append((await agent.run(QUESTION)).output)
            continue
        async with agent.run_stream(QUESTION) as result:
            answers.append(await result.get_output())
    assert answers[0] != answers[1]
    assert {each.status.value for each in framework.seen} == {"miss"}


class Signs(AbstractCapability):
    """Signs each answer."""

    async def after_model_request(self, ctx, *, request_context, response):
        return replace(response, parts=[TextPart(f"{ctx.deps}: {response.text}")])


async def test_what_other_capabilities_make_of_an_answer_is_never_stored(framework, cache):
    agents = [
        Agent(framework.model("small"), deps_type=str, capabilities=order)
        for order in ([framework.adapter, Signs()], [Signs(), framework.adapter])
    ]
    for agent in agents:
        for user in ("ann", "bob"):
            assert (await agent.run(QUESTION, deps=user)).output.count(":") <= 1
    for entry in (await cache.search(QUESTION, max_results=50)).data:
        assert "ann" not in entry.response
        assert "bob" not in entry.response


async def test_parts_of_a_prompt_that_are_no_text_are_hashed(framework):
    agent = framework.agent()
    for url in ("http://localhost/1.png", "http://localhost/2.png"):
        await agent.run([QUESTION, ImageUrl(url)])
    assert {each.status.value for each in framework.seen} == {"miss"}
    await agent.run([ImageUrl("http://localhost/1.png"), QUESTION])  # in another order
    assert framework.last == ("miss", None)
    await agent.run([QUESTION, ImageUrl("http://localhost/1.png")])
    assert framework.last == ("hit", None)


@pytest.mark.parametrize("kind", [TestModel, FunctionModel])
async def test_models_for_tests_are_cached_as_well(cache, kind):
    texts = iter(["one", "two"])

    def answer(messages, info):
        return ModelResponse(parts=[TextPart(next(texts))])

    model = TestModel(custom_output_text="one") if kind is TestModel else FunctionModel(answer)
    seen = []
    agent = Agent(model, capabilities=[LangCacheCapability(cache, on_lookup=seen.append)])
    assert [(await agent.run(QUESTION)).output for _ in range(2)] == ["one", "one"]
    assert [each.status.value for each in seen] == ["miss", "hit"]


NOT_STORED = [
    [],
    [TextPart("")],
    [ThinkingPart("Hm")],
    [TextPart("Let me see"), ToolCallPart("weather", {})],
]


@pytest.mark.parametrize("parts", NOT_STORED)
async def test_what_is_no_whole_text_is_not_stored(cache, parts):
    replies = iter([ModelResponse(parts=parts), ModelResponse(parts=[TextPart("Yes")])])
    agent = Agent(
        FunctionModel(lambda messages, info: next(replies)),
        capabilities=[LangCacheCapability(cache)],
        tools=[lambda: "fine"],
        retries=1,
    )
    with contextlib.suppress(UnexpectedModelBehavior):
        await agent.run(QUESTION)
    assert cache.stats().stores == 0


async def test_thoughts_are_left_out_of_what_is_stored(cache):
    parts = [ThinkingPart("Hm", signature="s"), TextPart("Yes")]
    agent = Agent(
        FunctionModel(lambda messages, info: ModelResponse(parts=parts)),
        capabilities=[LangCacheCapability(cache)],
    )
    await agent.run(QUESTION)
    hit = (await agent.run(QUESTION)).all_messages()[-1]
    assert [part.content for part in hit.parts] == ["Yes"]
    assert "Hm" not in (await cache.search(QUESTION)).data[0].response


async def test_a_conversation_that_the_provider_keeps_is_not_asked(provider, cache):
    framework = PydanticAiResponses(provider, cache)
    await framework.ask(QUESTION, openai_previous_response_id="resp_1")
    assert framework.last == ("bypass", "kept by provider")
    await framework.aclose()


async def test_settings_that_are_no_json_bypass_the_cache(framework):
    agent = framework.agent(model_settings={"extra_body": {"a": object()}})
    with pytest.raises(Exception, match=r".*"):  # the SDK can't send it either
        await agent.run(QUESTION)
    assert framework.last == ("bypass", "not JSON")


async def test_an_earlier_question_without_an_answer_is_hashed(framework):
    agent = framework.agent()
    for earlier in ("I have an Acme 3.", "I have an Acme 5."):
        history = [ModelRequest(parts=[UserPromptPart(earlier)])]
        await agent.run("How do I reset it?", message_history=history)
    assert [each.status.value for each in framework.seen] == ["miss", "miss"]
