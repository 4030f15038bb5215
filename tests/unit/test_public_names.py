"""What the package promises by name, by signature and by docstring."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing

import msgspec
import pytest

import langcache
from langcache import AsyncHttpClient, AsyncLangCache, LangCache

CLIENT_MODULES = [
    "langcache.aside",
    "langcache.chat",
    "langcache.tuning",
    *(
        f"langcache.{module.name}"
        for module in pkgutil.iter_modules(langcache.__path__)
        if not module.ispkg and module.name != "__main__"
    ),
]
OPERATIONS = ["search", "set", "delete_by_id", "delete_query", "flush", "conversational_search", "health"]
FOR_ONE_CALL = ["retries", "server_url", "timeout_ms", "http_headers"]


@pytest.mark.parametrize("name", ["langcache", *CLIENT_MODULES])
def test_every_public_name_exists_once_and_the_module_says_what_it_is(name):
    module = importlib.import_module(name)
    names = getattr(module, "__all__", [])
    assert [missing for missing in names if not hasattr(module, missing)] == []
    assert len(set(names)) == len(names)
    assert inspect.getdoc(module)


def test_everything_public_at_the_front_door_is_documented():
    objects = [getattr(langcache, name) for name in langcache.__all__ if not name.startswith("__")]
    of_types = [thing for thing in objects if hasattr(thing, "__origin__")]  # where no docstring can be
    assert of_types == [langcache.OptionalNullable]
    assert [thing for thing in objects if thing not in of_types and not inspect.getdoc(thing)] == []


def public_methods(client):
    return {name for name, method in vars(client).items() if inspect.isfunction(method) and name[0] != "_"}


ON_TOP = {
    *("get_or_set", "get_or_stream", "look_up", "cached", "invalidate", "stats", "scoped"),
    *("set_many", "search_many"),
}
"""What both clients offer on top of the operations."""


def test_both_clients_have_the_same_operations():
    def all_methods(client):
        return {name for kind in client.__mro__ for name in public_methods(kind)}

    assert all_methods(AsyncLangCache) == {*OPERATIONS, *ON_TOP, "aclose", "discard"}
    awaited = {f"{name}_async" for name in OPERATIONS}
    assert all_methods(LangCache) == {*OPERATIONS, *ON_TOP, *awaited, "close", "aclose"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_has_one_signature_and_one_docstring(operation):
    original = getattr(AsyncLangCache, operation)
    assert inspect.iscoroutinefunction(original)
    for name in (operation, f"{operation}_async"):
        method = getattr(LangCache, name)
        assert inspect.signature(method) == inspect.signature(original)
        assert inspect.getdoc(method) == inspect.getdoc(original)
        assert method.__name__ == name
        assert inspect.iscoroutinefunction(method) is name.endswith("_async")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_takes_what_holds_for_one_call(operation):
    parameters = inspect.signature(getattr(AsyncLangCache, operation)).parameters
    assert list(parameters)[-4:] == FOR_ONE_CALL
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in FOR_ONE_CALL)


def test_the_constructors_differ_by_async_client_alone():
    blocking = inspect.signature(LangCache).parameters
    assert {name: parameter for name, parameter in blocking.items() if name != "async_client"} == dict(
        inspect.signature(AsyncLangCache).parameters
    )


def callables_of(module):
    """What a module offers to call, and the methods that its classes define, by their names."""
    for name in getattr(module, "__all__", []):
        thing = getattr(module, name)
        if hasattr(thing, "__origin__"):  # an alias of a type, which Python 3.10 takes for a class
            continue
        if inspect.isclass(thing) and issubclass(thing, BaseException | msgspec.Struct | AsyncHttpClient):
            yield name, thing
        if inspect.isclass(thing):
            ours = [kind for kind in thing.__mro__ if kind.__module__.startswith("langcache")]
            members = [(f"{name}.{member}", getattr(thing, member)) for kind in ours for member in vars(kind)]
            yield from ((member, made) for member, made in members if inspect.isroutine(made))
        elif inspect.isfunction(thing):
            yield name, thing


@pytest.mark.parametrize("name", ["langcache", *CLIENT_MODULES])
def test_the_type_hints_of_what_is_public_can_be_had_while_a_program_runs(name):
    unknown = {}
    for called, thing in callables_of(importlib.import_module(name)):
        try:
            typing.get_type_hints(thing)
        except NameError as error:
            unknown[called] = error
    assert unknown == {}
