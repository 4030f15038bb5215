"""The transport under an SDK: what is understood is answered from a cache, all else is sent on as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from ...aside.key import Key
from ...aside.scope import AttributeValue
from ..keys import request_key
from ..messages import Text, Turns
from ..replies import FORMATS
from ..templates import set_strategies
from .asked import Asked, asked_of, directive_of
from .codec import OfReply, ReplyCodec, StoresAnswers
from .endpoints import Endpoints, marked
from .exchange import Exchange

__all__ = ["Attributes", "Settings", "Transport", "When"]

Attributes: TypeAlias = (
    Mapping[str, AttributeValue] | Callable[[Mapping[str, Any]], Mapping[str, AttributeValue]]
)
When: TypeAlias = Callable[[Mapping[str, Any]], object]


class Settings(NamedTuple):
    """What `langcache.http.cached_http` is given."""

    when: When | None
    text: Text | None
    attributes: Attributes | None
    turns: Turns
    attribute: str
    options: Mapping[str, Any]


class Transport:
    """Answers requests from a cache, or sends them by an HTTP client.

    Args:
        endpoints: the cache and the HTTP client.
        settings: what is looked up, and how.
    """

    def __init__(self, endpoints: Endpoints, settings: Settings) -> None:
        self._endpoints = endpoints
        self._settings = settings

    async def answer(self, request: Any) -> Any:
        """The reply to a request. Raises what the HTTP client raises, and `ValueError` for a wrong header."""
        asked = asked_of(self._endpoints.module, request)
        request, directive = directive_of(self._endpoints.module, request, self._settings.options)
        if asked is None:
            return await self._endpoints.run.send(self._endpoints.client, request)
        settings = self._settings
        options: dict[str, Any] = {**settings.options, **directive}
        if options.get("bypass"):
            return await self._bypassed(request, "asked")
        key = self._key(asked)
        if key.text is None:
            return await self._bypassed(request, key.reason or "no question")
        if settings.text is None:
            set_strategies(options, key.text)
        attributes = settings.attributes
        codec = ReplyCodec(asked.api, streamed=asked.is_streamed)
        options["key"] = partial(_given, key)
        options["codec"] = codec
        options["attributes"] = attributes(asked.body) if callable(attributes) else attributes
        options["usage"] = OfReply(codec, options.get("usage") or FORMATS[asked.api].usage)
        if callable(options.get("sources")):
            options["sources"] = OfReply(codec, options["sources"])
        options["store_if"] = StoresAnswers(codec, options.get("store_if"))
        exchange = Exchange(self._endpoints, request, asked, options)
        return await (exchange.streamed() if asked.is_streamed else exchange.plain())

    async def _bypassed(self, request: Any, reason: str) -> Any:
        """The provider's reply, untouched. Only the bypass is counted."""
        answer = await self._endpoints.cache._aside.bypassed("cached_http", reason)  # which never suspends
        return marked(await self._endpoints.run.send(self._endpoints.client, request), answer)

    def _key(self, asked: Asked) -> Key:
        settings = self._settings
        if settings.when is not None and not settings.when(asked.body):
            return Key(None, reason="when")
        return request_key(
            asked.body,
            api=asked.api,
            place=asked.place,
            turns=settings.turns,
            text=settings.text,
            attribute=settings.attribute,
        )


def _given(key: Key, body: object) -> Key:
    return key
