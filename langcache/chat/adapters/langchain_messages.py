"""LangChain's messages and models, as the adapter asks about them."""

from __future__ import annotations

import ast
import functools
import json
import re
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumps
from langchain_core.utils.function_calling import convert_to_openai_tool

__all__ = ["Question", "dumped_messages", "question", "question_of_agent"]

_NOT_ASKED = {  # by the reason not to ask the cache, what the settings of a model show
    "schema class": r"<class '|<[^<>]+ at 0x[0-9a-fA-F]+>",  # another of that name is shown alike
    "several answers": r"""["'](?:n|best_of|candidate_count)["'][:,] (?:[2-9]|[1-9]\d)""",
    "logprobs": r"""["'](?:top_)?logprobs["'][:,] (?:[Tt]rue|[1-9])""",
    "kept by provider": r"""["'](?:previous_response_id|conversation)["'][:,] (?!None|null)""",
}
_NOT_ASKED_FOR = [(reason, re.compile(shown)) for reason, shown in _NOT_ASKED.items()]

_OF_THE_CALL = {
    *("_type", "stop", "stream", "tools", "tool_choice", "parallel_tool_calls", "strict"),
    *("functions", "function_call", "response_format", "ls_structured_output_format", "metadata", "user"),
    *("temperature", "top_p", "max_tokens", "seed"),
}
_OF_ALL_MODELS = set(BaseChatModel.model_fields) - {"output_version"}

Question = tuple[list[dict[str, Any]], "dict[str, Any] | str"]


def question(prompt: str, llm_string: str) -> Question:
    """The messages of a prompt, and what else the answer depends on, or the reason not to ask the cache.

    Args:
        prompt: the JSON of messages, or the text that an LLM is asked.
        llm_string: the model and its settings, as LangChain writes them.
    """
    dumped = dumped_messages(prompt)
    messages = [{"role": "user", "content": prompt}] if dumped is None else _plain(dumped)
    if messages is None:
        return [], "unknown message"
    if _names_no_settings(llm_string):
        return [], "unknown settings"
    return messages, _not_asked_for(llm_string) or {"llm": llm_string, "chat": dumped is not None}


def question_of_agent(request: Any) -> Question:
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


def dumped_messages(prompt: str) -> list[Any] | None:
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
