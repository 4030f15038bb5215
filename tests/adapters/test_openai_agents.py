"""The model and the provider for OpenAI Agents: what is of OpenAI Agents alone."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

pytest.importorskip("agents")

from agents import (
    Agent,
    Model,
    ModelSettings,
    ModelTracing,
    MultiProvider,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    WebSearchTool,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

from langcache.chat.adapters.openai_agents import LangCacheModel, LangCacheModelProvider

from .frameworks import OpenAiAgents
from .provider import Reply

QUESTION = "How do I reset my password?"
KEPT_NOWHERE = ModelSettings(store=False)


@pytest.fixture
async def cache(shared_cache):
    return shared_cache


@pytest.fixture
async def client(provider):
    async with AsyncOpenAI(base_url=provider.openai, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
async def framework(provider, cache):
    framework = OpenAiAgents(provider, cache)
    yield framework
    await framework.aclose()


UNTRACED = RunConfig(tracing_disabled=True)


def agent_of(model, **how):
    return Agent("helper", model=model, **{"model_settings": KEPT_NOWHERE, **how})


async def test_a_hit_used_no_tokens_and_what_it_saved_is_counted(client, cache):
    agent = agent_of(LangCacheModel(OpenAIResponsesModel("small", client), cache))
    used, not_used = [
        (await Runner.run(agent, QUESTION, run_config=UNTRACED)).context_wrapper.usage for _ in range(2)
    ]
    assert used.total_tokens > 0
    assert (not_used.input_tokens, not_used.output_tokens, not_used.total_tokens) == (0, 0, 0)
    saved = cache.stats().saved
    assert saved.input_tokens == used.input_tokens - used.input_tokens_details.cached_tokens
    assert saved.output_tokens == used.output_tokens


async def test_a_hit_has_no_id_that_the_provider_knows(client, cache, provider):
    agent = agent_of(LangCacheModel(OpenAIResponsesModel("small", client), cache))
    await Runner.run(agent, QUESTION, run_config=UNTRACED)
    hit = await Runner.run(agent, QUESTION, run_config=UNTRACED)
    assert hit.last_response_id is None
    await Runner.run(agent, [*hit.to_input_list(), {"role": "user", "content": "Why?"}], run_config=UNTRACED)
    sent = provider.requests[-1].body["input"]
    assert len(sent) == 3
    assert all(not str(item.get("id", "")).startswith(("msg_", "__fake")) for item in sent)


async def test_the_events_of_a_hit_are_those_of_a_stream(client, cache):
    agent = agent_of(LangCacheModel(OpenAIResponsesModel("small", client), cache))
    kinds, texts = [], []
    for _ in range(2):
        running = Runner.run_streamed(agent, QUESTION, run_config=UNTRACED)
        events = [each.data async for each in running.stream_events() if each.type == "raw_response_event"]
        kinds.append(list(dict.fromkeys(each.type for each in events if each.type != "response.in_progress")))
        texts.append("".join(each.delta for each in events if each.type == "response.output_text.delta"))
        assert [each.sequence_number for each in events] == list(range(len(events)))
    assert kinds[0] == kinds[1]
    assert texts[0] == texts[1] == running.final_output
    assert cache.stats().hits == 1


async def test_what_the_provider_keeps_is_not_asked(client, cache):
    seen = []
    model = LangCacheModel(OpenAIResponsesModel("small", client), cache, on_lookup=seen.append)
    for settings in (ModelSettings(), ModelSettings(store=True)):
        await Runner.run(agent_of(model, model_settings=settings), QUESTION, run_config=UNTRACED)
        assert (seen[-1].status.value, seen[-1].reason) == ("bypass", "kept by provider")
    for how in ({"previous_response_id": "resp_1"}, {"conversation_id": "conv_1"}):
        await Runner.run(agent_of(model), QUESTION, run_config=UNTRACED, **how)
        assert (seen[-1].status.value, seen[-1].reason) == ("bypass", "kept by provider")
    await Runner.run(agent_of(model, prompt={"id": "pmpt_1"}), QUESTION, run_config=UNTRACED)
    assert (seen[-1].status.value, seen[-1].reason) == ("bypass", "kept by provider")


async def test_models_that_do_not_say_how_an_answer_ended_are_not_cached(client, cache, provider):
    seen = []
    model = LangCacheModel(OpenAIChatCompletionsModel("small", client), cache, on_lookup=seen.append)
    for _ in range(2):
        provider.script(Reply(text="Cut", truncated=True))
        await Runner.run(agent_of(model), QUESTION, run_config=UNTRACED)
        assert (seen[-1].status.value, seen[-1].reason) == ("bypass", "ending not known")


class Events:
    """The events of a stream, which is no generator."""

    def __init__(self, events):
        self.events = iter(events)

    def __aiter__(self):
        return self

    async def __anext__(self):
        for event in self.events:
            return event
        raise StopAsyncIteration


class Other(Model):
    """A model of a program's own."""

    async def get_response(self, *args, **kwargs):
        raise LookupError

    def stream_response(self, *args, **kwargs):
        return Events(["one", "two"])


ASKED = {
    "system_instructions": None,
    "input": QUESTION,
    "model_settings": KEPT_NOWHERE,
    "tools": [],
    "output_schema": None,
    "handoffs": [],
    "tracing": ModelTracing.DISABLED,
}
MORE = dict.fromkeys(("previous_response_id", "conversation_id", "prompt"))


async def test_models_of_all_kinds_are_passed_through(cache):
    model = LangCacheModel(Other(), cache)
    assert [event async for event in model.stream_response(**ASKED, **MORE)] == ["one", "two"]
    assert [event async for event in model.stream_response(*ASKED.values(), **MORE)] == ["one", "two"]
    with pytest.raises(LookupError):
        await model.get_response(**ASKED, **MORE)
    assert cache.stats().bypasses == 3


class Keeping(Other):
    """A model that keeps its stream, which is then closed only by who closes it."""

    is_closed = False

    def stream_response(self, *args, **kwargs):
        self.stream = self.events()
        return self.stream

    async def events(self):
        try:
            yield "one"
            yield "two"
        finally:
            self.is_closed = True


async def test_who_closes_a_stream_closes_that_of_the_model(cache):
    model = Keeping()
    await closed(LangCacheModel(model, cache), {**ASKED, **MORE})
    assert model.is_closed


async def closed(model, call):
    events = model.stream_response(**call)
    await anext(events)
    await events.aclose()


async def left(model, call):
    async for _ in model.stream_response(**call):
        break


async def cancelled(model, call):
    begun = asyncio.Event()

    async def read():
        async for _ in model.stream_response(**call):
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("leave", [closed, left, cancelled], ids=lambda leave: leave.__name__)
async def test_who_leaves_a_stream_closes_the_connection_to_the_provider(client, cache, provider, leave):
    hold = threading.Event()
    provider.script(Reply(text="A long answer of several words", hold=hold, hold_after=4))
    model = LangCacheModel(OpenAIResponsesModel("small", client), cache)
    try:
        await leave(model, {**ASKED, **MORE})
        deadline = time.monotonic() + 30
        while client._client._transport._pool.connections:  # the provider sends nothing more meanwhile
            assert time.monotonic() < deadline
            await asyncio.sleep(0)
    finally:
        hold.set()
    assert cache.stats().stores == 0


async def test_tools_of_the_provider_and_logprobs_are_not_asked(client, cache):
    seen = []
    model = LangCacheModel(OpenAIResponsesModel("small", client), cache, on_lookup=seen.append)
    await Runner.run(agent_of(model, tools=[WebSearchTool()]), QUESTION, run_config=UNTRACED)
    assert seen[-1].reason == "tool of the provider"
    settings = ModelSettings(store=False, top_logprobs=2)
    await Runner.run(agent_of(model, model_settings=settings), QUESTION, run_config=UNTRACED)
    assert seen[-1].reason == "logprobs"


async def test_handoffs_are_not_stored_and_agents_with_others_never_share(framework, provider, cache):
    billing = Agent("billing", model="small", model_settings=KEPT_NOWHERE)
    provider.script(Reply(tools=(("transfer_to_billing", {}),)), Reply(text="Of billing"))
    assert await framework.ask(QUESTION, handoffs=[billing]) == "Of billing"
    assert framework.seen[0].status == "miss"
    assert cache.stats().stores == 0
    plain = await framework.ask(QUESTION)
    assert await framework.ask(QUESTION, handoffs=[billing]) != plain


class City(BaseModel):
    name: str


class River(BaseModel):
    name: str


async def test_output_types_never_share(framework, provider):
    for output_type in (City, River, City, River):
        provider.script(Reply(text='{"name": "Seine"}'))
        await framework.ask(QUESTION, output_type=output_type)
    assert [each.status.value for each in framework.seen] == ["miss", "miss", "hit", "hit"]


async def test_what_does_not_change_the_answer_is_not_hashed(framework):
    for settings in ({}, {"metadata": {"request": "1"}}, {"metadata": {"request": "2"}}):
        await framework.ask(QUESTION, model_settings=settings)
    assert [each.status.value for each in framework.seen] == ["miss", "hit", "hit"]


async def test_a_provider_gives_models_behind_the_cache_and_closes_with_its_own(cache):
    closed = []

    class Inner(MultiProvider):
        async def aclose(self):
            closed.append(self)

    provider = LangCacheModelProvider(Inner(openai_api_key="k"), cache)
    model = provider.get_model("small")
    assert isinstance(model, LangCacheModel)
    assert isinstance(model.model, OpenAIResponsesModel)
    await provider.aclose()
    await model.close()
    assert len(closed) == 1


async def test_a_model_that_is_none_is_a_clear_error(cache):
    with pytest.raises(TypeError, match="model: must be a Model of openai-agents, but is str"):
        LangCacheModel("small", cache)
    with pytest.raises(TypeError, match="provider: must be a ModelProvider of openai-agents, but is str"):
        LangCacheModelProvider("small", cache)
