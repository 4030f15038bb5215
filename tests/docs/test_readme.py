"""The README: its outputs are what its programs and the demo print, and its links lead somewhere."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO

import pytest
from demo_output import README, printed, shown, similarities, without_numbers
from readme_claims import SHOWN_BY, claims
from test_snippets import PAGES, name, run
from test_snippets import blocks as python_blocks

from langcache import LangCache
from langcache.cli import _parser
from langcache.service import LocalServer

HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
NAMED = re.compile(r"^\(([\w-]+)\)=$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|<)([^)#\s]*)(?:#([^)\s]+))?\)")
CODE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)


NAMES = {each for page in PAGES for each in NAMED.findall(page.read_text("utf-8"))}
"""Anchors that a page gives names of their own, which lead there from every page of the site."""


def anchor(heading):
    """The anchor that hosts and the site make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def broken_links(page):
    for path, fragment in LINK.findall(CODE.sub("", page.read_text("utf-8"))):
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            yield path
        elif fragment and target.suffix == ".md":
            text = CODE.sub("", target.read_text("utf-8"))
            if fragment not in {*map(anchor, HEADING.findall(text)), *(NAMES if page in PAGES else ())}:
                yield f"{path}#{fragment}"


ROOT = README.parent
COMMANDS = re.findall(r"^```console\n(.*?)^```", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_every_claim_of_the_readme_is_shown_by_tests():
    """A sentence that no test can show is one to write otherwise, or to leave out."""
    said = claims(README.read_text("utf-8"))
    assert [claim for claim in said if not SHOWN_BY.get(claim)] == []
    assert [claim for claim in SHOWN_BY if claim not in said] == []


@pytest.mark.parametrize("page", [README, ROOT / "docs" / "install.md"], ids=lambda page: page.name)
def test_the_python_that_it_asks_for_is_the_oldest_that_can_install_it(page):
    oldest = re.findall(r'^requires-python = ">=(.*)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
    assert re.findall(r"Python (3\.\d+) or newer", page.read_text("utf-8")) == oldest


def test_the_tests_that_show_the_claims_of_the_readme_are_there():
    for path, _, test in sorted(
        {each.partition("::") for shown_by in SHOWN_BY.values() for each in shown_by}
    ):
        tree = ast.parse((ROOT / "tests" / path).read_text("utf-8"))
        functions = [each for each in tree.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))]
        assert test.startswith("test_")
        assert test in {each.name for each in functions}, path


def test_a_claim_is_found_wherever_it_stands():
    page = "# Title\n\nOne. Two (no) is\n[here](x.md):\n\n```text\nout\nmore\n```\n\n"
    page += '<picture>\n<source srcset="x">\n<img src="y" alt="A cost: 1.5 ms.">\n</picture>\n\n'
    page += "- **Three** four. Five\n- Six\n"
    page += "\n| a | b |\n|---|---|\n| c | d |\n<!-- not said -->\n```python\ncode()\n```\nSeven: eight.\n"
    assert claims(page) == [
        *("One.", "Two (no) is here: ```out```", "A cost: 0 ms.", "Three four.", "Five", "Six"),
        *("| a | b |", "| c | d |", "```code()```", "Seven: eight."),
    ]


@pytest.mark.parametrize(
    "command", [line for block in COMMANDS for line in block.replace("\\\n", "").splitlines()]
)
def test_a_command_names_what_there_is(command):
    pyproject = (ROOT / "pyproject.toml").read_text("utf-8")
    for part in command.split(" && "):
        match shlex.split(part):
            case ["python", "-m", "langcache", *arguments]:
                assert _parser().parse_known_args(arguments)[1] == []
            case ["python", "-m", "pip", "install", what] if what.startswith("."):
                assert re.search(rf"^{what.strip('.[]')} = \[", pyproject, re.MULTILINE)
            case ["python", "-m", "pip", "install" | "uninstall", *options]:
                assert set(options) <= {"--yes", "langcache", "nox"}
            case other:
                assert other[0] in ("curl", "nox")


def test_no_address_is_claimed():
    """As long as the package has no public address, the README says so and pyproject.toml names none."""
    pyproject = (ROOT / "pyproject.toml").read_text("utf-8")
    urls = re.search(r"^\[project\.urls\].*?\n((?:.+\n)*)", pyproject, re.MULTILINE)[1]
    assert re.findall(r"https?://([^/]+)/", urls) == ["redis.io"]
    assert "its repository has no public address yet" in " ".join(README.read_text("utf-8").split())


def test_what_is_said_of_other_caches_has_its_source():
    text = README.read_text("utf-8")
    head, _, *rows = [line for line in text.splitlines() if line.startswith("|")]
    for cell in head.strip("|").split("|")[2:]:
        assert LINK.search(cell) or "](https://" in cell
    assert len(rows) == 3
    established, redisvl = re.search(
        r"for langcache ([\d.]+), redisvl ([\d.]+)", " ".join(text.split())
    ).groups()
    noxfile = ast.parse((ROOT / "noxfile.py").read_text("utf-8"))
    assert established == value_of(noxfile, "ESTABLISHED")[-1]
    assert set(re.findall(r"redisvl/([\d.]+)/", text)) == {redisvl}


def value_of(module, name):
    """What a name of a module is set to."""
    (found,) = [
        each.value
        for each in module.body
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == name
    ]
    return ast.literal_eval(found)


def test_nox_alone_checks_what_the_readme_says():
    noxfile = (ROOT / "noxfile.py").read_text("utf-8")
    default = re.search(r"^nox\.options\.sessions = \[\n(.*?)^\]", noxfile, re.DOTALL | re.MULTILINE)[1]
    assert {"lint", "types", "coverage"} <= set(re.findall(r'"(\w+)"', default))
    assert "OTHER_PYTHONS" in default  # with that of `coverage` all
    assert "error_on_missing_interpreters = False" in noxfile


def test_nox_makes_the_site_where_the_readme_says():
    noxfile = (ROOT / "noxfile.py").read_text("utf-8")
    assert re.search(r'^def docs\(.*?"sphinx-build", [^)]*"docs/_build"\)', noxfile, re.DOTALL | re.MULTILINE)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_command_for_other_programs_finds_an_answer():
    (command,) = [block for block in COMMANDS if block.startswith("curl")]
    with LocalServer() as server, LangCache(server.url, server.api_key, server.cache_id) as cache:
        cache.set("How do I reset my password?", "Open Settings.")
        settings = {"SERVER_URL": server.url, "API_KEY": server.api_key, "CACHE_ID": server.cache_id}
        variables = {f"LANGCACHE_{name}": value for name, value in settings.items()}
        done = subprocess.run(
            ["sh", "-c", f"{command.strip()} --silent --noproxy '*'"],
            env={"PATH": "/usr/bin:/bin", **variables},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert '"Open Settings."' in done.stdout, done


def test_nothing_on_another_machine_is_asked():
    """The first program, with a service beside it, in a process that may reach this machine only."""
    code = next(iter(python_blocks(README))).code
    guard = """
import sys

def refuse(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "127.0.0.1", "localhost"):
        raise SystemExit(f"asked for {arguments[0]}")
    if event == "socket.connect" and arguments[1][0] not in ("127.0.0.1", "::1"):
        raise SystemExit(f"asked {arguments[1]}")

sys.addaudithook(refuse)
"""
    service = """
from langcache.service import LocalServer

with LocalServer() as server, LangCache(server.url, server.api_key, server.cache_id) as cache:
    cache.set("How do I reset my password?", "Open Settings.")
    print(cache.search("I forgot my password, what now?").response)
"""
    done = subprocess.run(
        [sys.executable, "-c", guard + code + service],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["Open Settings."]), done.stderr


def test_the_demo_prints_what_the_readme_says():
    """If this fails because the demo is another one: ``python tests/docs/demo_output.py``."""
    output = printed()
    assert without_numbers(shown()) == without_numbers(output)
    assert similarities(shown()) == pytest.approx(similarities(output), abs=0.03)


def test_the_first_program_prints_what_the_readme_says():
    text = README.read_text("utf-8")
    first = next(iter(python_blocks(README)))
    said = StringIO()
    with redirect_stdout(said):
        run([first])
    assert said.getvalue() == re.search(r"```text\n(.*?)```", text, re.DOTALL)[1]


def test_the_first_program_asks_in_at_most_eight_lines():
    lines = [line for line in next(iter(python_blocks(README))).code.splitlines() if line]
    assert len(lines) <= 8


@pytest.mark.parametrize("page", [*PAGES, README.parent / ".github" / "SECURITY.md"], ids=name)
def test_a_link_leads_somewhere(page):
    if not page.exists():
        pytest.skip("an sdist has no folder .github")
    assert [*broken_links(page)] == []


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`\n[a](page.md#one-two) [b](#one-two) [c](none.md) [d](#three)\n```\n[e](no.md)\n```\n"
    )
    assert [*broken_links(page)] == ["none.md", "#three"]
