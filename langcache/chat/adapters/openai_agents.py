"""OpenAI Agents: models, and a provider of them, that ask a cache first. Extra: openai-agents."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from .asking import AdapterOptions, AnyCache, Asking, missing

try:
    from agents import Model, ModelProvider, ModelResponse, OpenAIResponsesModel, Usage
    from agents.tool import FunctionTool
    from openai.types.responses import ResponseCompletedEvent

    from .openai_replies import events_of, message_of, reply_of, response_of
except ImportError as _error:
    raise missing("openai-agents", _error) from _error

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["LangCacheModel", "LangCacheModelProvider"]

_NOT_OF_THE_ANSWER = frozenset(
    {"metadata", "timeout", "retry", "include_usage", "preserve_raw_usage"}
    | {"prompt_cache_retention", "prompt_cache_options"}
)


class LangCacheModel(Model):
    """A model for ``Agent(model=...)`` that asks a cache before another model.

    The question is the last text of the user. The model, its place, settings, instructions, tools, handoffs
    and output type are hashed into one attribute. Calls of tools and handoffs are not stored.

    The cache is asked only for the SDK's models of the Responses API with ``ModelSettings(store=False)``:
    other models don't say whether an answer was cut off, and what the provider keeps can be continued by its
    id. For Chat Completions, give the model an ``AsyncOpenAI`` with ``langcache.http.cached_http``.

    Args:
        model: the model that answers what the cache does not.
        cache: an `AsyncLangCache`; or a `LangCache`, which is asked in a thread.
        **options: see `langcache.chat.adapters.AdapterOptions`. ``when`` and ``attributes`` are called with
            the arguments of ``get_response``, as a dict.

    Raises:
        TypeError, ValueError: an argument breaks a rule.
    """

    def __init__(self, model: Model, cache: AnyCache, **options: Unpack[AdapterOptions]) -> None:
        if not isinstance(model, Model):
            raise TypeError(f"model: must be a Model of openai-agents, but is {type(model).__name__}")
        self.model = model
        self._asking = Asking("openai-agents", cache, None, options)

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """The model's response, or one from the cache."""
        call = _arguments(args, kwargs)
        outcome = await self._asking.look_up(call, *self._question(call))
        if outcome.hit:
            return ModelResponse(output=[message_of(outcome)], usage=Usage(), response_id=None)
        response = await self.model.get_response(*args, **kwargs)
        await self._store(outcome, response)
        return response

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """The events of the model, or those of an answer from the cache."""
        call = _arguments(args, kwargs)
        outcome = await self._asking.look_up(call, *self._question(call))
        if outcome.hit:
            for event in events_of(outcome):
                yield event
            return
        events: Any = self.model.stream_response(*args, **kwargs)
        try:
            async for event in events:
                if isinstance(event, ResponseCompletedEvent):  # after which some stop to read
                    await self._store(outcome, response_of(event.response))
                yield event
        finally:
            if hasattr(events, "aclose"):  # an iterator of a model need not be a generator
                await events.aclose()

    async def close(self) -> None:
        """Close the model; the cache stays open."""
        await self.model.close()

    def get_retry_advice(self, request: Any) -> Any:
        """That of the model."""
        return self.model.get_retry_advice(request)

    async def _cleanup_on_run_end(self, owner: object) -> None:
        cleanup = getattr(self.model, "_cleanup_on_run_end", None)
        if cleanup is not None:
            await cleanup(owner)

    def _question(self, call: dict[str, Any]) -> tuple[Any, dict[str, Any] | str]:
        """The messages, and what else the answer depends on; or the reason not to ask the cache."""
        given = call["input"]
        messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
        settings = call["model_settings"]
        if not isinstance(self.model, OpenAIResponsesModel):
            return [], "ending not known"
        if any(call.get(name) for name in ("previous_response_id", "conversation_id", "prompt")):
            return [], "kept by provider"
        if settings.store is not False:  # a later call may go on from its id
            return [], "kept by provider"
        if settings.top_logprobs:
            return [], "logprobs"
        if not all(isinstance(tool, FunctionTool) for tool in call["tools"]):
            return [], "tool of the provider"
        schema = call["output_schema"]
        is_text = schema is None or schema.is_plain_text()
        return messages, {
            "model": str(getattr(self.model, "model", "")),
            "place": str(getattr(getattr(self.model, "_client", None), "base_url", "")),
            "system": call["system_instructions"],
            "tools": [_shown(each, *_OF_TOOL) for each in call["tools"]],
            "handoffs": [_shown(each, *_OF_HANDOFF) for each in call["handoffs"]],
            "output": None
            if is_text
            else [schema.name(), schema.json_schema(), schema.is_strict_json_schema()],
            "settings": _settings(settings),
        }

    async def _store(self, outcome: Any, response: ModelResponse) -> None:
        reply = reply_of(response, str(getattr(self.model, "model", "")))
        if reply is not None:
            await self._asking.store(outcome, reply)


class LangCacheModelProvider(ModelProvider):
    """A provider for ``RunConfig(model_provider=...)`` whose models are each a `LangCacheModel`.

    Args:
        provider: makes the models that answer what the cache does not, ``MultiProvider()`` for example.
        cache, options: as for `LangCacheModel`.

    Raises:
        TypeError, ValueError: an argument breaks a rule.
    """

    def __init__(self, provider: ModelProvider, cache: AnyCache, **options: Unpack[AdapterOptions]) -> None:
        if not isinstance(provider, ModelProvider):
            raise TypeError(
                f"provider: must be a ModelProvider of openai-agents, but is {type(provider).__name__}"
            )
        Asking("openai-agents", cache, None, options)  # which checks them
        self.provider = provider
        self._cache = cache
        self._options = options

    def get_model(self, model_name: str | None) -> Model:
        """The model of this name, behind the cache."""
        return LangCacheModel(self.provider.get_model(model_name), self._cache, **self._options)

    async def aclose(self) -> None:
        """Close the provider; the cache stays open."""
        await self.provider.aclose()


_PARAMETERS = (
    "system_instructions",
    "input",
    "model_settings",
    "tools",
    "output_schema",
    "handoffs",
    "tracing",
)
_OF_TOOL = ("name", "description", "params_json_schema", "strict_json_schema")
_OF_HANDOFF = ("tool_name", "tool_description", "input_json_schema", "strict_json_schema")


def _arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**dict(zip(_PARAMETERS, args, strict=False)), **kwargs}


def _shown(tool: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(tool, name) for name in names}


def _settings(settings: Any) -> dict[str, Any]:
    values = {each.name: getattr(settings, each.name) for each in dataclasses.fields(settings)}
    return {
        name: value for name, value in values.items() if name not in _NOT_OF_THE_ANSWER and value is not None
    }
