"""LangChain's replies, as the adapter stores them and gives them again."""

from __future__ import annotations

import uuid
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, Generation

from .asking import Reply
from .langchain_messages import dumped_messages

__all__ = ["generation", "message", "reply_of_agent", "reply_of_generation"]

_ENDINGS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "status")
_COMPLETE = {"stop", "stop_sequence", "end_turn", "eos", "eos_token", "complete", "completed", "finished"}
_KEPT = ("model_name", "model", "model_provider", *_ENDINGS)
_NOT_STORED = ("tool_calls", "function_call", "refusal", "audio", "parsed")
_THOUGHTS = ("reasoning", "thinking", "redacted_thinking", "reasoning_content")


def reply_of_generation(given: Generation) -> Reply | None:
    """What to store of a model's answer; None if it may not be stored."""
    if isinstance(given, ChatGeneration):
        return _reply(given.message)
    if not given.text or not _is_complete(given.generation_info or {}):
        return None
    return Reply(given.text)


def reply_of_agent(response: Any) -> Reply | None:
    """What to store of what an agent's model answered; None if it may not be stored."""
    if not isinstance(getattr(response, "result", None), list) or response.structured_response is not None:
        return None
    return _reply(response.result[0]) if len(response.result) == 1 else None


def _reply(given: BaseMessage) -> Reply | None:
    if not isinstance(given, AIMessage) or given.tool_calls or given.invalid_tool_calls:
        return None
    metadata = given.response_metadata
    extras = [given.additional_kwargs.get(name) for name in _NOT_STORED]
    if not all(each in (None, "", []) for each in extras) or not _is_complete(metadata):
        return None
    content = _text_alone(given.content)
    if not content:
        return None
    usage: Any = given.usage_metadata or {}
    cached = (usage.get("input_token_details") or {}).get("cache_read") or 0
    return Reply(
        content,
        metadata.get("model_name") or metadata.get("model"),
        {name: metadata[name] for name in _KEPT if isinstance(metadata.get(name), str)},
        max(usage["input_tokens"] - cached, 0) if usage else None,
        usage["output_tokens"] if usage else None,
    )


def _is_complete(metadata: dict[str, Any]) -> bool:
    """Whether a reply ended by itself. Models for tests, and some that run here, say nothing at all."""
    endings = [metadata[name] for name in _ENDINGS if metadata.get(name) is not None]
    return all(str(each).lower() in _COMPLETE for each in endings) and bool(endings or not metadata)


def _text_alone(content: Any) -> str | list[Any] | None:
    """The content without thoughts and ids; None if there is more than text."""
    if isinstance(content, str):
        return content
    parts: list[Any] = []
    for part in content:
        kind = "text" if isinstance(part, str) else part.get("type")
        if kind in _THOUGHTS:
            continue
        if kind != "text":
            return None
        if isinstance(part, dict):
            part = {name: part[name] for name in ("type", "text", "annotations") if part.get(name)}
            if "text" not in part:
                continue
        parts.append(part)
    return parts


def generation(outcome: Any, prompt: str) -> Generation:
    """The answer of a hit, of the kind that the prompt is answered with."""
    if dumped_messages(prompt) is None:
        return Generation(text=outcome.value.content)
    return ChatGeneration(message=message(outcome))


def message(outcome: Any) -> AIMessage:
    """The message of a hit, with an id of its own and no tokens used."""
    found = {"similarity": outcome.similarity, "entry": outcome.entry.id}
    return AIMessage(
        content=outcome.value.content,
        id=f"langcache-{uuid.uuid4()}",
        response_metadata={**outcome.value.details, "langcache": found},
        usage_metadata={"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
    )
