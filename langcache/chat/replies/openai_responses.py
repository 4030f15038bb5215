"""Replies of OpenAI's Responses API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...aside.usage import Usage
from .format import Json, as_dict, as_list, count, event, is_empty, name_of, new_id, zeroed
from .reading import object_of

__all__ = ["OpenAIResponses"]

_REPEATED = (
    *("instructions", "metadata", "user", "safety_identifier"),
    *("prompt_cache_key", "prompt_cache_retention"),
)
"""What a reply repeats of its request, which is another user's request for a hit."""

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
        if (
            reply.get("object") != "response"
            or reply.get("status") != "completed"
            or reply.get("store") is not False
            or not is_empty(reply.get(name) for name in ("error", "incomplete_details", "conversation"))
            or not all(map(_is_plain, messages))
        ):
            return None
        kept = {name: None if name in _REPEATED else value for name, value in reply.items()}
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
        item.get("type") == "message"
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

    def add(self, data: str) -> bool:
        made = object_of(data)
        if made.get("type") != "response.completed":
            return False
        self._reply = as_dict(made.get("response")) or None
        return True

    def reply(self) -> Json | None:
        return self._reply
