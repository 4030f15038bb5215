"""The Python on the README and on every page of the docs runs as it stands there.

The blocks of a page run in order, in one namespace, some with ``await`` at their top level, against a local
service that the environment names. A block with tests in it is run by pytest instead. One that can't be run
has the reason in the line before it: ``<!-- not run: it needs an account -->``.

A comment after ``print(...)`` is what is printed, as in ``print(len(found))  # 0: nothing was found``, where
what follows the colon explains it.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
from contextlib import nullcontext
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

import pytest

from langcache.service import LocalServer

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("[!_]*.md")),
    *sorted((ROOT / "docs").glob("[!_]*/*.md")),
]
ATTRIBUTES = ("function", "language", "sources", "stored_at", "tenant", "topic", "user")
"""The attributes of the cache, for a page that has no command that declares its own."""

BLOCK = re.compile(r"(?P<before>[^\n]*)\n+```python\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE)
SERVE = re.compile(r"python -m langcache serve((?:[ \\\n]+--attribute \w+)+)[`\n]")
NOT_RUN = re.compile(r"<!-- not run: .{8,} -->")


class Block(NamedTuple):
    """Some Python, and where it stands."""

    page: Path
    line: int
    code: str

    @property
    def has_tests(self):
        return "def test_" in self.code


OF_ADAPTERS = {"docs/langchain.md", "docs/openai-agents.md", "docs/openai.md", "docs/pydantic-ai.md"}
"""Pages that need frameworks and a provider of models: tests/adapters run them."""


def name(page):
    return str(page.relative_to(ROOT))


def blocks(page):
    text = f"\n{page.read_text('utf-8')}"
    return [
        Block(page, text.count("\n", 0, found.start("code")), found["code"])
        for found in BLOCK.finditer(text)
        if not NOT_RUN.fullmatch(found["before"].strip())
    ]


def attributes(page):
    """The attributes that a page tells its reader to declare, who would get errors if one were missing."""
    serve = SERVE.search(page.read_text("utf-8"))
    return ATTRIBUTES if serve is None else tuple(re.findall(r"--attribute (\w+)", serve[1]))


@pytest.fixture
def _service(monkeypatch, page, tmp_path):
    monkeypatch.chdir(tmp_path)  # some pages write files
    with LocalServer(attributes=attributes(page)) as server:
        monkeypatch.setenv("LANGCACHE_SERVER_URL", server.url)
        monkeypatch.setenv("LANGCACHE_API_KEY", server.api_key)
        monkeypatch.setenv("LANGCACHE_CACHE_ID", server.cache_id)
        yield


@pytest.mark.usefixtures("_service")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page) and name(page) not in OF_ADAPTERS], ids=name
)
def test_a_page(page):
    run([block for block in blocks(page) if not block.has_tests])


PRINTED = re.compile(r" *print\(.*\)  # (.+)")
NO_OUTPUT = {"a hit", "similarity and entry of the hit", "None, or why it was not stored"}
"""Comments on what is printed that are not what is printed."""


class Printer:
    """Prints for the blocks of a page, and compares what it prints with the comment on the same line."""

    def __init__(self, page_blocks):
        self.expected = {}
        for block in page_blocks:
            for at, line in enumerate(block.code.splitlines(), block.line):
                comment = PRINTED.fullmatch(line)
                if comment is not None and (said := comment[1].partition(": ")[0]) not in NO_OUTPUT:
                    self.expected[at] = said
        self.seen = set()

    def __call__(self, *values, **options):
        print(*values, **options)
        at = sys._getframe(1).f_lineno
        if at in self.expected:
            assert " ".join(map(str, values)) == self.expected[at], f"line {at}"
            self.seen.add(at)


def run(page_blocks):
    """Run blocks of one page, in order."""
    printer = Printer(page_blocks)
    namespace = {"__name__": "__main__", "print": printer}
    loop = asyncio.new_event_loop()
    try:
        for block in page_blocks:
            # Moved down to its place on the page, so that a traceback leads there.
            source = "\n" * (block.line - 1) + block.code
            code = compile(source, block.page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            running = eval(code, namespace)  # which runs it already, unless it awaits something
            if inspect.iscoroutine(running):
                loop.run_until_complete(running)
        assert printer.seen == printer.expected.keys()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@pytest.mark.parametrize(
    "block",
    [block for page in PAGES for block in blocks(page) if block.has_tests],
    ids=lambda block: f"{name(block.page)}:{block.line}",
)
def test_tests_on_a_page(block, pytester):
    pytester.makepyfile(block.code)
    installed = any(point.name == "langcache" for point in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "langcache.service.pytest_plugin"]
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error"
    )
    result = pytester.runpytest(*plugin, "--strict-markers")
    result.assert_outcomes(passed=block.code.count("def test_"))


def test_the_runner_fails_where_a_block_fails(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Text\n\n```python\nx = 1\n```\n\n<!-- not run: it is wrong -->\n```python\n1 / 0\n```\n\n"
        "```python\nimport asyncio\n\nawait asyncio.sleep(0)\nassert x == 2\n```\n"
    )
    kept = blocks(page)
    assert [block.line for block in kept] == [4, 13]
    with pytest.raises(AssertionError) as raised:
        run(kept)
    assert (raised.traceback[-1].path, raised.traceback[-1].lineno + 1) == (page, 16)


@pytest.mark.parametrize(
    ("code", "fails"),
    [
        ("print(None)  # None: nothing was found", False),
        ("print('a', 1)  # a 1", False),
        ("print('hit')  # miss", True),
        ("if False:\n    print('hit')  # hit", True),
        ("print('an answer')  # a hit: the model is not asked", False),
    ],
)
def test_what_a_page_says_is_printed_has_to_be(tmp_path, code, fails):
    page = tmp_path / "page.md"
    page.write_text(f"Text\n\n```python\n{code}\n```\n")
    with pytest.raises(AssertionError) if fails else nullcontext():
        run(blocks(page))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name)
def test_examples_have_no_lines_that_are_there_to_be_tested(page):
    """They print, and the comment says what. Only examples of tests have assertions."""
    text = page.read_text("utf-8")
    for block in blocks(page):
        headings = re.findall(r"^#+ (.*)$", text[: text.index(block.code)], re.MULTILINE)
        if not any("test" in each.lower() for each in (headings[0], headings[-1])):
            assert re.findall(r"^ *assert .*", block.code, re.MULTILINE) == []


def test_no_reason_is_no_excuse(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- not run: -->\n```python\n1 / 0\n```\n")
    assert len(blocks(page)) == 1


def keys_by_the_last_message(code):
    """The ``key=`` arguments in some code that take the last message alone for the question."""
    tree = ast.parse(code)
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "key":
            name = node.value.id if isinstance(node.value, ast.Name) else None
            function = functions.get(name, node.value)
            if any(
                "[-1]" in ast.unparse(each) for each in ast.walk(function) if isinstance(each, ast.Subscript)
            ):
                yield ast.unparse(node)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name)
def test_no_page_looks_up_the_last_message_alone(page):
    assert [*keys_by_the_last_message("\n".join(block.code for block in blocks(page)))] == []


def test_no_docstring_looks_up_the_last_message_alone():
    for path in (ROOT / "langcache").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert "[-1][" not in node.value, path


def test_such_a_page_would_be_found():
    by_lambda = "cache.get_or_set(m, llm, key=lambda m: m[-1]['content'])"
    by_name = "def last(m):\n    return m[-1].content\n\n@cache.cached(key=last)\ndef f(m): ..."
    assert [*keys_by_the_last_message(by_lambda)]
    assert [*keys_by_the_last_message(by_name)]
    assert not [*keys_by_the_last_message("cache.get_or_set(m, lambda m: m[-1], key=chat_key())")]
