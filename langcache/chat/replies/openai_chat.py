"""Replies of OpenAI's chat completions, and of all who offer the same."""

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

__all__ = ["OpenAIChat"]

_COMMON = ("id", "created", "model", "service_tier", "system_fingerprint", "provider")
"""What replies and chunks have in common."""

_REPLY = frozenset((*_COMMON, "object", "choices", "usage"))
"""What is kept of a reply."""

_BESIDES = (
    *REPEATED,
    *("obfuscation", "prompt_filter_results"),  # of OpenAI, and of Azure
    *("x_groq", "timings", "time_info", "perf_metrics"),
)
"""What else a reply or a chunk may have, of one provider or another: figures, and what filters found."""

_CHOICE = ("index", "message", "finish_reason", "logprobs")
"""What is kept of a choice."""

_CHUNK_CHOICE = frozenset((*_CHOICE[2:], "index"))
"""What is read of a choice in a chunk, besides its delta."""

_BESIDES_CHOICE = (
    *("content_filter_results", "content_filter_offsets"),
    *("native_finish_reason", "stop_reason", "matched_stop", "seed", "usage"),
)
"""What else a choice may have, of one provider or another."""

_MESSAGE = ("role", "content", "refusal", "annotations")
"""What is kept of a message."""

_THOUGHTS = ("reasoning", "reasoning_content", "reasoning_details")
"""What some call the thoughts, in messages and in chunks."""

_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


class OpenAIChat:
    """A `ReplyFormat`."""

    def kept(self, reply: Json) -> Json | None:
        choices = as_list(reply.get("choices"))
        choice = as_dict(choices[0]) if len(choices) == 1 else {}
        message = as_dict(choice.get("message"))
        content = message.get("content")
        kept_reply = known(reply, _REPLY, _BESIDES)
        kept_choice = known(choice, _CHOICE, _BESIDES_CHOICE)
        others = (
            value
            for name, value in message.items()
            if name not in ("role", "content") and name not in _THOUGHTS
        )
        if (
            kept_reply is None
            or kept_choice is None
            or choice.get("finish_reason") != "stop"
            or not isinstance(content, str)
            or not content.strip()
            or not is_empty(others)
            or not is_empty([choice.get("logprobs")])
        ):
            return None
        kept_message = {name: message[name] for name in _MESSAGE if name in message}
        return {**kept_reply, "choices": [{**kept_choice, "message": kept_message}]}

    def usage(self, reply: Json) -> Usage:
        usage = as_dict(reply.get("usage"))
        given, cached = (
            count(usage, "prompt_tokens"),
            count(as_dict(usage.get("prompt_tokens_details")), "cached_tokens"),
        )
        return Usage(
            None if given is None else max(given - (cached or 0), 0),
            count(usage, "completion_tokens"),
            name_of(reply.get("model")),
        )

    def text(self, reply: Json) -> str:
        return str(reply["choices"][0]["message"]["content"])

    def replayed(self, kept: Json, body: Mapping[str, Any], now: int) -> Json:
        usage = zeroed(as_dict(kept.get("usage"))) or dict(_USAGE)
        return {**kept, "id": new_id("chatcmpl-"), "created": now, "usage": usage}

    def events(self, reply: Json, body: Mapping[str, Any]) -> Iterator[bytes]:
        choice = reply["choices"][0]
        message = choice["message"]
        wants_usage = as_dict(body.get("stream_options")).get("include_usage") is True
        common: Json = {name: reply[name] for name in _COMMON if name in reply}
        common["object"] = "chat.completion.chunk"
        if wants_usage:
            common["usage"] = None

        def chunk(delta: Json, reason: str | None = None) -> bytes:
            part = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
            return event({**common, "choices": [part]})

        yield chunk({"role": message.get("role", "assistant"), "content": ""})
        yield chunk({"content": message["content"]})
        yield chunk({}, "stop")
        if wants_usage:
            yield event({**common, "choices": [], "usage": reply["usage"]})
        yield b"data: [DONE]\n\n"

    def collector(self) -> _Chunks:
        return _Chunks()


class _Chunks:
    """Collects chunks of a chat completion."""

    def __init__(self) -> None:
        self._reply: Json = {"object": "chat.completion", "usage": None}
        self._message: Json = {"role": "assistant", "content": "", "refusal": None}
        self._content: list[str] = []
        self._reason: object = None
        self._is_understood = True
        self._is_done = False
        self._before: Json | None = None
        """The chunk before, without its delta."""

    def add(self, data: str) -> bool:
        if data.startswith("[DONE]"):
            self._is_done = True
            return True
        chunk = object_of(data)
        choices = as_list(chunk.get("choices"))
        if "choices" not in chunk or len(choices) > 1:
            self._is_understood = False
            return False
        delta = as_dict(as_dict(choices[0]).pop("delta", None)) if choices else {}
        if isinstance(chunk.get("obfuscation"), str):
            del chunk["obfuscation"]  # another in each chunk
        if chunk != self._before:  # in most replies all but the first and the last are alike beside the text
            self._before = chunk
            self._add_fields(chunk, choices)
        for name, value in delta.items():
            if name == "content" and isinstance(value, str):
                self._content.append(value)
            elif name == "content" and value is not None:
                self._is_understood = False
            elif not is_empty([value]):
                self._message[name] = value  # and if it is unknown, the reply is not kept
        return False

    def _add_fields(self, chunk: Json, choices: list[Any]) -> None:
        """Add all of a chunk but its delta. To add the same again changes nothing."""
        self._is_understood &= is_known(chunk, _REPLY, _BESIDES)
        for name in _COMMON:
            if chunk.get(name):  # some send an empty chunk first
                self._reply[name] = chunk[name]
        if isinstance(chunk.get("usage"), dict):
            self._reply["usage"] = chunk["usage"]
        for choice in map(as_dict, choices):
            reason = choice.get("finish_reason") or self._reason
            self._is_understood &= (
                choice.get("index", 0) == 0
                and is_empty([choice.get("logprobs")])
                and is_known(choice, _CHUNK_CHOICE, _BESIDES_CHOICE)
                and self._reason in (None, reason)  # two reasons contradict each other
            )
            self._reason = reason

    def reply(self) -> Json | None:
        if not (self._is_understood and self._is_done):
            return None
        message = {**self._message, "content": "".join(self._content)}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._reason}
        reply = {**self._reply, "choices": [choice]}
        if reply["usage"] is None:
            del reply["usage"]  # it was not asked for: unknown, and not 0
        return reply
