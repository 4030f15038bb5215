"""One answer at a time: statuses, kinds of `make`, options, switches and figures."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest

from langcache import AsyncLangCache, LimitError, Limits
from langcache.aside import CacheStatus, JsonCodec

QUESTION = "How do I reset my password?"


async def test_a_miss_computes_and_stores_and_the_next_call_hits(cache, make):
    miss = await cache.get_or_set(QUESTION, make)
    hit = await cache.get_or_set(QUESTION, make)

    assert (miss.value, miss.status, miss.entry) == ("the answer", CacheStatus.MISS, None)
    assert (hit.value, hit.status, hit.hit) == ("the answer", "hit", True)
    assert hit.entry.prompt == QUESTION
    assert hit.similarity == pytest.approx(1)
    assert make.prompts == [QUESTION]


async def test_make_may_be_a_blocking_function_which_runs_beside_the_loop(cache):
    variable = ContextVar("variable", default="unset")
    variable.set("the caller's")

    def make(prompt):
        return f"{threading.current_thread() is threading.main_thread()} {variable.get()}"

    assert (await cache.get_or_set(QUESTION, make)).value == "False the caller's"


async def test_make_may_return_an_awaitable(cache, make):
    assert (await cache.get_or_set(QUESTION, lambda prompt: make(prompt))).value == "the answer"


async def test_make_may_be_the_answer_itself(cache):
    assert (await cache.get_or_set(QUESTION, "ready")).status == "miss"
    assert (await cache.get_or_set(QUESTION, "other")).value == "ready"


@pytest.mark.parametrize("error", [ValueError("mine"), TimeoutError("mine"), KeyError("mine")])
async def test_an_error_of_make_is_the_callers_and_nothing_is_stored(cache, make, error):
    make.answer = error
    with pytest.raises(type(error)) as raised:
        await cache.get_or_set(QUESTION, make)
    assert raised.value is error
    assert not await cache.search(QUESTION)


async def test_a_blocking_make_that_raises_stop_iteration_does_not_hang(cache):
    def make(prompt):
        raise StopIteration

    with pytest.raises(RuntimeError):
        await cache.get_or_set(QUESTION, make)


async def test_key_makes_the_question_of_a_conversation(cache):
    conversation = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]

    async def make(messages):
        return f"{len(messages)} messages"

    answer = await cache.get_or_set(conversation, make, key=lambda messages: messages[-1]["content"])
    assert answer.value == "2 messages"
    assert (await cache.search(QUESTION)).response == "2 messages"


@pytest.mark.parametrize(("prompt", "key"), [(["no text"], None), ("text", len)])
async def test_a_question_that_is_no_text_is_refused(cache, make, prompt, key):
    with pytest.raises(TypeError, match="str"):
        await cache.get_or_set(prompt, make, key=key)


async def test_a_long_prompt_goes_past_the_cache_whole(cache, make):
    long = "x" * 1025
    answer = await cache.get_or_set(long, make)
    assert (answer.status, answer.reason) == ("bypass", "long prompt")
    assert make.prompts == [long]
    assert not await cache.search(long[:1024])


async def test_a_long_prompt_can_be_an_error(cache, make):
    with pytest.raises(LimitError, match="1024"):
        await cache.get_or_set("x" * 1025, make, on_long_prompt="raise")
    assert make.calls == 0


async def test_what_is_long_is_up_to_the_clients_limits(connection, make):
    async with AsyncLangCache(**connection, limits=Limits(prompt_chars=10)) as cache:
        assert (await cache.get_or_set("x" * 11, make)).reason == "long prompt"


async def test_bypass_neither_looks_up_nor_stores(cache, make):
    await cache.get_or_set(QUESTION, "stored")
    answer = await cache.get_or_set(QUESTION, make, bypass=True)
    assert (answer.value, answer.status, answer.reason) == ("the answer", "bypass", "asked")
    assert [entry.response for entry in await cache.search(QUESTION, max_results=9)] == ["stored"]


async def test_refresh_replaces_what_is_stored(cache, make):
    await cache.get_or_set(QUESTION, "old")
    await cache.set("Another question altogether", "kept")
    assert (await cache.get_or_set(QUESTION, make, refresh=True)).status == "miss"
    found = await cache.search(QUESTION, max_results=9, similarity_threshold=0)
    assert sorted(entry.response for entry in found) == ["kept", "the answer"]


async def test_refresh_leaves_other_scopes_alone(cache, make):
    await cache.set(QUESTION, "of a tenant", attributes={"tenant": "acme"})
    await cache.get_or_set(QUESTION, make, refresh=True)
    found = await cache.search(QUESTION, max_results=9)
    assert sorted(entry.response for entry in found) == ["of a tenant", "the answer"]


async def test_no_store_looks_up_and_does_not_store(cache, make):
    assert (await cache.get_or_set(QUESTION, make, no_store=True)).status == "miss"
    assert not await cache.search(QUESTION)
    await cache.set(QUESTION, "stored")
    assert (await cache.get_or_set(QUESTION, make, no_store=True)).value == "stored"


async def test_what_is_stored_lives_as_long_as_asked(cache, make, until_gone):
    await cache.get_or_set(QUESTION, make, ttl_millis=1)
    await until_gone(cache, QUESTION)


async def test_a_disabled_cache_needs_no_server_and_computes(make, monkeypatch):
    for name in ("SERVER_URL", "API_KEY", "CACHE_ID"):
        monkeypatch.delenv(f"LANGCACHE_{name}", raising=False)
    async with AsyncLangCache(enabled=False) as cache:
        answer = await cache.get_or_set(QUESTION, make)
        assert (answer.value, answer.status, answer.reason) == ("the answer", "bypass", "disabled")
        assert not await cache.search(QUESTION)
        assert (await cache.set(QUESTION, "x")).entry_id == ""
        assert await cache.flush() is None
        assert await cache.delete_by_id("any") is None
        assert (await cache.delete_query({"tenant": "a"})).deleted_entries_count == 0
        assert (await cache.conversational_search(QUESTION)).actual_prompt == QUESTION
        assert (await cache.health()).status == "ok"
        with pytest.raises(LimitError):
            await cache.search("")


@pytest.mark.parametrize("verdict", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
async def test_accept_has_the_last_word(cache, make, verdict, is_async):
    asked = []

    def accept(question, entry):
        asked.append((question, entry.response))
        return verdict

    async def accept_async(question, entry):
        return accept(question, entry)

    await cache.set(QUESTION, "stored")
    answer = await cache.get_or_set(QUESTION, make, accept=accept_async if is_async else accept)
    assert answer.value == ("stored" if verdict else "the answer")
    assert asked == [(QUESTION, "stored")]
    assert cache.stats().rejected == (not verdict)


async def test_accept_is_asked_about_each_of_several_entries(cache, make):
    for response in ("third", "second", "first"):
        await cache.set(QUESTION, response)
    answer = await cache.get_or_set(
        QUESTION, make, max_results=3, accept=lambda question, entry: entry.response == "third"
    )
    assert answer.value == "third"


async def test_an_accept_that_raises_turns_the_entry_down(cache, make, caplog):
    await cache.set(QUESTION, "stored")
    answer = await cache.get_or_set(QUESTION, make, accept=lambda question, entry: 1 / 0)
    assert answer.value == "the answer"
    assert "ZeroDivisionError" in caplog.text


async def test_what_turned_an_entry_down_is_logged_without_the_answer(cache, make, caplog):
    def quote(question, entry):
        raise ValueError(entry.response)

    await cache.set(QUESTION, "nobody's business")
    await cache.get_or_set(QUESTION, make, accept=quote)
    assert "ValueError" in caplog.text
    assert "nobody's business" not in caplog.text


async def test_an_entry_that_does_not_decode_is_a_miss(cache):
    await cache.set(QUESTION, "no JSON")
    answer = await cache.get_or_set(QUESTION, {"a": 1}, codec=JsonCodec(dict[str, int]))
    assert (answer.value, answer.status) == ({"a": 1}, "miss")


async def test_an_answer_that_does_not_encode_is_returned_and_said_to_be_so(cache, caplog):
    answer = await cache.get_or_set(QUESTION, {"a": 1})
    assert answer.value == {"a": 1}
    assert isinstance(answer.error, TypeError)
    assert "codec=" in caplog.text
    with pytest.raises(TypeError, match="codec="):
        await cache.get_or_set(QUESTION, {"a": 1}, on_error="raise")


async def test_background_stores_are_there_when_the_client_is_closed(connection):
    async with AsyncLangCache(**connection) as cache:
        for n in range(30):
            await cache.get_or_set(
                f"Question number {n}", str(n), store="background", search_strategies="exact"
            )
    async with AsyncLangCache(**connection) as cache:
        for n in range(30):
            assert (await cache.search(f"Question number {n}", search_strategies="exact")).response == str(n)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"on_error": "ignore"}, "on_error"),
        ({"on_long_prompt": "cut"}, "on_long_prompt"),
        ({"store": "later"}, "store"),
        ({"lookup_timeout": 0}, "lookup_timeout"),
        ({"lookup_timeout": "1"}, "lookup_timeout"),
        ({"accept": "yes"}, "accept"),
        ({"search_strategies": 5}, "search_strategies"),
        ({"no_such": 1}, "no_such"),
    ],
)
async def test_options_that_can_not_be_are_refused(cache, make, options, problem):
    with pytest.raises((TypeError, ValueError), match=problem):
        await cache.get_or_set(QUESTION, make, **options)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"max_results": 1}, {"max_results": True}),
        ({"similarity_threshold": 1.0}, {"similarity_threshold": True}),
        ({"no_store": True}, {"no_store": 1}),
        ({"ttl_millis": 5}, {"ttl_millis": "5"}),
        ({"lookup_timeout": 2.0, "refresh": True}, {"refresh": 2.0, "lookup_timeout": True}),
    ],
)
async def test_options_are_checked_although_equal_ones_were_good_before(cache, make, good, bad):
    for _ in range(2):
        await cache.get_or_set(QUESTION, make, **good)
        with pytest.raises(TypeError):
            await cache.get_or_set(QUESTION, make, **bad)


async def test_options_that_calls_have_had_keep_neither_memory_nor_functions(cache, make):
    known = cache._aside.questions._options
    await cache.get_or_set(QUESTION, make, bypass=True, accept=lambda question, entry: True)
    assert not known
    for nth in range(200):
        await cache.get_or_set(QUESTION, make, bypass=True, ttl_millis=1 + nth)
        assert 1 <= len(known) <= 64


async def test_figures_add_up(cache, make):
    await cache.get_or_set(QUESTION, make)
    await cache.get_or_set(QUESTION, make)
    await cache.get_or_set(QUESTION, make, bypass=True)
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.bypasses, stats.errors, stats.stores) == (1, 1, 1, 0, 1)
    assert (stats.calls, stats.hit_rate) == (3, 0.5)
    assert stats.similarities[99] == 1
    assert sum(stats.similarities) == 1
    assert min(stats.lookup_seconds, stats.store_seconds, stats.make_seconds) > 0
    await cache.get_or_set(QUESTION, make)
    assert stats.hits == 1, "a snapshot does not change"
