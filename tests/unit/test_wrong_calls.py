"""The error for a wrong call names the method as the program calls it, and nothing that is private."""

from __future__ import annotations

import asyncio
import inspect
import re
from typing import Any

import pytest

from langcache import AsyncLangCache, LangCache

SETTINGS = ("http://127.0.0.1:1", "a-key", "a-cache")

CLIENTS = {
    "async": (AsyncLangCache, lambda: AsyncLangCache(*SETTINGS)),
    "async scoped": (AsyncLangCache, lambda: AsyncLangCache(*SETTINGS).scoped(tenant="a")),
    "blocking": (LangCache, lambda: LangCache(*SETTINGS)),
    "blocking scoped": (LangCache, lambda: LangCache(*SETTINGS).scoped(tenant="a")),
}


def methods(kind: type[Any]) -> list[str]:
    return [name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")]


CALLS = [(client, name) for client, (kind, _) in CLIENTS.items() for name in methods(kind)]

ARGUMENTS = {  # right ones, where there must be some before a wrong one is looked at
    "get_or_set": ("q", "a"),
    "get_or_stream": ("q", ["a"]),
    "set": ("q", "a"),
    "set_many": ([],),
    "search_many": ([],),
    "delete_query": ({"a": "b"},),
}
TAKES_ONE = ("search", "delete_by_id", "conversational_search")


def call(method: Any, *arguments: Any, **options: Any) -> Any:
    result = method(*arguments, **options)

    async def awaited() -> Any:
        return await result

    return asyncio.run(awaited()) if inspect.isawaitable(result) else result


def wrong_calls(name: str, method: Any) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    plain = name.removesuffix("_async")
    right = ARGUMENTS.get(plain, ("q",) if plain in TAKES_ONE else ())
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [(("too", "many") * 10, {})]
    if plain != "scoped":  # which takes any name
        calls.append((right, {"no_such_argument": 1}))
    if right:
        calls.append(((), {}))
    return calls


@pytest.mark.parametrize(("client", "name"), CALLS)
def test_a_wrong_call_names_the_method_as_it_was_called(client: str, name: str) -> None:
    kind, make = CLIENTS[client]
    method = getattr(make(), name)
    assert method.__qualname__ == f"{kind.__name__}.{name}"
    for arguments, options in wrong_calls(name, method):
        with pytest.raises(TypeError) as raised:
            call(method, *arguments, **options)
        seen: BaseException | None = raised.value
        assert re.match(rf"({kind.__name__}\.)?{name}\(\) ", str(seen))
        while seen is not None:  # what a traceback shows
            assert not re.search(r"Mixin|Methods|\b_\w|await", str(seen))
            assert kind is AsyncLangCache or "AsyncLangCache" not in str(seen)
            seen = seen.__cause__ or seen.__context__


@pytest.mark.parametrize("kind", [AsyncLangCache, LangCache])
@pytest.mark.parametrize(("arguments", "options"), [(range(20), {}), ((), {"no_such_argument": 1})])
def test_a_wrong_construction_names_the_class(kind: Any, arguments: Any, options: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{kind.__name__}\.__init__\(\) "):
        kind(*arguments, **options)


def test_each_http_client_of_the_blocking_client_is_named_as_it_was_given() -> None:
    for argument in ("client", "async_client"):
        with pytest.raises(TypeError, match=rf"^{argument}: must be an aiohttp.ClientSession"):
            LangCache(*SETTINGS, **{argument: 5})
