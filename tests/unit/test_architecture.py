"""The rooms of the package stay apart, so that the drawing in docs/architecture.md stays true."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import aiohttp
import aiohttp.base_protocol
import pytest

import langcache
from langcache import matching

PACKAGE = Path(langcache.__file__).parent

FROM_THE_TOP = [
    "cli",
    "tuning",
    "chat.adapters",
    "__init__",
    "utils",
    "types",
    "sdk",
    "http",
    "sync",
    "admin_sync",
    "admin",
    "client",
    "_operations",
    "embedded",
    "service",
    "many",
    "chat",
    "aside",
    "matching",
    "_portal",
    "_call",
    "telemetry",
    "httpclient",
    "retries",
    "limits",
    "_checks",
    "errors",
    "caches",
    "models",
    "_wire",
    "_established",
    "_copies",
    "_lazy",
    "_version",
]
"""The rooms in the order in which a call passes them. None knows those above it."""

OF_NEWER_PYTHONS = {"annotationlib", "tomllib"}

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
    "yarl": {"_call", "service"},
    "multidict": {"_call", "_wire"},
    "backoff": {"_call"},
    "anyio": {"_portal"},
    "uvloop": {"_portal"},
    "numpy": {"service"},
    "async_timeout": {"_call"},
    "typing_extensions": {"aside", "chat.adapters", "http"},
    "opentelemetry": {"telemetry"},
    "pydantic": {"aside"},
    "pytest": {"service"},
    "agents": {"chat.adapters"},
    "langchain": {"chat.adapters"},
    "langchain_core": {"chat.adapters"},
    "openai": {"chat.adapters"},
    "pydantic_ai": {"chat.adapters"},
    "pydantic_core": {"chat.adapters"},
    "hiredis": {"service"},
    "redis": {"service"},
    "prometheus_client": {"service"},
    "tomli": {"cli"},
}
"""Other people's packages, and the rooms that may know them. Every room may know msgspec."""


def room(module):
    """The room of a module: the first part of its name. Adapters to frameworks are one by itself."""
    return "chat.adapters" if f"{module}.".startswith("chat.adapters.") else module.partition(".")[0]


def imports(path, root=PACKAGE):
    """What a module imports anywhere in it, for type checkers too; those of the package as ``.name``."""
    package = ["", *path.relative_to(root).parent.parts]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (".".join([*above, name]) for name in names)
        elif isinstance(node, ast.ImportFrom):
            ours = room(node.module) == "langcache"
            yield node.module.removeprefix("langcache") or ".__init__" if ours else node.module


def modules(root=PACKAGE):
    """Each module of the package, by its dotted name, with the others that it imports."""
    names = {".".join(path.relative_to(root).with_suffix("").parts): path for path in root.rglob("*.py")}
    found = {}
    for name, path in names.items():
        inside = {imported[1:] for imported in imports(path, root) if imported.startswith(".")}
        # What is imported from a package comes from its __init__.
        found[name] = {other if other in names else f"{other}.__init__" for other in inside} & names.keys()
        found[name].discard(name)
    return found


def circles(graph):
    """The groups of nodes that lead back to each other."""

    def reached(start):
        seen, ahead = set(), [*graph[start]]
        while ahead:
            node = ahead.pop()
            if node not in seen:
                seen.add(node)
                ahead.extend(graph[node])
        return seen

    all_reached = {node: reached(node) for node in graph}
    return {
        frozenset(other for other in seen if node in all_reached[other])
        for node, seen in all_reached.items()
        if node in seen
    }


def rooms():
    """Each room, a module or a package of its own, with all that it imports."""
    found = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        found[room(".".join(path.relative_to(PACKAGE).with_suffix("").parts))].update(imports(path))
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


def test_no_modules_import_each_other_in_a_circle():
    assert circles(modules()) == set()


PLANTED = {
    "of_two": {"a": "from . import b", "b": "from .a import x"},
    "of_three": {"a": "from .b import x", "b": "from .c import x", "c": "from .a import x"},
    "for_types": {"a": "from .b import x", "b": "if TYPE_CHECKING:\n    from .a import x"},
    "in_a_function": {"a": "from .b import x", "b": "def f():\n    from .a import x"},
    "between_rooms": {"room/a": "from ..other import x", "other": "from .room.a import x"},
    "by_full_name": {"a": "from langcache.b import x", "b": "import os\nfrom langcache.a import x"},
}


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_a_circle_would_be_found(tmp_path, planted):
    for name, code in planted.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"from __future__ import annotations\n{code}\n")
    assert circles(modules(tmp_path)) == {frozenset(name.replace("/", ".") for name in planted)}
    (tmp_path / "a.py").write_text("import os\n")
    (tmp_path / "other.py").write_text("import os\n")
    assert circles(modules(tmp_path)) == set()


@pytest.mark.parametrize("name", PURE)
def test_what_is_pure_does_no_io(name):
    assert outer(name) <= PURE_MAY_IMPORT | {"msgspec"}


@pytest.mark.parametrize("name", FROM_THE_TOP)
def test_other_packages_are_known_only_where_they_may_be(name):
    others = outer(name) - sys.stdlib_module_names - {"msgspec", *OF_NEWER_PYTHONS}
    assert all(name in ONLY_IN[other] for other in others), others


def test_the_service_is_known_to_the_command_line_to_what_measures_it_and_to_what_embeds_it():
    assert [name for name in FROM_THE_TOP if "service" in inner(name)] == ["cli", "tuning", "embedded"]


def test_cache_aside_knows_what_makes_calls_and_no_client():
    known = {imported for path in (PACKAGE / "aside").glob("*.py") for imported in imports(path)}
    assert not {name for name in known if name.startswith((".client", ".sync", ".many"))}
    reach_the_service = {
        path.stem for path in (PACKAGE / "aside").glob("*.py") if "caller.call(" in path.read_text("utf-8")
    }
    assert reach_the_service == {"entries"}


def private_to_aiohttp():
    """The private names that the classes of aiohttp have which we use or derive from."""
    used = (aiohttp.client, aiohttp.client_exceptions, aiohttp.client_proto, aiohttp.connector)
    source = "".join(inspect.getsource(module) for module in (*used, aiohttp.base_protocol))
    return {*re.findall(r"\b(?:self\.|def )(_[a-z]\w*)", source)}


def names_of_others(tree):
    """The attributes that a module uses of other objects, and all those in what derives from aiohttp."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case (
                ast.Attribute(attr=name)
                | ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=name), *_])
            ):
                yield name
            case ast.ClassDef(bases=[base]) if ast.unparse(base) in (
                "aiohttp.TCPConnector",
                "ResponseHandler",
            ):
                yield from (part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute))


def test_what_is_private_to_aiohttp_is_listed_where_it_is_explained():
    used = {
        name for path in PACKAGE.rglob("*.py") for name in names_of_others(ast.parse(path.read_text("utf-8")))
    }
    text = (PACKAGE / "_call" / "pool.py").read_text("utf-8")
    listed = text[text.index("# Private to aiohttp") : text.index("# In an aiohttp with other names")]
    assert {*re.findall(r"\b_[a-z]\w*", listed)} == used & private_to_aiohttp()


def test_every_file_named_on_the_page_about_it_is_there():
    docs = Path(__file__).parents[2] / "docs"
    drawings = [docs / "_static" / f"path-of-{what}.svg" for what in ("a-call", "an-answer")]
    text = " ".join(page.read_text("utf-8") for page in [docs / "architecture.md", *drawings])
    named = set(re.findall(r"[\w./]+\.py\b", text.replace("\\", "")))
    ours = {path.name for path in PACKAGE.rglob("*.py")} | {
        path.name for path in docs.parent.rglob("tests/**/*.py")
    }
    assert len(named) > 40
    assert {name for name in named if name.rpartition("/")[2] not in ours} == set()


def test_no_name_of_a_package_hides_a_module_of_it():
    names = [each.name for each in walk_packages(matching.__path__, f"{matching.__name__}.")]
    assert names
    for name in names:
        package, _, module = name.rpartition(".")
        assert import_module(name) is getattr(sys.modules[package], module)
