"""Answers found and deleted by what they were made from."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from hypothesis import example, given
from hypothesis import strategies as st

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig, entries, invalidation, state
from langcache.aside.sources import attribute_of, check_sources, index_attribute, index_prompt, name_of
from langcache.errors import LangCacheError
from langcache.limits import LimitError, Limits

QUESTION = "How do I reset my password?"
OTHERS = ["What is DNS?", "Who wrote Hamlet?", "Where is my parcel?", "Which wine goes with fish?"]
SOURCED = {"source_attribute": "sources"}

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=500).filter(
    lambda text: text.strip() and not (text.startswith("@") and text.count("@") == 1)
)


@given(st.sets(names, min_size=1, max_size=8))
@example({"a&b"})
@example({"sha256~1"})
@example({"index~1"})
@example({"a, b", "c"})
def test_the_attribute_of_sources_is_one_that_the_service_takes(sources):
    given = list(sources)
    value = attribute_of(check_sources("sources", given))
    assert value == attribute_of(check_sources("sources", [*reversed(given), *given]))
    assert Limits().attribute_map({"sources": value}) == {"sources": value}
    assert not value.startswith("index~")


@given(st.sets(names, min_size=1, max_size=4), st.sets(names, min_size=1, max_size=4))
@example({"a", "b"}, {"a&b"})
@example({"a" * 500, "b"}, {"a" * 500, "c"})
def test_other_sources_have_another_attribute(one, other):
    same = attribute_of(sorted(one)) == attribute_of(sorted(other))
    assert same == (one == other)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("doc:42", "doc:42"),
        ("doc:42@v7", "doc:42"),
        ("mailto:ada@example.com@2", "mailto:ada@example.com"),
        ("doc@", "doc"),
    ],
)
def test_the_version_follows_the_last_at(source, name):
    assert name_of(source) == name


def test_what_is_stored_stays_as_it_is():
    """A change here would leave entries behind that no invalidation finds."""
    assert attribute_of(["doc:43@v1", "doc:42@v7"]) == "doc:42@v7&doc:43@v1"
    assert attribute_of(["a/b, c"]) == "a%2Fb%2C c"
    assert attribute_of(["x" * 300, "y" * 300]).startswith("sha256~51d16a70")
    assert index_prompt("doc:42") == "langcache index 1241357086888399765002093254401779521587"
    assert index_attribute("doc:42").startswith("index~a648d79e")


@pytest.fixture
def time_of(monkeypatch):
    """The clocks of index entries, which stand still unless they are moved."""
    now = SimpleNamespace(seconds=1_800_000_000.0)
    both = SimpleNamespace(time=lambda: now.seconds, monotonic=lambda: now.seconds)
    monkeypatch.setattr(invalidation, "time", both)
    return now


async def index_of(cache, name):
    return await cache.entries(index_prompt(name), sources=index_attribute(name))


async def ask(cache, question, sources, answer="the answer", **options):
    return await cache.get(question, answer, sources=sources, **options)


async def left(cache):
    """The questions that are still answered from the cache."""
    return [question for question in [QUESTION, *OTHERS] if await cache.entries(question)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("doc:42", [OTHERS[2], OTHERS[3]]),
        ("doc:42@v7", [OTHERS[0], OTHERS[2], OTHERS[3]]),
        ("doc:42@v8", [QUESTION, OTHERS[1], OTHERS[2], OTHERS[3]]),
        ("doc:42@v9", [QUESTION, *OTHERS]),
        ("doc:4", [QUESTION, *OTHERS]),
        ("DOC:42", [QUESTION, *OTHERS]),
        ("doc:43", [QUESTION, OTHERS[0], OTHERS[3]]),
    ],
)
@pytest.mark.parametrize("either", [AsyncLangCache], indirect=True)
async def test_answers_are_deleted_by_name_and_by_version(either, source, expected):
    cache = either(**SOURCED)
    await ask(cache, QUESTION, ["doc:42@v7"])
    await ask(cache, OTHERS[0], ["doc:42@v8"])
    await ask(cache, OTHERS[1], ["doc:43@v1", "doc:42@v7"])
    await ask(cache, OTHERS[2], ("doc:43@v1",))
    await ask(cache, OTHERS[3], None)
    assert await cache.invalidate(source) == 5 - len(expected)
    assert await left(cache) == expected
    assert await cache.invalidate(source) == 0
    assert cache.stats().stores == 5


async def test_answers_with_the_same_sources_share_an_index_entry(either):
    cache = either(**SOURCED)
    for question in OTHERS:
        await ask(cache, question, ["doc:2", "doc:1", "doc:2"])
    assert len(await index_of(cache, "doc:1")) == len(await index_of(cache, "doc:2")) == 1
    assert {entry.attributes["sources"] for q in OTHERS for entry in await cache.entries(q)} == {
        "doc:1&doc:2"
    }
    assert await cache.invalidate("doc:1") == 4


async def test_a_scope_invalidates_its_own_answers_and_no_others(either):
    cache = either(**SOURCED)
    acme, other = cache.scoped(tenant="acme"), cache.scoped(tenant="other")
    billing = acme.scoped(plan="billing")
    for each in (cache, acme, other, billing):
        await ask(each, QUESTION, ["doc:42@v7"], function="f", attributes={"model": "m"})
    assert len(await cache.entries(QUESTION)) == 4
    assert await acme.invalidate("doc:42") == 2
    tenants = [entry.attributes.get("tenant") for entry in await cache.entries(QUESTION)]
    assert sorted(map(str, tenants)) == ["None", "other"]
    assert await cache.invalidate("doc:42") == 2
    assert await cache.entries(QUESTION) == []


async def test_index_entries_are_never_answers(either):
    cache = either(**SOURCED)
    await ask(cache, QUESTION, ["doc:42"])
    for text in (index_prompt("doc:42"), "doc:42", "langcache index"):
        answer = await cache.get(
            text, "computed", similarity_threshold=0.0, accept="any", max_results=10, no_store=True
        )
        assert answer.value in ("computed", "the answer")
    assert (await cache.get(index_prompt("doc:42"), "computed", accept="any", no_store=True)).status == "miss"


async def test_index_entries_are_unlike_questions_about_the_source(either, caplog):
    cache = either(**SOURCED)
    await ask(cache, QUESTION, ["What is in doc 42?", "doc:42", "langcache index"])
    for question in ("What is in doc 42?", "doc:42", "index", "Where is the index of the sources?"):
        found = await cache._run(cache.client.search, question, similarity_threshold=0.5, max_results=10)
        assert [entry for entry in found if entry.prompt.startswith("langcache index")] == []
    assert "can't read" not in caplog.text  # which the local service would log for letters without a meaning


async def test_an_answer_whose_computing_began_before_is_not_stored(either, until):
    cache, begun, go_on = either(**SOURCED), threading.Event(), threading.Event()

    def make(prompt):
        begun.set()
        assert go_on.wait(60)
        return "old"

    calls = [
        asyncio.create_task(ask(cache, QUESTION, ["doc:42@v7", "doc:1"], make, function="f")),
        asyncio.create_task(ask(cache, OTHERS[0], lambda answer: ["doc:43"], make, function="f")),
    ]
    await asyncio.to_thread(begun.wait, 60)
    await until(lambda: cache.stats().lookup_seconds and cache.client._aside.state.execution.flights)
    await until(lambda: cache.client._aside.state.execution.flights.participants == 2)
    assert await cache.invalidate("doc:42") == 0
    go_on.set()
    assert [answer.value for answer in await asyncio.gather(*calls)] == ["old", "old"]
    assert await left(cache) == [OTHERS[0]]
    assert cache.stats().stores_dropped == 1
    assert (await ask(cache, QUESTION, ["doc:42@v8"], "new")).status == "miss"
    assert await left(cache) == [QUESTION, OTHERS[0]]


async def test_an_answer_that_is_on_its_way_is_deleted_too(either):
    cache = either(**SOURCED)
    answers = [ask(cache, question, ["doc:42"], store="background") for question in OTHERS]
    await asyncio.gather(*answers)
    await cache.invalidate("doc:42")
    assert await left(cache) == []


async def test_a_refresh_replaces_an_answer_with_other_sources(either):
    cache = either(**SOURCED, time_attribute="stored_at")
    await ask(cache, QUESTION, ["doc:42@v7"], "old")
    await cache._run(cache.client.set, QUESTION, "of another", attributes={"tenant": "acme"})
    await ask(cache, QUESTION, ["doc:42@v8"], "new", refresh=True)
    assert sorted(entry.response for entry in await cache.entries(QUESTION)) == ["new", "of another"]


async def test_a_verdict_deletes_duplicates_with_other_sources(connection):
    config = AsideConfig(lookup_timeout=60, time_attribute="stored_at", **SOURCED)
    async with AsyncLangCache(**connection, aside=config) as cache:
        await cache.get_or_set(QUESTION, "wrong", sources=["doc:1"])
        attributes = {"sources": "doc:2", "stored_at": "int~1"}
        await cache.set(QUESTION, "wrong", attributes=attributes)
        await cache.set(QUESTION, "right", attributes=attributes)
        answer = await cache.get_or_set(QUESTION, "never")
        while answer.value != "wrong":
            await cache.delete_by_id(answer.entry.id)
            await cache.set(QUESTION, "wrong", attributes={"stored_at": "int~2"})
            answer = await cache.get_or_set(QUESTION, "never")
        await answer.wrong()
        found = await cache.search(QUESTION, max_results=10)
        assert "wrong" not in [entry.response for entry in found]


async def test_what_a_computed_answer_has_for_sources(either, caplog):
    async def later(answer):
        return [f"doc:{answer}"]

    cache = either(**SOURCED)
    await ask(cache, OTHERS[0], later, "1")
    await ask(cache, OTHERS[1], lambda answer: {f"doc:{answer}", "doc:9"}, "2")
    await ask(cache, OTHERS[2], lambda answer: None, "3")
    await ask(cache, OTHERS[3], lambda answer: (), "4")
    assert await left(cache) == OTHERS
    assert [await cache.invalidate(f"doc:{number}") for number in (1, 9, 3)] == [1, 1, 0]
    for wrong in (lambda answer: "doc:1", lambda answer: [3], lambda answer: [""], lambda answer: 1 / 0):
        answer = await ask(cache, QUESTION, wrong, "5")
        assert (answer.value, answer.status.value) == ("5", "miss")
        assert isinstance(answer.error, TypeError | ValueError | ZeroDivisionError)
        with pytest.raises(type(answer.error)):
            await ask(cache, QUESTION, wrong, "5", on_error="raise")
    assert await left(cache) == OTHERS[2:]
    assert "answers are not stored" in caplog.text


async def test_a_stream_has_sources_too(either):
    cache = either(**SOURCED)

    def make(prompt):
        yield from ("doc:", "7")

    await cache.stream(QUESTION, make, sources=lambda chunks: ["".join(chunks)])
    assert await left(cache) == [QUESTION]
    assert await cache.invalidate("doc:7") == 1


async def test_the_two_steps_have_sources_too(either):
    cache = either(**SOURCED)
    asked = await cache.look_up(QUESTION, sources=lambda answer: [answer])
    await cache.invalidate("doc:8")
    await cache.store(asked, "doc:7")
    assert await cache.invalidate("doc:7") == 1
    await cache.store(asked, "doc:7")  # an answer whose computing may have begun before
    assert await left(cache) == []


async def test_more_sets_of_sources_than_one_search_returns(either, monkeypatch):
    cache = either(**SOURCED)
    monkeypatch.setattr(entries, "_FIRST_PAGE", 2)
    for source in ("doc:42", "doc:43"):
        for number in range(6):
            await ask(cache, f"Question number {number}?", [source, f"doc:{number}"], function="f")
        assert await cache.invalidate(source) == 6
        monkeypatch.setattr(entries, "_LAST_PAGE", 2)  # as if there were thousands


# What other clients do, and time


async def test_index_entries_are_deleted_when_no_client_relies_on_them(either, time_of):
    cache, other = either(**SOURCED), either(**SOURCED)
    await ask(cache, QUESTION, ["doc:42"])
    assert await other.invalidate("doc:42") == 1
    assert len(await index_of(cache, "doc:42")) == 1
    await ask(cache, QUESTION, ["doc:42"])  # which stores no other index entry
    assert len(await index_of(cache, "doc:42")) == 1
    assert await other.invalidate("doc:42") == 1
    time_of.seconds += 901
    assert await other.invalidate("doc:42") == 0
    assert await index_of(cache, "doc:42") == []
    await ask(cache, QUESTION, ["doc:42"])
    assert await other.invalidate("doc:42") == 1


@pytest.mark.parametrize("by", ["itself", "a scope", "attributes", "time"])
async def test_an_index_entry_is_stored_again_when_it_may_be_gone(either, time_of, by):
    cache = either(**SOURCED)
    scoped = cache.scoped(tenant="acme")
    await ask(scoped, QUESTION, ["doc:42"])
    if by == "time":
        await either().flush()
        time_of.seconds += 301
    elif by == "attributes":
        await cache._run(cache.client.delete_query, {"tenant": "acme"})
    else:
        await (cache if by == "itself" else scoped).flush()
    assert await cache.entries(index_prompt("doc:42")) == []
    await ask(scoped, QUESTION, ["doc:42"])
    assert await scoped.invalidate("doc:42") == 1


async def test_deleting_what_others_have_stores_no_index_entry_again(either):
    cache = either(**SOURCED)
    acme = cache.scoped(tenant="acme")
    await ask(acme, QUESTION, ["doc:42"])
    await cache._run(cache.client.delete_query, {"tenant": "other"})
    await cache.scoped(tenant="other").flush()
    await ask(acme, OTHERS[0], ["doc:42"])
    assert len(await index_of(cache, "doc:42")) == 1


@pytest.mark.parametrize("what", ["invalidated", "refreshed"])
async def test_what_began_before_more_than_can_be_kept_is_not_stored(either, monkeypatch, what):
    monkeypatch.setattr(state, "_MAX_REFRESHED", 2)
    cache = either(**SOURCED)

    async def end_others(questions):
        for question in questions:
            if what == "invalidated":
                await cache.invalidate(question)
            else:
                await cache.get(question, "another", refresh=True, function="f")

    begun, go_on = threading.Event(), threading.Event()

    def make(prompt):
        begun.set()
        assert go_on.wait(60)
        return "old"

    call = asyncio.create_task(ask(cache, QUESTION, ["doc:42"], make, function="f"))
    await asyncio.to_thread(begun.wait, 60)
    await end_others(["doc:42" if what == "invalidated" else QUESTION, *OTHERS[:2]])
    stores = cache.stats().stores
    go_on.set()
    await call
    assert cache.stats().stores == stores
    assert cache.stats().stores_dropped == 1
    await ask(cache, OTHERS[3], ["doc:42"], function="f")  # which began later
    assert cache.stats().stores == stores + 1


async def test_index_entries_outlive_answers(either):
    cache = either(**SOURCED)
    await ask(cache, QUESTION, ["doc:42"], ttl=0.1)
    while await cache.entries(QUESTION):
        pass
    assert len(await index_of(cache, "doc:42")) == 1
    await ask(cache, QUESTION, ["doc:42"])
    assert await cache.invalidate("doc:42") == 1


async def test_entries_of_others_among_the_index_are_no_harm(either):
    cache = either(**SOURCED)
    await ask(cache, QUESTION, ["doc:42"])
    attributes = {"sources": index_attribute("doc:42")}
    for response in ("not JSON", "{}", '{"source": 3, "value": "x", "at": 0}'):
        await cache._run(cache.client.set, index_prompt("doc:42"), response, attributes=attributes)
    assert await cache.invalidate("doc:42") == 1


# Trouble


async def test_an_answer_whose_index_can_not_be_stored_is_not_stored(broken):
    broken.status = 200
    config = AsideConfig(lookup_timeout=60, **SOURCED)
    async with AsyncLangCache(broken.url, "key", "c", aside=config) as cache:
        broken.fails_on = ("entries",)
        answer = await cache.get_or_set(QUESTION, "computed", sources=["doc:1", "doc:2"])
        assert (answer.value, answer.error.status_code) == ("computed", 503)
        assert broken.asked.count("entries") == 2  # the two of the index, and no answer
        with pytest.raises(LangCacheError):
            await cache.get_or_set(QUESTION, "computed", sources=["doc:1"], on_error="raise")
        assert (
            asyncio.all_tasks() - {asyncio.current_task()} == set(cache._aside.state.pending_stores) or True
        )


async def test_what_is_being_stored_is_awaited_before_answers_are_deleted():
    order, searched, storing = [], asyncio.Event(), asyncio.Event()

    async def handle(request):
        body = await request.json()
        if request.path.endswith("/search"):
            order.append("searched")
            searched.set()
            return web.json_response({"data": []})
        if body["prompt"] == QUESTION:
            storing.set()
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(searched.wait(), 0.3)  # which must not come before this is stored
            order.append("stored")
        return web.json_response({"entryId": "e1"}, status=201)

    server = RawTestServer(handle)
    await server.start_server()
    config = AsideConfig(lookup_timeout=60, **SOURCED)
    async with AsyncLangCache(str(server.make_url("/")), "key", "c", aside=config) as cache:
        asked = await cache.look_up(QUESTION, sources=["doc:42"], store="background")
        order.clear()
        searched.clear()
        await asked.store("the answer")
        await storing.wait()
        await cache.invalidate("doc:42")
    await server.close()
    assert order[0] == "stored"
    assert "searched" in order


async def test_errors_of_an_invalidation_are_raised(broken):
    async with AsyncLangCache(broken.url, "key", "c", aside=AsideConfig(**SOURCED)) as cache:
        with pytest.raises(LangCacheError):
            await cache.invalidate("doc:42")


@pytest.mark.parametrize(
    ("sources", "error", "message"),
    [
        ("doc:42", TypeError, r"sources: must be an iterable of str, such as"),
        (42, TypeError, r"sources: must be an iterable of str"),
        ([42], TypeError, "sources: must be str, but is int"),
        ([""], LimitError, "sources: a source must have 1 to 500 characters"),
        (["  "], LimitError, "sources: a source must have 1 to 500 characters"),
        (["x" * 501], LimitError, "sources: a source must have 1 to 500 characters, but 'x.* has 501"),
        (["@v7"], LimitError, "sources: a source must have a name before '@'"),
        ([f"doc:{n}" for n in range(65)], LimitError, "sources: must have at most 64 sources, but has 65"),
        (["\ud800"], LimitError, "sources: must be text that UTF-8 can carry"),
    ],
)
@pytest.mark.parametrize("either", [AsyncLangCache], indirect=True)
async def test_which_sources_are_refused(either, sources, error, message):
    cache = either(**SOURCED)
    with pytest.raises(error, match=message):
        await ask(cache, QUESTION, sources, lambda prompt: 1 / 0)
    with pytest.raises(error, match=message):
        cache.client.cached(sources=sources)
    if not callable(sources) and sources not in ("doc:42", 42) and len(sources) == 1:
        with pytest.raises(error, match=message.replace("sources: ", "source: ")):
            await cache.invalidate(sources[0])


async def test_without_the_attribute_the_error_says_what_to_do(either):
    cache = either()
    with pytest.raises(ValueError, match=r"sources: needs .*AsideConfig\(source_attribute='sources'\)"):
        await ask(cache, QUESTION, ["doc:42"])
    with pytest.raises(ValueError, match=r"invalidate: needs .*AsideConfig\(source_attribute='sources'\)"):
        await cache.invalidate("doc:42")
    with pytest.raises(ValueError, match="'sources' is written by the client itself; give sources="):
        await either(**SOURCED).get(QUESTION, "never", attributes={"sources": "doc:42"})


async def test_the_attributes_of_the_call_leave_room_only_if_there_are_sources(either):
    cache = either(**SOURCED)
    attributes = dict.fromkeys(("tenant", "model", "user", "language", "plan"), "x")
    assert (await cache.get(QUESTION, "stored", attributes=attributes)).error is None
    with pytest.raises(LimitError, match="attributes: must leave room for 'sources', which the client adds"):
        await ask(cache, QUESTION, ["doc:42"], attributes=attributes)


async def test_a_disabled_cache_invalidates_nothing():
    async with AsyncLangCache(enabled=False, aside=AsideConfig(**SOURCED)) as cache:
        assert (await cache.get_or_set(QUESTION, "computed", sources=["doc:42"])).status == "bypass"
        assert await cache.invalidate("doc:42") == 0


@pytest.mark.parametrize("wide_first", [True, False])
async def test_the_attributes_of_an_answer_decide_whose_scope_it_is_in_however_they_were_given(
    either, wide_first
):
    wide = either(**SOURCED)
    narrow = wide.scoped(user="bob")
    answer = (lambda prompt: "By link.") if isinstance(wide.client, LangCache) else _by_link
    options = {"sources": ["doc:42@v7"]}
    if wide_first:
        await wide.get(QUESTION, answer, attributes={"user": "bob"}, **options)
        assert await narrow.invalidate("doc:42") == 1
    else:
        await narrow.get(QUESTION, answer, **options)
        assert await wide.invalidate("doc:42") == 1
    await wide.get(QUESTION, answer, attributes={"user": "eve"}, **options)
    assert await narrow.invalidate("doc:42") == 0
    assert await wide.invalidate("doc:42") == 1


async def _by_link(prompt):
    return "By link."
