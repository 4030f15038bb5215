"""Pydantic AI: a capability that answers an agent's first question from a cache. Extra: pydantic-ai."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

from .asking import AdapterOptions, AnyCache, Asking, Reply, missing

try:
    from pydantic_ai import RunContext
    from pydantic_ai.capabilities import AbstractCapability, CapabilityOrdering
    from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelResponse, TextPart, ThinkingPart
    from pydantic_ai.models import ModelRequestContext
    from pydantic_core import PydanticSerializationError, to_jsonable_python
except ImportError as _error:
    raise missing("pydantic-ai", _error) from _error

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from typing_extensions import Unpack

__all__ = ["LangCacheCapability"]

_OF_ONE_REQUEST = frozenset(
    {"timestamp", "run_id", "conversation_id", "metadata", "usage", "state", "dynamic_ref", "context_id"}
    | {"provider_response_id", "history_digest", "failed_attempts", "workspace_ref", "kind", "model_id"}
)
_NOT_OF_THE_ANSWER = frozenset({"timeout"})
_PROVIDER_KEEPS = ("previous_response_id", "conversation_id")
_TEXTS = {"text", "text-content"}
_FOR_TESTS = {"test", "function"}  # models that never say how an answer ended


class LangCacheCapability(AbstractCapability[Any]):
    """For ``Agent(capabilities=[...])``: asks a cache the first question of a conversation.

    The question is the last text of the user's prompt. The model, its settings, instructions, tools, output
    types and all else that is sent are hashed into one attribute. Answers that call tools, structured
    output by tools among them, are not stored; nor are streams that are left before their end. A request
    that another capability changes while it is made is not stored, and so never found.

    Args:
        cache: an `AsyncLangCache`; or a `LangCache`, which is asked in a thread.
        **options: see `langcache.chat.adapters.AdapterOptions`. ``when`` and ``attributes`` are called with
            the ``RunContext``.

    Raises:
        TypeError, ValueError: an argument breaks a rule.
    """

    def __init__(self, cache: AnyCache, **options: Unpack[AdapterOptions]) -> None:
        self._asking = Asking("pydantic-ai", cache, None, options)
        self._answered: ModelResponse | None = None

    def get_ordering(self) -> CapabilityOrdering:
        """Innermost, so that it sees the request after other capabilities, and the response before them."""
        return CapabilityOrdering(position="innermost")

    async def for_run(self, ctx: RunContext[Any]) -> LangCacheCapability:
        """A copy, since it keeps the response of the request that is being made."""
        return copy(self)

    async def wrap_model_request(
        self,
        ctx: RunContext[Any],
        *,
        request_context: ModelRequestContext,
        handler: Callable[[ModelRequestContext], Awaitable[ModelResponse]],
    ) -> ModelResponse:
        """The model's response, or one from the cache."""
        messages, others = _question(request_context)
        outcome = await self._asking.look_up(ctx, messages, others)
        if outcome.hit:
            return _response(outcome)
        self._answered = None
        response = await handler(request_context)
        answered = self._answered or response  # what the model answered, before other capabilities
        if answered is response and (messages, others) == _question(request_context):
            reply = _reply(response, request_context.model.system)
            if reply is not None:
                await self._asking.store(outcome, reply)
        return response

    async def after_model_request(
        self, ctx: RunContext[Any], *, request_context: ModelRequestContext, response: ModelResponse
    ) -> ModelResponse:
        """Called first of all capabilities; the response stays as it is."""
        self._answered = response
        return response


def _question(request: ModelRequestContext) -> tuple[list[dict[str, Any]], dict[str, Any] | str]:
    """The messages, and what else the answer depends on; or the reason not to ask the cache."""
    settings = {
        name: value
        for name, value in (request.model_settings or {}).items()
        if name not in _NOT_OF_THE_ANSWER and value is not None
    }
    if any(name.endswith(_PROVIDER_KEEPS) for name in settings):
        return [], "kept by provider"
    model = request.model
    others = {
        "model": [type(model).__qualname__, model.system, model.model_name],
        "place": model.base_url,
        "settings": settings,
        "of_model": dict(model.settings or {}),
        "parameters": _public_fields(request.model_request_parameters),
    }
    try:
        dumped = ModelMessagesTypeAdapter.dump_python(request.messages, mode="json")
        return [message for each in dumped for message in _plain(each)], to_jsonable_python(others)
    except (PydanticSerializationError, ValueError):
        return [], "not JSON"


def _public_fields(parameters: Any) -> dict[str, Any]:
    values = {each.name: getattr(parameters, each.name) for each in dataclasses.fields(parameters)}
    return {
        name: sorted(value) if isinstance(value, set) else value
        for name, value in values.items()
        if not name.startswith("_")
    }


def _plain(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A request or a response as messages with ``role`` and ``content``."""
    about = {name: value for name, value in message.items() if name not in _OF_ONE_REQUEST | {"parts"}}
    if message["kind"] == "response":
        parts = [_without(part, {"id", "tool_call_id"}) for part in message["parts"]]
        return [{**about, "role": "assistant", "content": parts}]
    plain: list[dict[str, Any]] = []
    for part in message["parts"]:
        kind = part["part_kind"]
        role = {"user-prompt": "user", "system-prompt": "system"}.get(kind)
        if role is None and kind.startswith(("instruction", "model-settings", "tool-availability")):
            role = "system"
        fields = _without(part, {"content", "part_kind"})
        if role == "user":
            content = part["content"]
            fields["content"] = content if isinstance(content, str) else [_item(each) for each in content]
        elif role == "system":
            fields["content"] = [{"type": kind, "content": part.get("content")}]
        else:
            role, fields["content"] = "tool", [{"type": kind, "content": part.get("content")}]
        plain.append({**fields, "role": role})
    if about.get("instructions"):
        plain.insert(0, {"role": "system", "content": about["instructions"]})
    return plain


def _item(item: Any) -> dict[str, Any]:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if item.get("kind") in _TEXTS:
        return {"type": "text", "text": item["content"]}
    return {"type": item["kind"], **_without(item, {"kind"})}


def _without(fields: Mapping[str, Any], left_out: set[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _OF_ONE_REQUEST | left_out}


def _reply(response: ModelResponse, system: str) -> Reply | None:
    """What to store of a response; None if it may not be stored."""
    if response.state != "complete" or response.finish_reason not in (None, "stop"):
        return None
    if system not in _FOR_TESTS and not (response.provider_details or {}).get("finish_reason"):
        return None  # it is said to be complete, but not by the provider
    texts = [part for part in response.parts if isinstance(part, TextPart)]
    only_text = all(isinstance(part, TextPart | ThinkingPart) for part in response.parts)
    if not only_text:
        return None
    contents = [part.content for part in texts if part.content]
    if not contents:
        return None
    usage = response.usage
    known = usage.has_values()
    return Reply(
        contents,
        response.model_name,
        {"provider": response.provider_name, "finish": response.finish_reason},
        max(usage.input_tokens - usage.cache_read_tokens, 0) if known else None,
        usage.output_tokens if known else None,
    )


def _response(outcome: Any) -> ModelResponse:
    """The response of a hit, without ids, and without tokens used."""
    details = outcome.value.details
    return ModelResponse(
        parts=[TextPart(text) for text in outcome.value.content],
        model_name=outcome.value.model,
        provider_name=details.get("provider"),
        finish_reason=details.get("finish"),
        metadata={"langcache": {"similarity": outcome.similarity, "entry": outcome.entry.id}},
    )
