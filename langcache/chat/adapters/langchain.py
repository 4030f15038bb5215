"""LangChain: a cache for models and middleware for agents, which ask by the question. Extra: langchain."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .asking import AdapterOptions, AnyCache, Asking, Reply, missing

try:
    from langchain.agents import factory
    from langchain.agents.middleware import AgentMiddleware, ModelResponse
    from langchain_core.caches import BaseCache
    from langchain_core.outputs import Generation

    from . import langchain_replies as replies
    from .langchain_messages import Question, question, question_of_agent
except ImportError as _error:
    raise missing("langchain", _error) from _error

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ...sync import LangCache

__all__ = ["LangCacheCache", "LangCacheMiddleware"]

_LOGGER = logging.getLogger("langcache")
_MAX_OPEN = 1024  # lookups whose answer is awaited; a call that fails leaves its own behind


class LangCacheCache(BaseCache):
    """A cache for ``set_llm_cache(...)`` or ``ChatOpenAI(cache=...)`` that asks by the text of the question.

    The question is the last text of the user. The model, its settings and all other messages are hashed into
    one attribute. ``stream`` and ``astream`` of a model never ask a LangChain cache.

    Args:
        cache: an `AsyncLangCache` for ``ainvoke`` and its like, or a `LangCache` for all calls.
        blocking: a `LangCache` for ``invoke`` and its like, if ``cache`` is an `AsyncLangCache`.
        **options: see `langcache.chat.adapters.AdapterOptions`. ``when`` and ``attributes`` are called with
            the messages, as dicts with ``role`` and ``content``.

    Raises:
        TypeError, ValueError: an argument breaks a rule. ``invoke`` raises `TypeError` if there is no
            `LangCache`.
    """

    def __init__(
        self, cache: AnyCache, blocking: LangCache | None = None, **options: Unpack[AdapterOptions]
    ) -> None:
        self._asking = Asking("langchain", cache, blocking, options)
        self._open: dict[bytes, Any] = {}
        self._lock = threading.Lock()

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """The answer, as a list of one generation; None if there is none."""
        messages, others = question(prompt, llm_string)
        return self._found(self._asking.look_up_blocking(messages, messages, others), prompt, llm_string)

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Store the answer to what was looked up, if it may be stored."""
        outcome, reply = self._answered(prompt, llm_string, return_val)
        if reply is not None:
            outcome.store(reply)

    async def alookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """See `lookup`."""
        messages, others = question(prompt, llm_string)
        return self._found(await self._asking.look_up(messages, messages, others), prompt, llm_string)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """See `update`."""
        outcome, reply = self._answered(prompt, llm_string, return_val)
        if reply is not None:
            await self._asking.store(outcome, reply)

    def clear(self, **kwargs: Any) -> None:
        """Delete the entries that have the ``attributes`` of this cache, or that are in its client's scope.

        Raises `ValueError` if there are neither, since it would delete what others have stored too.
        """
        self._own(self._asking.blocking_cache()).flush()

    async def aclear(self, **kwargs: Any) -> None:
        """See `clear`."""
        cache = self._own(self._asking.awaited or self._asking.blocking)
        await (cache.flush if self._asking.awaited else cache.flush_async)()

    def _own(self, cache: Any) -> Any:
        attributes = self._asking.rules.attributes
        if isinstance(attributes, Mapping) and attributes:
            return cache.scoped(**attributes)
        if cache._scope is None:
            raise ValueError(
                "clear: would delete all that the cache holds, of other programs too; give LangCacheCache a "
                "scope, cache.scoped(app='...'), or attributes={...}; or call flush() of the client"
            )
        return cache

    def _found(self, outcome: Any, prompt: str, llm_string: str) -> list[Generation] | None:
        if outcome.hit:
            return [replies.generation(outcome, prompt)]
        if outcome.status == "miss":
            with self._lock:
                if len(self._open) >= _MAX_OPEN:
                    del self._open[next(iter(self._open))]
                self._open[_digest(prompt, llm_string)] = outcome
        return None

    def _answered(
        self, prompt: str, llm_string: str, given: Sequence[Generation]
    ) -> tuple[Any, Reply | None]:
        with self._lock:
            outcome = self._open.pop(_digest(prompt, llm_string), None)
        is_one = outcome is not None and len(given) == 1
        return outcome, replies.reply_of_generation(given[0]) if is_one else None


class LangCacheMiddleware(AgentMiddleware):  # of which releases differ in how many types they take
    """Middleware for ``create_agent`` that answers the first question of a conversation from a cache.

    **It must be the last of ``middleware=[...]``**, of those that wrap the calls of the model. One that comes
    after it, such as a ``@dynamic_prompt`` with the name of the user, changes the request once the cache has
    answered; so anywhere else it asks nothing and stores nothing (reason ``"not the last middleware"``), and
    logs one warning.

    Agents with a ``response_format`` don't use it, and answers that call tools are not stored.

    Args:
        cache, blocking: as for `LangCacheCache`.
        **options: see `langcache.chat.adapters.AdapterOptions`. ``when`` and ``attributes`` are called with
            the ``ModelRequest``.

    Raises as `LangCacheCache` does.
    """

    def __init__(
        self, cache: AnyCache, blocking: LangCache | None = None, **options: Unpack[AdapterOptions]
    ) -> None:
        super().__init__()
        self._asking = Asking("langchain", cache, blocking, options)
        self._has_warned = False

    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """The model's response, or one from the cache."""
        outcome = self._asking.look_up_blocking(request, *self._question(request, handler))
        if outcome.hit:
            return ModelResponse(result=[replies.message(outcome)])
        response = handler(request)
        reply = replies.reply_of_agent(response)
        if reply is not None:
            outcome.store(reply)
        return response

    async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        """The model's response, or one from the cache."""
        outcome = await self._asking.look_up(request, *self._question(request, handler))
        if outcome.hit:
            return ModelResponse(result=[replies.message(outcome)])
        response = await handler(request)
        reply = replies.reply_of_agent(response)
        if reply is not None:
            await self._asking.store(outcome, reply)
        return response

    def _question(self, request: Any, handler: Any) -> Question:
        if _calls_the_model(handler):
            return question_of_agent(request)
        if not self._has_warned:
            self._has_warned = True
            _LOGGER.warning(
                "LangCacheMiddleware is not used, since what comes after it may change the request: make it "
                "the last of create_agent(middleware=[...])"
            )
        return [], "not the last middleware"


def _calls_the_model(handler: Any) -> bool:
    """Whether a handler is the one with which ``create_agent`` calls the model, with nothing in between.

    The code is looked at, since a function that wraps another one may bear its name. If a release names it
    otherwise, nothing is asked.
    """
    is_of_agent = getattr(handler, "__globals__", None) is vars(factory)
    return is_of_agent and handler.__code__.co_name in ("_execute_model_sync", "_execute_model_async")


def _digest(prompt: str, llm_string: str) -> bytes:
    sizes = len(prompt).to_bytes(8, "big")  # so that no text can move from one to the other
    return hashlib.sha256(sizes + f"{prompt}{llm_string}".encode("utf-8", "surrogatepass")).digest()
