"""The pages of the documentation in a browser: each fits its window, and can be read in light and in dark."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from browser import CONTRAST

DOCS = Path(__file__).parents[2] / "docs"

TOO_WIDE = """(() => {
  const wide = [...document.querySelectorAll("article pre, article table, article img, article svg")]
    .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
    .filter((each) => !each.closest(".table-wrapper"));
  const cut = [...document.querySelectorAll("article pre")]
    .filter((each) => each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX !== "auto");
  const page = document.documentElement;
  return [...(page.scrollWidth > innerWidth ? [page] : []), ...wide, ...cut]
    .map((each) => each.outerHTML.slice(0, 200));
})()"""
"""What is wider than the window, or has no end to be seen. Tables and code scroll by themselves."""

CUT = """[...document.querySelectorAll("article svg text")].filter((text) => {
  const box = text.getBBox(), middle = box.y + box.height / 2, end = box.x + box.width;
  const around = [...text.ownerSVGElement.querySelectorAll("rect")].map((each) => each.getBBox()).filter(
    ({x, y, width, height}) => x <= box.x && box.x < x + width && y <= middle && middle < y + height
  );
  return [text.ownerSVGElement.viewBox.baseVal, ...around].some((each) => end > each.x + each.width);
}).map((each) => each.textContent)"""
"""Texts of a drawing that go on beyond the drawing, or the box that they begin in."""

BROKEN = """[...document.querySelectorAll("article .option .pre")]
  .filter((each) => each.getClientRects().length > 1).map((each) => each.textContent)"""
"""Options of the command line that are broken into lines."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("sphinx")
    home = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "-m", "sphinx", "-q", f"{DOCS}", f"{home}"], check=True, timeout=600)
    pages = [path for path in sorted(home.rglob("*.html")) if not path.name.startswith("_")]
    assert len(pages) > len([*DOCS.glob("*.md")])
    return home, pages


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_every_page_fits_its_window_and_can_be_read(tab, site, width, theme):
    home, pages = site
    found = {}
    for page in pages:
        await tab.show(page.as_uri(), width, theme=theme)
        problems = [problem for look in (TOO_WIDE, CUT, BROKEN, CONTRAST) for problem in await tab.js(look)]
        if problems:
            found[f"{page.relative_to(home)}"] = problems[:3]
    assert found == {}


async def test_a_drawing_that_is_cut_and_an_option_that_is_broken_are_found(tab, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<!doctype html><article><svg width='200' viewBox='0 0 200 80'>"
        "<rect x='10' y='10' width='80' height='30'/>"
        "<text x='12' y='30'>fits</text><text x='12' y='30'>does not fit at all</text>"
        "<text x='10' y='70'>beside</text><text x='190' y='70'>outside</text></svg>"
        "<div style='width: 4em'><span class='option'><span class='pre'>--whole</span></span> "
        "<span class='option'><span class='pre'>--very-long-option</span></span></div></article>"
    )
    await tab.show(page.as_uri(), 390)
    assert await tab.js(CUT) == ["does not fit at all", "outside"]
    assert await tab.js(BROKEN) == ["--very-long-option"]


async def test_a_page_that_is_too_wide_or_too_pale_is_found(tab, tmp_path):
    page = tmp_path / "page.html"
    words = "word " * 400
    page.write_text(
        f"<!doctype html><article><pre>{words}</pre><pre style='overflow-x: auto'>{words}</pre>"
        "<p style='color: #999'>pale</p><p style='color: #555'>dark</p></article>"
    )
    await tab.show(page.as_uri(), 390)
    assert [each[:5] for each in await tab.js(TOO_WIDE)] == ["<html", "<pre>"]
    assert await tab.js(CONTRAST) == ['<p style="color: #999">pale</p>']
