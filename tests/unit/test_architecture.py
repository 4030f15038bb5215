"""The rooms of the package stay apart, so that the drawing in docs/architecture.md stays true."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from pathlib import Path

import pytest

import langcache

PACKAGE = Path(langcache.__file__).parent

FROM_THE_TOP = [
    "cli",
    "service",
    "__init__",
    "utils",
    "types",
    "sdk",
    "sync",
    "client",
    "aside",
    "_portal",
    "_call",
    "telemetry",
    "httpclient",
    "retries",
    "limits",
    "errors",
    "models",
    "_wire",
    "_established",
    "_lazy",
    "_version",
]
"""The rooms in the order in which a call passes them. None knows those above it."""

PURE = FROM_THE_TOP[FROM_THE_TOP.index("retries") :]
PURE_MAY_IMPORT = {
    *("collections", "contextlib", "copy", "datetime", "email", "enum", "functools", "http", "inspect"),
    *("math", "operator", "re", "types", "typing", "urllib"),
    "multidict",  # headers, as a mapping whose keys compare without case
    "sys",  # its table of modules
    "importlib",  # of names that are imported when they are asked for
}
"""What values are made of: no I/O, no clock, no threads."""

ONLY_IN = {
    "aiohttp": {"_call", "httpclient", "service"},
    "yarl": {"_call"},
    "multidict": {"_call", "_wire"},
    "backoff": {"_call"},
    "anyio": {"_portal"},
    "uvloop": {"_portal"},
    "numpy": {"service"},
    "async_timeout": {"_call"},
    "opentelemetry": {"telemetry"},
    "pydantic": {"aside"},
    "pytest": {"service"},
}
"""Other people's packages, and the rooms that may know them. Every room may know msgspec."""


def room(module):
    return module.partition(".")[0]


def for_types_only(tree):
    """All that stands under ``if TYPE_CHECKING``."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    return {
        inside for block in blocks if ast.unparse(block.test) == "TYPE_CHECKING" for inside in ast.walk(block)
    }


def imports(path):
    """What a module imports when it runs, anywhere in it: dotted names, those of the package as ``.name``."""
    tree = ast.parse(path.read_text("utf-8"))
    package = ["", *path.relative_to(PACKAGE).parent.parts]
    skipped = for_types_only(tree)
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (".".join([*above, name]) for name in names)
        elif isinstance(node, ast.ImportFrom):
            ours = room(node.module) == "langcache"
            yield node.module.removeprefix("langcache") or ".__init__" if ours else node.module


def rooms():
    """Each room, a module or a package of its own, with all that it imports."""
    found = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        found[path.relative_to(PACKAGE).with_suffix("").parts[0]].update(imports(path))
    del found["__main__"]  # which only calls cli
    return found


ROOMS = rooms()


def inner(name):
    """The other rooms that a room knows."""
    return {room(imported[1:]) for imported in ROOMS[name] if imported.startswith(".")} - {name}


def outer(name):
    """What a room knows beyond the package."""
    return {room(imported) for imported in ROOMS[name] if not imported.startswith(".")} - {"__future__"}


def test_every_room_has_its_place():
    assert sorted(ROOMS) == sorted(FROM_THE_TOP)


@pytest.mark.parametrize("name", FROM_THE_TOP)
def test_a_room_knows_none_above_it(name):
    above = set(FROM_THE_TOP[: FROM_THE_TOP.index(name)])
    assert not inner(name) & above


@pytest.mark.parametrize("name", PURE)
def test_what_is_pure_does_no_io(name):
    assert outer(name) <= PURE_MAY_IMPORT | {"msgspec"}


@pytest.mark.parametrize("name", FROM_THE_TOP)
def test_other_packages_are_known_only_where_they_may_be(name):
    others = outer(name) - sys.stdlib_module_names - {"msgspec"}
    assert all(name in ONLY_IN[other] for other in others), others


def test_the_local_service_is_known_to_the_command_line_alone():
    assert [name for name in FROM_THE_TOP if "service" in inner(name)] == ["cli"]
