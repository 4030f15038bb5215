"""Replies of providers: which are stored, what they cost, and how they are given again."""

from __future__ import annotations

import json

import pytest
from adapters import replies
from adapters.replies import Reply, Usage
from hypothesis import given, settings
from hypothesis import strategies as st

from langcache.chat.http.codec import ReplyCodec
from langcache.chat.replies import FORMATS, reading
from langcache.chat.replies.reading import EventReader, StreamReader

APIS = list(FORMATS)
TEXT = "The Louvre is in Paris.\n\nOn the right bank: “Palais du Louvre” 🏛"

KEPT = {
    "text": Reply(text=TEXT),
    "thoughts_before_it": Reply(text=TEXT, thinking="Let me think."),
    "text_that_looks_like_json": Reply(text='{"city": "Paris"}'),
    "text_that_looks_like_an_event": Reply(text="data: [DONE]\n\ndata: x"),
}
NOT_KEPT = {
    "tool": Reply(tools=(("weather", {"city": "Paris"}),)),
    "text_and_tool": Reply(text="I'll look.", tools=(("weather", {"city": "Paris"}),)),
    "thoughts_and_tool": Reply(thinking="Hm.", tools=(("weather", {}), ("news", {}))),
    "refusal": Reply(refusal="I can't help."),
    "truncated": Reply(text="The Lou", truncated=True),
    "empty": Reply(text=""),
    "blank": Reply(text=" \n"),
    "only_thoughts": Reply(text="", thinking="Hm."),
}


def plain(api, reply):
    return replies.plain(api, {"store": False}, reply, "model-1")


def sent(api, reply, body=None):
    return b"".join(replies.events(api, {**(body or {}), "stream": True}, reply, "model-1"))


def read(api, data, size=None):
    """What a reader makes of the bytes of a stream: what it passes on, and the reply."""
    reader = StreamReader(FORMATS[api].collector())
    pieces = [data] if size is None else [data[at : at + size] for at in range(0, len(data), size)]
    passed = b"".join([*map(reader.take, pieces), reader.end()])
    return passed, reader.reply()


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", KEPT)
def test_a_complete_answer_in_text_is_kept_without_its_thoughts(api, name):
    format_, reply = FORMATS[api], KEPT[name]
    for whole in (plain(api, reply), read(api, sent(api, reply))[1]):
        kept = format_.kept(whole)
        assert format_.text(kept) == reply.text
        assert "think" not in json.dumps(kept)
        assert format_.kept(kept) == kept  # so that what is stored can be checked again
        codec = ReplyCodec(api, streamed=False)
        assert codec.decode(codec.encode(kept)) == kept  # which cache-aside does not try


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", NOT_KEPT)
def test_anything_else_is_not_kept(api, name):
    for whole in (plain(api, NOT_KEPT[name]), read(api, sent(api, NOT_KEPT[name]))[1] or {}):
        assert FORMATS[api].kept(whole) is None


MORE = {
    "openai.chat": [
        ("choices", 0, "message", {"audio": {"id": "a"}}),
        ("choices", 0, "message", {"annotations": [{"type": "url_citation"}]}),
        ("choices", 0, "message", {"function_call": {"name": "f"}}),
        ("choices", 0, "message", {"something_new": [1]}),
        ("choices", 0, {"logprobs": {"content": [1]}}),
        ("choices", 0, {"finish_reason": "content_filter"}),
        ("choices", 0, {"finish_reason": None}),
    ],
    "openai.responses": [
        ({"store": True},),
        ({"store": None},),
        ({"error": {"code": "x"}},),
        ({"conversation": {"id": "c"}},),
        ({"status": "in_progress"},),
        ("output", 0, {"type": "web_search_call"}),
        ("output", 0, {"status": "incomplete"}),
        ("output", 0, "content", 0, {"annotations": [{"type": "file_citation"}]}),
    ],
    "anthropic.messages": [
        ({"stop_reason": "pause_turn"},),
        ({"stop_reason": None},),
        ({"container": {"id": "c"}},),
        ("content", 0, {"citations": [{"cited_text": "x"}]}),
        ("content", 0, {"type": "server_tool_use"}),
    ],
    "gemini": [
        ({"promptFeedback": {"blockReason": "SAFETY"}},),
        ("candidates", 0, {"finishReason": "RECITATION"}),
        ("candidates", 0, {"finishReason": None}),
        ("candidates", 0, {"groundingMetadata": {"webSearchQueries": ["x"]}}),
        ("candidates", 0, "content", "parts", 0, {"inlineData": {"data": "AA"}}),
        ("candidates", 0, "content", "parts", 0, {"executableCode": {"code": "1"}}),
    ],
}


@pytest.mark.parametrize(
    ("api", "more"), [(api, more) for api, cases in MORE.items() for more in cases], ids=str
)
def test_a_reply_with_more_than_text_is_not_kept(api, more):
    reply = plain(api, Reply(text="yes"))
    *path, added = more
    place = reply
    for step in path:
        place = place[step]
    place |= added
    assert FORMATS[api].kept(reply) is None


def objects(api, whole):
    """The parts of a reply in which a field says something of the answer."""
    content = {
        "openai.chat": lambda: whole["choices"],
        "openai.responses": lambda: whole["output"],
        "anthropic.messages": lambda: whole["content"],
        "gemini": lambda: [*whole["candidates"], whole["candidates"][0]["content"]],
    }
    return [whole, *content[api]()]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "value", [{"code": 502, "message": "upstream died"}, ["x"], "x", 1, 0, True], ids=repr
)
@pytest.mark.parametrize("name", ["error", "conversation_id", "sessionId", "something_new"])
def test_a_reply_with_a_field_that_is_not_known_is_not_kept(api, name, value):
    for at in range(len(objects(api, plain(api, Reply(text="yes"))))):
        reply = plain(api, Reply(text="yes"))
        objects(api, reply)[at][name] = value
        assert FORMATS[api].kept(reply) is None


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("value", [None, False, "", [], {}], ids=repr)
def test_a_field_that_is_not_known_and_empty_is_left_out(api, value):
    reply = plain(api, Reply(text="yes"))
    reply["something_new"] = value
    kept = FORMATS[api].kept(reply)
    assert FORMATS[api].text(kept) == "yes"
    assert "something_new" not in kept


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", ["user", "safety_identifier", "metadata", "prompt_cache_key", "request_id"])
def test_what_a_reply_tells_of_its_user_is_not_kept(api, name):
    reply = {**plain(api, Reply(text="yes")), name: "ada@example.com"}
    kept = FORMATS[api].kept(reply)
    assert FORMATS[api].text(kept) == "yes"
    stored_before = {**kept, name: "ada@example.com"}  # is read by the same rule
    for each in (kept, FORMATS[api].replayed(kept, {}, 1), FORMATS[api].kept(stored_before)):
        assert "ada@" not in json.dumps(each)


HARMLESS = {
    "azure": ("openai.chat", {"content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}),
    "openrouter": ("openai.chat", {"native_finish_reason": "STOP"}),
    "vllm": ("openai.chat", {"stop_reason": 128009, "token_ids": None}),
    "sglang": ("openai.chat", {"matched_stop": 151645}),
    "together": ("openai.chat", {"seed": 7}),
    "gemini": (
        "gemini",
        {"safetyRatings": [{"category": "HARM_CATEGORY_HATE_SPEECH", "probability": "LOW"}]},
    ),
}
FILTERED = {
    "azure": ("openai.chat", {"content_filter_results": {"hate": {"filtered": True, "severity": "high"}}}),
    "azure_code": (
        "openai.chat",
        {"content_filter_results": {"protected_material_code": {"detected": True}}},
    ),
    "azure_failed": ("openai.chat", {"content_filter_results": {"error": {"code": "content_filter_error"}}}),
    "gemini": ("gemini", {"safetyRatings": [{"category": "HARM_CATEGORY_HATE_SPEECH", "blocked": True}]}),
}


@pytest.mark.parametrize("name", [*HARMLESS, *(f"filtered_{name}" for name in FILTERED)])
def test_what_providers_add_to_an_answer_is_left_out_unless_it_tells_of_a_filter(name):
    is_kept = name in HARMLESS
    api, added = HARMLESS[name] if is_kept else FILTERED[name.removeprefix("filtered_")]
    part = "choices" if api == "openai.chat" else "candidates"
    reply = plain(api, Reply(text="yes"))
    reply[part][0] |= added
    kept = FORMATS[api].kept(reply)
    assert (kept is not None) is is_kept
    assert kept is None or not set(kept[part][0]) & set(added)
    events = [json.loads(data) if data != "[DONE]" else data for data in data_of(api, Reply(text="one two"))]
    for at, made in enumerate(events):
        if isinstance(made, dict) and made.get(part):
            changed_one = {**made, part: [{**made[part][0], **added}]}
            whole = collected(api, [*events[:at], changed_one, *events[at + 1 :]])
            assert (whole is not None and FORMATS[api].kept(whole) is not None) is is_kept


def data_of(api, reply):
    """The data of each event of a stream."""
    return EventReader().take(sent(api, reply))[1]


def collected(api, events):
    """The reply in events, which are JSON or texts."""
    collector = FORMATS[api].collector()
    for made in events:
        if collector.add(made if isinstance(made, str) else json.dumps(made)):
            break
    return collector.reply()


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("way", ["in_an_event", "in_its_part", "an_event_more"])
def test_a_stream_in_which_an_error_comes_is_not_kept_whatever_follows(api, way):
    events = [json.loads(data) if data != "[DONE]" else data for data in data_of(api, Reply(text="one two"))]
    assert FORMATS[api].kept(collected(api, events)) is not None
    error = {"code": 502, "message": "upstream died"}
    part = {"openai.chat": "choices", "gemini": "candidates"}.get(api)
    tried = 0
    for at, made in enumerate(events):
        if isinstance(made, str) or (way == "in_its_part" and not (part and made.get(part))):
            continue
        tried += 1
        added = {
            "in_an_event": lambda made=made: [{**made, "error": error}],
            "in_its_part": lambda made=made: [{**made, part: [{**made[part][0], "error": error}]}],
            "an_event_more": lambda made=made: [
                {"type": "error", "error": error} if part is None else {part: [], "error": error},
                made,
            ],
        }[way]()
        whole = collected(api, [*events[:at], *added, *events[at + 1 :]])
        assert whole is None or FORMATS[api].kept(whole) is None
    assert tried or (way == "in_its_part" and part is None)


def chat(delta=None, reason=None, **more):
    return {"choices": [{"index": 0, "delta": delta or {}, "finish_reason": reason, **more}]}


def gemini(text, candidate=None, **more):
    return {"candidates": [{"content": {"parts": [{"text": text}]}, **(candidate or {})}], **more}


def anthropic(*middle):
    return [
        {"type": "message_start", "message": {"type": "message", "role": "assistant", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "a"}},
        *middle,
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ]


TAKEN_BACK = {
    "chat_length": (
        "openai.chat",
        [chat({"content": "a"}), chat(reason="length"), chat(reason="stop"), "[DONE]"],
    ),
    "chat_content": (
        "openai.chat",
        [chat({"content": [{"text": "a"}]}), chat({"content": "b"}, "stop"), "[DONE]"],
    ),
    "gemini_block": (
        "gemini",
        [
            gemini("a", promptFeedback={"blockReason": "SAFETY"}),
            gemini("b", {"finishReason": "STOP"}, promptFeedback={}),
        ],
    ),
    "gemini_citations": (
        "gemini",
        [
            gemini("a", {"citationMetadata": {"citations": [1]}}),
            gemini("b", {"finishReason": "STOP", "citationMetadata": None}),
        ],
    ),
    "gemini_unknown": (
        "gemini",
        [gemini("a", something_new=[1]), gemini("b", {"finishReason": "STOP"}, something_new=[])],
    ),
    "gemini_error_after_the_end": (
        "gemini",
        [gemini("a", {"finishReason": "STOP"}), {"error": {"code": 503}}],
    ),
    "gemini_reasons": (
        "gemini",
        [gemini("a", {"finishReason": "STOP"}), gemini("b", {"finishReason": "MAX_TOKENS"})],
    ),
    "anthropic_length": (
        "anthropic.messages",
        anthropic({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}}),
    ),
    "anthropic_container": (
        "anthropic.messages",
        anthropic({"type": "message_delta", "delta": {"container": {"id": "c"}}}),
    ),
    "anthropic_block": (
        "anthropic.messages",
        anthropic(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "b"}}
        ),
    ),
    "responses_failed": (
        "openai.responses",
        [
            {"type": "response.failed"},
            {"type": "response.completed", "response": plain("openai.responses", Reply(text="yes"))},
        ],
    ),
}


@pytest.mark.parametrize("name", TAKEN_BACK)
def test_what_a_stream_said_once_counts_even_if_a_later_event_says_otherwise(name):
    api, events = TAKEN_BACK[name]
    whole = collected(api, events)
    assert whole is None or FORMATS[api].kept(whole) is None


def test_a_stream_of_gemini_that_gives_its_reason_in_every_chunk_is_read_to_its_end():
    kept = FORMATS["gemini"].kept(
        collected("gemini", [gemini(text, {"finishReason": "STOP"}) for text in ("one ", "two ", "three")])
    )
    assert FORMATS["gemini"].text(kept) == "one two three"


@pytest.mark.parametrize("api", APIS)
def test_two_answers_are_not_kept(api):
    reply = plain(api, Reply(text="yes"))
    name = {"openai.chat": "choices", "gemini": "candidates"}.get(api)
    if name is not None:
        reply[name] *= 2
        assert FORMATS[api].kept(reply) is None


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("usage", [Usage(21, 8, 13, 5), Usage(7, 0, 3, 0)], ids=str)
def test_no_token_counts_twice(api, usage):
    reply = Reply(text="yes", usage=usage)
    streamed = sent(api, reply, {"stream_options": {"include_usage": True}})
    for whole in (plain(api, reply), read(api, streamed)[1]):
        found = FORMATS[api].usage(FORMATS[api].kept(whole))
        assert (found.input_tokens, found.output_tokens) == (usage.input - usage.cached, usage.output)
        assert found.model == "model-1"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "7"}, [], 3])
def test_a_usage_that_is_not_told_is_unknown(api, usage):
    reply = plain(api, Reply(text="yes"))
    reply["usageMetadata" if api == "gemini" else "usage"] = usage
    found = FORMATS[api].usage(reply)
    assert (found.input_tokens, found.output_tokens) == (None, None)


def numbers(value):
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    return [value] if isinstance(value, int | float) else []


@pytest.mark.parametrize("api", APIS)
def test_what_is_given_again_has_no_usage_and_a_new_id(api):
    format_ = FORMATS[api]
    kept = format_.kept(plain(api, Reply(text=TEXT)))
    again = [format_.replayed(kept, {}, 1_800_000_000) for _ in range(2)]
    name, id_ = ("usageMetadata", "responseId") if api == "gemini" else ("usage", "id")
    assert {number for reply in again for number in numbers(reply[name])} == {0}
    assert len({kept[id_], again[0][id_], again[1][id_]}) == 3
    assert format_.text(again[0]) == TEXT
    del kept["usageMetadata" if api == "gemini" else "usage"]  # as of a stream that has none
    assert set(numbers(format_.replayed(kept, {}, 1)[name])) == {0}


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("wanted", [True, False])
def test_the_events_that_are_given_again_say_the_same(api, wanted):
    format_ = FORMATS[api]
    reply = format_.replayed(format_.kept(plain(api, Reply(text=TEXT))), {}, 1_800_000_000)
    body = {"stream_options": {"include_usage": wanted}}
    passed, whole = read(api, b"".join(format_.events(reply, body)))
    kept = format_.kept(whole)
    assert format_.text(kept) == TEXT
    has_usage = b"TokenCount" in passed or b"_tokens" in passed
    assert has_usage is (wanted or api != "openai.chat")


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=repr)
def test_a_stream_is_read_in_pieces_of_any_size_and_passed_on_as_it_is(api, size, ending):
    data = b": a comment\n\n" + sent(api, Reply(text=TEXT, thinking="Let me think."))
    data = data.replace(b"\r\n", b"\n").replace(b"\n", ending.encode())
    passed, whole = read(api, data, size)
    assert passed == data
    assert FORMATS[api].text(FORMATS[api].kept(whole)) == TEXT


@pytest.mark.parametrize("api", APIS)
def test_a_stream_with_bytes_that_are_no_text_is_passed_on_and_not_kept(api):
    data = sent(api, Reply(text="one two")).replace(b"one", b"o\xffe")
    passed, whole = read(api, data, 64)
    assert passed == data
    assert whole is None or FORMATS[api].kept(whole) is None


@pytest.mark.parametrize("api", APIS)
def test_a_stream_that_was_cut_anywhere_is_no_reply(api):
    data = sent(api, Reply(text="one two three four"))
    events = data.split(b"\n\n" if api != "gemini" else b"\r\n\r\n")[:-1]
    end = b"\n\n" if api != "gemini" else b"\r\n\r\n"
    for count in range(len(events)):
        whole = read(api, end.join(events[:count]) + end)[1]
        assert whole is None or FORMATS[api].kept(whole) is None


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def places(value, path=()):
    """The place of every part of a JSON value."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in parts:
        yield from places(part, (*path, step))


def changed(value, path, other):
    if not path:
        return other
    copy = value.copy()
    copy[path[0]] = changed(value[path[0]], path[1:], other)
    return copy


@pytest.mark.parametrize("api", APIS)
@settings(max_examples=60)
@given(data=st.data())
def test_a_reply_of_any_shape_is_kept_or_not_and_breaks_nothing(api, data):
    reply = plain(api, Reply(text=TEXT, thinking="Hm."))
    path = data.draw(st.sampled_from(list(places(reply))[1:]))
    reply = changed(reply, path, data.draw(ANY))
    kept = FORMATS[api].kept(reply)
    if kept is not None:
        assert FORMATS[api].text(kept).strip()
        FORMATS[api].usage(kept)
        again = FORMATS[api].replayed(kept, {}, 1)
        assert read(api, b"".join(FORMATS[api].events(again, {})))[1] is not None


@pytest.mark.parametrize("api", APIS)
@settings(max_examples=60)
@given(events=st.lists(ANY | st.sampled_from(["[DONE]", "{", "null"]), max_size=4), at=st.integers(0, 9))
def test_events_of_any_shape_are_passed_on_and_break_nothing(api, events, at):
    real = sent(api, Reply(text=TEXT))
    end = b"\r\n\r\n" if api == "gemini" else b"\n\n"
    parts = [part + end for part in real.split(end) if part]
    strange = [
        b"data: " + (each if isinstance(each, str) else json.dumps(each)).encode() + b"\n\n"
        for each in events
    ]
    data = b"".join([*parts[:at], *strange, *parts[at:]])
    passed, whole = read(api, data)
    assert passed == data
    if whole is not None:
        FORMATS[api].kept(whole)


@given(data=st.binary(max_size=60), size=st.integers(1, 7))
def test_no_byte_is_lost(data, size):
    reader = EventReader()
    passed = [reader.take(data[at : at + size])[0] for at in range(0, len(data), size)]
    assert b"".join([*passed, reader.end()[0]]) == data


def test_bytes_that_are_no_events_are_passed_on_before_they_fill_the_memory(monkeypatch):
    monkeypatch.setattr(reading, "_LONGEST", 1000)
    reader = EventReader()
    assert reader.take(b"x" * 1000)[0] == b""
    assert reader.take(b"x")[0] == b"x" * 1001


LATER = {
    "nothing": (lambda chunk: None, True),
    "another text against guessing": (lambda chunk: chunk.update(obfuscation="xy"), True),
    "a filter that found something": (lambda chunk: chunk.update(obfuscation={"filtered": True}), False),
    "an unknown field": (lambda chunk: chunk.update(warning="overloaded"), False),
    "an unknown field of the choice": (lambda chunk: chunk["choices"][0].update(warning="overloaded"), False),
    "another choice": (lambda chunk: chunk["choices"][0].update(index=1), False),
    "two choices": (lambda chunk: chunk["choices"].append(chunk["choices"][0]), False),
    "no choices": (lambda chunk: chunk.pop("choices"), False),
    "probabilities": (lambda chunk: chunk["choices"][0].update(logprobs={"content": [1]}), False),
    "an end that contradicts the last": (
        lambda chunk: chunk["choices"][0].update(finish_reason="length"),
        False,
    ),
    "a refusal": (lambda chunk: chunk["choices"][0].update(delta={"refusal": "No"}), False),
    "a delta that is none": (lambda chunk: chunk["choices"][0].update(delta="x"), True),
}


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("name", LATER)
def test_in_a_stream_of_chunks_that_are_alike_one_that_is_not_counts(name, at):
    change, is_kept = LATER[name]
    collector = FORMATS["openai.chat"].collector()
    for number in range(5):
        choice = {"index": 0, "delta": {"content": f"{number} "}, "logprobs": None, "finish_reason": None}
        if number == 4:
            choice |= {"delta": {}, "finish_reason": "stop"}
        chunk = {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [choice],
        }
        if number == at:
            change(chunk)
        collector.add(json.dumps(chunk))
    collector.add("[DONE]")
    reply = collector.reply()
    kept = None if reply is None else FORMATS["openai.chat"].kept(reply)
    assert (kept is not None) == is_kept
    if is_kept:
        said = " ".join(str(number) for number in range(4) if number != at or "delta" not in name)
        assert kept["choices"][0]["message"]["content"] == f"{said} "
