"""What the decorator makes of each kind of function: a function of the same kind."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import sys
import typing
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import msgspec
import pydantic
import pytest

from langcache import AsyncLangCache, LangCache
from langcache.aside import AnswerStream, BlockingAnswerStream

if typing.TYPE_CHECKING:
    from decimal import Decimal

QUESTION = "How do I reset my password?"

cache = AsyncLangCache(enabled=False)
blocking = LangCache(enabled=False)


@cache.scoped(tenant="plain").cached()
async def plain(question: str) -> str:
    """Say something."""
    return f"plain {question}"


@cache.scoped(tenant="bare").cached
async def bare(question: str) -> str:
    return f"bare {question}"


@blocking.scoped(tenant="plain").cached()
def plain_blocking(question: str) -> str:
    """Say something."""
    return f"plain {question}"


@blocking.scoped(tenant="bare").cached
def bare_blocking(question: str) -> str:
    return f"bare {question}"


@cache.scoped(tenant="types").cached(ignore="amount")
async def typed(question: str, amount: Decimal | None = None) -> str:
    return f"typed {question}"


@cache.scoped(tenant="kinds").cached(function="kinds", ignore=("self", "cls"))
async def unused(question: str, self: int = 0, cls: int = 0) -> str:
    return question


def kinds(client, is_async, **settings):
    """One class with a cached method of each kind."""
    cached = client.scoped(tenant="kinds").cached

    if is_async:

        class Kinds:
            @cached(ignore="self", function="kinds", **settings)
            async def method(self, question: str) -> str:
                return f"{type(self).__name__} {question}"

            @cached(ignore="cls", function="kinds", **settings)
            @classmethod
            async def above_classmethod(cls, question: str) -> str:
                return f"{cls.__name__} {question}"

            @classmethod
            @cached(ignore="cls", function="kinds", **settings)
            async def below_classmethod(cls, question: str) -> str:
                return f"{cls.__name__} {question}"

            @cached(function="kinds", **settings)
            @staticmethod
            async def above_staticmethod(question: str) -> str:
                return f"Kinds {question}"

            @staticmethod
            @cached(function="kinds", **settings)
            async def below_staticmethod(question: str) -> str:
                return f"Kinds {question}"

        return Kinds

    class BlockingKinds:
        @cached(ignore="self", function="kinds", **settings)
        def method(self, question: str) -> str:
            return f"{type(self).__name__} {question}"

        @cached(ignore="cls", function="kinds", **settings)
        @classmethod
        def above_classmethod(cls, question: str) -> str:
            return f"{cls.__name__} {question}"

        @classmethod
        @cached(ignore="cls", function="kinds", **settings)
        def below_classmethod(cls, question: str) -> str:
            return f"{cls.__name__} {question}"

        @cached(function="kinds", **settings)
        @staticmethod
        def above_staticmethod(question: str) -> str:
            return f"BlockingKinds {question}"

        @staticmethod
        @cached(function="kinds", **settings)
        def below_staticmethod(question: str) -> str:
            return f"BlockingKinds {question}"

    return BlockingKinds


class Speaker:
    async def __call__(self, question: str) -> str:
        return f"speaker {question}"


class BlockingSpeaker:
    def __call__(self, question: str) -> str:
        return f"speaker {question}"


async def with_model(model: str, question: str) -> str:
    return f"{model} {question}"


def with_model_blocking(model: str, question: str) -> str:
    return f"{model} {question}"


METHODS = ["method", "above_classmethod", "below_classmethod", "above_staticmethod", "below_staticmethod"]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("is_async", [True, False])
def test_methods_of_every_kind_are_functions_of_their_kind(name, is_async):
    kind = kinds(cache if is_async else blocking, is_async)
    for reached in (getattr(kind(), name), getattr(kind, name)):
        assert inspect.iscoroutinefunction(reached) is is_async
        assert inspect.isroutine(reached)
        variants = [reached.answer, reached.bypass, reached.refresh]
        assert [inspect.iscoroutinefunction(variant) for variant in variants] == [is_async] * 3
        assert reached.__name__ == name
    called = getattr(kind(), name)("Q")
    assert (asyncio.run(called) if is_async else called) == f"{kind.__name__} Q"
    assert list(inspect.signature(getattr(kind(), name)).parameters) == ["question"]


@pytest.mark.parametrize("name", [name for name in METHODS if name != "below_classmethod"])
def test_variants_of_methods_are_bound_as_well(name):
    made = kinds(cache, True)()
    for variant in ("refresh", "bypass"):
        assert asyncio.run(getattr(getattr(made, name), variant)("Q")) == "Kinds Q"
    assert asyncio.run(getattr(made, name).answer("Q")).value == "Kinds Q"
    of_threads = kinds(blocking, False)()
    assert getattr(of_threads, name).answer("Q").value == "BlockingKinds Q"


FUNCTIONS = {
    "plain": plain,
    "without parentheses": bare,
    "types for type checkers only": typed,
    "partial": cache.scoped(tenant="partial").cached()(functools.partial(with_model, "m")),
    "callable object": cache.scoped(tenant="object").cached()(Speaker()),
}
BLOCKING_FUNCTIONS = {
    "plain": plain_blocking,
    "without parentheses": bare_blocking,
    "partial": blocking.scoped(tenant="partial").cached()(functools.partial(with_model_blocking, "m")),
    "callable object": blocking.scoped(tenant="object").cached()(BlockingSpeaker()),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_an_async_function_is_one(function):
    assert inspect.isfunction(function)
    assert inspect.iscoroutinefunction(function)
    assert asyncio.iscoroutinefunction(function) if sys.version_info < (3, 14) else True
    assert asyncio.run(function("Q")).endswith(" Q")
    assert asyncio.run(function.answer("Q")).reason == "disabled"
    assert asyncio.run(function.refresh("Q")).endswith(" Q")
    assert asyncio.run(function.bypass("Q")).endswith(" Q")


@pytest.mark.parametrize("function", BLOCKING_FUNCTIONS.values(), ids=BLOCKING_FUNCTIONS)
def test_a_blocking_function_is_one(function):
    assert inspect.isfunction(function)
    assert not inspect.iscoroutinefunction(function)
    assert function("Q").endswith(" Q")
    assert function.answer("Q").reason == "disabled"
    assert function.refresh("Q").endswith(" Q")
    assert function.bypass("Q").endswith(" Q")


@pytest.mark.parametrize("function", [plain, plain_blocking, bare, plain.answer, plain.refresh, plain.bypass])
def test_it_is_pickled_by_its_name(function):
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.deepcopy(function) is function


def test_it_keeps_what_wraps_keeps():
    assert (plain.__name__, plain.__qualname__, plain.__module__) == ("plain", "plain", __name__)
    assert plain.__doc__ == "Say something."
    assert inspect.signature(plain) == inspect.signature(plain.__wrapped__)
    assert typing.get_type_hints(plain) == {"question": str, "return": str}


class Greeter(ABC):
    @abstractmethod
    async def greet(self, question: str) -> str: ...


def test_abstract_methods_models_and_dataclasses_take_cached_methods():
    cached = cache.scoped(tenant="classes").cached(ignore="self", function="classes")

    class Polite(Greeter):
        @cached
        async def greet(self, question: str) -> str:
            return f"Good day. {question}"

    class Model(pydantic.BaseModel):
        name: str

        @cached
        async def ask(self, question: str) -> str:
            return f"{self.name} {question}"

    @dataclass
    class Data:
        name: str

        @cached
        async def ask(self, question: str) -> str:
            return f"{self.name} {question}"

    class Struct(msgspec.Struct):
        name: str

        @cached
        async def ask(self, question: str) -> str:
            return f"{self.name} {question}"

    assert asyncio.run(Polite().greet("Q")) == "Good day. Q"
    for kind in (Model, Data, Struct):
        made = kind(name="n")
        assert asyncio.run(made.ask("Q")) == "n Q"
        assert asyncio.run(made.ask.bypass("Q")) == "n Q"
        assert inspect.iscoroutinefunction(kind.ask)
        assert inspect.iscoroutinefunction(made.ask)


class Overridden(Greeter):
    @cache.scoped(tenant="overridden").cached(ignore="self")
    async def greet(self, question: str) -> str:
        return "base"


class Overriding(Overridden):
    async def greet(self, question: str) -> str:
        return f"more than {await super().greet(question)}"


def test_a_cached_method_can_be_reached_by_super_and_pickled_with_its_object():
    assert asyncio.run(Overriding().greet("Q")) == "more than base"
    restored = pickle.loads(pickle.dumps(Overridden().greet))
    assert asyncio.run(restored("Q")) == "base"


async def test_streams_are_functions_that_give_streams():
    client = cache.scoped(tenant="streams")

    @client.cached(function="stream")
    async def tell(question: str) -> AsyncIterator[str]:
        yield "once"

    @client.cached(function="stream")
    async def begin(question: str) -> AsyncIterator[str]:
        return tell.__wrapped__(question)

    assert inspect.isfunction(tell)
    assert isinstance(tell("Q"), AsyncIterator)
    assert isinstance(tell.answer("Q"), AnswerStream)
    assert [chunk async for chunk in tell("Q")] == ["once"]
    assert inspect.iscoroutinefunction(begin)
    assert [chunk async for chunk in await begin("Q")] == ["once"]


def test_blocking_streams_are_functions_that_give_streams():
    @blocking.scoped(tenant="streams").cached()
    def tell(question: str) -> Iterator[str]:
        yield "once"

    assert inspect.isfunction(tell)
    assert isinstance(tell("Q"), Iterator)
    assert isinstance(tell.answer("Q"), BlockingAnswerStream)
    assert list(tell("Q")) == list(tell.bypass("Q")) == ["once"]


WRONG = [
    ({"threshold": 0.9}, "for threshold= write similarity_threshold="),
    ({"ttl_seconds": 9}, r"for ttl_seconds= write ttl= \(seconds, or a timedelta\)"),
    ({"limit": 2}, "for limit= write max_results="),
    ({"nonsense": 1}, "'nonsense'"),
    ({"similarity_threshold": 2}, "similarity_threshold: must be from 0 to 1"),
    ({"similarity_threshold": "high"}, "similarity_threshold"),
    ({"max_results": 0}, "max_results: must be at least 1"),
    ({"search_strategies": "fuzzy"}, "search_strategies: must be among 'exact', 'semantic'"),
    ({"search_strategies": ()}, "search_strategies: is empty"),
    ({"ttl_millis": -1}, "ttl_millis: must be at least 1"),
    ({"ttl": -1}, "ttl: must be at least a millisecond"),
    ({"ttl": 1, "ttl_millis": 1}, "ttl: can't be given along with ttl_millis"),
    ({"lookup_timeout": float("nan")}, "lookup_timeout"),
    ({"lookup_timeout": -1}, "lookup_timeout"),
    ({"store_if": "yes"}, "store_if: must be a function"),
    ({"accept": 1}, "accept: must be a function"),
    ({"function": ""}, "function"),
    ({"function": 5}, "function: must be str"),
    ({"bypass": "yes"}, "bypass: must be bool"),
]


@pytest.mark.parametrize(("options", "said"), WRONG)
@pytest.mark.parametrize("client", [cache, blocking], ids=["async", "blocking"])
def test_an_option_that_can_never_work_is_refused_when_it_is_given(client, options, said):
    client = client.scoped(tenant="wrong")
    with pytest.raises((TypeError, ValueError), match=said):
        client.cached(**options)
    with pytest.raises((TypeError, ValueError), match=said):
        client.get_or_stream(QUESTION, lambda question: iter(()), **options)
    with pytest.raises((TypeError, ValueError), match=said):
        asyncio.run(client.get_or_set(QUESTION, "ready", **options))


@pytest.mark.parametrize("wrong", ["question", 5, None.__class__])
def test_what_is_no_function_is_told_how_settings_are_given(wrong):
    with pytest.raises(TypeError, match=r"by name|async functions"):
        cache.cached(wrong)


def test_one_name_may_be_given_without_a_tuple():
    @cache.scoped(tenant="names").cached(attributes="language", ignore="temperature")
    async def ask(question: str, language: str, temperature: float = 0) -> str:
        return language

    assert asyncio.run(ask("Q", "en")) == "en"
    for argument in ("attributes", "ignore"):
        with pytest.raises(TypeError, match=f"{argument}: must be names"):
            cache.cached(**{argument: [5]})(plain.__wrapped__)


@pytest.mark.parametrize("variant", ["answer", "refresh", "bypass"])
def test_a_variant_of_a_bound_method_is_pickled_as_itself(variant):
    bound = getattr(Overridden().greet, variant)
    restored = pickle.loads(pickle.dumps(bound))
    result = asyncio.run(restored("Q"))
    assert (result.value if variant == "answer" else result) == "base"
    assert inspect.iscoroutinefunction(bound)
    assert list(inspect.signature(bound).parameters) == ["question"]


@cache.scoped(tenant="task").cached(ignore="self")
async def task(self, question: str) -> str:
    """A function with a parameter of that name, as of Celery's bound tasks."""
    return f"{self} {question}"


def test_a_function_of_a_module_is_no_method():
    assert inspect.isfunction(task)
    assert pickle.loads(pickle.dumps(task)) is task
    assert copy.deepcopy(task) is task
    assert asyncio.run(task.refresh("self", "Q")) == "self Q"
