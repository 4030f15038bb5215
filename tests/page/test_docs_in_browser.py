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
        problems = [*await tab.js(TOO_WIDE), *await tab.js(CONTRAST)]
        if problems:
            found[f"{page.relative_to(home)}"] = problems[:3]
    assert found == {}


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
