"""A fault proxy in front of the local service, and every operation of both clients."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from langcache import AsyncLangCache, LangCache
from langcache.service import LocalServer

from .proxy import FaultProxy

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "search": lambda client: client.search("hi"),
    "set": lambda client: client.set("hi", "hello"),
    "delete_by_id": lambda client: client.delete_by_id("1"),
    "delete_query": lambda client: client.delete_query({"topic": "any"}),
    "flush": lambda client: client.flush(),
    "conversational_search": lambda client: client.conversational_search("hi", context=["ho"]),
    "health": lambda client: client.health(),
}


@pytest.fixture(scope="session")
def local() -> Iterator[LocalServer]:
    with LocalServer(("topic",)) as server:
        yield server


@pytest.fixture
def proxy(local: LocalServer) -> Iterator[FaultProxy]:
    with FaultProxy(local.url) as proxy:
        yield proxy


@pytest.fixture(params=[AsyncLangCache, LangCache])
def kind(request: pytest.FixtureRequest) -> type[AsyncLangCache] | type[LangCache]:
    return request.param


async def settle(result: Any) -> Any:
    """The result of a call of either client."""
    return await result if inspect.isawaitable(result) else result
