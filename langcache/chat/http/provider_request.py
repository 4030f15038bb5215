"""What a request over HTTP is to which provider, and what it says to the cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from ..replies.reading import object_of
from ..requests import Api

__all__ = ["ProviderRequest", "directive_of", "provider_request_of"]

HEADER = "x-langcache"

_DIRECTIVES: dict[str, Mapping[str, bool]] = {
    name: {"bypass": False, "refresh": False, "no_store": False, option: True}
    for name, option in (("bypass", "bypass"), ("refresh", "refresh"), ("no-store", "no_store"))
}

_APIS: tuple[tuple[str, Api], ...] = (
    ("/chat/completions", "openai.chat"),
    ("/responses", "openai.responses"),
    ("/v1/messages", "anthropic.messages"),  # OpenAI's threads have messages too
    (":generateContent", "gemini"),
    (":streamGenerateContent", "gemini"),
)
"""The API by the end of the path."""

_COUNTED = ("anthropic-beta", "openai-beta", "openai-organization", "openai-project")
"""Headers that may change what is answered, or who answers."""

_COUNTED_BEGIN = ("x-", "helicone-", "cf-aig-")
"""How other such headers begin: those of gateways choose the model, the provider or a prompt. One that is not
known counts."""

_NOT_COUNTED = frozenset(
    {
        *(
            HEADER,
            "x-api-key",
            "x-goog-api-key",
            "x-portkey-api-key",
            "helicone-auth",
            "cf-aig-authorization",
        ),
        *("x-request-id", "x-client-request-id", "x-correlation-id", "x-trace-id", "helicone-request-id"),
        *("x-amzn-trace-id", "x-cloud-trace-context", "x-real-ip", "x-server-timeout", "x-title"),
        *("x-goog-api-client", "x-portkey-trace-id", "x-portkey-span-id", "x-portkey-request-timeout"),
        *("helicone-user-id", "cf-aig-metadata", "cf-aig-collect-log", "cf-aig-event-id", "cf-aig-cache-key"),
        *("cf-aig-cache-ttl", "cf-aig-skip-cache", "cf-aig-request-timeout", "cf-aig-max-attempts"),
    }
)
"""Headers that say who asks, or how a request is traced, logged or kept, and change no answer."""

_NOT_COUNTED_BEGIN = (
    *("x-stainless-", "x-forwarded-", "x-b3-", "x-datadog-"),
    *("helicone-session-", "helicone-property-", "helicone-cache-"),
)
"""How other such headers begin."""

_NOT_IN_PLACE = ("alt", "$alt", "key")
"""Parameters that say how to answer, and who asks."""

_PORTS = {"http": 80, "https": 443}


class ProviderRequest(NamedTuple):
    """A request that is understood."""

    api: Api
    body: dict[str, Any]
    is_streamed: bool
    place: str
    """Where it goes: host, port and path, alike for a stream."""


def directive_of(module: Any, request: Any, options: Mapping[str, Any]) -> tuple[Any, Mapping[str, bool]]:
    """The request without the header for the cache, and the options of cache-aside that this header asks for,
    or else those of the program.

    A request that the SDK sends again was not answered from the cache just before, so the cache is not asked
    again, but stores the answer, unless the program has said that nothing is stored.

    Raises `ValueError` for a value that the header may not have.
    """
    given = request.headers.get_list(HEADER)
    retries = request.headers.get("x-stainless-retry-count", "0")
    is_again = retries.isdecimal() and int(retries) > 0
    if not given:
        if not is_again:
            return request, {}
        is_stored = not (options.get("bypass") or options.get("no_store"))
        return request, _DIRECTIVES["refresh" if is_stored else "bypass"]
    name = ", ".join(given).strip().lower()
    if name not in _DIRECTIVES:
        raise ValueError(f"{HEADER}: must be bypass, refresh or no-store, but is {name!r}")
    # Another request, since the HTTP client makes those that follow redirects of the first one.
    request = module.Request(
        *(request.method, request.url),
        headers=request.headers,  # copied
        stream=request.stream,
        extensions=request.extensions,
    )
    del request.headers[HEADER]
    return request, _DIRECTIVES["bypass" if is_again and name == "no-store" else name]


def provider_request_of(module: Any, request: Any) -> ProviderRequest | None:
    """What a request asks; None for anything but a request in JSON to one of the APIs, which may be a stream
    or an upload too."""
    url = request.url
    path: str = url.path
    api: Api | None = next((api for end, api in _APIS if path.endswith(end)), None)
    if api is None or request.method != "POST":
        return None
    if not request.headers.get("content-type", "").startswith("application/json"):
        return None
    try:
        body = object_of(request.content)
    except module.RequestNotRead:
        return None
    parameters = parse_qsl(url.query.decode("ascii", "replace"), keep_blank_values=True)
    if api == "gemini":
        is_streamed: object = path.endswith(":streamGenerateContent")
        if is_streamed and ("alt", "sse") not in parameters:
            return None
    else:
        is_streamed = body.get("stream") or False
    if not body or not isinstance(is_streamed, bool):
        return None
    port = url.port or _PORTS.get(url.scheme, "")
    place = f"{url.host}:{port}{path.replace(':streamGenerateContent', ':generateContent')}"
    counted = sorted(pair for pair in parameters if pair[0] not in _NOT_IN_PLACE)
    counted += sorted(pair for pair in request.headers.multi_items() if _is_counted(pair[0]))
    return ProviderRequest(api, body, is_streamed, f"{place}?{urlencode(counted)}" if counted else place)


def _is_counted(header: str) -> bool:
    """Whether a header, whose name is in lower case, is part of the place."""
    if not header.startswith(_COUNTED_BEGIN):
        return header in _COUNTED
    return header not in _NOT_COUNTED and not header.startswith(_NOT_COUNTED_BEGIN)
