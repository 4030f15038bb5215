"""Scopes: how attribute values are encoded, and that nothing crosses from one scope to another."""

from __future__ import annotations

import asyncio
import inspect
import json
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langcache import AsyncLangCache, LimitError, Limits
from langcache._operations import AsyncOperations
from langcache._wire.exchange import Reply
from langcache.aside import encode_attributes, restore_attributes
from langcache.service import LocalServer

QUESTION = "How do I reset my password?"

values = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.integers(),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.uuids(),
)


def same(one, other):
    """Whether two values are one and the same: 1, 1.0, True and "1" are four."""
    return type(one) is type(other) and repr(one) == repr(other)


@settings(deadline=None)
@given(values)
def test_values_come_back_as_they_were(value):
    assert same(restore_attributes(encode_attributes({"name": value}))["name"], value)


@settings(deadline=None)
@given(values)
def test_encoded_values_are_within_the_contract(value):
    encoded = encode_attributes({"name": value})
    assert Limits().attribute_map(encoded) == encoded
    assert not set(encoded["name"]) & set(",/\\?|{}*\"'()[]\n\t")


@settings(deadline=None)
@given(values, values)
def test_different_values_are_never_encoded_alike(one, other):
    assert same(one, other) == (encode_attributes({"n": one}) == encode_attributes({"n": other}))


@settings(deadline=None)
@given(st.text("aA,/~%\\é ", min_size=200, max_size=600), st.text("aA,/~%\\é ", min_size=200, max_size=600))
def test_long_values_fit_and_stay_apart(one, other):
    encoded = [encode_attributes({"n": value})["n"] for value in (one, other)]
    assert all(1 <= len(text) <= 500 for text in encoded)
    assert (one == other) == (encoded[0] == encoded[1])


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("acme", "acme"),
        ("openai/gpt-5", "openai%2Fgpt-5"),
        ("Berlin, Mitte", "Berlin%2C Mitte"),
        (" padded ", "%20padded%20"),
        ("100%", "100%25"),
        ("~", "%7E"),
        ("naïve", "naïve"),
        ("€", "%E2%82%AC"),
        (42, "int~42"),
        ("42", "42"),
        ("int~42", "int%7E42"),
        (True, "bool~true"),
        (0.5, "float~0.5"),
        (uuid.UUID(int=1), "uuid~00000000-0000-0000-0000-000000000001"),
        ("x" * 501, "sha256~3ac31d30e2ef713a7d4803d2923982618af0bfb6488e67e2bcb9d0050f24d56a"),
    ],
)
def test_the_encoding_is_the_one_that_is_stored_everywhere(value, encoded):
    assert encode_attributes({"n": value}) == {"n": encoded}


def test_attributes_that_are_no_mapping_are_refused():
    with pytest.raises(TypeError, match="attributes: must be a mapping, but is int"):
        encode_attributes(3)


@pytest.mark.parametrize("value", [None, "", b"acme", ["acme"], float("nan"), float("inf"), "\ud800"])
def test_values_that_can_not_be_a_scope_are_refused(value):
    with pytest.raises((TypeError, ValueError), match="attributes"):
        encode_attributes({"tenant": value})


@pytest.fixture(scope="module")
def shared_server():
    with LocalServer(("tenant", "model")) as server:
        yield server


scopes = st.dictionaries(st.sampled_from(["tenant", "model"]), values, min_size=1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(scopes, min_size=2, max_size=5, unique_by=repr))
def test_a_scope_is_never_leaked(shared_server, several):
    """What one scope stores, another finds only if it asks for no more than what the first carries."""

    async def check():
        server = shared_server
        async with AsyncLangCache(server.url, server.api_key, server.cache_id) as cache:
            await cache.flush()
            for number, scope in enumerate(several):
                await cache.scoped(**scope).set(QUESTION, str(number))
            for scope in several:
                asked = encode_attributes(scope).items()
                may_find = {
                    str(number)
                    for number, other in enumerate(several)
                    if asked <= encode_attributes(other).items()
                }
                scoped = cache.scoped(**scope)
                found = await scoped.search(QUESTION, max_results=9)
                assert {entry.response for entry in found} == may_find
                assert (await scoped.get_or_set(QUESTION, "none")).value in may_find

    asyncio.run(check())


async def test_a_scope_carries_into_every_operation(cache):
    acme, other = cache.scoped(tenant="acme"), cache.scoped(tenant="other")
    await acme.set(QUESTION, "acme's")
    await acme.set_many([(f"{QUESTION} {n}", "acme's") for n in range(3)])
    await other.set(QUESTION, "the other's")
    assert (await acme.search(QUESTION)).response == "acme's"
    assert (await other.conversational_search(QUESTION)).response == "the other's"
    assert [result.value.response for result in await acme.search_many([QUESTION])] == ["acme's"]
    with pytest.raises(ValueError, match="delete_by_id"):
        await acme.delete_by_id((await acme.search(QUESTION)).entry.id)
    assert (await acme.delete_query({"tenant": "acme"})).deleted_entries_count == 4
    await acme.set(QUESTION, "acme's")
    await acme.flush()
    assert not await acme.search(QUESTION)
    assert (await other.search(QUESTION)).response == "the other's"


def test_no_operation_is_forgotten():
    """A new operation must be looked at: does it carry the scope, or refuse one?"""
    operations = {
        name
        for name, method in vars(AsyncOperations).items()
        if inspect.iscoroutinefunction(method) and not name.startswith("_") and name != "aclose"
    }
    assert operations == {
        "search",
        "set",
        "delete_by_id",
        "delete_query",
        "flush",
        "conversational_search",
        "health",
    }


async def test_scopes_nest(cache):
    inner = cache.scoped(tenant="acme").scoped(model="openai/gpt-5", user=7)
    await inner.set(QUESTION, "stored")
    entry = (await inner.search(QUESTION)).entry
    assert restore_attributes(entry.attributes) == {"tenant": "acme", "model": "openai/gpt-5", "user": 7}
    assert (await inner.get_or_set(QUESTION, "made")).attributes["user"] == 7


async def test_a_scope_can_not_be_changed_from_within(cache):
    acme = cache.scoped(tenant="acme")
    for contradicts in (
        lambda: acme.scoped(tenant="other").flush(),
        lambda: acme.get_or_set(QUESTION, "x", attributes={"tenant": "other"}),
        lambda: acme.search(QUESTION, attributes={"tenant": "other"}),
        lambda: acme.delete_query({"tenant": "other"}),
    ):
        with pytest.raises(ValueError, match="tenant"):
            await contradicts()
    await acme.search(QUESTION, attributes={"tenant": "acme", "model": "m"})


@pytest.mark.parametrize("attributes", [{}, {"a b": "x"}, {f"n{n}": "x" for n in range(6)}, {"tenant": None}])
async def test_a_scope_that_can_not_be_is_refused_at_once(cache, attributes):
    with pytest.raises((LimitError, ValueError, TypeError), match="attributes"):
        cache.scoped(**attributes)


@pytest.mark.langcache(attributes=())
async def test_a_scope_that_the_service_can_not_honour_fails_closed(langcache_server):
    server = langcache_server
    async with AsyncLangCache(server.url, server.api_key, server.cache_id) as cache:
        await cache.set(QUESTION, "everybody's")
        answer = await cache.scoped(tenant="acme").get_or_set(QUESTION, "made")
        assert (answer.value, answer.status) == ("made", "error")
        assert "no attributes are configured" in str(answer.error)


async def test_an_entry_that_a_service_returns_without_the_scope_is_dropped(broken):
    class Careless:
        async def request(self, method, url, **_):
            entry = {"id": "1", "prompt": "q", "response": "theirs", "attributes": {"tenant": "Acme"}}
            found = {"data": [entry | {"similarity": 1, "searchStrategy": "semantic"}], "actualPrompt": "q"}
            return Reply(200, {}, json.dumps(found).encode())

        async def aclose(self): ...

    cache = AsyncLangCache(broken.url, "key", "cache", Careless())
    acme = cache.scoped(tenant="acme")
    assert not await acme.search("q")
    assert not await acme.conversational_search("q")
    assert (await acme.get_or_set("q", "ours", no_store=True)).value == "ours"
    answer = await cache.get_or_set("q", "ours", attributes={"tenant": "acme"}, no_store=True)
    assert answer.value == "ours"


async def test_a_scoped_client_closes_nothing(cache):
    async with cache.scoped(tenant="acme") as acme:
        await acme.set(QUESTION, "stored")
    assert await cache.search(QUESTION)
