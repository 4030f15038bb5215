"""The README: its outputs are what its programs and the demo print, and its links lead somewhere."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO

import pytest
from demo_output import README, printed, shown, similarities, without_numbers
from test_snippets import PAGES, name, run
from test_snippets import blocks as python_blocks

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
