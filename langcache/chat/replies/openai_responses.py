"""Replies of OpenAI's Responses API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...aside.usage import Usage
from .format import (
    REPEATED,
    Json,
    as_dict,
    as_list,
    count,
    event,
    is_empty,
    is_known,
    known,
    name_of,
    new_id,
    zeroed,
)
from .reading import object_of

__all__ = ["OpenAIResponses"]

_REPEATED = ("instructions", "prompt", *REPEATED)
"""What a reply repeats of its request, which is another user's request for a hit."""

_EMPTY = ("error", "incomplete_details", "conversation", "previous_response_id")
"""What must say nothing."""

_REPLY = (
    *("id", "object", "created_at", "completed_at", "status", "background", "model", "output", "usage"),
    *("max_output_tokens", "max_tool_calls", "parallel_tool_calls", "reasoning", "service_tier", "store"),
    *("temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation"),
    *("frequency_penalty", "presence_penalty"),
)
"""What is kept of a reply besides."""

_BESIDES = ("billing", "content_filters")
"""What else a reply may have: who pays, and what Azure's filters found."""

_FAILURES = ("error", "response.failed", "response.incomplete")
"""The events after which no reply is complete, whatever follows."""

_ITEM = ("id", "type", "role", "status", "content", "phase")
"""What a message has."""

_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}


class OpenAIResponses:
    """A `ReplyFormat`. Replies that OpenAI keeps are not stored: by their ids a conversation goes on."""

    def kept(self, reply: Json) -> Json | None:
        messages = [
            item for item in map(as_dict, as_list(reply.get("output"))) if item.get("type") != "reasoning"
        ]
        kept = known(reply, (*_REPLY, *_EMPTY, *_REPEATED), _BESIDES)
        if (
            kept is None
            or reply.get("object") != "response"
            or reply.get("status") != "completed"
            or reply.get("store") is not False
            or not is_empty(reply.get(name) for name in _EMPTY)
            or not all(map(_is_plain, messages))
        ):
            return None
        kept |= {name: None for name in _REPEATED if name in kept}
        kept["output"] = messages
        return kept if messages and self.text(kept).strip() else None

    def usage(self, reply: Json) -> Usage:
        usage = as_dict(reply.get("usage"))
        given, cached = (
            count(usage, "input_tokens"),
            count(as_dict(usage.get("input_tokens_details")), "cached_tokens"),
        )
        return Usage(
            None if given is None else max(given - (cached or 0), 0),
            count(usage, "output_tokens"),
            name_of(reply.get("model")),
        )

    def text(self, reply: Json) -> str:
        return "".join(part["text"] for item in reply["output"] for part in item["content"])

    def replayed(self, kept: Json, body: Mapping[str, Any], now: int) -> Json:
        reply = {name: body.get(name) if name in _REPEATED else value for name, value in kept.items()}
        if "metadata" in reply:
            reply["metadata"] = reply["metadata"] or {}
        reply |= {name: now for name in ("created_at", "completed_at") if name in reply}
        reply["id"] = new_id("resp_")
        reply["output"] = [{**item, "id": new_id("msg_")} for item in kept["output"]]
        reply["usage"] = zeroed(as_dict(kept.get("usage"))) or _USAGE
        return reply

    def events(self, reply: Json, body: Mapping[str, Any]) -> Iterator[bytes]:
        for number, made in enumerate(_events(reply)):
            yield event({**made, "sequence_number": number}, made["type"])

    def collector(self) -> _Events:
        return _Events()


def _is_plain(item: Json) -> bool:
    """Whether an item of the output is a complete message of text alone."""
    parts = [as_dict(part) for part in as_list(item.get("content"))]
    return (
        is_known(item, _ITEM)
        and item.get("type") == "message"
        and item.get("status") == "completed"
        and isinstance(item.get("content"), list)
        and all(
            part.get("type") == "output_text"
            and isinstance(part.get("text"), str)
            and is_empty(value for name, value in part.items() if name not in ("type", "text"))
            for part in parts
        )
    )


def _events(reply: Json) -> Iterator[Json]:
    begun: Json = {**reply, "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for at, item in enumerate(reply["output"]):
        started: Json = {**item, "status": "in_progress", "content": []}
        yield {"type": "response.output_item.added", "output_index": at, "item": started}
        for index, part in enumerate(item["content"]):
            place = {"item_id": item["id"], "output_index": at, "content_index": index}
            text: Json = {**place, "logprobs": []}
            yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
            yield {"type": "response.output_text.delta", **text, "delta": part["text"]}
            yield {"type": "response.output_text.done", **text, "text": part["text"]}
            yield {"type": "response.content_part.done", **place, "part": part}
        yield {"type": "response.output_item.done", "output_index": at, "item": item}
    yield {"type": "response.completed", "response": reply}


class _Events:
    """Waits for the event that holds the whole reply."""

    def __init__(self) -> None:
        self._reply: Json | None = None
        self._has_failed = False

    def add(self, data: str) -> bool:
        made = object_of(data)
        self._has_failed |= made.get("type") in _FAILURES or not is_empty([made.get("error")])
        if made.get("type") != "response.completed":
            return False
        self._reply = as_dict(made.get("response")) or None
        return True

    def reply(self) -> Json | None:
        return None if self._has_failed else self._reply
