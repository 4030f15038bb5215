"""Errors for wrong names of arguments and attributes that say which name to write instead.

Nothing here runs until Python has found that a name is wrong, so correct calls cost almost nothing more.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

__all__ = [
    "explain_arguments",
    "explain_operation",
    "missing_attribute",
    "name_after",
    "rename_in",
    "unexpected_arguments",
]

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

_ARGUMENTS = {
    "prompt=": "query question text message input key q",
    "response=": "answer value completion output result",
    "similarity_threshold=": "threshold similarity min_similarity score_threshold similarityThreshold",
    "similarity_threshold= (1 - distance)": "distance_threshold max_distance",
    'search_strategies=["exact"]': "exact exact_match use_exact_search",
    'search_strategies=["semantic"]': "semantic use_semantic_search",
    'search_strategies=["exact", "semantic"]': "strategy strategies search_strategy searchStrategies",
    "attributes=": "metadata filter filters tags scope attrs where",
    "max_results=": "limit top_k k n num_results maxResults",
    "context=": "messages history conversation",
    "ttl= (seconds, or a timedelta)": "ttl_seconds ttl_s ex expire expires_in expiration",
    "ttl_millis=": "ttl_ms ttlMillis px",
    "entry_id=": "id ids key entryId",
    "server_url=": "url base_url host endpoint api_url serverURL redis_url redis_client",
    "api_key=": "key token service_key apiKey",
    "cache_id=": "cache name cacheId",
    "client=": "async_client http_client session",
    "timeout_ms= (milliseconds)": "timeout timeout_seconds",
    "debug_logger=": "logger",
    "retry_config=": "retry retries max_retries",
    "retries=": "retry retry_config max_retries",
    "http_headers=": "headers extra_headers",
}
"""Maps what to write to the wrong names that it corrects. The text before the ``=`` is an argument."""

_ATTRIBUTES = {
    "search(prompt)": "get check lookup query find retrieve semantic_search search_cache",
    "search_async(prompt)": "asearch aget acheck",
    "set(prompt, response)": "put store add save insert create update upsert",
    "set_async(prompt, response)": "aset astore aput",
    "delete_by_id(entry_id), delete_query(attributes) or flush()": "delete remove pop evict",
    "delete_query(attributes)": "delete_by_attributes delete_by_query delete_many",
    "flush()": "clear delete_all flush_all flushall purge reset",
    "health()": "ping is_healthy healthcheck health_check",
    "aclose()": "close close_async",
    "search(), set() and the other methods of the client itself": "entries cache",
    "data": "results hits matches entries items",
    "entry": "id prompt search_strategy attributes",
    "entry_id": "id key",
    "id": "entry_id key",
    "response": "answer value text content completion",
    "similarity": "score similarity_score",
    "search_strategy": "strategy",
    "attributes": "metadata tags",
    "deleted_entries_count": "deleted deleted_count count",
    "model_dump()": "dict to_dict asdict as_dict get",
    "model_dump_json()": "json to_json",
    "model_copy()": "copy",
}
"""Maps what to write to the wrong names that it corrects. Its first word is an attribute or method."""

_OF_THE_CLIENT = ("api_key", "cache_id", "client", "debug_logger", "limits")


def missing_attribute(owner: object, name: str) -> AttributeError:
    """The error for an attribute that an object does not have, with advice if there is any."""
    kind = type(owner)
    message = f"{kind.__name__!r} object has no attribute {name!r}"
    plain = name.removesuffix("_async")
    if plain != name and inspect.iscoroutinefunction(getattr(kind, plain, None)):
        return AttributeError(f"{message}: its methods are async already; write await {plain}()")
    for advice, tried in _ATTRIBUTES.items():
        if name in tried.split() and hasattr(kind, advice.replace("(", " ").split()[0]):
            return AttributeError(f"{message}: write {advice}")
        if plain != name and plain in tried.split() and hasattr(kind, f"{advice.partition('(')[0]}_async"):
            return AttributeError(f"{message}: write {advice.replace('(', '_async(')}")
    if plain != name and callable(getattr(kind, plain, None)):
        return AttributeError(
            f"{message}: only operations have an awaitable twin; use AsyncLangCache.{plain}()"
        )
    return AttributeError(message, name=name, obj=owner)


def explain_operation(
    method: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """The method, whose `TypeError` for a wrong argument also names the right one."""

    @functools.wraps(method)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            operation = method(*args, **kwargs)
        except TypeError as error:
            _explain(method, kwargs, error)
            raise
        return await operation

    return call


def explain_arguments(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """As `explain_operation`, for a method that is not async."""

    @functools.wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except TypeError as error:
            _explain(method, kwargs, error)
            raise

    return call


def unexpected_arguments(call: str, names: Iterable[str], parameters: Mapping[str, object]) -> TypeError:
    """The error for arguments that a call does not take, with advice on each if there is any."""
    names = [*names]
    advice = "; ".join(filter(None, (_advice(name, parameters) for name in names)))
    unexpected = ", ".join(map(repr, names))
    return TypeError(f"{call}() got an unexpected keyword argument {unexpected}{advice and f': {advice}'}")


def name_after(owner: type[Any]) -> None:
    """Name the methods that a class has from its base classes after the class itself.

    Python names a function by its ``__qualname__`` in the error for a wrong call, and users know the class
    that they call, not its base classes. They must be the base classes of this class alone.
    """
    for base in owner.__mro__[1:-1]:
        for member in vars(base).values():
            while inspect.isfunction(member) and member.__qualname__.startswith(f"{base.__name__}."):
                member.__qualname__ = f"{owner.__name__}.{member.__name__}"
                member = getattr(member, "__wrapped__", None)


def rename_in(error: TypeError, method: Callable[..., object], name: str) -> None:
    """Replace the name of a method by another in the error for a wrong call of it. Other errors are kept."""
    message, wrong = str(error), f"{method.__qualname__}()"
    if message.startswith(wrong):
        error.args = (f"{name}(){message.removeprefix(wrong)}",)


def _explain(function: Callable[..., object], arguments: Mapping[str, object], error: TypeError) -> None:
    """Add advice to the error on each argument that the function does not have, if there is any advice."""
    parameters = inspect.signature(function).parameters
    advice = [_advice(name, parameters) for name in arguments if name not in parameters]
    if any(advice):
        error.args = (f"{error}: {'; '.join(filter(None, advice))}",)


def _advice(name: str, parameters: Mapping[str, object]) -> str | None:
    for advice, tried in _ARGUMENTS.items():
        if name in tried.split() and advice.partition("=")[0] in parameters:
            return f"for {name}= write {advice}"
    if name in _OF_THE_CLIENT:
        return f"{name}= belongs to the client, as LangCache({name}=...)"
    return None
