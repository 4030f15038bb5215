"""A cache under the SDKs of providers: `cached_http` makes the HTTP client that they are given."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any, cast

from .aside.options import CallOptions, Options
from .chat.http.classes import transport_for
from .chat.http.endpoints import Endpoints
from .chat.http.running import InLoop, InThread
from .chat.http.transport import Transport
from .chat.messages import Text, Turns
from .chat.rules import Attributes, Rules, When
from .client import AsyncLangCache
from .sync import LangCache

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

__all__ = ["cached_http"]

_MODULES = ("httpx2", "httpx")
"""The packages of HTTP clients, of which the SDKs take one or both: a client of one is none of the other."""


def cached_http(
    cache: AsyncLangCache | LangCache,
    client: Any = None,
    *,
    when: When | None = None,
    text: Text | None = None,
    attributes: Attributes | None = None,
    turns: Turns = "single",
    attribute: str = "fingerprint",
    **options: Unpack[CallOptions],
) -> Any:
    """An HTTP client that answers from a cache what an SDK asks of a provider, plain or as a stream:
    ``openai.AsyncOpenAI(http_client=cached_http(cache))``.

    It understands OpenAI chat completions and responses, Anthropic messages and Gemini ``generateContent``,
    wherever they are offered. What it does not understand is sent on as it is. On a miss the reply is passed
    on as it comes, and stored if it is a complete answer in text alone. On a hit it is given again, with new
    ids and a usage of zero, whole or as a stream, whichever is asked for. The fingerprint of all that the
    answer depends on besides the question is an attribute that has to be declared with the cache.

    Calls that ask the same at once share one request. Those that do not send it wait until the reply is
    complete; if it can't be stored, each sends its own.

    A request may have the header ``x-langcache``: ``bypass``, ``refresh`` or ``no-store``, as the options of
    these names; another value is a `ValueError`. A reply has ``x-langcache`` (hit, miss, bypass or error),
    for a hit ``x-langcache-similarity``, and for a bypass ``x-langcache-reason``. Its
    ``extensions["langcache"]`` is the answer or stream, on which verdicts can be given.

    Args:
        cache: an `AsyncLangCache` for the async SDKs, a `LangCache` for those that block. It is not closed
            together with the client.
        client: the client that sends the requests, of httpx2 or httpx: async for an `AsyncLangCache`,
            blocking for a `LangCache`. Its timeouts, hooks, proxies and connections are used, and it is not
            closed. Default: one of httpx2 or httpx, whichever the SDK imported, that is closed together with
            the new one.
        when: a function of the JSON of a request; the cache is not asked if it returns False. Default: it is
            asked for all that it can answer.
        text: a function of the text of the question that returns the part of it to look up, or None not to
            ask the cache; see `langcache.chat.request_key`. Needed for templates: two questions in one
            template differ too little to be told apart. Default: the whole text, which, if it has several
            lines or more than 200 characters, is found only by the same text (``search_strategies``).
        attributes: find only answers that have all of these, and store them with the answer; or a function
            of the JSON of a request that returns them. Give what tells users apart whose answers differ.
            Default: none.
        turns: ``"single"``: a follow-up question is not looked up. ``"hashed"``: see
            `langcache.chat.request_key`.
        attribute: the name of the attribute for the fingerprint. Default: ``"fingerprint"``.
        **options: see `langcache.aside.Options`. ``store_if``, ``sources`` and ``usage`` are called with the
            JSON of a reply, ``store_if`` if it may be stored at all. By default ``usage`` is what the reply
            says, and ``function`` is ``"langcache.http"``.

    Returns:
        An ``httpx2.AsyncClient`` or ``httpx2.Client``, or the same of httpx.

    Raises:
        TypeError, ValueError: an argument breaks a rule, or cache and client don't fit together.
        ImportError: neither httpx2 nor httpx is installed.
    """
    running, name = (InLoop(), "AsyncClient") if isinstance(cache, AsyncLangCache) else (InThread(), "Client")
    if not isinstance(cache, AsyncLangCache | LangCache):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"cache: must be an AsyncLangCache or a LangCache, but is {type(cache).__name__}")
    rules = Rules.checked(when=when, text=text, attributes=attributes, turns=turns, attribute=attribute)
    checked = _checked(cache, rules, cast("dict[str, Any]", options))
    is_ours = client is None
    module = _module_of(client, name)
    if client is None:
        # As the SDKs make their own: many requests at once, each of which may be redirected.
        limits = module.Limits(max_connections=1000, max_keepalive_connections=100)
        client = getattr(module, name)(follow_redirects=True, limits=limits)
    transport = Transport(Endpoints(cache, client, module, running), rules, checked)
    same = (
        "auth",
        "headers",
        "params",
        "cookies",
        "timeout",
        "follow_redirects",
        "max_redirects",
        "base_url",
    )
    return getattr(module, name)(
        transport=transport_for(module, name, transport.answer, client if is_ours else None),
        trust_env=client.trust_env,
        **{each: getattr(client, each) for each in same},
    )


def _checked(cache: AsyncLangCache | LangCache, rules: Rules, options: dict[str, Any]) -> dict[str, Any]:
    """The options of cache-aside. Raises `TypeError` or `ValueError` for what would fail in every request."""
    if options.get("function") is None:
        options["function"] = "langcache.http"
    state = cache._aside.state
    given = Options.of("cached_http", cast("CallOptions", options), state.limits, state.config)
    rules.check_with(cache, given)
    for name in ("search_strategies", "sources"):
        if isinstance(options.get(name), Iterator):  # which would be used up by the first request
            options[name] = list(options[name])
    return options


def _module_of(client: Any, name: str) -> Any:
    """httpx2 or httpx, whichever the client is of. Raises `TypeError` if it is none, or of the other kind."""
    if client is None:
        # What an SDK has imported is what it uses.
        for each in sorted(_MODULES, key=lambda each: each not in sys.modules):
            with suppress(ImportError):
                return import_module(each)
        raise ImportError(
            "cached_http needs httpx2 or httpx, which the SDKs bring; install the extra openai, anthropic or "
            "google-genai with: pip install '.[openai]' in a checkout of langcache"
        )
    for module in [sys.modules[each] for each in _MODULES if each in sys.modules]:
        if isinstance(client, getattr(module, name)):
            return module
        if isinstance(client, module.Client | module.AsyncClient):
            cache = "an AsyncLangCache" if name == "AsyncClient" else "a LangCache"
            kind = f"{module.__name__}.{type(client).__name__}"
            raise TypeError(f"client: {cache} needs an {module.__name__}.{name}, but this is an {kind}")
    raise TypeError(
        f"client: must be an httpx2.{name} or httpx.{name}, but is {type(client).__name__}; give an SDK what "
        "cached_http returns: openai.OpenAI(http_client=cached_http(cache))"
    )
