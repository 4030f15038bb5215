"""What a request over HTTP asks of which provider, and what it says to the cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from ..replies.reading import object_of
from ..requests import Api

__all__ = ["Asked", "asked_of", "directive_of"]

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

_IN_PLACE = ("anthropic-beta", "openai-beta")
"""Headers that may change what is answered."""

_NOT_IN_PLACE = ("alt", "$alt", "key")
"""Parameters that say how to answer, and who asks."""

_PORTS = {"http": 80, "https": 443}


class Asked(NamedTuple):
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


def asked_of(module: Any, request: Any) -> Asked | None:
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
    counted += [(name, request.headers[name]) for name in _IN_PLACE if name in request.headers]
    return Asked(api, body, is_streamed, f"{place}?{urlencode(counted)}" if counted else place)
