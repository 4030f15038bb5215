"""What keeps two requests apart, in each API: whatever the answer depends on besides the question.

Each pair of requests differs in one thing. Through the real SDKs, plain and streamed, each gets an answer of
its own; and of one request, a stream gets the answer of the plain call.
"""

from __future__ import annotations

import pytest

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
genai = pytest.importorskip("google.genai")

from anthropic.types.message_create_params import MessageCreateParamsBase  # noqa: E402
from google.genai.types import GenerateContentConfig  # noqa: E402
from openai.types.chat.completion_create_params import CompletionCreateParamsBase  # noqa: E402
from openai.types.responses.response_create_params import ResponseCreateParamsBase  # noqa: E402

from langcache.chat import request_key  # noqa: E402

from .sdks import SCHEMA, SDKS, Chat, Gemini, Messages, Responses  # noqa: E402

QUESTION = "Where is the Louvre?"
TEMPLATE = "Answer from the context.\nContext: {} is open from {} to {}.\nQuestion: {}"
CONTEXTS = [
    TEMPLATE.format("Ann's shop", 9, 5, "When does it open?"),
    TEMPLATE.format("Ann's shop", 9, 5, "When does it close?"),
    TEMPLATE.format("Ann's shop", 8, 5, "When does it open?"),
    TEMPLATE.format("Bob's shop", 9, 5, "When does it open?"),
    TEMPLATE.format("ANN'S SHOP", 9, 5, "When does it open?"),
]
OTHER_SCHEMA = {**SCHEMA, "required": []}
RED, BLUE = "data:image/png;base64,cmVk", "data:image/png;base64,Ymx1"


def turn(content, role="user"):
    return {"role": role, "content": content}


def function(name="weather", parameters=SCHEMA):
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def schema_named(name, schema):
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}


def picture(url, **more):
    return {"messages": [turn([{"type": "image_url", "image_url": {"url": url, **more}}, TEXT])]}


def said_by_system(text, role="system"):
    return {"messages": [turn(text, role), turn(QUESTION)]}


TEXT = {"type": "text", "text": QUESTION}
PDF = "data:application/pdf;base64,"

OF_CHAT = {
    "model": [{"model": "small"}, {"model": "large"}],
    "temperature": [{}, {"temperature": 0}, {"temperature": 0.5}],
    "top_p": [{"top_p": 0.1}, {"top_p": 0.9}],
    "seed": [{}, {"seed": 1}, {"seed": 2}],
    "stop": [{}, {"stop": "."}, {"stop": [".", "!"]}],
    "max_tokens": [{"max_tokens": 5}, {"max_tokens": 50}, {"max_completion_tokens": 50}],
    "penalties": [{"presence_penalty": 1}, {"frequency_penalty": 1}],
    "logit_bias": [{"logit_bias": {"1": 5}}, {"logit_bias": {"2": 5}}],
    "reasoning_effort": [{"reasoning_effort": "low"}, {"reasoning_effort": "high"}],
    "verbosity": [{"verbosity": "low"}, {"verbosity": "high"}],
    "prediction": [{}, {"prediction": {"type": "content", "content": "In Paris."}}],
    "response_format": [
        {},
        {"response_format": {"type": "json_object"}},
        {"response_format": schema_named("city", SCHEMA)},
        {"response_format": schema_named("city", OTHER_SCHEMA)},
    ],
    "tools": [
        {},
        {"tools": [function()]},
        {"tools": [function("time")]},
        {"tools": [function(parameters=OTHER_SCHEMA)]},
        {"tools": [function(), function("time")]},
        {"tools": [function()], "tool_choice": "none"},
        {"tools": [function()], "parallel_tool_calls": False},
    ],
    "system prompt": [{}, said_by_system("Be kind."), said_by_system("Be short.")],
    "developer's prompt": [{}, said_by_system("Be kind.", "developer"), said_by_system("Go.", "developer")],
    "name of the user": [{"messages": [{**turn(QUESTION), "name": name}]} for name in ("ann", "bob")],
    "image": [{}, picture(RED), picture(BLUE), picture(RED, detail="high")],
    "file": [
        {"messages": [turn([{"type": "file", "file": {"filename": "a", "file_data": PDF + data}}, TEXT])]}
        for data in ("AAAA", "BBBB")
    ],
    "field of another provider": [{}, {"extra_body": {"top_k": 1}}, {"extra_body": {"top_k": 2}}],
    "header of a gateway": [{"extra_headers": {"x-tenant": name}} for name in ("ann", "bob")],
    "parameter of the URL": [{"extra_query": {"api-version": version}} for version in ("1", "2")],
}


def asked_with(parts):
    return {"input": [turn([*parts, {"type": "input_text", "text": QUESTION}])]}


def shown(url, detail="auto"):
    return asked_with([{"type": "input_image", "image_url": url, "detail": detail}])


def flat(name="weather", parameters=SCHEMA):
    return {"type": "function", "name": name, "parameters": parameters, "strict": False}


OF_RESPONSES = {
    **{name: OF_CHAT[name] for name in ("model", "temperature", "top_p", "header of a gateway")},
    "max_output_tokens": [{"max_output_tokens": 50}, {"max_output_tokens": 500}],
    "instructions": [{}, {"instructions": "Be kind."}, {"instructions": "Be short."}],
    "developer's prompt": [
        {"input": [turn(text, "developer"), turn(QUESTION)]} for text in ("Be kind.", "Be short.")
    ],
    "reasoning": [{"reasoning": {"effort": "low"}}, {"reasoning": {"effort": "high"}}],
    "text": [
        {},
        {"text": {"verbosity": "low"}},
        {"text": {"format": {"type": "json_schema", "name": "city", "schema": SCHEMA}}},
        {"text": {"format": {"type": "json_schema", "name": "city", "schema": OTHER_SCHEMA}}},
    ],
    "tools": [
        {},
        {"tools": [flat()]},
        {"tools": [flat("time")]},
        {"tools": [flat(parameters=OTHER_SCHEMA)]},
        {"tools": [flat()], "tool_choice": "none"},
    ],
    "truncation": [{"truncation": "auto"}, {"truncation": "disabled"}],
    "image": [{}, shown(RED), shown(BLUE), shown(RED, "high")],
    "file": [asked_with([{"type": "input_file", "file_id": file}]) for file in ("file-1", "file-2")],
}


def document(data):
    source = {"type": "base64", "media_type": "application/pdf", "data": data}
    return {"messages": [turn([{"type": "document", "source": source}, TEXT])]}


def drawn(data):
    source = {"type": "base64", "media_type": "image/png", "data": data}
    return {"messages": [turn([{"type": "image", "source": source}, TEXT])]}


def tool(name="weather", schema=SCHEMA):
    return {"name": name, "input_schema": schema}


OF_ANTHROPIC = {
    **{name: OF_CHAT[name] for name in ("model", "header of a gateway")},
    "max_tokens": [{"max_tokens": 5}, {"max_tokens": 50}],
    "temperature, top_p and top_k": [
        {"extra_body": body} for body in ({}, {"temperature": 0}, {"top_p": 0.5}, {"top_k": 5})
    ],
    "stop": [{}, {"stop_sequences": ["."]}, {"stop_sequences": ["!"]}],
    "system prompt": [{}, {"system": "Be kind."}, {"system": [{"type": "text", "text": "Be short."}]}],
    "thinking": [
        {"max_tokens": 4000, "extra_body": {"thinking": {"type": "enabled", "budget_tokens": count}}}
        for count in (1024, 2048)
    ],
    "tools": [
        {},
        {"tools": [tool()]},
        {"tools": [tool("time")]},
        {"tools": [tool(schema=OTHER_SCHEMA)]},
        {"tools": [tool()], "tool_choice": {"type": "none"}},
    ],
    "image": [{}, drawn("cmVk"), drawn("Ymx1")],
    "file": [document("AAAA"), document("BBBB")],
    "beta": [{"extra_headers": {"anthropic-beta": name}} for name in ("one", "two")],
}


def set_to(name, *values):
    return [{}, *({"config": {name: value}} for value in values)]


def declared(name="weather"):
    return [{"function_declarations": [{"name": name, "parameters": SCHEMA}]}]


def inline(data, kind="image/png"):
    parts = [{"inline_data": {"mime_type": kind, "data": data}}, {"text": QUESTION}]
    return {"contents": [{"role": "user", "parts": parts}]}


OF_GEMINI = {
    "model": [{"model": "small"}, {"model": "large"}],
    "temperature": set_to("temperature", 0.0, 0.5),
    "top_p": set_to("top_p", 0.1, 0.9),
    "top_k": set_to("top_k", 1.0, 5.0),
    "seed": set_to("seed", 1, 2),
    "max_tokens": set_to("max_output_tokens", 5, 50),
    "stop": set_to("stop_sequences", ["."], ["!"]),
    "penalties": [*set_to("presence_penalty", 1.0), *set_to("frequency_penalty", 1.0)[1:]],
    "system prompt": set_to("system_instruction", "Be kind.", "Be short."),
    "thinking": set_to("thinking_config", {"thinking_budget": 5}, {"thinking_budget": 50}),
    "response_format": [
        *set_to("response_mime_type", "application/json"),
        {"config": {"response_mime_type": "application/json", "response_schema": SCHEMA}},
        {"config": {"response_mime_type": "application/json", "response_schema": OTHER_SCHEMA}},
    ],
    "tools": [
        *set_to("tools", declared(), declared("time")),
        {"config": {"tools": declared(), "tool_config": {"function_calling_config": {"mode": "NONE"}}}},
    ],
    "safety": set_to(
        "safety_settings",
        *(
            [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": threshold}]
            for threshold in ("BLOCK_NONE", "BLOCK_LOW_AND_ABOVE")
        ),
    ),
    "image": [{}, inline(b"red"), inline(b"blue")],
    "file": [inline(b"one", "application/pdf"), inline(b"two", "application/pdf")],
    "header of a gateway": [
        {"config": {"http_options": {"headers": {"x-tenant": name}}}} for name in ("ann", "bob")
    ],
}

APART = {Chat: OF_CHAT, Responses: OF_RESPONSES, Messages: OF_ANTHROPIC, Gemini: OF_GEMINI}

BYPASSED = {
    Chat: {
        "n": {"n": 2},
        "logprobs": {"logprobs": True},
        "top_logprobs": {"logprobs": True, "top_logprobs": 2},
        "audio": {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
        "audio in the question": {
            "messages": [
                turn([{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}, TEXT])
            ]
        },
        "search": {"web_search_options": {}},
    },
    Responses: {
        "previous_response_id": {"previous_response_id": "resp_1"},
        "conversation": {"conversation": "conv_1"},
        "prompt": {"prompt": {"id": "pmpt_1"}},
        "store": {"store": True},
        "logprobs": {"top_logprobs": 2, "include": ["message.output_text.logprobs"]},
        "search": {"tools": [{"type": "web_search"}]},
    },
    Messages: {
        "container": {"extra_body": {"container": "c"}},
        "mcp": {"extra_body": {"mcp_servers": [{"type": "url", "url": "http://a", "name": "a"}]}},
        "search": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    },
    Gemini: {
        "n": {"config": {"candidate_count": 2}},
        "logprobs": {"config": {"response_logprobs": True, "logprobs": 2}},
        "audio": {"config": {"response_modalities": ["AUDIO"]}},
        "audio in the question": inline(b"sound", "audio/wav"),
        "search": {"config": {"tools": [{"google_search": {}}]}},
    },
}


def cases(table):
    return [pytest.param(kind, name, id=f"{kind.api}-{name}") for kind in SDKS for name in table[kind]]


async def assert_apart(provider, sdk, asked):
    """Ask each plain, as a stream, and plain again: each has its own answer, which stays the same."""
    rounds = []
    for way in ("ask", "stream", "ask"):
        rounds.append([(await getattr(sdk, way)(question, **body)).text for question, body in asked])
    assert provider.count == len(asked)
    assert len(set(rounds[0])) == len(asked)
    assert rounds[1] == rounds[2] == rounds[0]


@pytest.mark.parametrize(("kind", "name"), cases(APART))
async def test_requests_that_differ_in_more_than_the_question_never_share(
    provider, sdks, shared_cache, kind, name
):
    sdk = sdks.cached(kind, shared_cache)
    await assert_apart(provider, sdk, [(QUESTION, body) for body in APART[kind][name]])


@pytest.mark.parametrize("kind", SDKS, ids=lambda kind: kind.api)
async def test_two_questions_in_one_template_never_share(provider, sdks, shared_cache, kind):
    await assert_apart(provider, sdks.cached(kind, shared_cache), [(text, {}) for text in CONTEXTS])


@pytest.mark.parametrize("kind", SDKS, ids=lambda kind: kind.api)
async def test_two_users_never_share(provider, sdks, shared_cache, kind):
    user = ["ann"]
    sdk = sdks.cached(kind, shared_cache, attributes=lambda body: {"user": user[0]})
    said = {}
    for user[0] in ("ann", "bob", "ann", "bob"):
        for way in ("ask", "stream"):
            said.setdefault(user[0], set()).add((await getattr(sdk, way)(QUESTION)).text)
    assert [len(texts) for texts in said.values()] == [1, 1]
    assert said["ann"] != said["bob"]


@pytest.mark.parametrize(("kind", "name"), cases(BYPASSED))
async def test_what_no_stored_answer_fits_is_never_looked_up(provider, sdks, shared_cache, kind, name):
    sdk = sdks.cached(kind, shared_cache)
    body = BYPASSED[kind][name]
    said = {(await getattr(sdk, way)(QUESTION, **body)).text for way in ("ask", "stream", "ask")}
    assert provider.count == len(said) == 3
    stats = shared_cache.stats()
    assert (stats.bypasses, stats.stores) == (3, 0)


FIELDS = {
    "openai.chat": CompletionCreateParamsBase.__annotations__,
    "openai.responses": ResponseCreateParamsBase.__annotations__,
    "anthropic.messages": MessageCreateParamsBase.__annotations__,
    "gemini": GenerateContentConfig.model_fields,
}
"""The fields of requests that the SDKs know; those of Gemini are in ``generationConfig``, or beside it."""

_OF_OPENAI = {
    *("stream_options", "user", "safety_identifier", "metadata", "service_tier"),
    *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
}
LEFT_OUT = {
    "openai.chat": _OF_OPENAI,
    "openai.responses": _OF_OPENAI,
    "anthropic.messages": {"metadata", "service_tier", "cache_control"},
    "gemini": set(),
}
"""What says who asks, how an answer is sent, in which queue it waits, and how the provider caches."""


def sent_with(api, name, value):
    """The bodies of requests that have this value in a field."""
    message = {"role": "user", "content": [{"type": "text", "text": QUESTION}]}
    if api == "openai.responses":
        return [{"input": [message], "store": False, name: value}]
    if api != "gemini":
        return [{"messages": [message], name: value}]
    first, *rest = name.split("_")
    field = {first + "".join(map(str.title, rest)): value}
    contents = [{"role": "user", "parts": [{"text": QUESTION}]}]
    return [{"contents": contents, **field}, {"contents": contents, "generationConfig": field}]


def is_ignored(api, name):
    bodies = zip(sent_with(api, name, "one"), sent_with(api, name, "two"), strict=True)
    pairs = [[request_key(body, api=api, place="p") for body in two] for two in bodies]
    return any(one == other and one.text is not None for one, other in pairs)


@pytest.mark.parametrize("api", FIELDS)
def test_every_field_that_the_sdks_know_counts_or_bypasses_the_cache(api):
    ignored = {name for name in FIELDS[api] if is_ignored(api, name)}
    assert ignored == LEFT_OUT[api] & {*FIELDS[api]}
    assert len(ignored) < len(FIELDS[api]) / 2
