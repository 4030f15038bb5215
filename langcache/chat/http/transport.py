"""The transport under an SDK: what is understood is answered from a cache, all else is sent on as it is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ...aside.key import Key
from ..keys import request_key
from ..replies import FORMATS
from ..rules import Rules
from .codec import OfReply, ReplyCodec, StoresAnswers
from .endpoints import Endpoints, marked
from .exchange import Exchange
from .provider_request import ProviderRequest, directive_of, provider_request_of

__all__ = ["Transport"]


class Transport:
    """Answers requests from a cache, or sends them by an HTTP client.

    Args:
        endpoints: the cache and the HTTP client.
        rules: what is looked up.
        options: those of cache-aside.
    """

    def __init__(self, endpoints: Endpoints, rules: Rules, options: Mapping[str, Any]) -> None:
        self._endpoints = endpoints
        self._rules = rules
        self._options = options

    async def answer(self, request: Any) -> Any:
        """The reply to a request. Raises what the HTTP client raises, and `ValueError` for a wrong header."""
        read = provider_request_of(self._endpoints.module, request)
        request, directive = directive_of(self._endpoints.module, request, self._options)
        if read is None:
            return await self._endpoints.run.send(self._endpoints.client, request)
        options: dict[str, Any] = {**self._options, **directive}
        if options.get("bypass"):
            return await self._bypassed(request, "asked")
        key = self._rules.key(read.body, partial(self._key, read), options)
        if key.text is None:
            return await self._bypassed(request, key.reason or "no question")
        codec = ReplyCodec(read.api, streamed=read.is_streamed)
        options["key"] = partial(_given, key)
        options["codec"] = codec
        options["usage"] = OfReply(codec, options.get("usage") or FORMATS[read.api].usage)
        if callable(options.get("sources")):
            options["sources"] = OfReply(codec, options["sources"])
        options["store_if"] = StoresAnswers(codec, options.get("store_if"))
        exchange = Exchange(self._endpoints, request, read, options)
        return await (exchange.streamed() if read.is_streamed else exchange.plain())

    async def _bypassed(self, request: Any, reason: str) -> Any:
        """The provider's reply, untouched. Only the bypass is counted."""
        answer = await self._endpoints.cache._aside.bypassed("cached_http", reason)  # which never suspends
        return marked(await self._endpoints.run.send(self._endpoints.client, request), answer)

    def _key(self, read: ProviderRequest) -> Key:
        _, text, _, turns, attribute = self._rules
        return request_key(
            read.body, api=read.api, place=read.place, turns=turns, text=text, attribute=attribute
        )


def _given(key: Key, body: object) -> Key:
    return key
