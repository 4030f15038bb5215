"""Functions, methods and objects never get each other's answers, unless the program says so."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import hypothesis
import pytest

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig, JsonCodec, Key
from langcache.aside import claims as claims_module
from langcache.aside.claims import Claims
from langcache.aside.codecs import TEXT
from langcache.aside.functions import computation_key, describe, name_of, plain_key

QUESTION = "How do I reset my password?"

DISTINCT = AsideConfig(function_attribute="model")


async def first(question: str) -> str:
    return "first"


async def second(question: str) -> str:
    return "second"


def first_blocking(question: str) -> str:
    return "first"


def second_blocking(question: str) -> str:
    return "second"


class Bot:
    def __init__(self, answer):
        self.answer = answer

    async def ask(self, question: str) -> str:
        return self.answer

    def ask_blocking(self, question: str) -> str:
        return self.answer

    async def __call__(self, question: str) -> str:
        return self.answer


class BlockingBot(Bot):
    def __call__(self, question: str) -> str:
        return self.answer


async def given(answer, question):
    return answer


def given_blocking(answer, question):
    return answer


def closure(answer):
    async def make(question: str) -> str:
        return answer

    return make


def closure_blocking(answer):
    def make(question: str) -> str:
        return answer

    return make


PAIRS = {
    "functions": (first, second),
    "lambdas": (lambda question: first(question), lambda question: second(question)),
    "closures": (closure("first"), closure("second")),
    "methods of two objects": (Bot("first").ask, Bot("second").ask),
    "callable objects": (Bot("first"), Bot("second")),
    "partials": (functools.partial(given, "first"), functools.partial(given, "second")),
    "partials of a method": (functools.partial(Bot("first").ask), functools.partial(Bot("second").ask)),
    "defaults": (
        lambda question, answer="first": given(answer, question),
        lambda question, answer="second": given(answer, question),
    ),
    "values": ("first", "second"),
}

BLOCKING_PAIRS = {
    "functions": (first_blocking, second_blocking),
    "lambdas": (lambda question: "first", lambda question: "second"),
    "closures": (closure_blocking("first"), closure_blocking("second")),
    "methods of two objects": (Bot("first").ask_blocking, Bot("second").ask_blocking),
    "callable objects": (BlockingBot("first"), BlockingBot("second")),
    "partials": (functools.partial(given_blocking, "first"), functools.partial(given_blocking, "second")),
    "values": ("first", "second"),
}


class Gate:
    """Holds up every lookup until so many have begun: a callable for the key, which each lookup asks."""

    def __init__(self, key, parties):
        self.key = key
        self.parties = parties
        self.begun = 0
        self.open = asyncio.Event()

    async def __call__(self):
        self.begun += 1
        if self.begun >= self.parties:
            self.open.set()
        await self.open.wait()
        return self.key


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
async def test_two_that_are_asked_at_once_are_both_asked(connection, pair):
    gate = Gate(connection["api_key"], 2)
    async with AsyncLangCache(**connection | {"api_key": gate}) as cache:
        answers = await asyncio.gather(*(cache.get_or_set(QUESTION, make, no_store=True) for make in pair))
    assert [answer.value for answer in answers] == ["first", "second"]
    assert not any(answer.shared for answer in answers)


@pytest.mark.parametrize("pair", BLOCKING_PAIRS.values(), ids=BLOCKING_PAIRS)
def test_two_that_threads_ask_at_once_are_both_asked(connection, pair):
    both = threading.Barrier(2, timeout=60)

    def wait():
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()  # until both lookups have begun

    async def key():
        await asyncio.to_thread(wait)
        return connection["api_key"]

    patient = AsideConfig(lookup_timeout=60)
    with LangCache(**connection | {"api_key": key}, aside=patient) as cache, ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda make: cache.get_or_set(QUESTION, make, no_store=True), pair))
    assert [answer.value for answer in answers] == ["first", "second"]
    assert not any(answer.shared for answer in answers)


async def test_two_streams_that_are_asked_at_once_are_both_asked(cache):
    def source(answer):
        async def make(question):
            yield answer

        return make

    async def read(make):
        return [chunk async for chunk in cache.get_or_stream(QUESTION, make, no_store=True)]

    assert await asyncio.gather(read(source("first")), read(source("second"))) == [["first"], ["second"]]


@pytest.mark.parametrize("made_anew", [False, True])
async def test_one_function_that_is_asked_twice_at_once_is_asked_once(cache, make, until, made_anew):
    make.go_on.clear()

    def ask():
        # A lambda of one place, holding the same, is the same.
        return cache.get_or_set(QUESTION, (lambda question: make(question)) if made_anew else make)

    tasks = [asyncio.create_task(ask()) for _ in range(3)]
    await make.begun.wait()
    await until(lambda: cache._aside.state.execution.flights.participants == 3)
    make.go_on.set()
    assert sum(answer.shared for answer in await asyncio.gather(*tasks)) == 2
    assert make.calls == 1


async def test_functions_called_with_different_arguments_for_one_text_do_not_share(cache, until):
    asked, go_on = [], asyncio.Event()

    async def make(messages):
        asked.append(messages)
        await go_on.wait()
        return messages[0]

    conversations = (["on weekdays", "And on Sundays?"], ["in summer", "And on Sundays?"])
    tasks = [
        asyncio.create_task(
            cache.get_or_set(messages, make, key=lambda messages: messages[-1], no_store=True)
        )
        for messages in conversations
    ]
    await until(lambda: len(asked) == 2)
    go_on.set()
    assert [answer.value for answer in await asyncio.gather(*tasks)] == ["on weekdays", "in summer"]


# What is stored


async def test_a_second_function_on_one_client_is_refused_with_the_ways_out(cache):
    cache.cached()(first)
    with pytest.raises(TypeError) as refused:
        cache.cached()(second)
    said = str(refused.value)
    assert "test_functions.first" in said
    assert "test_functions.second" in said
    assert all(way in said for way in ("function_attribute=", "cache.scoped(", "the same function="))


def test_a_second_function_on_one_blocking_client_is_refused(blocking_cache):
    blocking_cache.cached()(first_blocking)
    with pytest.raises(TypeError, match="function_attribute"):
        blocking_cache.cached()(second_blocking)


async def test_the_function_attribute_is_no_attribute_of_a_call():
    said = "attributes: 'model' is the function_attribute"
    async with AsyncLangCache("http://127.0.0.1:1", "key", "cache", aside=DISTINCT) as cache:
        with pytest.raises(ValueError, match=said):
            await cache.get_or_set(QUESTION, first, attributes={"model": "x"})
        with pytest.raises(ValueError, match=said):
            await cache.look_up(QUESTION, key=lambda text: Key(text, {"model": "x"}))
        with pytest.raises(ValueError, match=said):
            cache.cached(attributes={"model": "x"})(first)


SETTINGS_THAT_MEET = [
    ({}, {}),
    ({}, {"attributes": {"model": "b"}}),  # who looks for no attribute finds entries with any
    ({"attributes": {"model": "a"}}, {}),
    ({"attributes": {"model": "a"}}, {"attributes": {"model": "a"}}),
    ({"attributes": {"model": "a"}}, {"attributes": {"model": "a", "plan": "p"}}),
    ({"attributes": ("question",)}, {}),
    ({"attributes": ("question",), "key": str}, {"attributes": ("question",), "key": str}),
    ({"function": "one"}, {"function": "another"}),
    ({"function": "one"}, {}),
]

SETTINGS_THAT_DO_NOT = [
    ({"attributes": {"model": "a"}}, {"attributes": {"model": "b"}}),
    ({"attributes": {"model": "a"}}, {"attributes": {"plan": "p"}}),
    ({"attributes": {"model": "a", "plan": "p"}}, {"attributes": {"model": "b"}}),
    ({"function": "one"}, {"function": "one"}),
]


@pytest.mark.parametrize(("ours", "theirs"), SETTINGS_THAT_MEET)
def test_settings_that_let_one_find_the_others_entries_are_refused(ours, theirs):
    cache = AsyncLangCache(enabled=False)
    cache.cached(**ours)(first)
    with pytest.raises(TypeError, match="would get answers"):
        cache.cached(**theirs)(second)


@pytest.mark.parametrize(("ours", "theirs"), SETTINGS_THAT_DO_NOT)
def test_settings_that_keep_them_apart_or_say_that_they_share_are_taken(ours, theirs):
    cache = AsyncLangCache(enabled=False)
    cache.cached(**ours)(first)
    cache.cached(**theirs)(second)


def test_scopes_keep_functions_apart_unless_one_holds_the_other():
    cache = AsyncLangCache(enabled=False)
    cache.scoped(tenant="a").cached()(first)
    cache.scoped(tenant="b").cached()(second)
    with pytest.raises(TypeError, match="would get answers"):
        cache.scoped(tenant="a", plan="p").cached()(second)
    with pytest.raises(TypeError, match="would get answers"):
        cache.cached()(second)


def test_one_function_may_be_decorated_again_and_in_every_scope():
    cache = AsyncLangCache(enabled=False)
    for tenant in "abcabc":
        cache.scoped(tenant=tenant).cached()(first)
        cache.cached()(first)
    (known,) = cache._aside.state.claims._known.values()
    assert len(known.exact) + len(known.loose) == 4


def test_closures_that_hold_something_else_are_two_functions():
    cache = AsyncLangCache(enabled=False)
    cache.cached()(closure("first"))
    cache.cached()(closure("first"))
    with pytest.raises(TypeError, match="would get answers"):
        cache.cached()(closure("second"))


@pytest.mark.parametrize("function", [functools.partial(given, "second"), Bot("second")])
def test_partials_and_objects_are_functions_too(function):
    cache = AsyncLangCache(enabled=False)
    cache.cached()(first)
    with pytest.raises(TypeError, match="would get answers"):
        cache.cached()(function)


def test_a_function_that_looks_for_nothing_finds_those_of_open_ended_ones():
    cache = AsyncLangCache(enabled=False)
    cache.cached(attributes=lambda question: {"user": question})(first)
    with pytest.raises(TypeError, match="would get answers"):
        cache.cached()(second)
    cache.cached(attributes={"plan": "p"})(second)


async def test_an_attribute_for_the_function_keeps_them_apart(connection):
    async with AsyncLangCache(**connection, aside=DISTINCT) as cache:
        ours, theirs = cache.cached()(first), cache.cached(similarity_threshold=0.9)(second)
        assert [await ours(QUESTION), await theirs(QUESTION)] == ["first", "second"]
        hits = [await ours.answer(QUESTION), await theirs.answer(QUESTION)]
        assert [(hit.value, hit.hit) for hit in hits] == [("first", True), ("second", True)]
        assert hits[0].attributes == {"model": "test_functions.first"}
        assert (await cache.get_or_set(QUESTION, second)).hit, "it is the same function"
        assert (await cache.get_or_set(QUESTION, closure("third"), function="third")).value == "third"


async def test_functions_that_are_given_one_name_share(cache):
    ours = cache.cached(function="faq")(first)
    theirs = cache.cached(function="faq")(second)
    assert [await ours(QUESTION), await theirs(QUESTION)] == ["first", "first"]
    assert (await cache.get_or_set(QUESTION, second, function="faq")).value == "first"


async def test_what_has_no_name_of_its_own_needs_one_where_there_is_an_attribute(connection, make):
    async with AsyncLangCache(**connection, aside=DISTINCT) as cache:
        for nameless in (make, lambda question: "x", functools.partial(given, "x"), Bot("x").ask, "x"):
            with pytest.raises(TypeError, match=r"function='\.\.\.'"):
                await cache.get_or_set(QUESTION, nameless)


async def test_a_named_function_does_not_get_the_stored_answers_of_another(cache, caplog):
    assert (await cache.get_or_set(QUESTION, first)).status == "miss"
    answer = await cache.get_or_set(QUESTION, second)
    assert (answer.value, answer.status, answer.reason) == ("second", "bypass", "another function")
    assert isinstance(answer.error, TypeError)
    assert "test_functions.second would get answers that test_functions.first computed" in caplog.text
    with pytest.raises(TypeError, match="would get answers"):
        await cache.get_or_set(QUESTION, second, on_error="raise")
    assert (await cache.get_or_set(QUESTION, first)).hit


async def test_nothing_is_kept_from_a_function_by_one_that_never_stored(cache):
    async def fails(question):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await cache.get_or_set(QUESTION, fails)
    assert (await cache.get_or_set(QUESTION, first)).status == "miss"


STORED_APART = {
    "other attributes": [(first, {"model": "a"}, {}), (second, {"model": "b"}, {})],
    "names": [(first, None, {"function": "faq"}), (second, None, {"function": "faq"})],
    "the same lambda": [(lambda question: "x", None, {}), (lambda question: "x", None, {})],
    "a value": [("x", None, {}), (first, None, {})],
}

STORED_TOGETHER = {
    "lambdas": [(lambda question: "A", None, {}), (lambda question: "B", None, {})],
    "a lambda and a function": [(lambda question: "A", None, {}), (first, None, {})],
    "partials": [(functools.partial(given, "A"), None, {}), (functools.partial(given, "B"), None, {})],
    "closures": [(closure("A"), None, {}), (closure("B"), None, {})],
    "objects": [(Bot("A"), None, {}), (Bot("B"), None, {})],
    "methods of objects": [(Bot("A").ask, None, {}), (Bot("B").ask, None, {})],
    "methods of C": [({QUESTION: "A"}.get, None, {}), ({QUESTION: "B"}.get, None, {})],
    "fewer attributes": [(first, {"user": "ada"}, {}), (second, None, {})],
    "more attributes": [(first, None, {}), (second, {"user": "ada"}, {})],
    "another codec": [(first, None, {}), (first, None, {"codec": JsonCodec(str)})],
}


@pytest.mark.parametrize("calls", STORED_TOGETHER.values(), ids=STORED_TOGETHER)
@pytest.mark.parametrize("through", ["get_or_set", "a filled cache"])
async def test_a_stored_answer_is_never_another_functions(connection, calls, through):
    (one, ours, first_options), (other, theirs, options) = calls
    async with AsyncLangCache(**connection) as cache:
        stored = await cache.get_or_set(QUESTION, one, attributes=ours, **first_options)
        assert stored.status == "miss"
        if through == "get_or_set":
            answer = await cache.get_or_set(QUESTION, other, attributes=theirs, **options)
            assert (answer.status, answer.reason) == ("bypass", "another function")
    async with AsyncLangCache(**connection) as cache:  # which knows from a hit whose answers they are
        assert (await cache.get_or_set(QUESTION, one, attributes=ours, **first_options)).hit
        answer = await cache.get_or_set(QUESTION, other, attributes=theirs, **options)
        assert (answer.status, answer.reason) == ("bypass", "another function")


@pytest.mark.parametrize("calls", STORED_APART.values(), ids=STORED_APART)
async def test_functions_that_are_kept_apart_or_share_by_name_use_the_cache(cache, calls):
    for make, attributes, options in calls:
        answer = await cache.get_or_set(QUESTION, make, attributes=attributes, **options)
        assert answer.reason is None


async def test_of_two_that_compute_at_once_only_one_is_stored(cache, until):
    begun, go_on = [], asyncio.Event()

    def makes(answer):
        async def make(question):
            begun.append(answer)
            await go_on.wait()
            return answer

        return make

    tasks = [asyncio.create_task(cache.get_or_set(QUESTION, makes(answer))) for answer in ("A", "B")]
    await until(lambda: len(begun) == 2)
    go_on.set()
    one, other = await asyncio.gather(*tasks)
    assert [one.value, other.value] == ["A", "B"]
    assert [one.error is None, other.error is None].count(True) == 1
    assert len(await cache.search(QUESTION, max_results=9)) == 1


def test_two_functions_of_one_name_are_two():
    cache = AsyncLangCache(enabled=False)
    namespace = {"cache": cache, "__name__": "handlers"}
    define = "@cache.cached()\nasync def _(question: str) -> str:\n    return {!r}\n"
    exec(define.format("one"), namespace)
    exec(define.format("one"), namespace)  # as a module that is loaded again
    with pytest.raises(TypeError, match=r"another handlers\._, or the same with another codec, would get"):
        exec(define.format("two"), namespace)


async def test_what_a_function_holds_is_not_kept_alive(cache):
    class Held:
        pass

    async def ask(held):
        async def make(question):
            return f"{held and 'held'}"

        await cache.get_or_set(QUESTION, make, no_store=True)
        await cache.get_or_set(f"Something else {id(held)}", make, attributes={"user": id(held)})

    alive = []
    for _ in range(5):
        held = Held()
        alive.append(weakref.ref(held))
        await ask(held)
        del held
    gc.collect()
    assert [reference() for reference in alive] == [None] * 5


def test_what_is_known_stays_within_bounds_and_right(blocking_cache):
    claims = blocking_cache._aside.state.claims
    for number in range(9000):
        assert claims.claim(first, None, TEXT, frozenset({("user", str(number))})) is None
    (known,) = claims._known.values()
    assert len(known.exact) <= 4096
    assert len(known.loose) == 1
    for number in (0, 4500, 8999):
        assert claims.check(second, None, TEXT, frozenset({("user", str(number))})) is not None
    assert claims.check(second, None, TEXT, frozenset({("plan", "p")})) is None


MADE_FOR_EACH_USER = {
    "closure": closure_blocking,
    "method": lambda user: Bot(user).ask_blocking,
    "object": BlockingBot,
    "partial": lambda user: functools.partial(given_blocking, user),
}


@pytest.mark.parametrize("kind", MADE_FOR_EACH_USER)
def test_a_call_takes_as_many_steps_however_many_functions_are_known(kind):
    claims = Claims(None)

    def ask(number):
        make, attributes = MADE_FOR_EACH_USER[kind](f"user {number}"), frozenset({("user", str(number))})
        assert not claims.is_checked(plain_key(make), None, TEXT, attributes)
        assert claims.check(make, None, TEXT, attributes) is None
        assert claims.claim(make, None, TEXT, attributes) is None

    def steps(number):
        taken = []
        sys.setprofile(lambda frame, event, argument: taken.append(event))
        try:
            ask(number)
        finally:
            sys.setprofile(None)
        return len(taken)

    ask(0)
    first = steps(1)
    for number in range(2, 400):
        ask(number)
    assert steps(400) < 2 * first


def test_the_functions_that_were_used_last_are_known(monkeypatch):
    monkeypatch.setattr(claims_module, "_MAX_FUNCTIONS", 8)
    claims = Claims(None)
    assert claims.declare(second, None, TEXT, {}, {"plan": "p"}, ("topic",)) is None
    for number in range(100):
        attributes = frozenset({("user", str(number))})
        assert claims.claim(first, None, TEXT, frozenset({("language", "en")})) is None
        assert claims.claim(closure(str(number)), None, TEXT, attributes) is None
        assert claims.check(closure("another"), None, TEXT, attributes) is not None
        assert len(claims._known) <= 8
    assert claims.check(second, None, TEXT, frozenset({("language", "en")})) is not None
    assert claims.check(first, None, TEXT, frozenset({("plan", "p"), ("topic", "1")})) is not None
    assert claims.check(first, None, TEXT, frozenset({("user", "0")})) is None  # whose function is forgotten
    exact = [attributes for known in claims._known.values() for attributes in known.exact]
    assert sum(map(len, claims._owners._groups.values())) == len(exact)


def test_a_function_of_the_program_is_never_forgotten(monkeypatch):
    monkeypatch.setattr(claims_module, "_MAX_FUNCTIONS", 8)
    claims, attributes = Claims(None), frozenset({("user", "ann")})
    assert claims.claim(first, None, TEXT, attributes) is None
    for number in range(100):
        assert claims.claim(closure(str(number)), None, TEXT, frozenset({("user", str(number))})) is None
    assert claims.claim(second, None, TEXT, attributes) is not None
    assert claims.claim(first, None, TEXT, attributes) is None


SETS_OF_ATTRIBUTES = hypothesis.strategies.frozensets(
    hypothesis.strategies.sampled_from([("a", "1"), ("a", "2"), ("b", "1"), ("c", "1")]), max_size=3
).filter(lambda attributes: len({name for name, _ in attributes}) == len(attributes))


@hypothesis.settings(max_examples=40)
@hypothesis.given(
    hypothesis.strategies.lists(
        hypothesis.strategies.tuples(hypothesis.strategies.integers(0, 3), SETS_OF_ATTRIBUTES), max_size=12
    )
)
def test_a_function_is_refused_if_it_would_find_an_entry_of_another_or_the_other_way_round(claimed):
    claims, functions, taken = Claims(None), [closure(str(number)) for number in range(4)], []
    for number, attributes in claimed:
        met = any(
            number != other and (attributes <= theirs or theirs <= attributes) for other, theirs in taken
        )
        assert (claims.check(functions[number], None, TEXT, attributes) is not None) is met
        assert (claims.claim(functions[number], None, TEXT, attributes) is not None) is met
        if not met:
            taken.append((number, attributes))


@pytest.mark.parametrize(
    ("ours", "theirs", "meet"),
    [
        ({}, {}, True),
        ({}, {"user": "1"}, True),
        ({"user": "1"}, {}, True),
        ({"user": "1"}, {"user": "1"}, True),
        ({"user": "1"}, {"user": "2"}, False),
        ({"user": "1"}, {"user": "1", "plan": "p"}, True),
        ({"user": "1", "plan": "p"}, {"user": "1"}, True),
        ({"user": "1", "plan": "p"}, {"user": "2"}, False),
        ({"user": "2"}, {"user": "1", "plan": "p"}, False),
        ({"user": "1", "plan": "p"}, {"user": "1", "plan": "q"}, False),
        ({"user": "1"}, {"plan": "p"}, False),
        ({"user": "1", "plan": "p"}, {"user": "1", "model": "m"}, False),
    ],
)
def test_functions_meet_where_one_finds_an_entry_of_the_other(ours, theirs, meet):
    claims = Claims(None)
    assert claims.claim(first, None, TEXT, frozenset(ours.items())) is None
    assert (claims.check(second, None, TEXT, frozenset(theirs.items())) is not None) is meet
    assert (claims.claim(second, None, TEXT, frozenset(theirs.items())) is not None) is meet


def test_after_however_many_questions_the_function_attribute_keeps_functions_apart():
    claims = Claims("function")
    for number in range(5000):
        for name, function in (("first", first), ("second", second)):
            attributes = frozenset({("fingerprint", str(number)), ("function", name)})
            assert claims.check(function, None, TEXT, attributes) is None
            assert claims.claim(function, None, TEXT, attributes) is None


def test_a_question_costs_no_more_after_thousands_of_others():
    def seconds(count):
        claims, functions = Claims(None), (first, second)
        for number in range(count):
            for function in functions:
                claims.claim(function, None, TEXT, frozenset({("fingerprint", f"{function} {number}")}))
        started = time.process_time()
        for number in range(100):
            attributes = frozenset({("fingerprint", f"new {number}")})
            assert claims.check(first, None, TEXT, attributes) is None
            assert claims.claim(first, None, TEXT, attributes) is None
        return time.process_time() - started

    few, many = (min(seconds(count) for _ in range(3)) for count in (10, 2000))
    assert many < 20 * few  # compared one by one it was 200 times as much


def test_a_scope_for_each_of_many_tenants_costs_no_more_for_the_last():
    cache = AsyncLangCache(enabled=False)
    for number in range(5000):
        cache.scoped(tenant=f"t{number}").cached()(first)


# Methods


def test_the_object_of_a_method_is_a_parameter_like_others(cache):
    with pytest.raises(TypeError, match=r"Bot\.ask: the answer may depend on self"):
        cache.cached()(Bot.ask)
    with pytest.raises(TypeError, match="depend on cls"):

        @cache.cached()
        async def of_class(cls, question: str) -> str:
            return "x"


async def test_two_objects_get_their_own_answers(cache):
    class Assistant:
        def __init__(self, name):
            self.name = name

        @cache.cached(attributes=lambda self, question: {"model": self.name})
        async def ask(self, question: str) -> str:
            return self.name

    first_one, second_one = Assistant("first"), Assistant("second")
    for _ in range(2):
        assert [await first_one.ask(QUESTION), await second_one.ask(QUESTION)] == ["first", "second"]
    assert (await second_one.ask.answer(QUESTION)).hit
    assert await first_one.ask.refresh(QUESTION) == "first"


async def test_subclasses_get_their_own_answers_at_once(cache, until):
    begun, go_on = [], asyncio.Event()

    class Base:
        @cache.cached(key=lambda cls, question: question, no_store=True)
        @classmethod
        async def ask(cls, question: str) -> str:
            begun.append(cls)
            await go_on.wait()
            return cls.__name__

    class Derived(Base):
        pass

    tasks = [asyncio.create_task(kind.ask(QUESTION)) for kind in (Base, Derived)]
    await until(lambda: len(begun) == 2)
    go_on.set()
    assert await asyncio.gather(*tasks) == ["Base", "Derived"]


# What a function is


def test_names_are_the_same_in_every_process():
    assert name_of(first) == describe(first) == "test_functions.first"
    assert name_of(len) == "builtins.len"
    assert [name_of(make) for make in (lambda: 0, Bot("x").ask, functools.partial(len), Bot("x"), "x")] == [
        None
    ] * 5


def test_a_script_is_not_called_main(monkeypatch, tmp_path):
    import sys
    from types import ModuleType

    main = ModuleType("__main__")
    main.__file__ = str(tmp_path / "translate.py")
    monkeypatch.setitem(sys.modules, "__main__", main)
    function = lambda question: question  # noqa: E731
    function.__name__ = function.__qualname__ = "ask"
    function.__module__ = "__main__"
    assert name_of(function) == "translate.ask"


def test_identities():
    recursive = closure("x")
    recursive.__closure__[
        0
    ].cell_contents = recursive  # a function in its own closure has an end all the same
    assert computation_key(recursive) == computation_key(recursive)
    assert computation_key(closure("a")) == computation_key(closure("a")) != computation_key(closure("b"))
    assert computation_key(1) != computation_key(1.0)
    assert computation_key(True) != computation_key(1)
    assert computation_key([1]) != computation_key([1]), "they may change"
    bot = Bot("x")
    assert computation_key(bot.ask) == computation_key(bot.ask) != computation_key(Bot("x").ask)
    assert hash(computation_key(functools.partial(given, [])))


async def test_a_warning_names_the_function_and_comes_again_after_a_minute(cache, caplog):
    now = [0.0]
    cache._aside.state.log._clock = lambda: now[0]
    ask = cache.scoped(tenant="b").cached()(first)
    no_text = cache.scoped(tenant="a").cached()(Bot(5))
    for _ in range(3):
        assert await no_text(QUESTION) == 5
        await ask(QUESTION)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "a test_functions.Bot: its answers are not stored" in warnings[0].getMessage()
    now[0] = 61.0
    await no_text(QUESTION)
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 2


def test_a_blocking_function_that_returns_a_coroutine_is_told(blocking_cache):
    with pytest.raises(TypeError, match="returned a coroutine"):
        blocking_cache.get_or_set(QUESTION, lambda question: first(question))
    with LangCache(enabled=False) as off, pytest.raises(TypeError, match="returned a coroutine"):
        off.get_or_set(QUESTION, lambda question: first(question))


@dataclass
class Suffixed:
    """A codec that can't be hashed, since its class defines equality alone."""

    suffix: str = "!"

    def encode(self, value: str) -> str:
        return value + self.suffix

    def decode(self, text: str) -> str:
        return text.removesuffix(self.suffix)


async def test_a_codec_need_not_be_hashable(cache):
    cached = cache.cached(codec=Suffixed())(first)
    assert [(await cached.answer(QUESTION)).status.value for _ in range(2)] == ["miss", "hit"]
    text = "Which wine goes with grilled fish?"
    calls = [cache.get_or_set(text, first, codec=Suffixed()) for _ in range(3)]
    assert [answer.shared for answer in await asyncio.gather(*calls)] == [False, True, True]
    assert (await cache.get_or_set(text, first, codec=Suffixed())).status.value == "hit"


def test_a_codec_need_not_be_hashable_in_threads(blocking_cache):
    cached = blocking_cache.cached(codec=Suffixed())(first_blocking)
    assert [cached.answer(QUESTION).status.value for _ in range(2)] == ["miss", "hit"]
    assert blocking_cache.get_or_set(QUESTION, first_blocking, codec=Suffixed()).status.value == "hit"


def test_another_codec_of_the_same_class_is_another_codec(blocking_cache):
    assert blocking_cache.get_or_set(QUESTION, first_blocking, codec=Suffixed()).status.value == "miss"
    other = blocking_cache.get_or_set(QUESTION, first_blocking, codec=Suffixed("?"))
    assert (other.status.value, other.reason, other.value) == ("bypass", "another function", "first")
