"""Replies of Anthropic's Messages API."""

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

__all__ = ["AnthropicMessages"]

_REPLY = ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage")
"""What is kept of a reply."""

_EVENT = ("type", "index", "message", "content_block", "delta", "usage")
"""What events may have."""

_THOUGHTS = ("thinking", "redacted_thinking")
_USAGE = {"input_tokens": 0, "output_tokens": 0}


class AnthropicMessages:
    """A `ReplyFormat`."""

    def kept(self, reply: Json) -> Json | None:
        blocks = [as_dict(block) for block in as_list(reply.get("content"))]
        texts = [block for block in blocks if block.get("type") not in _THOUGHTS]
        kept = known(reply, _REPLY, REPEATED)
        if (
            kept is None
            or reply.get("type") != "message"
            or reply.get("stop_reason") not in ("end_turn", "stop_sequence")
            or not all(map(_is_plain, texts))
        ):
            return None
        kept["content"] = texts
        return kept if self.text(kept).strip() else None

    def usage(self, reply: Json) -> Usage:
        usage = as_dict(reply.get("usage"))
        return Usage(count(usage, "input_tokens"), count(usage, "output_tokens"), name_of(reply.get("model")))

    def text(self, reply: Json) -> str:
        return "".join(block["text"] for block in reply["content"])

    def replayed(self, kept: Json, body: Mapping[str, Any], now: int) -> Json:
        usage = zeroed(as_dict(kept.get("usage"))) or dict(_USAGE)
        return {**kept, "id": new_id("msg_"), "usage": usage}

    def events(self, reply: Json, body: Mapping[str, Any]) -> Iterator[bytes]:
        started: Json = {**reply, "content": [], "stop_reason": None, "stop_sequence": None}
        yield _event("message_start", message=started)
        for index, block in enumerate(reply["content"]):
            yield _event("content_block_start", index=index, content_block={**block, "text": ""})
            delta = {"type": "text_delta", "text": block["text"]}
            yield _event("content_block_delta", index=index, delta=delta)
            yield _event("content_block_stop", index=index)
        ending = {name: reply.get(name) for name in ("stop_reason", "stop_sequence")}
        yield _event("message_delta", delta=ending, usage=reply["usage"])
        yield _event("message_stop")

    def collector(self) -> _Events:
        return _Events()


def _is_plain(block: Json) -> bool:
    """Whether a block is text alone, without citations."""
    others = (value for name, value in block.items() if name not in ("type", "text"))
    return block.get("type") == "text" and isinstance(block.get("text"), str) and is_empty(others)


def _event(kind: str, **data: Any) -> bytes:
    return event({"type": kind, **data}, kind)


class _Events:
    """Collects the events of a message."""

    def __init__(self) -> None:
        self._message: Json = {}
        self._blocks: dict[int, Json] = {}
        self._texts: dict[int, list[str]] = {}
        self._is_understood = True
        self._is_done = False

    def add(self, data: str) -> bool:
        made = object_of(data)
        kind = made.get("type")
        self._is_understood &= is_known(made, _EVENT, REPEATED)
        if kind == "message_start":
            self._is_understood &= not self._message
            self._message = dict(as_dict(made.get("message")))
        elif kind == "content_block_start":
            self._is_understood &= made.get("index", 0) not in self._blocks
            self._blocks[made.get("index", 0)] = dict(as_dict(made.get("content_block")))
        elif kind == "content_block_delta":
            self._add_delta(made.get("index", 0), as_dict(made.get("delta")))
        elif kind == "message_delta":
            ending, reason = as_dict(made.get("delta")), self._message.get("stop_reason")
            self._is_understood &= (
                is_known(ending, ("stop_reason", "stop_sequence"))
                and reason in (None, ending.get("stop_reason", reason))  # two contradict each other
            )
            usage = {**as_dict(self._message.get("usage")), **as_dict(made.get("usage"))}
            self._message |= {**ending, "usage": usage}
        elif kind == "message_stop":
            self._is_done = True
        elif kind not in ("ping", "content_block_stop"):
            self._is_understood = False
        return self._is_done

    def _add_delta(self, index: int, delta: Json) -> None:
        kind = self._blocks.get(index, {}).get("type")
        if kind == "text" and delta.get("type") == "text_delta":
            self._is_understood &= is_known(delta, ("type", "text"))
            self._texts.setdefault(index, []).append(str(delta.get("text", "")))
        elif kind not in _THOUGHTS:  # which are not kept
            self._is_understood = False

    def reply(self) -> Json | None:
        if not (self._is_done and self._is_understood):
            return None
        for index, texts in self._texts.items():
            self._blocks[index]["text"] = "".join([str(self._blocks[index].get("text", "")), *texts])
        self._texts.clear()
        return {**self._message, "content": [block for _, block in sorted(self._blocks.items())]}
