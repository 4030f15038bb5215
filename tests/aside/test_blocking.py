"""The same from threads: the user's functions run where they were called from."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from langcache import LangCache
from langcache._portal import portal
from langcache.aside import JsonCodec, TextCodec, lexical_guard
from langcache.aside.core import Aside
from langcache.errors import ClosedError

QUESTION = "How do I reset my password?"
variable: ContextVar[str] = ContextVar("variable", default="unset")


def until_waiting(cache, number):
    while cache._aside.state.execution.flights.participants < number:
        threading.Event().wait(0.001)


def test_make_and_accept_run_in_the_callers_thread_and_context(blocking_cache):
    variable.set("the caller's")
    seen = []

    def make(prompt):
        seen.append((threading.current_thread(), variable.get()))
        return "the answer"

    def accept(question, entry):
        seen.append((threading.current_thread(), variable.get()))
        return True

    assert blocking_cache.get_or_set(QUESTION, make).status == "miss"
    assert blocking_cache.get_or_set(QUESTION, make, accept=accept).status == "hit"
    assert seen == [(threading.current_thread(), "the caller's")] * 2


def test_a_hundred_threads_share_one_make(blocking_cache):
    everybody_is_here = threading.Barrier(100)
    calls = []

    def make(prompt):
        calls.append(threading.current_thread())
        until_waiting(blocking_cache, 100)
        return "the answer"

    def ask(_):
        everybody_is_here.wait()
        return blocking_cache.get_or_set(QUESTION, make)

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(ask, range(100)))
    assert len(calls) == 1
    assert {answer.value for answer in answers} == {"the answer"}
    assert sum(answer.shared for answer in answers) == 99


def test_a_make_does_not_hold_up_other_calls(blocking_cache):
    def make(prompt):
        with ThreadPoolExecutor(1) as other:
            other.submit(blocking_cache.set, "meanwhile", "stored").result(5)
        return blocking_cache.get_or_set("meanwhile", "made").value

    assert blocking_cache.get_or_set(QUESTION, make).value == "stored"


def test_an_error_of_make_is_the_callers_and_nothing_is_stored(blocking_cache):
    error = ValueError("mine")

    def make(prompt):
        raise error

    with pytest.raises(ValueError, match="mine") as raised:
        blocking_cache.get_or_set(QUESTION, make)
    assert raised.value is error
    assert not blocking_cache.search(QUESTION)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_if_the_thread_that_makes_is_interrupted_another_takes_over(blocking_cache, interrupt):
    begun, go_on = threading.Event(), threading.Event()

    def make(prompt):
        if begun.is_set():
            return "taken over"
        begun.set()
        go_on.wait(5)
        raise interrupt

    def leads():
        with pytest.raises(interrupt):
            blocking_cache.get_or_set(QUESTION, make)

    with ThreadPoolExecutor(3) as pool:
        leader = pool.submit(leads)
        begun.wait(5)
        followers = [pool.submit(blocking_cache.get_or_set, QUESTION, make) for _ in "ab"]
        until_waiting(blocking_cache, 3)
        go_on.set()
        leader.result(5)
        assert [follower.result(5).value for follower in followers] == ["taken over"] * 2


class InterruptedCodec(TextCodec):
    """One that is interrupted the first time, on the event loop that all calls share."""

    def __init__(self, step, interrupt):
        self.interrupts = {step: interrupt("in a codec")}

    def encode(self, value):
        return self.once("encode", value)

    def decode(self, text):
        return self.once("decode", text)

    def once(self, step, text):
        if step in self.interrupts:
            raise self.interrupts.pop(step)
        return text


@pytest.fixture(params=[KeyboardInterrupt, SystemExit])
def spared(blocking_cache, request):
    """An interrupt that ends no event loop."""
    blocking_cache.search("is the loop there?")
    thread = blocking_cache._portal._thread
    yield request.param
    blocking_cache.search("is the loop still there?")
    assert blocking_cache._portal._thread is thread


@pytest.mark.parametrize("step", ["encode", "decode"])
def test_an_interrupted_codec_spares_other_calls(blocking_cache, spared, step):
    if step == "decode":
        blocking_cache.set(QUESTION, "stored")
    codec = InterruptedCodec(step, spared)
    with pytest.raises(spared, match="in a codec"):
        blocking_cache.get_or_set(QUESTION, "made", codec=codec)
    assert blocking_cache.get_or_set(QUESTION, "stored", codec=codec).value == "stored"


def test_if_the_codec_that_stores_is_interrupted_another_takes_over(blocking_cache, spared):
    codec = InterruptedCodec("encode", spared)
    begun, go_on = threading.Event(), threading.Event()

    def make(prompt):
        begun.set()
        go_on.wait(5)
        return "made"

    with ThreadPoolExecutor(3) as pool:
        leader = pool.submit(blocking_cache.get_or_set, QUESTION, make, codec=codec)
        begun.wait(5)
        followers = [pool.submit(blocking_cache.get_or_set, QUESTION, make, codec=codec) for _ in "ab"]
        until_waiting(blocking_cache, 3)
        go_on.set()
        assert isinstance(leader.exception(5), spared)
        assert [follower.result(5).value for follower in followers] == ["made"] * 2


def test_an_interrupted_store_spares_other_calls(connection, spared, caplog):
    def ask_for_key():
        key = next(keys)
        if isinstance(key, BaseException):
            raise key
        return key

    key = connection["api_key"]
    for store in ("wait", "background"):
        keys = iter([key, spared("no key"), key])  # of the lookup, the store, and the search
        with LangCache(**connection | {"api_key": ask_for_key}) as client:
            if store == "wait":
                with pytest.raises(spared, match="no key"):
                    client.get_or_set(QUESTION, "made")
            else:
                assert client.get_or_set(QUESTION, "made", store="background").value == "made"
            thread = client._portal._thread
            client.search("is the loop still there?")
            assert client._portal._thread is thread
            assert client.stats().store_errors == 1
    assert "answers are not stored" in caplog.text


def test_an_interrupt_out_of_many_is_the_callers(connection, spared):
    def ask_for_key():
        raise spared("no key")

    with LangCache(**connection | {"api_key": ask_for_key}) as client:
        with pytest.raises(spared, match="no key"):
            client.search_many(["a", "b"])
        thread = client._portal._thread
        with pytest.raises(spared, match="no key"):
            client.search("is the loop still there?")
        assert client._portal._thread is thread


def test_a_make_that_asks_its_own_question_does_not_wait_for_itself(blocking_cache):
    def outer(prompt):
        return "outer " + blocking_cache.get_or_set(QUESTION, "inner").value

    assert blocking_cache.get_or_set(QUESTION, outer).value == "outer inner"


def test_a_client_closed_meanwhile_still_gives_the_answer(connection):
    client = LangCache(**connection)
    calls = []

    def make(prompt):
        calls.append(prompt)
        client.close()
        return "the answer"

    answer = client.get_or_set(QUESTION, make)
    assert (answer.value, answer.status, len(calls)) == ("the answer", "miss", 1)
    assert isinstance(answer.error, ClosedError)
    assert client.get_or_set(QUESTION, make).value == "the answer"
    with pytest.raises(RuntimeError, match="closed"):
        client.get_or_set(QUESTION, make, on_error="raise")
    assert list(client.get_or_stream(QUESTION, iter(["a"]))) == ["a"]


def test_a_dead_service_does_not_stop_the_answer(dead_url):
    with LangCache(dead_url, "key", "cache") as cache:
        assert cache.get_or_set(QUESTION, "made").status == "error"
        assert list(cache.get_or_stream(QUESTION, lambda prompt: iter("ab"))) == ["a", "b"]


def test_a_disabled_cache_starts_no_thread(monkeypatch):
    for name in ("SERVER_URL", "API_KEY", "CACHE_ID"):
        monkeypatch.delenv(f"LANGCACHE_{name}", raising=False)
    cache = LangCache(enabled=False)
    answer = cache.get_or_set(QUESTION, lambda prompt: "made")
    assert (answer.value, answer.reason) == ("made", "disabled")
    assert list(cache.get_or_stream(QUESTION, lambda prompt: iter("ab"))) == ["a", "b"]
    assert "langcache-portal" not in {thread.name for thread in threading.enumerate()}
    assert not cache.search(QUESTION)


def test_a_cached_function_keeps_its_type_and_its_ways(blocking_cache):
    calls = []

    @blocking_cache.cached(attributes=("model",))
    def ask(question: str, model: str = "m") -> dict[str, int]:
        calls.append(question)
        return {"calls": len(calls)}

    assert [ask(QUESTION), ask(QUESTION)] == [{"calls": 1}] * 2
    assert ask(QUESTION, model="other") == {"calls": 2}
    assert ask.answer(QUESTION).hit
    assert ask.bypass(QUESTION) == {"calls": 3}
    assert ask.refresh(QUESTION) == {"calls": 4}
    assert ask(QUESTION) == {"calls": 4}

    class Bot:
        @blocking_cache.scoped(tenant="bots").cached(codec=JsonCodec(str), ignore="self")
        def ask(self, question: str) -> str:
            return "a bot's"

    assert Bot().ask("Something entirely different") == "a bot's"
    assert Bot().ask.answer("Something entirely different").hit


def test_async_functions_are_refused(blocking_cache):
    async def make(prompt):
        return "x"

    with pytest.raises(TypeError, match="AsyncLangCache"):
        blocking_cache.get_or_set(QUESTION, make)
    with pytest.raises(TypeError, match="AsyncLangCache"):
        blocking_cache.cached()(make)


def test_scopes_keep_apart_and_keep_their_client(connection):
    acme = LangCache(**connection).scoped(tenant="acme")
    gc.collect()
    assert acme.get_or_set(QUESTION, "acme's").status == "miss"
    other = acme.scoped(model="m")
    assert other.get_or_set(QUESTION, "more narrow").status == "miss"
    with acme, LangCache(**connection) as cache:
        assert cache.scoped(tenant="other").get_or_set(QUESTION, "other's").status == "miss"
        assert cache.scoped(tenant="acme").search(QUESTION, max_results=9)
    assert {entry.response for entry in acme.search(QUESTION, max_results=9)} == {"acme's", "more narrow"}
    with pytest.raises(ValueError, match="delete_by_id"):
        acme.delete_by_id("e1")
    acme.flush()
    assert not acme.search(QUESTION)
    acme._parent.close()


async def test_awaited_operations_are_scoped_too(connection):
    async with LangCache(**connection) as cache:
        await cache.scoped(tenant="acme").set_async(QUESTION, "acme's")
        assert not await cache.scoped(tenant="other").search_async(QUESTION)
        assert (await cache.scoped(tenant="acme").search_async(QUESTION)).response == "acme's"


def test_many_read_their_items_and_tell_progress_in_the_callers_thread(blocking_cache):
    threads = set()

    def items():
        for n in range(20):
            threads.add(threading.current_thread())
            yield f"Question number {n}", str(n)

    told = []
    results = blocking_cache.set_many(items(), progress=lambda done, total: told.append(done))
    assert all(result.ok for result in results)
    assert (len(results), told) == (20, list(range(1, 21)))
    assert threads == {threading.current_thread()}
    found = blocking_cache.search_many(["Question number 3", ""], search_strategies="exact")
    assert found[0].value.response == "3"
    assert not found[1].ok


def test_what_is_said_of_a_call_names_its_method(blocking_cache, monkeypatch):
    names, begin = [], blocking_cache._portal.begin

    def spy(name, *args):
        names.append(name)
        return begin(name, *args)

    monkeypatch.setattr(blocking_cache._portal, "begin", spy)
    blocking_cache.search_many(["Question number 3"])
    assert set(names) == {"search_many"}


def test_background_stores_are_there_when_the_client_is_closed(connection):
    with LangCache(**connection) as cache:
        cache.get_or_set(QUESTION, "stored", store="background")
    with LangCache(**connection) as cache:
        assert cache.get_or_set(QUESTION, "other", accept=lexical_guard).value == "stored"
        assert cache.stats().hits == 1


async def test_a_close_that_blocks_the_running_loop_to_wait_for_stores_says_so(connection, monkeypatch):
    monkeypatch.setattr(portal, "_warned", False)
    cache = LangCache(**connection)
    await asyncio.to_thread(cache.get_or_set, QUESTION, "stored", store="background")
    monkeypatch.setattr(Aside, "pending", True)  # however soon it was stored
    with pytest.warns(RuntimeWarning, match=r"LangCache\.close\(\) blocks .* await aclose\(\)"):
        cache.close()


def test_an_error_of_make_is_the_callers_even_if_make_closed_the_client(connection):
    client = LangCache(**connection)

    def make(prompt):
        client.close()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        client.get_or_set(QUESTION, make)
