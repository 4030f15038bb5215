"""A name that is tried in vain is answered with the one to write."""

from __future__ import annotations

import copy
import inspect
from unittest import mock

import pytest

from langcache import AsyncLangCache, LangCache
from langcache._established.mistakes import _ARGUMENTS, _ATTRIBUTES
from langcache.models import (
    CacheEntry,
    DeleteQueryResponse,
    ProblemDetails,
    SearchResponse,
    SearchStrategy,
    SetResponse,
)

SETTINGS = ("http://127.0.0.1:1", "a-key", "a-cache")


@pytest.fixture
def blocking():
    with LangCache(*SETTINGS) as client:
        yield client


@pytest.fixture
async def awaited():
    async with AsyncLangCache(*SETTINGS) as client:
        yield client


@pytest.fixture(params=["blocking", "awaited"])
def client(request):
    return request.getfixturevalue(request.param)


WRONG_ARGUMENTS = [
    ("search", {"query": "q"}, "for query= write prompt="),
    ("search", {"prompt": "q", "threshold": 0.9}, "for threshold= write similarity_threshold="),
    ("search", {"prompt": "q", "similarityThreshold": 0.9}, "write similarity_threshold="),
    ("search", {"prompt": "q", "distance_threshold": 0.1}, r"write similarity_threshold= \(1 - distance\)"),
    ("search", {"prompt": "q", "exact_match": True}, r"write search_strategies=\[\"exact\"\]"),
    ("search", {"prompt": "q", "search_strategy": "exact"}, "write search_strategies="),
    ("search", {"prompt": "q", "top_k": 3}, "for top_k= write max_results="),
    ("search", {"prompt": "q", "filters": {}}, "for filters= write attributes="),
    (
        "search",
        {"prompt": "q", "cache_id": "c"},
        r"cache_id= belongs to the client, as LangCache\(cache_id=...\)",
    ),
    ("search", {"prompt": "q", "timeout": 1}, r"for timeout= write timeout_ms= \(milliseconds\)"),
    ("search", {"prompt": "q", "headers": {}}, "for headers= write http_headers="),
    ("set", {"question": "q", "answer": "a"}, "for question= write prompt=; for answer= write response="),
    ("set", {"key": "q", "value": "a"}, "for key= write prompt=; for value= write response="),
    ("set", {"prompt": "q", "response": "a", "ttl_seconds": 1}, r"write ttl= \(seconds, or a timedelta\)"),
    ("set", {"prompt": "q", "response": "a", "ttlMillis": 1}, "write ttl_millis="),
    ("set", {"prompt": "q", "response": "a", "metadata": {}}, "write attributes="),
    ("delete_by_id", {"id": "e"}, "for id= write entry_id="),
    ("delete_query", {"filter": {}}, "for filter= write attributes="),
    ("conversational_search", {"prompt": "q", "messages": []}, "for messages= write context="),
]


@pytest.mark.parametrize(("operation", "arguments", "advice"), WRONG_ARGUMENTS)
async def test_a_wrong_argument_of_an_async_operation(awaited, blocking, operation, arguments, advice):
    for call in (getattr(awaited, operation), getattr(blocking, f"{operation}_async")):
        got = rf"{call.__name__}\(\) got an unexpected keyword argument"
        with pytest.raises(TypeError, match=rf"{got}.*{advice}"):
            await call(**arguments)


@pytest.mark.parametrize(("operation", "arguments", "advice"), WRONG_ARGUMENTS)
def test_a_wrong_argument_of_a_blocking_operation(blocking, operation, arguments, advice):
    with pytest.raises(TypeError, match=rf"{operation}\(\) got an unexpected keyword argument.*{advice}"):
        getattr(blocking, operation)(**arguments)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ({"host": "h", "service_key": "k"}, "for host= write server_url=; for service_key= write api_key="),
        ({"url": "h", "key": "k", "name": "c"}, "write server_url=; for key= write api_key=; .* cache_id="),
        ({"redis_client": object()}, "for redis_client= write server_url="),
        ({"timeout": 3}, r"for timeout= write timeout_ms= \(milliseconds\)"),
        ({"retries": None}, "for retries= write retry_config="),
    ],
)
@pytest.mark.parametrize("kind", [AsyncLangCache, LangCache])
def test_a_wrong_argument_of_the_constructor(kind, arguments, advice):
    with pytest.raises(TypeError, match=advice):
        kind(**arguments)


def test_the_async_client_has_one_http_client():
    with pytest.raises(TypeError, match="for async_client= write client="):
        AsyncLangCache(*SETTINGS, async_client=None)


async def test_a_mistake_that_nobody_thought_of_is_told_in_python_s_own_words(awaited):
    with pytest.raises(TypeError, match=r"got an unexpected keyword argument 'colour'$"):
        await awaited.search("q", colour="red")
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'response'$"):
        await awaited.set("q")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("get", r"search\(prompt\)"),
        ("check", r"search\(prompt\)"),
        ("put", r"set\(prompt, response\)"),
        ("store", r"set\(prompt, response\)"),
        ("delete", r"delete_by_id\(entry_id\), delete_query\(attributes\) or flush\(\)"),
        ("delete_by_attributes", r"delete_query\(attributes\)"),
        ("clear", r"flush\(\)"),
        ("ping", r"health\(\)"),
        ("entries", "the client itself"),
    ],
)
def test_a_wrong_method(client, name, advice):
    assert not hasattr(client, name)
    with pytest.raises(AttributeError, match=rf"no attribute {name!r}: write .*{advice}"):
        getattr(client, name)


def test_methods_of_the_other_client(awaited, blocking):
    with pytest.raises(AttributeError, match=r"its methods are async already; write await search\(\)"):
        awaited.search_async  # noqa: B018
    with pytest.raises(AttributeError, match=r"write aclose\(\)"):
        awaited.close  # noqa: B018
    with pytest.raises(AttributeError, match=r"write search_async\(prompt\)"):
        blocking.asearch  # noqa: B018
    with pytest.raises(AttributeError, match=r"write search_async\(prompt\)"):
        blocking.get_async  # noqa: B018
    with pytest.raises(AttributeError, match=r"write aclose\(\)"):
        blocking.close_async  # noqa: B018
    with pytest.raises(AttributeError, match=r"write delete_by_id_async\(entry_id\), .* or flush_async\(\)"):
        blocking.delete_async  # noqa: B018


def test_an_unknown_attribute_is_told_in_python_s_own_words(client):
    with pytest.raises(AttributeError, match=r"has no attribute 'colour'$") as raised:
        client.colour  # noqa: B018
    assert (raised.value.name, raised.value.obj) == ("colour", client)


ENTRY = CacheEntry(id="e", prompt="p", response="r", similarity=1.0, search_strategy="exact")


@pytest.mark.parametrize(
    ("model", "name", "advice"),
    [
        (SearchResponse(data=[ENTRY]), "hits", "data"),
        (SearchResponse(data=[ENTRY]), "results", "data"),
        (SearchResponse(data=[ENTRY]), "score", "similarity"),
        (SearchResponse(data=[]), "similarity_score", "similarity"),
        (SearchResponse(data=[ENTRY]), "id", "entry"),
        (ENTRY, "score", "similarity"),
        (ENTRY, "answer", "response"),
        (ENTRY, "metadata", "attributes"),
        (ENTRY, "entry_id", "id"),
        (ENTRY, "dict", r"model_dump\(\)"),
        (ENTRY, "json", r"model_dump_json\(\)"),
        (SetResponse(entry_id="e"), "id", "entry_id"),
        (DeleteQueryResponse(deleted_entries_count=1), "deleted", "deleted_entries_count"),
    ],
)
def test_a_wrong_attribute_of_a_model(model, name, advice):
    with pytest.raises(AttributeError, match=rf"no attribute {name!r}: write {advice}$"):
        getattr(model, name)


def test_advice_names_what_there_is():
    operations = [getattr(AsyncLangCache, name) for name in dir(AsyncLangCache) if name[0] != "_"]
    functions = [*operations, AsyncLangCache.__init__]
    parameters = {name for function in functions for name in inspect.signature(function).parameters}
    assert {advice.partition("=")[0] for advice in _ARGUMENTS} <= parameters
    owners = (AsyncLangCache, LangCache, CacheEntry, SearchResponse, SetResponse, DeleteQueryResponse)
    for advice, tried in _ATTRIBUTES.items():
        head = advice.replace("(", " ").split()[0]
        having = [owner for owner in owners if hasattr(owner, head)]
        assert having
        assert any(not hasattr(owner, name) for owner in having for name in tried.split())


async def test_the_operations_look_as_they_are_written(awaited):
    assert inspect.iscoroutinefunction(AsyncLangCache.search)
    assert inspect.iscoroutinefunction(LangCache.search_async)
    for function in (AsyncLangCache.search, LangCache.search, LangCache.search_async):
        assert list(inspect.signature(function).parameters)[:3] == ["self", "prompt", "similarity_threshold"]
    assert list(inspect.signature(LangCache).parameters)[:3] == ["server_url", "api_key", "cache_id"]


async def test_mocks_of_the_clients_behave_like_them():
    fake = mock.create_autospec(LangCache, instance=True)
    fake.search.return_value = SearchResponse(data=[])
    assert not fake.search(prompt="q")
    fake.search_async.return_value = SearchResponse(data=[ENTRY])
    assert (await fake.search_async(prompt="q")).hit
    with pytest.raises(TypeError):
        fake.search(threshold=1)
    with mock.patch.object(LangCache, "search", return_value=SearchResponse(data=[ENTRY])):
        assert LangCache(*SETTINGS).search(prompt="q").data[0].search_strategy is SearchStrategy.EXACT


def test_models_and_clients_stand_what_tools_ask_of_every_object(client):
    for thing in (ENTRY, SearchResponse(data=[ENTRY]), ProblemDetails()):
        assert copy.deepcopy(thing) == thing
        assert not hasattr(thing, "__fspath__")
    assert not hasattr(client, "__wrapped__")


def test_what_has_no_awaitable_twin_names_the_async_client(blocking):
    with pytest.raises(AttributeError, match=r"use AsyncLangCache\.get_or_set\(\)$"):
        blocking.get_or_set_async  # noqa: B018
