"""Whatever changes in a request changes its fingerprint, unless it is the question or said not to count."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langcache.aside import Key
from langcache.chat import chat_key, request_key

QUESTION = "How do I reset my password?"
TOOL = {
    "type": "object",
    "properties": {"cache_control": {"type": "string"}, "user": {"type": "integer", "default": 1}},
    "required": ["user"],
}
CHAT = {
    "model": "gpt-5",
    "temperature": 1,
    "seed": 0,
    "stop": ["\n"],
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": TOOL}},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": TOOL}}],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "I have a phone.", "name": "ann"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look at this:"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                {"type": "text", "text": QUESTION},
                {"type": "file", "file": {"file_id": "f1"}},
            ],
        },
    ],
}
RESPONSES = {
    "model": "gpt-5",
    "instructions": "Be brief.",
    "store": False,
    "reasoning": {"effort": "low"},
    "text": {"format": {"type": "text"}},
    "tools": [{"type": "function", "name": "f", "parameters": TOOL, "strict": True}],
    "input": [
        {"role": "developer", "content": "Be kind."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": "https://example.com/a.png"},
                {"type": "input_text", "text": QUESTION},
            ],
        },
    ],
}
ANTHROPIC = {
    "model": "claude-4",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "tools": [{"name": "f", "description": "does", "input_schema": TOOL}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
                {"type": "text", "text": QUESTION},
            ],
        }
    ],
}
GEMINI = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "generationConfig": {"temperature": 0.5, "responseSchema": TOOL},
    "safetySettings": [{"category": "A", "threshold": "B"}],
    "tools": [{"functionDeclarations": [{"name": "f", "parameters": TOOL}]}],
    "contents": [
        {
            "role": "user",
            "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}, {"text": QUESTION}],
        }
    ],
}
REQUESTS = {
    "openai.chat": CHAT,
    "openai.responses": RESPONSES,
    "anthropic.messages": ANTHROPIC,
    "gemini": GEMINI,
}
LEFT_OUT = {
    "openai.chat": {
        *("stream", "stream_options", "user", "safety_identifier", "metadata", "service_tier"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_anything", "cache_control"),
    },
    "anthropic.messages": {"stream", "metadata", "service_tier", "cache_control"},
    "gemini": {"cache_control"},
}
LEFT_OUT["openai.responses"] = LEFT_OUT["openai.chat"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.text(max_size=12)
APIS = st.sampled_from([*REQUESTS])


def key_of(body, api, **more):
    return request_key(body, api=api, place=more.pop("place", "api.example.com"), **more)


def places(value, path=()):
    """The paths to all values inside of a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inside:
        yield (*path, name)
        yield from places(each, (*path, name))


def changed(body, path, change):
    """A copy in which ``change(container, name)`` was called for the container of the value at this path."""
    twin = copy.deepcopy(body)
    inside = twin
    for name in path[:-1]:
        inside = inside[name]
    change(inside, path[-1])
    return twin


def look_alikes(value):
    """Values that are not this one, and look or count like it."""
    if isinstance(value, bool):
        return [int(value), not value, str(value).lower()]
    if isinstance(value, int | float):
        return [value + 1, str(value), bool(value), float(value) if isinstance(value, int) else int(value)]
    if isinstance(value, str):
        return [f"{value} ", value.upper(), [value], {"a": value}]
    return [[value], {"a": value}, str(value), 0]


def set_to(value):
    def change(inside, name):
        inside[name] = value

    change.value = value
    return change


def remove(inside, name):
    del inside[name]


def add_beside(inside, name):
    if isinstance(inside, dict):
        inside["unheard_of"] = 1
    else:
        inside.insert(name, "unheard of")


ALL_PLACES = [(api, path) for api, body in REQUESTS.items() for path in places(body)]


def test_they_are_looked_up_at_all():
    for api, body in REQUESTS.items():
        key = key_of(body, api)
        assert (key.text, key.reason, [*key.attributes]) == (QUESTION, None, ["fingerprint"])


def is_another_way_to_write_it(api, path, value, change):
    """Whether the change only writes the same in one of the other ways that the API knows."""
    if path[-1] == "type" and change is remove:
        return path[0] in ("messages", "input", "system") and value in ("text", "input_text", "message")
    if path[-1] == "content" and isinstance(value, str):
        return getattr(change, "value", None) == [value]
    return api == "gemini" and path[-1] == "role" and change is remove


@pytest.mark.parametrize(("api", "path"), ALL_PLACES, ids=lambda part: str(part))
def test_every_change_changes_the_key_or_bypasses_the_cache(api, path):
    body, ours = REQUESTS[api], key_of(REQUESTS[api], api)
    value = body
    for name in path:
        value = value[name]
    for change in [*map(set_to, look_alikes(value)), remove, add_beside]:
        twin = changed(body, path, change)
        if repr(twin) == repr(body):
            continue
        is_same = is_another_way_to_write_it(api, path, value, change)
        assert (key_of(twin, api) == ours) is is_same, (path, change)


@settings(max_examples=40)
@given(APIS, NAMES, JSON.filter(lambda value: value is not None))
def test_a_field_that_is_not_known_counts(api, name, value):
    body = REQUESTS[api]
    if (
        name in LEFT_OUT[api]
        or name in body
        or (api.startswith("openai") and name.startswith("prompt_cache_"))
    ):
        return
    ours, theirs = key_of(body, api), key_of({**body, name: value}, api)
    assert theirs.text is None or theirs.attributes != ours.attributes
    again = key_of({name: copy.deepcopy(value), **body}, api)
    assert again == theirs


@settings(max_examples=40)
@given(APIS, st.data(), JSON)
def test_what_is_left_out_does_not_count(api, data, value):
    name = data.draw(st.sampled_from(sorted(LEFT_OUT[api])))
    assert key_of({**REQUESTS[api], name: value}, api) == key_of(REQUESTS[api], api)


@pytest.mark.parametrize("api", REQUESTS)
def test_it_is_left_out_where_it_is_meant_alone(api):
    """A field of the request may be left out, and a parameter of a tool of the same name counts."""
    for name in LEFT_OUT[api]:
        body = copy.deepcopy(REQUESTS[api])
        body["tools"][0]["deeper"] = {name: 1}
        assert key_of(body, api).attributes != key_of(REQUESTS[api], api).attributes


@settings(max_examples=40)
@given(APIS, JSON)
def test_marks_for_the_providers_own_cache_do_not_count_where_they_stand(api, mark):
    body = copy.deepcopy(REQUESTS[api])
    name = {"openai.responses": "input", "gemini": "contents"}.get(api, "messages")
    for message in body[name]:
        message["cache_control"] = mark
        for parts in (message.get("content"), message.get("parts")):
            for part in parts if isinstance(parts, list) else ():
                part["cache_control"] = mark
    for tool in body["tools"]:
        tool["cache_control"] = mark
    if api == "anthropic.messages":
        body["system"][0]["cache_control"] = mark
    assert key_of(body, api) == key_of(REQUESTS[api], api)


@settings(max_examples=40)
@given(
    APIS,
    st.text(min_size=1, max_size=40).filter(str.strip),
    st.text(min_size=1, max_size=40).filter(str.strip),
)
def test_the_question_alone_is_compared_by_its_meaning(api, one, other):
    def asked(text):
        def replaced(value):
            if isinstance(value, dict):
                return {name: replaced(each) for name, each in value.items()}
            if isinstance(value, list):
                return [replaced(each) for each in value]
            return text if value == QUESTION else value

        return key_of(replaced(REQUESTS[api]), api)

    assert asked(one).text == one
    assert asked(one).attributes == asked(other).attributes


@settings(max_examples=40)
@given(APIS, st.text(max_size=20), st.text(max_size=20))
def test_the_place_counts(api, one, other):
    if api == "gemini" and not (one and other):
        return
    ours, theirs = (key_of(REQUESTS[api], api, place=place) for place in (one, other))
    assert (ours == theirs) is (one == other)


def test_no_api_shares_with_another():
    body = {"model": "m", "store": False, "messages": [{"role": "user", "content": QUESTION}]}
    body = {**body, "input": body["messages"], "contents": body["messages"]}
    keys = {request_key(body, api=api, place="x").attributes["fingerprint"] for api in REQUESTS}
    assert len(keys) == len(REQUESTS)


BYPASSED = [
    ("openai.chat", {"n": 2}, "several answers"),
    ("openai.chat", {"n": "1"}, "several answers"),
    ("openai.chat", {"logprobs": True}, "logprobs"),
    ("openai.chat", {"top_logprobs": 5}, "logprobs"),
    ("openai.chat", {"audio": {"voice": "alloy"}}, "audio"),
    ("openai.chat", {"modalities": ["text", "audio"]}, "audio"),
    ("openai.chat", {"tools": [{"type": "mcp"}]}, "mcp"),
    ("openai.chat", {"messages": []}, "unknown request"),
    ("openai.chat", {"messages": "text"}, "unknown request"),
    ("openai.chat", {"messages": [7]}, "unknown message"),
    ("openai.chat", {"messages": [{"content": "no role"}]}, "unknown message"),
    ("openai.chat", {"messages": [{"role": "user", "content": [{"type": "input_audio"}, "a"]}]}, "audio"),
    ("openai.chat", {"messages": [{"role": "system", "content": "Be brief."}]}, "not the user's turn"),
    ("openai.chat", {"messages": [{"role": "user", "content": "  "}]}, "no text"),
    ("openai.chat", {"messages": [{"role": "user", "content": None}]}, "no text"),
    ("openai.chat", {"messages": [{"role": "user", "content": "\ud800"}]}, "not JSON"),
    ("openai.chat", {"seed": float("nan")}, "not JSON"),
    ("openai.chat", {"response_format": dict}, "not JSON"),
    ("openai.chat", {"extra": b"bytes"}, "not JSON"),
    ("openai.chat", {7: "a"}, "not JSON"),
    ("openai.responses", {"store": None}, "kept by provider"),
    ("openai.responses", {"store": True}, "kept by provider"),
    ("openai.responses", {"store": 0}, "kept by provider"),
    ("openai.responses", {"previous_response_id": "resp_1"}, "kept by provider"),
    ("openai.responses", {"conversation": "conv_1"}, "kept by provider"),
    ("openai.responses", {"prompt": {"id": "p1"}}, "kept by provider"),
    (
        "openai.responses",
        {"input": [{"type": "item_reference", "id": "m1"}, {"role": "user", "content": "a"}]},
        "kept by provider",
    ),
    ("openai.responses", {"background": True}, "background"),
    ("openai.responses", {"include": ["message.output_text.logprobs"]}, "logprobs"),
    ("openai.responses", {"top_logprobs": 1}, "logprobs"),
    ("openai.responses", {"modalities": ["audio"]}, "audio"),
    ("openai.responses", {"tools": [{"type": "mcp", "server_label": "a"}]}, "mcp"),
    ("openai.responses", {"tools": [{"type": "code_interpreter", "container": "c"}]}, "container"),
    (
        "openai.responses",
        {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]},
        "container",
    ),
    (
        "openai.responses",
        {"input": [{"role": "user", "content": "a"}, {"type": "function_call"}]},
        "not the user's turn",
    ),
    (
        "openai.responses",
        {
            "input": [
                {"role": "user", "content": "a"},
                {"type": "reasoning"},
                {"role": "user", "content": "b"},
            ]
        },
        "conversation",
    ),
    ("anthropic.messages", {"container": "c"}, "container"),
    ("anthropic.messages", {"mcp_servers": [{"url": "https://example.com"}]}, "mcp"),
    ("anthropic.messages", {"tools": [{"type": "code_execution_20250825"}]}, "container"),
    ("anthropic.messages", {"tools": [{"type": "mcp_toolset"}]}, "mcp"),
    (
        "anthropic.messages",
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "{"}]},
        "not the user's turn",
    ),
    (
        "anthropic.messages",
        {"messages": [{"role": "user", "content": [{"type": "tool_result"}, {"type": "text", "text": "a"}]}]},
        "not the user's turn",
    ),
    ("gemini", {"generationConfig": {"candidateCount": 2}}, "several answers"),
    ("gemini", {"generation_config": {"candidate_count": 2}}, "several answers"),
    ("gemini", {"generationConfig": {"responseLogprobs": True}}, "logprobs"),
    ("gemini", {"generationConfig": {"responseModalities": ["AUDIO"]}}, "audio"),
    ("gemini", {"generationConfig": {"speechConfig": {}}}, "audio"),
    ("gemini", {"tools": [{"codeExecution": {}}]}, "container"),
    ("gemini", {"tools": [{"mcpServers": []}]}, "mcp"),
    (
        "gemini",
        {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "audio/mp3"}}, {"text": "a"}]}]},
        "audio",
    ),
    (
        "gemini",
        {"contents": [{"role": "user", "parts": [{"functionResponse": {"name": "f"}}]}]},
        "not the user's turn",
    ),
    (
        "gemini",
        {
            "contents": [
                {"role": "user", "parts": [{"text": "a"}]},
                {"role": "model", "parts": [{"text": "b"}]},
                {"parts": [{"text": "c"}]},
            ]
        },
        "conversation",
    ),
]


@pytest.mark.parametrize(("api", "change", "reason"), BYPASSED, ids=lambda part: str(part)[:60])
def test_what_can_not_be_answered_from_a_cache_is_not_looked_up(api, change, reason):
    assert key_of({**REQUESTS[api], **change}, api) == Key(None, reason=reason)


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        ({"api": "openai"}, ValueError, "api: must be one of openai.chat, openai.responses, anthropic"),
        ({"api": "gemini"}, ValueError, "place: must be given for Gemini"),
        ({"api": "openai.chat", "turns": "all"}, ValueError, "turns: must be 'single' or 'hashed'"),
        ({"api": "openai.chat", "text": "question"}, TypeError, "text: must be a function of the question"),
        ({"api": "openai.chat", "attribute": ""}, ValueError, "attribute: must be the name"),
        ({"api": "openai.chat", "attribute": 5}, TypeError, "attribute: must be str"),
        ({"api": "openai.chat", "place": 5}, TypeError, "place: must be str"),
        (
            {"api": "openai.chat", "body": b"{}"},
            TypeError,
            "body: must be the JSON of a request, as a mapping",
        ),
        ({"api": "openai.chat", "body": []}, TypeError, "body: must be the JSON of a request, as a mapping"),
    ],
    ids=str,
)
def test_an_argument_that_breaks_a_rule_is_named(arguments, error, problem):
    with pytest.raises(error, match=problem):
        request_key(arguments.pop("body", {}), **arguments)


@pytest.mark.parametrize("name", ["model", "system", "tools", "extra"])
def test_settings_of_chat_key_must_be_json_when_it_is_called(name):
    with pytest.raises(TypeError, match=f"{name}: has a value of type builtins.bytes"):
        chat_key(**{name: [b"the bytes"]})
    with pytest.raises(ValueError, match="an argument has a number that is not finite"):
        chat_key(**{name: float("nan")})


@settings(max_examples=40)
@given(JSON, JSON)
def test_settings_of_chat_key_count_as_they_were_when_it_was_called(one, other):
    mutable = [one]
    key = chat_key(setting=mutable)
    before = key("Hi?")
    mutable.append(other)
    assert key("Hi?") == before
    assert key("Hi?") != chat_key(setting=mutable)("Hi?")


LIVE = [
    ("openai.chat", {"web_search_options": {}}),
    ("openai.chat", {"model": "gpt-4o-search-preview"}),
    ("openai.chat", {"model": "vendor/model:online"}),
    ("openai.chat", {"model": "gpt-5-search-api-2025-10-14"}),
    ("openai.chat", {"model": "perplexity/sonar-pro"}),
    ("openai.chat", {"model": "groq/compound"}),
    ("openai.responses", {"model": "o3-deep-research", "store": False}),
    ("openai.chat", {"plugins": [{"id": "web"}]}),
    ("openai.chat", {"search_parameters": {"mode": "auto"}}),
    ("openai.responses", {"tools": [{"type": "web_search"}], "store": False}),
    ("openai.responses", {"tools": [{"type": "web_search_preview_2025_03_11"}], "store": False}),
    ("anthropic.messages", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    ("anthropic.messages", {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}),
    ("gemini", {"tools": [{"googleSearch": {}}]}),
    ("gemini", {"tools": [{"google_search_retrieval": {"dynamic_retrieval_config": {}}}]}),
    ("gemini", {"tools": [{"urlContext": {}}]}),
    ("gemini", {"tools": [{"google_maps": {}}]}),
]


@pytest.mark.parametrize(("api", "fields"), LIVE, ids=[str(number) for number in range(len(LIVE))])
def test_what_the_provider_looks_up_now_is_not_answered_from_before(api, fields):
    question = {"role": "user", "content": "What is the weather?"}
    asked = {
        "openai.responses": {"input": "What is the weather?", "store": False},
        "gemini": {"contents": [{"parts": [{"text": "What is the weather?"}]}]},
    }.get(api, {"messages": [question]})
    body = {"model": "m", **asked}
    assert request_key(body, api=api, place="here").text == "What is the weather?"
    assert request_key({**body, **fields}, api=api, place="here").reason == "live tool"


def test_a_function_of_the_program_is_no_live_tool_whatever_its_name():
    tools = [{"type": "function", "function": {"name": "web_search", "parameters": {}}}]
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": tools}
    assert request_key(body, api="openai.chat").text == "Hi"
