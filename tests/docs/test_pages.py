"""What the pages say of the project is so."""

from __future__ import annotations

import ast
import inspect
import re
from itertools import chain
from pathlib import Path

import pytest

import langcache
from langcache import AsyncLangCache
from langcache.cli.settings import _read_toml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def nox_sessions():
    """The sessions of the noxfile, and what each says of itself."""
    for node in ast.parse((ROOT / "noxfile.py").read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and any(
            "nox.session" in ast.unparse(each) for each in node.decorator_list
        ):
            yield node.name, ast.get_docstring(node)


CODE = re.compile(r"^```(?P<kind>\S*).*?^```$|^    \S[^\n]*$", re.DOTALL | re.MULTILINE)
FITS = 100
"""Characters of code that fit beside the menus in a window of 1,280 points (`docs/_static/site.css`)."""


def lines_of_code(page):
    text = page.read_text("utf-8")
    if page.suffix != ".md":
        return text.splitlines()
    blocks = [found[0] for found in CODE.finditer(text) if found["kind"] not in ("{raw}", "{image}")]
    return [line for block in blocks for line in block.splitlines()]


def test_no_line_of_code_has_to_be_scrolled_to():
    pages = [ROOT / "README.md", *DOCS.rglob("*.md"), *(DOCS / "production").iterdir()]
    long = {
        f"{page.relative_to(ROOT)}": [line for line in lines_of_code(page) if len(line) > FITS]
        for page in pages
    }
    assert {page: lines for page, lines in long.items() if lines} == {}


def test_examples_use_what_is_public():
    pages = [ROOT / "README.md", *DOCS.rglob("*.md")]
    private = re.compile(r"^ *(?:from|import) langcache[\w.]*(?:\._| import _)", re.MULTILINE)
    assert [f"{page.relative_to(ROOT)}" for page in pages if private.search(page.read_text("utf-8"))] == []


def test_contributing_lists_the_nox_sessions_in_their_own_words():
    page = (DOCS / "contributing.md").read_text("utf-8")
    table = page.partition("| Session |")[2].partition("\n\n")[0].splitlines()[2:]
    assert table == [f"| `{name}` | {what} |" for name, what in nox_sessions()]


def test_the_policies_name_the_dependencies_that_have_an_upper_bound():
    project = _read_toml(ROOT / "pyproject.toml")["project"]
    allowed = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    capped = {
        re.match(r"[\w.-]+", each)[0] for each in allowed if re.search(r"<|==|~=", each.partition(";")[0])
    }
    policy = (DOCS / "policies.md").read_text("utf-8").partition("## Dependencies")[2].partition("\n## ")[0]
    assert capped == {each for each in re.findall(r"`([\w.-]+)`", policy) if each != "local"}


OPERATIONS = [
    name
    for name, method in inspect.getmembers(AsyncLangCache, inspect.iscoroutinefunction)
    if not name.startswith("_") and "http_headers" in inspect.signature(method).parameters
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_has_a_page_that_names_its_arguments(operation):
    page = (DOCS / "operations" / f"{operation}.md").read_text("utf-8")
    common = {"self", "retries", "server_url", "timeout_ms", "http_headers"}
    arguments = set(inspect.signature(getattr(AsyncLangCache, operation)).parameters) - common
    missing = [name for name in arguments if f"`{name}`" not in page]
    assert not missing
    assert "every operation takes" in page
    for section in ("Reply", "Errors", "Async", "Sync"):
        assert f"\n## {section}\n" in page


def public_members():
    """The methods and properties of public classes, as ``Class.member``."""
    for module in (langcache, langcache.errors, langcache.models, langcache.httpclient):
        for kind in vars(module).values():
            if inspect.isclass(kind) and kind.__module__.startswith("langcache"):
                for name, member in vars(kind).items():
                    if not name.startswith("_") and (
                        inspect.isroutine(member) or isinstance(member, property)
                    ):
                        yield f"{kind.__name__}.{name}", member


def test_all_that_is_public_has_a_first_line_for_editors_to_show():
    assert [name for name, member in public_members() if not (member.__doc__ or "").strip()] == []


PUBLIC_CLASSES = [name for name in langcache.__all__ if inspect.isclass(getattr(langcache, name))]


@pytest.mark.parametrize("name", PUBLIC_CLASSES)
def test_each_public_class_is_in_the_reference(name):
    kind = getattr(langcache, name)
    reference = "".join(page.read_text("utf-8") for page in (DOCS / "api").glob("*.md"))
    own_page = f".. automodule:: {kind.__module__}\n"
    assert f".{kind.__name__}\n" in reference or own_page in reference
