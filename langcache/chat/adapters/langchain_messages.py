"""LangChain's messages and replies, as the adapter asks and stores them."""

from __future__ import annotations

import ast
import functools
import json
import re
import uuid
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.utils.function_calling import convert_to_openai_tool

from .asking import Reply

__all__ = ["generation", "message", "question", "question_of_agent", "reply_of_agent", "reply_of_generation"]

_NOT_ASKED = {  # by the reason not to ask the cache, what the settings of a model show
    "schema class": r"<class '|<[^<>]+ at 0x[0-9a-fA-F]+>",  # another of that name is shown alike
    "several answers": r"""["'](?:n|best_of|candidate_count)["'][:,] (?:[2-9]|[1-9]\d)""",
    "logprobs": r"""["'](?:top_)?logprobs["'][:,] (?:[Tt]rue|[1-9])""",
    "kept by provider": r"""["'](?:previous_response_id|conversation)["'][:,] (?!None|null)""",
}
_NOT_ASKED_FOR = [(reason, re.compile(shown)) for reason, shown in _NOT_ASKED.items()]

_ENDINGS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "status")
_COMPLETE = {"stop", "stop_sequence", "end_turn", "eos", "eos_token", "complete", "completed", "finished"}
_KEPT = ("model_name", "model", "model_provider", *_ENDINGS)
_NOT_STORED = ("tool_calls", "function_call", "refusal", "audio", "parsed")
_THOUGHTS = ("reasoning", "thinking", "redacted_thinking", "reasoning_content")

_OF_THE_CALL = {
    *("_type", "stop", "stream", "tools", "tool_choice", "parallel_tool_calls", "strict"),
    *("functions", "function_call", "response_format", "ls_structured_output_format", "metadata", "user"),
    *("temperature", "top_p", "max_tokens", "seed"),
}
_OF_ALL_MODELS = set(BaseChatModel.model_fields) - {"output_version"}

Asked = tuple[list[dict[str, Any]], "dict[str, Any] | str"]


def question(prompt: str, llm_string: str) -> Asked:
    """The messages of a prompt, and what else the answer depends on, or the reason not to ask the cache.

    Args:
        prompt: the JSON of messages, or the text that an LLM is asked.
        llm_string: the model and its settings, as LangChain writes them.
    """
    dumped = _dumped(prompt)
    messages = [{"role": "user", "content": prompt}] if dumped is None else _plain(dumped)
    if messages is None:
        return [], "unknown message"
    if _names_no_settings(llm_string):
        return [], "unknown settings"
    return messages, _not_asked_for(llm_string) or {"llm": llm_string, "chat": dumped is not None}


def question_of_agent(request: Any) -> Asked:
    """As `question`, of an agent's ``ModelRequest``."""
    if request.response_format is not None:
        return [], "schema class"
    system = [] if request.system_message is None else [request.system_message]
    messages = _plain(json.loads(dumps([*system, *request.messages])))
    if messages is None:
        return [], "unknown message"
    if not isinstance(request.model, BaseChatModel):
        return [], "unknown model"
    llm = request.model._get_llm_string(**request.model_settings)
    tools = [each if isinstance(each, dict) else convert_to_openai_tool(each) for each in request.tools]
    others = {"llm": llm, "agent_tools": tools, "tool_choice": request.tool_choice}
    if _names_no_settings(llm):
        others["model"] = _fields_of(request.model)
    return messages, _not_asked_for(llm) or others


def _not_asked_for(llm_string: str) -> str | None:
    return next((reason for reason, shown in _NOT_ASKED_FOR if shown.search(llm_string)), None)


def _names_no_settings(llm_string: str) -> bool:
    """Whether a model and its settings are written with no setting that is of the model.

    Of a class that doesn't define ``_identifying_params``, LangChain writes the ``_type`` and what is given
    with the call: two models with other settings look alike.
    """
    if not llm_string.startswith("[("):
        return False  # the JSON of a model that LangChain can write whole
    try:
        names = {pair[0] for pair in ast.literal_eval(llm_string)}
    except (ValueError, SyntaxError, TypeError, IndexError, RecursionError, MemoryError):  # an object's repr
        names = set(re.findall(r"\('(\w+)', ", llm_string))
    return "_type" in names and names <= _OF_THE_CALL


def _fields_of(model: BaseChatModel) -> dict[str, Any]:
    """The settings of a model by its fields, without those that all models have; not all may be JSON."""
    cls = type(model)
    fields = {name: value for name, value in vars(model).items() if name not in _OF_ALL_MODELS}
    fields = {name: value for name, value in fields.items() if not _is_computed(getattr(cls, name, None))}
    inner = [model.__pydantic_extra__ or {}, model.__pydantic_private__ or {}]
    return {"class": f"{cls.__module__}.{cls.__qualname__}", "fields": fields, "inner": inner}


def _is_computed(attribute: Any) -> bool:
    return isinstance(attribute, functools.cached_property)


def _dumped(prompt: str) -> list[Any] | None:
    """The messages in a prompt, as LangChain dumps them; None if it is the text for an LLM.

    Read as plain JSON: to make LangChain's objects of it would let a prompt make objects.
    """
    if not prompt.startswith('[{"lc": '):
        return None
    try:
        return list(json.loads(prompt))
    except (ValueError, RecursionError):
        return None


def _plain(dumped: list[Any]) -> list[dict[str, Any]] | None:
    """The messages as dicts with ``role`` and ``content``; None if one of them can't be read."""
    messages: list[dict[str, Any]] = []
    for each in dumped:
        fields = each.get("kwargs") if isinstance(each, dict) and each.get("type") == "constructor" else None
        if not isinstance(fields, dict):
            return None
        kind = fields.pop("type", None)
        role = fields.pop("role", kind) if kind == "chat" else kind
        if not isinstance(role, str):
            return None
        for name in ("id", "usage_metadata", "response_metadata"):  # of one request
            fields.pop(name, None)
        kept = {name: value for name, value in fields.items() if value not in ([], {})}
        messages.append({**kept, "role": role})
    return messages


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


def generation(asked: Any, prompt: str) -> Generation:
    """The answer of a hit, of the kind that the prompt is answered with."""
    if _dumped(prompt) is None:
        return Generation(text=asked.value.content)
    return ChatGeneration(message=message(asked))


def message(asked: Any) -> AIMessage:
    """The message of a hit, with an id of its own and no tokens used."""
    found = {"similarity": asked.similarity, "entry": asked.entry.id}
    return AIMessage(
        content=asked.value.content,
        id=f"langcache-{uuid.uuid4()}",
        response_metadata={**asked.value.details, "langcache": found},
        usage_metadata={"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
    )
