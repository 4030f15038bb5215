"""Replies of Gemini, ``generateContent`` and ``streamGenerateContent?alt=sse``."""

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
    name_of,
    new_id,
    zeroed,
)
from .reading import object_of

__all__ = ["Gemini"]

_REPLY = ("candidates", "usageMetadata", "modelVersion", "responseId")
"""What is kept of a reply."""

_BESIDES = (*REPEATED, "promptFeedback", "createTime", "modelStatus")
"""What else a reply may have. A question that was blocked has no answer."""

_CANDIDATE = ("content", "finishReason", "index", "avgLogprobs", "tokenCount")
"""What is kept of a candidate. Sources and citations are not, and neither is an answer that has any."""

_BESIDES_CANDIDATE = ("safetyRatings",)

_USAGE = {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}


class Gemini:
    """A `ReplyFormat`."""

    def kept(self, reply: Json) -> Json | None:
        candidates = as_list(reply.get("candidates"))
        candidate = as_dict(candidates[0]) if len(candidates) == 1 else {}
        content = as_dict(candidate.get("content"))
        parts = [
            part for part in map(as_dict, as_list(content.get("parts"))) if part.get("thought") is not True
        ]
        texts = [part["text"] for part in parts if _is_text(part)]
        if (
            not _is_known(reply)
            or candidate.get("finishReason") != "STOP"
            or len(texts) < len(parts)
            or not "".join(texts).strip()
        ):
            return None
        whole = {"parts": [{"text": "".join(texts)}], "role": content.get("role", "model")}
        kept = {name: candidate[name] for name in _CANDIDATE if name in candidate}
        kept_reply = {name: reply[name] for name in _REPLY if name in reply}
        return {**kept_reply, "candidates": [{**kept, "content": whole}]}

    def usage(self, reply: Json) -> Usage:
        usage = as_dict(reply.get("usageMetadata"))
        given, answer = count(usage, "promptTokenCount"), count(usage, "candidatesTokenCount")
        return Usage(
            None if given is None else max(given - (count(usage, "cachedContentTokenCount") or 0), 0),
            None if answer is None else answer + (count(usage, "thoughtsTokenCount") or 0),
            name_of(reply.get("modelVersion")),
        )

    def text(self, reply: Json) -> str:
        return str(reply["candidates"][0]["content"]["parts"][0]["text"])

    def replayed(self, kept: Json, body: Mapping[str, Any], now: int) -> Json:
        usage = zeroed(as_dict(kept.get("usageMetadata"))) or dict(_USAGE)
        return {**kept, "responseId": new_id(""), "usageMetadata": usage}

    def events(self, reply: Json, body: Mapping[str, Any]) -> Iterator[bytes]:
        yield event(reply, end="\r\n")

    def collector(self) -> _Chunks:
        return _Chunks()


def _is_known(reply: Json) -> bool:
    """Whether a reply or a chunk has nothing that is not understood, apart from its parts."""
    candidates = [as_dict(candidate) for candidate in as_list(reply.get("candidates"))]
    return is_known(reply, _REPLY, _BESIDES) and all(
        is_known(candidate, _CANDIDATE, _BESIDES_CANDIDATE)
        and is_known(as_dict(candidate.get("content")), ("parts", "role"))
        for candidate in candidates
    )


def _is_text(part: Json) -> bool:
    """Whether a part is text alone. The signature of thoughts is no part of what is said."""
    others = (value for name, value in part.items() if name not in ("text", "thought", "thoughtSignature"))
    return isinstance(part.get("text"), str) and is_empty(others)


class _Chunks:
    """Collects chunks, each of which is a reply with a part of the answer."""

    def __init__(self) -> None:
        self._reply: Json = {}
        self._candidate: Json = {}
        self._parts: list[Any] = []
        self._is_understood = True

    def add(self, data: str) -> bool:
        chunk = object_of(data)
        candidates = as_list(chunk.get("candidates"))
        if "error" in chunk or not chunk or len(candidates) > 1 or not _is_known(chunk):
            self._is_understood = False  # whatever a later chunk says
        for candidate in map(as_dict, candidates):
            self._parts += as_list(as_dict(candidate.get("content")).get("parts"))
            reason = self._candidate.get("finishReason")
            self._candidate |= candidate
            self._is_understood &= reason is None or reason == self._candidate.get("finishReason")
        self._reply |= {name: value for name, value in chunk.items() if name != "candidates"}
        return False  # some models give the reason in every chunk: the last one is where the stream ends

    def reply(self) -> Json | None:
        if not self._is_understood or not self._candidate:
            return None
        content = {"parts": self._parts, "role": "model"}
        return {**self._reply, "candidates": [{**self._candidate, "content": content}]}
