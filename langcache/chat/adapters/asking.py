"""What the adapters of frameworks share: how they ask the cache, and what is stored of a reply."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import msgspec

from ...aside import AttributeValue, CallOptions, JsonCodec, Key, Options, Usage
from .. import chat_key
from ..rules import Rules

if TYPE_CHECKING:
    from ...client import AsyncLangCache
    from ...sync import LangCache

__all__ = ["AdapterOptions", "AnyCache", "Asking", "Reply", "missing"]

AnyCache: TypeAlias = "AsyncLangCache | LangCache"


class AdapterOptions(CallOptions, total=False):
    """What each adapter takes, besides the options of every cache-aside call (`langcache.aside.Options`)."""

    when: Callable[[Any], bool] | None
    """Called with the request, as the adapter says; if it returns False, the cache is not asked. Default:
    every request that can be cached is."""

    attributes: Mapping[str, AttributeValue] | Callable[[Any], Mapping[str, AttributeValue]] | None
    """Attributes of all questions; or a function of the request that returns them, for a user or a tenant.
    Default: none but the fingerprint."""

    turns: Literal["single", "hashed"]
    """As for `langcache.chat.chat_key`: whether later questions of a conversation are asked at all."""

    text: Callable[[str], str | None] | None
    """As for `langcache.chat.chat_key`: what to look up of the last text of the user. Default: all of it. A
    text of several lines, or of more than 200 characters, may be a template with what was found about the
    question, in which two questions are nearly the same text: it is found only by the same text, unless
    ``text`` or ``search_strategies`` is given."""

    attribute: str
    """The attribute, declared with the cache, that holds the fingerprint. Default: ``"fingerprint"``."""

    on_lookup: Callable[[Any], object] | None
    """Called with the outcome of each lookup: how the answer was obtained, and where to give a verdict."""


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is stored of a reply: its text, and nothing that belongs to one request, such as its id."""

    content: str | list[Any]
    """The text, or its parts as the framework writes them in JSON."""

    model: str | None = None
    """The model that answered, by the name that the provider gives it."""

    details: dict[str, Any] = {}
    """What else the framework shows of a reply, in JSON."""

    input_tokens: int | None = None
    """Tokens of the request, without those that the provider had in its own cache; None if not known."""

    output_tokens: int | None = None
    """Tokens of the answer, thoughts included; None if not known."""


CODEC = JsonCodec(Reply)


def usage_of(reply: Reply) -> Usage | None:
    """The tokens that a reply took; None if nothing is known of them."""
    if reply.input_tokens is None and reply.output_tokens is None:
        return None
    return Usage(reply.input_tokens, reply.output_tokens, reply.model)


class Asking:
    """Asks one cache, or an async and a blocking one, what the models of one framework are asked.

    Args:
        adapter: the name of the adapter, part of each fingerprint: replies are stored as it writes them.
        cache: an AsyncLangCache or a LangCache, or a scope of one.
        blocking: a LangCache for calls that block, if ``cache`` is an AsyncLangCache.
        options: what the user gave.

    Raises `TypeError` or `ValueError`, which name the argument, if one breaks a rule.
    """

    def __init__(
        self, adapter: str, cache: AnyCache, blocking: LangCache | None, options: AdapterOptions
    ) -> None:
        self.adapter = adapter
        self.awaited: Any = None
        """The AsyncLangCache, if there is one."""
        self.blocking: Any = None
        """The LangCache, if there is one."""
        self._take("cache", cache)
        if blocking is not None:
            self._take("blocking", blocking)
        given: dict[str, Any] = dict(options)
        self._on_lookup: Any = given.pop("on_lookup", None)
        if self._on_lookup is not None and not callable(self._on_lookup):
            raise TypeError(f"on_lookup: must be a function, but is {type(self._on_lookup).__name__}")
        self.rules: Rules = Rules.checked(
            **{name: given.pop(name) for name in Rules._fields if name in given}
        )
        if given.get("function") is None:
            given["function"] = "langcache.chat"
        self._options: dict[str, Any] = {"usage": usage_of, **given}
        for client in (self.awaited, self.blocking):
            if client is not None:
                state = client._aside.state
                checked = Options.of(adapter, cast("CallOptions", given), state.limits, state.config)
                self.rules.check_with(client, checked)

    def _take(self, name: str, cache: Any) -> None:
        look_up = getattr(cache, "look_up", None)
        if not callable(look_up):
            kind = "an AsyncLangCache or a LangCache" if name == "cache" else "a LangCache"
            raise TypeError(f"{name}: must be {kind}, but is {type(cache).__name__}")
        if not inspect.iscoroutinefunction(look_up):
            self.blocking = cache
        elif name == "cache":
            self.awaited = cache
        else:
            raise TypeError("blocking: must be a LangCache; an AsyncLangCache goes in its place, cache")

    async def look_up(self, request: Any, messages: Any, others: Mapping[str, Any] | str) -> Any:
        """Look up the answer to a request: with the AsyncLangCache, or in a thread if there is none.

        Args:
            request: what the functions of the user are given.
            messages: the messages, as dicts with ``role`` and ``content``.
            others: what else the answer depends on; or, as text, the reason not to ask the cache.
        """
        if self.awaited is None:
            return await asyncio.to_thread(self.look_up_blocking, request, messages, others)
        return self._told(await self.awaited.look_up(messages, **self._arguments(request, messages, others)))

    async def store(self, outcome: Any, reply: Reply) -> None:
        """Store the answer to what `look_up` did not find. The cache's errors are logged."""
        if self.awaited is None:
            await asyncio.to_thread(outcome.store, reply)
        else:
            await outcome.store(reply)

    def look_up_blocking(self, request: Any, messages: Any, others: Mapping[str, Any] | str) -> Any:
        """`look_up` with the LangCache. Raises `TypeError` if there is none."""
        cache = self.blocking_cache()
        return self._told(cache.look_up(messages, **self._arguments(request, messages, others)))

    def blocking_cache(self) -> Any:
        """The LangCache. Raises `TypeError` if there is none."""
        if self.blocking is None:
            raise TypeError(
                f"{self.adapter}: a call that blocks can't ask an AsyncLangCache; give a LangCache too, as "
                "blocking=, or await the call (ainvoke, astream)"
            )
        return self.blocking

    def _arguments(self, request: Any, messages: Any, others: Mapping[str, Any] | str) -> dict[str, Any]:
        options = dict(self._options)
        if isinstance(others, str):
            key = Key(None, reason=others)
        else:
            key = self.rules.key(request, partial(self._key, messages, others), options)
        return {"key": lambda _: key, "codec": CODEC, **options}  # pyright: ignore[reportUnknownLambdaType]

    def _key(self, messages: Any, others: Mapping[str, Any]) -> Key:
        _, text, _, turns, attribute = self.rules
        try:
            key = chat_key(text=text, turns=turns, attribute=attribute, adapter=self.adapter, **others)
        except (TypeError, ValueError, RecursionError):  # an object, infinity, nested too deep
            return Key(None, reason="not JSON")
        return key(messages)

    def _told(self, outcome: Any) -> Any:
        if self._on_lookup is not None:
            self._on_lookup(outcome)
        return outcome


def missing(extra: str, error: ImportError) -> ImportError:
    """The error in place of one that says that a framework is not installed."""
    return ImportError(
        f"{error}; install the extra with: pip install '.[{extra}]' in a checkout of langcache, "
        f"or pip install '/path/to/checkout[{extra}]' from anywhere else",
        name=error.name,
    )
