"""What providers of language models answer: in the JSON of four APIs, and as the events of their streams."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_numbers = itertools.count(1)


@dataclass
class Reply:
    """One scripted reply. All that is not given is as usual: a short answer in text, with usage."""

    text: str | None = None
    """The text; ``""`` for an empty one; None for what `Provider.answer` makes of the question."""

    tools: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """Calls of tools, each with its arguments, after the text if that is given, else without text."""

    refusal: str | None = None
    """The words of a refusal, in place of the text."""

    truncated: bool = False
    """Whether the answer ends because the limit on its tokens was met."""

    thinking: str | None = None
    """Thoughts that come before the text; the chat API sends none."""

    usage: Usage | None = None
    """The tokens that were used; None for the usual numbers."""

    status: int = 200
    """Above 299, the error of the API with this status is sent, and never a stream."""

    headers: Mapping[str, str] = field(default_factory=dict)

    body: bytes | None = None
    """Sent as it is in place of all that is above."""

    content_type: str | None = None
    """Sent in place of the usual ``content-type``."""

    gzip: bool = False

    cut_after: int | None = None
    """How many events of a stream are sent; then the connection is closed in the middle of the reply. Of a
    reply that is no stream, half of the body is sent."""

    end_after: int | None = None
    """How many events of a stream are sent; then it ends properly, as if it were complete."""

    hold: threading.Event | None = None
    """Waited for before the first byte is sent, or before the event number ``hold_after``."""

    hold_after: int = 0
    """How many events of a stream are sent before ``hold`` is waited for."""


@dataclass(frozen=True)
class Usage:
    """Tokens as providers count them: cached ones are among the input, reasoning among the output."""

    input: int = 21
    cached: int = 8
    output: int = 13
    reasoning: int = 5


API_OF = {
    "/chat/completions": "openai.chat",
    "/responses": "openai.responses",
    "/messages": "anthropic.messages",
    ":generateContent": "gemini",
    ":streamGenerateContent": "gemini",
}
"""The API by the end of the path."""


def question_of(api: str, body: Mapping[str, Any]) -> str:
    """The last text of the user in a request."""
    if api == "gemini":
        turns = [(turn.get("role", "user"), turn["parts"]) for turn in body["contents"]]
    elif isinstance(body.get("input"), str):
        return str(body["input"])
    else:
        turns = [(turn.get("role"), turn.get("content")) for turn in body.get("messages") or body["input"]]
    content = next((content for role, content in reversed(turns) if role == "user"), "")
    return (
        content
        if isinstance(content, str)
        else next((part["text"] for part in reversed(content) if "text" in part), "")
    )


def plain(api: str, body: Mapping[str, Any], reply: Reply, model: str) -> dict[str, Any]:
    """The JSON of a reply whose text is given."""
    number = next(_numbers)
    made = {"openai.chat": _chat, "openai.responses": _responses, "anthropic.messages": _anthropic}
    return made.get(api, _gemini)(reply, reply.usage or Usage(), model, number)


def events(api: str, body: Mapping[str, Any], reply: Reply, model: str) -> Iterator[bytes]:
    """The same as server-sent events, each as the bytes that are sent."""
    whole = plain(api, body, reply, model)
    if api == "openai.chat":
        wanted = (body.get("stream_options") or {}).get("include_usage", False)
        for chunk in _chat_chunks(whole, wanted):
            yield _event(chunk)
        yield b"data: [DONE]\n\n"
    elif api == "openai.responses":
        for number, event in enumerate(_responses_events(whole)):
            yield _event({**event, "sequence_number": number}, event["type"])
    elif api == "anthropic.messages":
        for event in _anthropic_events(whole):
            yield _event(event, event["type"])
    else:
        for chunk in _gemini_chunks(whole):
            yield f"data: {json.dumps(chunk)}\r\n\r\n".encode()


def error(api: str, status: int) -> dict[str, Any]:
    """The JSON of an error."""
    text = f"the provider answers {status}"
    if api == "anthropic.messages":
        return {"type": "error", "error": {"type": "api_error", "message": text}, "request_id": "req_1"}
    if api == "gemini":
        return {"error": {"code": status, "message": text, "status": "UNAVAILABLE"}}
    return {"error": {"message": text, "type": "error", "param": None, "code": None}}


def _event(data: Mapping[str, Any], name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


def pieces(text: str) -> list[str]:
    """A text in pieces of one word."""
    return [piece + " " for piece in text.split(" ")[:-1]] + [text.split(" ")[-1]]


def _chat(reply: Reply, usage: Usage, model: str, number: int) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if reply.refusal is not None or (reply.tools and not reply.text) else reply.text,
        "refusal": reply.refusal,
        "annotations": [],
    }
    if reply.tools:
        message["tool_calls"] = [
            {
                "id": f"call_{number}_{at}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for at, (name, arguments) in enumerate(reply.tools)
        ]
    reason = "length" if reply.truncated else "tool_calls" if reply.tools else "stop"
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_780_000_000 + number,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": {
            "prompt_tokens": usage.input,
            "completion_tokens": usage.output,
            "total_tokens": usage.input + usage.output,
            "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }


def _chat_chunks(whole: dict[str, Any], usage_wanted: bool) -> Iterator[dict[str, Any]]:
    choice = whole["choices"][0]
    message = choice["message"]

    def chunk(delta: dict[str, Any] | None, reason: str | None = None) -> dict[str, Any]:
        made = {name: whole[name] for name in ("id", "created", "model", "service_tier")}
        made |= {"object": "chat.completion.chunk", "system_fingerprint": "fp_1"}
        made["choices"] = (
            [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]
        )
        if usage_wanted:
            made["usage"] = whole["usage"] if delta is None else None
        return made

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for name in ("content", "refusal"):
        for piece in pieces(message[name]) if message[name] else ():
            yield chunk({name: piece})
    for at, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        start = {"index": at, "id": call["id"], "type": "function"}
        yield chunk({"tool_calls": [{**start, "function": {"name": function["name"], "arguments": ""}}]})
        for piece in pieces(function["arguments"]):
            yield chunk({"tool_calls": [{"index": at, "function": {"arguments": piece}}]})
    yield chunk({}, choice["finish_reason"])
    if usage_wanted:
        yield chunk(None)


def _responses(reply: Reply, usage: Usage, model: str, number: int) -> dict[str, Any]:
    output: list[dict[str, Any]] = []
    if reply.thinking is not None:
        summary = [{"type": "summary_text", "text": reply.thinking}]
        output.append({"id": f"rs_{number}", "type": "reasoning", "summary": summary})
    content: list[dict[str, Any]] = []
    if reply.refusal is not None:
        content.append({"type": "refusal", "refusal": reply.refusal})
    elif reply.text or not reply.tools:
        content.append({"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []})
    status = "incomplete" if reply.truncated else "completed"
    if content:
        made = {"id": f"msg_{number}", "type": "message", "status": status, "role": "assistant"}
        output.append({**made, "content": content})
    for at, (name, arguments) in enumerate(reply.tools):
        made = {"id": f"fc_{number}_{at}", "type": "function_call", "status": status, "name": name}
        output.append({**made, "call_id": f"call_{number}_{at}", "arguments": json.dumps(arguments)})
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_780_000_000 + number,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if reply.truncated else None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": usage.input,
            "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.input + usage.output,
        },
    }


def _responses_events(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begun = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for at, item in enumerate(whole["output"]):
        empty = {**item, "status": "in_progress"}
        empty |= {name: type(item[name])() for name in ("content", "summary", "arguments") if name in item}
        yield {"type": "response.output_item.added", "output_index": at, "item": empty}
        place = {"item_id": item["id"], "output_index": at}
        for index, part in enumerate(item.get("summary", ())):
            where = {**place, "summary_index": index}
            yield {"type": "response.reasoning_summary_part.added", **where, "part": {**part, "text": ""}}
            for piece in pieces(part["text"]):
                yield {"type": "response.reasoning_summary_text.delta", **where, "delta": piece}
            yield {"type": "response.reasoning_summary_text.done", **where, "text": part["text"]}
            yield {"type": "response.reasoning_summary_part.done", **where, "part": part}
        for index, part in enumerate(item.get("content", ())):
            kind = part["type"]
            name = "text" if kind == "output_text" else "refusal"
            where = {**place, "content_index": index}
            more: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
            yield {"type": "response.content_part.added", **where, "part": {**part, name: ""}}
            for piece in pieces(part[name]):
                yield {"type": f"response.{kind}.delta", **where, "delta": piece, **more}
            yield {"type": f"response.{kind}.done", **where, name: part[name], **more}
            yield {"type": "response.content_part.done", **where, "part": part}
        if "arguments" in item:
            for piece in pieces(item["arguments"]):
                yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
            done = {"arguments": item["arguments"], "name": item["name"]}
            yield {"type": "response.function_call_arguments.done", **place, **done}
        yield {"type": "response.output_item.done", "output_index": at, "item": item}
    yield {"type": f"response.{whole['status']}", "response": whole}


def _anthropic(reply: Reply, usage: Usage, model: str, number: int) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if reply.thinking is not None:
        content.append({"type": "thinking", "thinking": reply.thinking, "signature": "c2lnbmVk"})
    text = reply.text if reply.refusal is None else reply.refusal
    if text:
        content.append({"type": "text", "text": text})
    for at, (name, arguments) in enumerate(reply.tools):
        call = {"type": "tool_use", "id": f"toolu_{number}_{at}", "name": name, "input": dict(arguments)}
        content.append(call)
    reason = (
        "max_tokens"
        if reply.truncated
        else "refusal"
        if reply.refusal is not None
        else "tool_use"
        if reply.tools
        else "end_turn"
    )
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": usage.input - usage.cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": usage.cached,
            "output_tokens": usage.output,
            "service_tier": "standard",
        },
    }


def _anthropic_events(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    started = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    yield {"type": "message_start", "message": started}
    for index, block in enumerate(whole["content"]):
        kind = block["type"]
        name = "input" if kind == "tool_use" else kind
        empty = {**block, name: type(block[name])()}
        if kind == "thinking":
            empty["signature"] = ""
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        if index == 0:
            yield {"type": "ping"}
        text = json.dumps(block[name]) if kind == "tool_use" else block[name]
        delta, field_ = (
            ("input_json_delta", "partial_json") if kind == "tool_use" else (f"{kind}_delta", kind)
        )
        for piece in pieces(text):
            yield {"type": "content_block_delta", "index": index, "delta": {"type": delta, field_: piece}}
        if kind == "thinking":
            signature = {"type": "signature_delta", "signature": block["signature"]}
            yield {"type": "content_block_delta", "index": index, "delta": signature}
        yield {"type": "content_block_stop", "index": index}
    ending = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    usage = {"output_tokens": whole["usage"]["output_tokens"]}
    yield {"type": "message_delta", "delta": ending, "usage": usage}
    yield {"type": "message_stop"}


def _gemini(reply: Reply, usage: Usage, model: str, number: int) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    if reply.thinking is not None:
        parts.append({"text": reply.thinking, "thought": True})
    if reply.text and reply.refusal is None:
        parts.append({"text": reply.text})
    for name, arguments in reply.tools:
        parts.append({"functionCall": {"name": name, "args": dict(arguments)}})
    reason = "MAX_TOKENS" if reply.truncated else "STOP" if reply.refusal is None else "SAFETY"
    candidate: dict[str, Any] = {"finishReason": reason, "index": 0}
    if parts:
        candidate["content"] = {"parts": parts, "role": "model"}
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": usage.input,
            "cachedContentTokenCount": usage.cached,
            "candidatesTokenCount": usage.output - usage.reasoning,
            "thoughtsTokenCount": usage.reasoning,
            "totalTokenCount": usage.input + usage.output,
        },
        "modelVersion": model,
        "responseId": f"gemini-{number}",
    }


def _gemini_chunks(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    candidate = whole["candidates"][0]
    usage = whole["usageMetadata"]
    so_far = {name: usage[name] for name in ("promptTokenCount", "totalTokenCount")}
    sent: list[dict[str, Any]] = []
    for part in candidate.get("content", {}).get("parts", ()):
        sent += [{**part, "text": piece} for piece in pieces(part["text"])] if "text" in part else [part]
    for part in sent[:-1]:
        content = {"parts": [part], "role": "model"}
        yield {**whole, "candidates": [{"content": content, "index": 0}], "usageMetadata": so_far}
    last = {**candidate, "content": {"parts": sent[-1:], "role": "model"}} if sent else candidate
    yield {**whole, "candidates": [last]}
