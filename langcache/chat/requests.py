"""Requests to the APIs of providers: where the messages are, what counts, and which are never looked up."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from .messages import LEFT_OUT, NotAskedError, as_list, as_mapping, content_parts, without

__all__ = ["Api", "Request", "read_request", "tools_without_marks"]

Api: TypeAlias = Literal["openai.chat", "openai.responses", "anthropic.messages", "gemini"]
"""The APIs whose requests are understood."""


class Request(NamedTuple):
    """A request to a provider."""

    messages: Sequence[Any]
    settings: dict[str, Any]
    """All that counts besides the messages."""


class _Reader(NamedTuple):
    messages: str
    """The name of the field that holds the messages."""

    left_out: frozenset[str]
    """The fields that don't change the answer."""

    check: Callable[[Mapping[str, Any]], None]
    """Raises `NotAskedError` for what must not be looked up in this API."""


def read_request(api: Api, body: Mapping[str, Any]) -> Request:
    """The messages of a request, and what else counts. Raises `NotAskedError` if it must not be looked up."""
    reader = _READERS[api]
    messages: Any = body.get(reader.messages)
    if isinstance(messages, str) and api == "openai.responses":
        messages = [{"role": "user", "content": messages}]
    if not as_list(messages):
        raise NotAskedError("unknown request")
    given: Sequence[Any] = messages
    _check_tools(body.get("tools"))
    _check_live(body)
    reader.check(body)
    settings = without(body, reader.left_out)
    del settings[reader.messages]
    if api.startswith("openai"):
        settings = {
            name: value for name, value in settings.items() if not str(name).startswith("prompt_cache_")
        }
    if "tools" in settings:
        settings["tools"] = tools_without_marks(settings["tools"])
    if api == "anthropic.messages" and "system" in settings:
        settings["system"] = content_parts(settings["system"])
    elif api == "gemini":
        given = [_by_user(content) for content in given]
    return Request(given, settings)


def tools_without_marks(tools: Any) -> Any:
    """Tools without the marks for the provider's own cache."""
    return [without(as_mapping(tool), LEFT_OUT) or tool for tool in tools] if as_list(tools) else tools


_LIVE_TOOLS = ("web_search", "web_fetch", "x_search", "browser", "computer", "news_search")
"""How types of tools begin whose results are of the moment."""

_LIVE_FIELDS = frozenset(
    name.replace("_", "")
    for name in ("google_search", "google_search_retrieval", "google_maps", "url_context", "computer_use")
)
"""The same, of Gemini, in either way of writing."""

_LIVE_PARAMETERS = ("web_search_options", "search_parameters", "web_search", "enable_search")
"""What lets a model search, of one provider or another."""


_LIVE_MODELS = re.compile(r"search-(?:preview|api)|deep-research|(?:^|/)(?:sonar|compound)(?:-|$)|:online$")
"""Models that search by themselves."""


def _check_live(body: Mapping[str, Any]) -> None:
    """Raise `NotAskedError` if the provider looks up what is so now: nobody knows for how long it is."""
    model = str(body.get("model")).lower()
    if (
        any(body.get(name) not in (None, False) for name in _LIVE_PARAMETERS)
        or any(as_mapping(plugin).get("id") == "web" for plugin in as_list(body.get("plugins")))
        or _LIVE_MODELS.search(model)
    ):
        raise NotAskedError("live tool")
    for tool in map(as_mapping, as_list(body.get("tools"))):
        names = {str(name).lower().replace("_", "") for name, value in tool.items() if value is not None}
        if str(tool.get("type")).startswith(_LIVE_TOOLS) or names & _LIVE_FIELDS:
            raise NotAskedError("live tool")


def _check_tools(tools: Any) -> None:
    for tool in as_list(tools):
        fields = as_mapping(tool)
        kind, environment = str(fields.get("type")), as_mapping(fields.get("environment"))
        if kind.startswith("mcp") or any(str(name).lower().startswith("mcp") for name in fields):
            raise NotAskedError("mcp")
        if (
            kind.startswith(("code_interpreter", "code_execution"))
            or any(fields.get(name) is not None for name in ("container", "codeExecution", "code_execution"))
            or str(environment.get("type")).startswith("container")
        ):
            raise NotAskedError("container")


def _check_chat(body: Mapping[str, Any]) -> None:
    _check_count(body.get("n"))
    if body.get("logprobs") or body.get("top_logprobs"):
        raise NotAskedError("logprobs")
    if body.get("audio") is not None or _has(body.get("modalities"), "audio"):
        raise NotAskedError("audio")


def _check_responses(body: Mapping[str, Any]) -> None:
    kept = any(body.get(name) is not None for name in ("previous_response_id", "conversation", "prompt"))
    # Unless told not to, the API keeps each answer, and later requests go on from it by its id.
    if kept or body.get("store") is not False or any(map(_is_reference, as_list(body["input"]))):
        raise NotAskedError("kept by provider")
    if body.get("background"):
        raise NotAskedError("background")
    if body.get("top_logprobs") or _has(body.get("include"), "logprobs"):
        raise NotAskedError("logprobs")
    if _has(body.get("modalities"), "audio"):
        raise NotAskedError("audio")


def _check_anthropic(body: Mapping[str, Any]) -> None:
    if body.get("container") is not None:
        raise NotAskedError("container")
    if body.get("mcp_servers"):
        raise NotAskedError("mcp")


def _check_gemini(body: Mapping[str, Any]) -> None:
    for config in (as_mapping(body.get(name)) for name in ("generationConfig", "generation_config")):
        for name in ("candidateCount", "candidate_count"):
            _check_count(config.get(name))
        if any(config.get(name) for name in ("responseLogprobs", "response_logprobs", "logprobs")):
            raise NotAskedError("logprobs")
        if any(config.get(name) is not None for name in ("speechConfig", "speech_config")) or any(
            _has(config.get(name), "audio") for name in ("responseModalities", "response_modalities")
        ):
            raise NotAskedError("audio")


def _check_count(answers: object) -> None:
    if answers is not None and answers != 1:
        raise NotAskedError("several answers")


def _has(names: Any, part: str) -> bool:
    """Whether one of the names has this part, in any case."""
    return any(part in str(name).lower() for name in as_list(names))


def _is_reference(item: Any) -> bool:
    return as_mapping(item).get("type") == "item_reference"


def _by_user(content: Any) -> Any:
    """A content of Gemini's, whose role is the user's if it has none."""
    fields = as_mapping(content)
    return {**fields, "role": "user"} if fields and fields.get("role") is None else content


_OF_OPENAI = LEFT_OUT | {
    *("stream", "stream_options", "user", "safety_identifier", "metadata", "service_tier"),
}

_READERS: dict[str, _Reader] = {
    "openai.chat": _Reader("messages", _OF_OPENAI, _check_chat),
    "openai.responses": _Reader("input", _OF_OPENAI, _check_responses),
    "anthropic.messages": _Reader(
        "messages", LEFT_OUT | {"stream", "metadata", "service_tier"}, _check_anthropic
    ),
    "gemini": _Reader("contents", LEFT_OUT, _check_gemini),
}
