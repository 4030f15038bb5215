"""LangChain's cache and middleware: what is of LangChain alone."""

from __future__ import annotations

import asyncio
import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langchain")
pytest.importorskip("langchain_openai")

from hypothesis import example, given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRetryMiddleware, dynamic_prompt
from langchain.agents.structured_output import ProviderStrategy
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import LLM, BaseChatModel, FakeListChatModel, FakeListLLM
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult, Generation
from langchain_openai import ChatOpenAI, OpenAI
from langgraph.graph.message import add_messages
from openai import DefaultAsyncHttpxClient, DefaultHttpxClient
from pydantic import BaseModel, PrivateAttr

from langcache import AsyncLangCache, LangCache
from langcache.aside import Key
from langcache.chat.adapters import langchain_messages as convert
from langcache.chat.adapters.asking import Asking
from langcache.chat.adapters.langchain import LangCacheCache, LangCacheMiddleware

from .frameworks import tool_named
from .provider import Reply

QUESTION = "How do I reset my password?"
NEVER_SENT = Asking("langchain", LangCache("http://localhost:1", "key", "cache"), None, {})


@pytest.fixture
def cache(server, patient):
    with LangCache(server.url, server.api_key, server.cache_id, aside=patient) as cache:
        cache.flush()
        yield cache


@pytest.fixture
def chat(provider):
    """Makes a ChatOpenAI."""
    with DefaultHttpxClient() as client:

        def made(**settings):
            settings = {"model": "small", "max_retries": 0, "api_key": "k", **settings}
            return ChatOpenAI(base_url=provider.openai, http_client=client, **settings)

        yield made


def seen_by(cache, **options):
    """A cache for LangChain, and the list of what its lookups find."""
    seen = []
    return LangCacheCache(cache, on_lookup=seen.append, **options), seen


def test_the_global_cache_of_langchain_is_asked(cache, chat, provider):
    adapter, seen = seen_by(cache)
    set_llm_cache(adapter)
    try:
        first = chat().invoke(QUESTION)
        second = chat().invoke("I forgot my password, what now?")
    finally:
        set_llm_cache(None)
    assert first.content == second.content
    assert [each.status.value for each in seen] == ["miss", "hit"]
    assert provider.count == 1
    entry = second.response_metadata["langcache"]
    assert entry == {"similarity": seen[1].similarity, "entry": seen[1].entry.id}


def test_a_hit_has_a_new_id_so_that_both_turns_stay_in_a_graph(cache, chat):
    made = chat(cache=LangCacheCache(cache))
    answers = [made.invoke(QUESTION) for _ in range(3)]
    assert len({each.id for each in answers}) == 3
    history = []
    for answer in answers:
        history = add_messages(history, [HumanMessage(QUESTION), answer])
    assert len(history) == 6


def test_a_hit_used_no_tokens_and_what_it_saved_is_counted(cache, chat):
    made = chat(cache=LangCacheCache(cache))
    with get_usage_metadata_callback() as used:
        made.invoke(QUESTION)
    with get_usage_metadata_callback() as not_used:
        hit = made.invoke(QUESTION)
    assert used.usage_metadata["small"]["total_tokens"] > 0
    assert all(not each["total_tokens"] for each in not_used.usage_metadata.values())
    assert "token_usage" not in hit.response_metadata
    used = used.usage_metadata["small"]
    stats = cache.stats()
    assert stats.saved.input_tokens == used["input_tokens"] - used["input_token_details"]["cache_read"]
    assert stats.saved.output_tokens == used["output_tokens"]


def test_nothing_of_the_provider_that_belongs_to_one_request_is_stored(cache, chat):
    made = chat(cache=LangCacheCache(cache), use_responses_api=True, store=False)
    first = made.invoke(QUESTION)
    assert first.response_metadata["id"].startswith("resp_")
    hit = made.invoke(QUESTION)
    assert "id" not in hit.response_metadata
    assert not hit.id.startswith(("msg_", "resp_"))
    assert "msg_" not in json.dumps(hit.content)
    assert cache.search(QUESTION).data[0].response.count("resp_") == 0


def test_an_llm_is_answered_with_text(cache):
    adapter, seen = seen_by(cache)
    llm = FakeListLLM(responses=["one", "two"], cache=adapter)
    assert [llm.invoke(QUESTION), llm.invoke(QUESTION)] == ["one", "one"]
    assert [each.status.value for each in seen] == ["miss", "hit"]
    assert adapter.lookup(QUESTION, "another llm") is None


def test_several_prompts_of_an_llm_are_each_asked(cache):
    adapter, _ = seen_by(cache)
    llm = FakeListLLM(responses=["one", "two", "three"], cache=adapter)
    first = llm.batch([QUESTION, "How long does shipping take?"])
    assert llm.batch(["How long does shipping take?", QUESTION]) == first[::-1]


def test_a_chat_model_and_an_llm_never_share(cache):
    adapter, _ = seen_by(cache)
    adapter.lookup(QUESTION, "settings")
    adapter.update(QUESTION, "settings", [Generation(text="of the llm")])
    prompt = dumps([HumanMessage(QUESTION)])
    assert adapter.lookup(prompt, "settings") is None
    adapter.update(prompt, "settings", [ChatGeneration(message=AIMessage("of the chat"))])
    assert adapter.lookup(QUESTION, "settings") == [Generation(text="of the llm")]
    assert adapter.lookup(prompt, "settings")[0].message.content == "of the chat"


def test_a_prompt_is_read_as_json_and_makes_no_objects(cache):
    adapter, seen = seen_by(cache)
    secret = {"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]}
    for prompt in (json.dumps([secret]), json.dumps([{"lc": 1, "type": "not_implemented", "id": ["x"]}])):
        assert adapter.lookup(prompt, "settings") is None
        assert (seen[-1].status.value, seen[-1].reason) == ("bypass", "unknown message")
    adapter.lookup('[{"lc": ' * 50_000, "settings")  # a text, since it is no JSON
    assert seen[-1].reason == "long prompt"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ALMOST_A_MESSAGE = st.fixed_dictionaries(
    {"lc": st.just(1)},
    optional={
        "type": st.just("constructor") | JSON,
        "kwargs": JSON
        | st.fixed_dictionaries(
            {}, optional={"type": st.sampled_from(["human", "chat"]) | JSON, "role": JSON, "content": JSON}
        ),
    },
)


@given(st.lists(ALMOST_A_MESSAGE | JSON, max_size=3), st.integers(0, 5))
@example([{"lc": 1, "type": "constructor", "kwargs": {"type": "human", "content": "x"}}, 5], 0)
@example([{"lc": 1, "type": "constructor", "kwargs": {"type": ["human"], "content": "x"}}], 0)
@example([{"lc": 1, "type": "constructor", "kwargs": {"type": "human", "content": float("inf")}}], 0)
@settings(max_examples=100, deadline=None)
def test_no_prompt_is_an_error(messages, cut):
    prompt = json.dumps([{"lc": 1, "type": "constructor", "kwargs": {"type": "system"}}, *messages])
    for text in (prompt, json.dumps(messages), prompt[: len(prompt) - cut]):
        asked, others = convert.question(text, "settings")
        assert isinstance(others, str) or all(isinstance(each["role"], str) for each in asked)
        assert isinstance(NEVER_SENT._arguments(None, asked, others)["key"](None), Key)


def test_a_prompt_that_holds_more_than_messages_is_not_asked(cache):
    adapter, seen = seen_by(cache)
    human = {"lc": 1, "type": "constructor", "kwargs": {"type": "human", "content": "x"}}
    for more in (5, None, "x", [], {}, {**human, "kwargs": {"type": ["human"]}}):
        assert adapter.lookup(json.dumps([human, more]), "settings") is None
        assert (seen[-1].status.value, seen[-1].reason) == ("bypass", "unknown message")


class City(BaseModel):
    name: str


def another_city():
    class City(BaseModel):
        river: str

    City.__qualname__ = "City"
    return City


def test_schemas_of_one_name_never_share_since_they_are_not_asked(cache, chat, provider):
    adapter, seen = seen_by(cache)
    for schema, text in ((City, '{"name": "Paris"}'), (another_city(), '{"river": "Seine"}')):
        provider.script(Reply(text=text))
        structured = chat(cache=adapter).with_structured_output(schema)
        assert structured.invoke(QUESTION) == schema.model_validate_json(text)
        assert (seen[-1].status.value, seen[-1].reason) == ("bypass", "schema class")


NOT_ASKED = {
    "several answers": {"n": 2},
    "logprobs": {"logprobs": True},
    "kept by provider": {"use_responses_api": True, "model_kwargs": {"previous_response_id": "resp_1"}},
}


@pytest.mark.parametrize("reason", NOT_ASKED)
def test_what_has_no_one_answer_is_not_asked(cache, chat, reason):
    adapter, seen = seen_by(cache)
    chat(cache=adapter, **NOT_ASKED[reason]).invoke(QUESTION)
    assert (seen[-1].status.value, seen[-1].reason) == ("bypass", reason)


def test_several_answers_that_were_bound_are_not_asked_either(cache, chat):
    adapter, seen = seen_by(cache)
    chat(cache=adapter).bind(n=3).invoke(QUESTION)
    assert seen[-1].reason == "several answers"


def test_several_generations_are_not_stored(cache):
    adapter, _ = seen_by(cache)
    prompt = dumps([HumanMessage(QUESTION)])
    adapter.lookup(prompt, "settings")
    adapter.update(prompt, "settings", [ChatGeneration(message=AIMessage(text)) for text in "ab"])
    assert cache.stats().stores == 0


@pytest.mark.parametrize(
    "message",
    [
        AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}]),
        AIMessage("Let me see", tool_calls=[{"name": "f", "args": {}, "id": "1"}]),
        AIMessage("", invalid_tool_calls=[{"name": "f", "args": "{", "id": "1", "error": "no JSON"}]),
        AIMessage("", additional_kwargs={"refusal": "I can't"}),
        AIMessage([{"type": "refusal", "refusal": "I can't"}]),
        AIMessage([{"type": "text", "text": "See:"}, {"type": "image", "url": "http://localhost/1"}]),
        AIMessage("{}", additional_kwargs={"parsed": {}}),
        AIMessage("Cut", response_metadata={"finish_reason": "length"}),
        AIMessage("Cut", response_metadata={"stop_reason": "max_tokens"}),
        AIMessage("Cut", response_metadata={"finish_reason": "MAX_TOKENS"}),
        AIMessage("Cut", response_metadata={"done_reason": "length"}),
        AIMessage("Cut", response_metadata={"status": "incomplete"}),
        AIMessage("Cut", response_metadata={"model_name": "small"}),
        AIMessage("Blocked", response_metadata={"finish_reason": "SAFETY"}),
        AIMessage(""),
        AIMessage([]),
        AIMessage([{"type": "thinking", "thinking": "Hm"}]),
        HumanMessage("Why?"),
        ChatMessage("Why?", role="user"),
    ],
    ids=lambda message: repr(message)[:60],
)
def test_what_is_no_whole_text_is_not_stored(cache, message):
    adapter, _ = seen_by(cache)
    prompt = dumps([HumanMessage(QUESTION)])
    adapter.lookup(prompt, "settings")
    adapter.update(prompt, "settings", [ChatGeneration(message=message)])
    assert cache.stats().stores == 0
    assert adapter.lookup(prompt, "settings") is None


@pytest.mark.parametrize(
    ("message", "content"),
    [
        (AIMessage("Yes"), "Yes"),
        (AIMessage("Yes", response_metadata={"finish_reason": "stop", "id": "1"}), "Yes"),
        (AIMessage("Yes", response_metadata={"stop_reason": "end_turn"}), "Yes"),
        (AIMessage("Yes", response_metadata={"finish_reason": "STOP"}), "Yes"),
        (AIMessage("Yes", additional_kwargs={"refusal": None, "reasoning_content": "Hm"}), "Yes"),
        (
            AIMessage([{"type": "reasoning", "id": "rs_1"}, {"type": "text", "text": "Yes", "id": "msg_1"}]),
            [{"type": "text", "text": "Yes"}],
        ),
        (AIMessage(["Yes", {"type": "text", "text": "!"}]), ["Yes", {"type": "text", "text": "!"}]),
    ],
)
def test_a_whole_text_is_stored_without_thoughts_and_ids(cache, message, content):
    adapter, _ = seen_by(cache)
    prompt = dumps([HumanMessage(QUESTION)])
    adapter.lookup(prompt, "settings")
    adapter.update(prompt, "settings", [ChatGeneration(message=message)])
    [found] = adapter.lookup(prompt, "settings")
    assert found.message.content == content
    assert found.message.additional_kwargs == {}


def test_an_answer_to_what_was_not_looked_up_is_not_stored(cache):
    adapter, _ = seen_by(cache)
    adapter.update(dumps([HumanMessage(QUESTION)]), "settings", [ChatGeneration(message=AIMessage("Yes"))])
    assert cache.stats().stores == 0


def test_lookups_whose_calls_fail_are_forgotten(cache, monkeypatch):
    monkeypatch.setattr("langcache.chat.adapters.langchain._MAX_OPEN", 3)
    adapter, _ = seen_by(cache)
    prompts = [dumps([HumanMessage(f"{QUESTION} {at}")]) for at in range(5)]
    for prompt in prompts:
        adapter.lookup(prompt, "settings")
    assert len(adapter._open) == 3
    for prompt in prompts:
        adapter.update(prompt, "settings", [ChatGeneration(message=AIMessage("Yes"))])
    assert cache.stats().stores == 3
    assert adapter._open == {}


def test_calls_that_block_need_a_blocking_client(server, patient):
    async def main():
        async with AsyncLangCache(server.url, server.api_key, server.cache_id, aside=patient) as cache:
            await cache.flush()
            made = FakeListChatModel(responses=["one", "two"], cache=LangCacheCache(cache))
            with pytest.raises(TypeError, match="give a LangCache too, as blocking="):
                made.invoke(QUESTION)
            return (await made.ainvoke(QUESTION)).content

    assert asyncio.run(main()) == "one"


def test_with_both_clients_both_kinds_of_calls_share_entries(server, cache, patient):
    async def main():
        async with AsyncLangCache(server.url, server.api_key, server.cache_id, aside=patient) as awaited:
            adapter = LangCacheCache(awaited, cache)
            made = FakeListChatModel(responses=["one", "two"], cache=adapter)
            first = await made.ainvoke(QUESTION)
            second = await asyncio.to_thread(made.invoke, QUESTION)
            assert awaited.stats().misses == cache.stats().hits == 1
            return first.content, second.content

    assert asyncio.run(main()) == ("one", "one")
    with pytest.raises(TypeError, match="blocking: must be a LangCache"):
        LangCacheCache(cache, "cache")


def test_clear_deletes_what_is_in_its_scope_and_nothing_else(cache):
    adapters = [
        LangCacheCache(cache),  # first, as it finds the entries of all scopes
        LangCacheCache(cache.scoped(user="ann")),
        LangCacheCache(cache, attributes={"user": "bob"}),
    ]
    prompt = dumps([HumanMessage(QUESTION)])
    for adapter in adapters:
        adapter.lookup(prompt, "settings")
        adapter.update(prompt, "settings", [ChatGeneration(message=AIMessage("Yes"))])
    adapters[1].clear()
    assert [adapter.lookup(prompt, "settings") is None for adapter in adapters[1:]] == [True, False]
    asyncio.run(adapters[2].aclear())
    assert adapters[2].lookup(prompt, "settings") is None
    with pytest.raises(ValueError, match="clear: would delete all"):
        adapters[0].clear()
    assert adapters[0].lookup(prompt, "settings") is not None


def test_streams_of_a_model_never_ask_a_cache_of_langchain(cache, chat):
    adapter, seen = seen_by(cache)
    made = chat(cache=adapter)
    assert "".join(each.content for each in made.stream(QUESTION))
    assert seen == []


def test_a_model_that_streams_within_invoke_is_cached(cache, chat, provider):
    adapter, seen = seen_by(cache)
    made = chat(cache=adapter, streaming=True)
    assert made.invoke(QUESTION).content == made.invoke(QUESTION).content
    assert [each.status.value for each in seen] == ["miss", "hit"]
    assert provider.requests[0].body["stream"] is True


def test_an_agent_that_blocks_is_answered_by_its_middleware(cache):
    model = FakeListChatModel(responses=["one", "two"])
    agent = create_agent(model, middleware=[LangCacheMiddleware(cache)])
    answers = [agent.invoke({"messages": [("user", QUESTION)]})["messages"][-1] for _ in range(2)]
    assert [each.content for each in answers] == ["one", "one"]
    assert answers[0].id != answers[1].id


def test_an_agent_is_given_the_context_of_its_run(cache):
    model = FakeListChatModel(responses=["one", "two"])
    by_user = LangCacheMiddleware(cache, attributes=lambda request: {"user": request.runtime.context["user"]})
    agent = create_agent(model, middleware=[by_user], context_schema=dict)
    asked = {"messages": [("user", QUESTION)]}
    answers = [
        agent.invoke(asked, context={"user": user})["messages"][-1].content for user in ("ann", "bob", "ann")
    ]
    assert answers == ["one", "two", "one"]


class Parrot(BaseChatModel):
    """Answers with all that it is asked, and its settings."""

    style: str = "plain"

    @property
    def _llm_type(self):
        return "parrot"

    def _generate(self, messages, stop=None, run_manager=None, **settings):
        text = repr(([each.content for each in messages], self.style, sorted(settings.items())))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


class WithObject(Parrot):
    client: Any = None


class WithPrivate(Parrot):
    _tone: str = PrivateAttr("calm")


class Named(Parrot):
    @property
    def _identifying_params(self):
        return {"style": self.style}


class ParrotLLM(LLM):
    style: str = "plain"

    @property
    def _llm_type(self):
        return "parrot"

    def _call(self, prompt, stop=None, run_manager=None, **settings):
        return self.style


def with_tone(tone):
    model = WithPrivate()
    model._tone = tone
    return model


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.5}, {"stop": ["x"]}, {"strict": {1}.__class__}])
@pytest.mark.parametrize("model", [Parrot, ParrotLLM])
def test_models_that_do_not_name_their_settings_share_nothing(cache, model, settings):
    adapter, seen = seen_by(cache)
    answers = [model(style=s, cache=adapter).bind(**settings).invoke(QUESTION) for s in ("rude", "polite")]
    assert [s in str(answer) for s, answer in zip(("rude", "polite"), answers, strict=True)] == [True] * 2
    assert {each.status.value for each in seen} == {"bypass"}
    assert seen[0].reason in ("unknown settings", "schema class")


def test_models_that_name_their_settings_are_answered_by_them(cache):
    adapter, seen = seen_by(cache)
    for style in ("rude", "polite", "rude"):
        assert style in Named(style=style, cache=adapter).invoke(QUESTION).content
    assert [each.status.value for each in seen] == ["miss", "miss", "hit"]


@pytest.mark.parametrize(
    ("models", "found"),
    [
        ([Parrot(style="a"), Parrot(style="b"), Parrot(style="a", tags=["x"])], ["miss", "miss", "hit"]),
        ([Parrot(), WithObject(), WithObject()], ["miss", "miss", "hit"]),
        ([WithObject(client=object()), WithObject(client=object())], ["bypass", "bypass"]),
        ([with_tone("a"), with_tone("b"), with_tone("a")], ["miss", "miss", "hit"]),
    ],
    ids=["fields", "classes", "objects", "private"],
)
def test_agents_whose_models_do_not_name_their_settings_are_told_apart_by_the_fields(cache, models, found):
    seen = []
    for model in models:
        agent = create_agent(model, middleware=[LangCacheMiddleware(cache, on_lookup=seen.append)])
        agent.invoke({"messages": [("user", QUESTION)]})
    assert [each.status.value for each in seen] == found


class Wraps(AgentMiddleware):
    """Changes the request by the context of the run."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def wrap_model_call(self, request, handler):
        return handler(request.override(**self.change(request, request.runtime.context["user"])))

    async def awrap_model_call(self, request, handler):
        return await handler(request.override(**self.change(request, request.runtime.context["user"])))


class Renamed(Wraps):
    """One whose handler bears the name of the handler that it wraps, around the middleware of the cache."""

    def __init__(self, change, middleware):
        super().__init__(change)
        self.middleware = middleware

    def wrap_model_call(self, request, handler):
        inner = functools.wraps(handler)(lambda given: super(Renamed, self).wrap_model_call(given, handler))
        return self.middleware.wrap_model_call(request, inner)

    async def awrap_model_call(self, request, handler):
        inner = functools.wraps(handler)(lambda given: super(Renamed, self).awrap_model_call(given, handler))
        return await self.middleware.awrap_model_call(request, inner)


CHANGES = {
    "system message": lambda request, user: {"system_message": SystemMessage(f"The user is {user}")},
    "messages": lambda request, user: {"messages": [HumanMessage(f"I am {user}"), *request.messages]},
    "question": lambda request, user: {"messages": [HumanMessage(f"{user}: {QUESTION}")]},
    "model": lambda request, user: {"model": Parrot(style=user)},
    "settings": lambda request, user: {"model_settings": {"user": user}},
}


def asked_by(agent, user, is_async):
    asked = {"messages": [("user", QUESTION)]}
    if is_async:
        return asyncio.run(agent.ainvoke(asked, context={"user": user}))["messages"][-1].content
    return agent.invoke(asked, context={"user": user})["messages"][-1].content


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("order", ["cache first", "cache between", "cache last", "renamed"])
@pytest.mark.parametrize("changed", CHANGES)
def test_what_other_middleware_changes_is_never_answered_for_another(cache, caplog, changed, order, is_async):
    seen = []
    change = CHANGES[changed]
    ours, other = LangCacheMiddleware(cache, on_lookup=seen.append), Wraps(change)
    orders = {
        "cache first": [ours, other],
        "cache between": [ModelRetryMiddleware(), ours, other],
        "cache last": [other, ours],
        "renamed": [Renamed(change, ours)],
    }
    agent = create_agent(Parrot(), middleware=orders[order], context_schema=dict)
    users = ("ann", "bob", "ann")
    answers = [asked_by(agent, user, is_async) for user in users]
    assert [user in answer for user, answer in zip(users, answers, strict=True)] == [True] * 3
    assert [
        any(other in answers[at] for other in {"ann", "bob"} - {user}) for at, user in enumerate(users)
    ] == [False] * 3
    if order == "cache last":
        assert [each.status.value for each in seen] == ["miss", "miss", "hit"]
    else:
        assert {each.reason for each in seen} == {"not the last middleware"}
        assert cache.stats().stores == 0
        [warning] = [each for each in caplog.messages if "not used" in each]  # once, for three calls
        assert "make it the last of create_agent(middleware=[...])" in warning


def test_a_dynamic_prompt_is_not_answered_for_another_user(cache):
    @dynamic_prompt
    def prompt(request):
        return f"The user is {request.runtime.context['user']}"

    for middleware in ([LangCacheMiddleware(cache), prompt], [prompt, LangCacheMiddleware(cache)]):
        agent = create_agent(Parrot(), middleware=middleware, context_schema=dict)
        assert all(user in asked_by(agent, user, False) for user in ("ann", "bob"))


def test_an_agent_with_a_response_format_does_not_use_the_cache(cache, chat, provider):
    seen = []
    middleware = LangCacheMiddleware(cache, on_lookup=seen.append)
    agent = create_agent(chat(), middleware=[middleware], response_format=ProviderStrategy(City))
    provider.script(Reply(text='{"name": "Paris"}'))
    assert agent.invoke({"messages": [("user", QUESTION)]})["structured_response"] == City(name="Paris")
    assert (seen[-1].status.value, seen[-1].reason) == ("bypass", "schema class")


def test_of_an_agent_that_uses_tools_no_turn_is_stored(cache, chat, provider):
    seen = []
    agent = create_agent(
        chat(), [tool_named("weather")], middleware=[LangCacheMiddleware(cache, on_lookup=seen.append)]
    )
    provider.script(Reply(tools=(("weather", {"city": "Paris"}),)), Reply(text="It is fine"))
    messages = agent.invoke({"messages": [("user", QUESTION)]})["messages"]
    assert any(isinstance(each, ToolMessage) for each in messages)
    assert (seen[0].status.value, seen[0].reason) == ("miss", None)
    assert seen[1].status == "bypass"
    assert cache.stats().stores == 0


def test_a_verdict_may_be_given_by_a_program_that_blocks(cache):
    adapter, seen = seen_by(cache)
    made = FakeListChatModel(responses=["one", "two"], cache=adapter)
    made.invoke(QUESTION)
    made.invoke(QUESTION)
    seen[-1].wrong()
    made.invoke(QUESTION)
    assert [each.status.value for each in seen] == ["miss", "hit", "miss"]


async def test_an_llm_of_openai_is_answered_with_text(server, provider, patient):
    async with (
        AsyncLangCache(server.url, server.api_key, server.cache_id, aside=patient) as cache,
        DefaultAsyncHttpxClient() as http,
    ):
        made = OpenAI(
            base_url=provider.openai,
            api_key="k",
            http_async_client=http,
            cache=LangCacheCache(cache),
            max_retries=0,
        )
        body = {"id": "1", "object": "text_completion", "created": 1, "model": "m"}
        body["usage"] = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        body["choices"] = [{"text": "Yes", "index": 0, "finish_reason": "stop", "logprobs": None}]
        provider.script(Reply(body=json.dumps(body).encode()))
        assert [await made.ainvoke("Is an LLM asked?") for _ in range(2)] == ["Yes", "Yes"]
        assert provider.count == 1


def test_the_page_gives_the_similarities_of_unrelated_questions_as_they_are():
    from .langchain_measure import rows

    page = (Path(__file__).parents[2] / "docs/langchain.md").read_text("utf-8")
    for row in rows():  # processors, and versions of onnxruntime, differ by some hundredths
        name, *cells = row.strip("| ").split(" | ")
        (shown,) = re.findall(rf"^\| {re.escape(name)} \| (.*) \|$", page, re.MULTILINE)
        spread, *counts = (re.findall(r"[\d.]+", cell) for cell in cells)
        assert [float(each) for each in re.findall(r"[\d.]+", shown)] == [
            *(pytest.approx(float(each), abs=0.03) for each in spread),
            *(pytest.approx(int(each), abs=2) for count in counts for each in count),
        ]


def test_unrelated_questions_are_no_hits(cache):
    from .langchain_measure import QUESTIONS

    adapter, seen = seen_by(cache)
    made = FakeListChatModel(responses=[str(at) for at in range(20)], cache=adapter)
    made.batch([[("system", "You are a helpful assistant."), ("user", each)] for each in QUESTIONS])
    assert {each.status.value for each in seen} == {"miss"}
    assert cache.stats().stores == len(QUESTIONS)
