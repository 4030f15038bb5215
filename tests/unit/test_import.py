"""What importing the package brings along, and what waits until it is asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import langcache

LOADED = "print(*sorted({name.split('.')[0] for name in sys.modules} | {*filter(ours, sys.modules)}))"
CLIENT = "('http://127.0.0.1:1', 'key', 'cache')"


def loaded_by(program: str) -> set[str]:
    """The packages that a program loads, and the modules of ours, in a process of its own."""
    code = f"import sys\n{program}\nours = lambda name: name.startswith('langcache.')\n{LOADED}"
    command = [sys.executable, "-W", "error", "-c", code]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_the_package_alone_brings_nothing_along():
    loaded = loaded_by("import langcache; dir(langcache); hasattr(langcache, 'no_such_name')")
    assert {name for name in loaded if name.startswith("langcache.")} == {
        "langcache._lazy",
        "langcache._version",
    }
    assert not {"aiohttp", "asyncio", "msgspec", "multidict", "typing"} & loaded


@pytest.mark.parametrize(
    "program",
    [
        "from langcache import LangCacheError, LimitError, Limits, RetryConfig, SearchResponse",
        "import langcache; langcache.models.CacheEntry, langcache.errors.NotFoundError",
        "import langcache.models as m, langcache.errors.langcacheerror",
        "from langcache.aside import AsideConfig",
        "from langcache.chat import chat_key, request_key",
    ],
)
def test_models_and_errors_come_without_an_http_client(program):
    loaded = loaded_by(program)
    assert "msgspec" in loaded
    assert not {"aiohttp", "anyio"} & loaded


UNUSED_MODULES = ["langcache._call.disabled", "langcache._wire.error_types", "langcache._wire.typed_dicts"]


@pytest.mark.parametrize("client", ["AsyncLangCache", "LangCache"])
def test_a_client_does_not_pay_for_what_it_does_not_use(client):
    loaded = loaded_by(f"import langcache; langcache.{client}{CLIENT}")
    assert {"aiohttp", "langcache.client"} <= loaded
    assert not {"anyio", "backoff", "numpy", "uvloop", "opentelemetry", "pydantic"} & loaded
    unused = ["langcache.service", *UNUSED_MODULES]
    if client == "AsyncLangCache":
        unused += ["langcache._portal.portal", "langcache._portal.native"]
    assert not {name for name in loaded if name.startswith(tuple(unused))}


NOT_USED = """
import asyncio
from langcache import {client}
cache = {client}{arguments}
cache.scoped(tenant="acme")
asyncio.run(cache.aclose())
"""


@pytest.mark.parametrize("client", ["AsyncLangCache", "LangCache"])
def test_a_client_loads_cache_aside_when_it_is_first_used(client):
    unused = NOT_USED.format(client=client, arguments=CLIENT)
    methods = {"methods"} | ({"blocking_methods"} if client == "LangCache" else set())
    assert {name for name in loaded_by(unused) if name.startswith("langcache.aside")} == {
        "langcache.aside",
        *(f"langcache.aside.{name}" for name in ("computing", "lazy_aside", "scope", *methods)),
    }
    assert "langcache.aside.core" not in loaded_by(f"{unused}cache.cached")
    assert "langcache.aside.core" in loaded_by(f"{unused}cache.stats()")


def test_the_host_of_a_url_is_checked_without_the_codec_for_other_alphabets():
    """Which is loaded with a table of all letters; the resolver loads it in the first call."""
    loaded = loaded_by(f"import langcache; langcache.AsyncLangCache{CLIENT}")
    assert "stringprep" not in loaded


def test_a_client_with_settings_of_cache_aside_loads_it_at_once():
    settings = "from langcache.aside import AsideConfig"
    made = f"{settings}; from langcache import LangCache; LangCache({CLIENT[1:-1]}, aside=AsideConfig())"
    assert "langcache.aside.core" not in loaded_by(settings)
    assert "langcache.aside.core" in loaded_by(made)


def test_the_command_line_does_not_pay_for_a_client_that_serve_does_not_use():
    loaded = loaded_by("import langcache.cli")
    assert not {name for name in loaded if name.startswith(("langcache.client", "langcache.aside"))}
    assert not {"aiohttp", "numpy"} & loaded


def test_a_test_run_of_others_does_not_pay_for_a_fixture_that_it_does_not_use():
    loaded = loaded_by("import langcache.service.pytest_plugin")
    ours = {name for name in loaded if name.startswith("langcache.")}
    assert ours == {
        *("langcache._lazy", "langcache._version", "langcache.service", "langcache.service.pytest_plugin")
    }
    assert not {"aiohttp", "msgspec", "numpy"} & loaded


def test_the_front_door_names_everything_once_for_each_kind_of_visitor():
    (block,) = (
        node
        for node in ast.walk(ast.parse(Path(langcache.__file__).read_text("utf-8")))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    for_type_checkers = {
        alias.name: node.module for node in block.body for alias in node.names if node.module is not None
    }
    modules = {alias.name for node in block.body for alias in node.names if node.module is None}
    assert for_type_checkers == langcache._MODULE_OF
    assert modules <= langcache._MODULES
    assert {*langcache._MODULE_OF, *modules, "VERSION", "__version__"} == {*langcache.__all__}
    assert {*langcache.__all__} <= {*dir(langcache)}


def test_everything_comes_by_a_star():
    names = {}
    exec("from langcache import *", names)
    assert {*names} - {"__builtins__"} == {*langcache.__all__}
    assert names["LangCache"] is langcache.LangCache is langcache.sdk.LangCache


@pytest.mark.parametrize("name", sorted(langcache._MODULES))
def test_a_module_is_an_attribute_without_an_import_of_its_own(name):
    assert loaded_by(f"import langcache; langcache.{name}") >= {f"langcache.{name}"}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'langcache' has no attribute 'Redis'"):
        langcache.Redis  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Redis'"):
        from langcache import Redis  # noqa: F401
