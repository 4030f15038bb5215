"""The page in a browser: what a reader sees, by keyboard and on a phone, and what it never does."""

from __future__ import annotations

import json
import re

import pytest
from browser import CONTRAST, EVIL, KEY

STORED = ["How do I reset my password?", "Where is my order?", EVIL]

UNLABELLED = """[...document.querySelectorAll("input, select, button")]
  .filter((each) => each.checkVisibility())
  .filter((each) => !each.labels?.length && !each.getAttribute("aria-label") && !each.textContent.trim())
  .map((each) => each.outerHTML)"""


async def enter(tab, service, key=KEY, **size):
    await tab.show(f"{service.url}/", **size)
    await tab.js("document.getElementById('key').focus()")
    await tab.type(key)
    await tab.press("Enter")


async def inside(tab, service, **size):
    for prompt in STORED:
        await service("entries", prompt=prompt, response=f"An answer. {EVIL}")
    for prompt in ("How can I reset my password?", "What is the weather?", EVIL):
        await service("entries/search", prompt=prompt)
    await enter(tab, service, **size)
    await tab.until("document.querySelectorAll('#asked li').length === 3")


async def ask(tab, question):
    await tab.js("document.getElementById('question').focus()")
    await tab.js("document.getElementById('question').select()")
    await tab.type(question)
    await tab.press("Enter")
    await tab.until("document.querySelectorAll('#found li').length > 0")


async def test_the_key_opens_the_page_and_is_in_no_url(tab, service):
    await inside(tab, service)
    assert "3 entries" in await tab.js("document.getElementById('caches').innerText")
    assert await tab.js("document.querySelectorAll('#asked li.hit').length") == 2
    assert all(url.startswith(service.url) for url in tab.requested if not url.startswith("about:"))
    assert not [url for url in [*tab.requested, await tab.js("location.href")] if KEY in url]
    assert tab.errors == []


async def test_a_wrong_key_is_refused_in_words_and_not_kept(tab, service):
    await enter(tab, service, "wrong")
    assert "not known" in await tab.until("document.getElementById('said').textContent")
    assert await tab.js("sessionStorage.length") == 0
    assert await tab.js("document.getElementById('inside').hidden")


async def test_the_key_outlives_a_reload_until_it_is_forgotten(tab, service):
    await inside(tab, service)
    await tab.show(f"{service.url}/")
    await tab.until("!document.getElementById('inside').hidden")
    await tab.js("document.getElementById('leave').click()")
    assert await tab.js("sessionStorage.length") == 0
    assert "password" not in await tab.js("document.body.textContent")


async def test_texts_of_the_cache_stay_texts(tab, service):
    await inside(tab, service)
    await ask(tab, EVIL)
    assert await tab.js("document.querySelectorAll('#inside img').length") == 1  # the picture's own
    shown = await tab.js("['found', 'asked'].map((id) => document.getElementById(id).textContent).join()")
    assert shown.count("onerror") > 3
    assert await tab.js("document.title") == "LangCache"
    assert tab.errors == []


async def test_the_policy_lets_no_html_and_no_inline_script_in(tab, service):
    await enter(tab, service)
    tried = "(() => { try { document.body.innerHTML = '<b>x</b>'; } catch { return 'refused'; } })()"
    assert await tab.js(tried) == "refused"


async def test_the_threshold_says_at_once_what_would_hit(tab, service):
    await inside(tab, service)
    await ask(tab, "How can I reset my password?")
    assert (await tab.js("document.getElementById('would').textContent")).startswith("A hit")
    await tab.js("document.getElementById('threshold').focus()")
    for _ in range(30):
        await tab.press("ArrowRight")
    assert (await tab.js("document.getElementById('would').textContent")).startswith("A miss")
    assert await tab.js("document.querySelectorAll('#found li.hit').length") == 0


async def test_everything_is_reached_by_keyboard_in_the_order_of_the_page(tab, service):
    await inside(tab, service)
    await tab.js("document.querySelector('.skip').focus()")
    seen = []
    for _ in range(30):
        await tab.press("Tab")
        seen.append(await tab.js("document.activeElement.id"))
    wanted = ["leave", "question", "attribute-0", "threshold", "again", "follow", "pairs"]
    assert [each for each in seen if each in wanted][: len(wanted)] == wanted


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_it_fits_its_window_is_labelled_and_can_be_read(tab, service, theme, width):
    await inside(tab, service, width=width, theme=theme)
    await ask(tab, "How can I reset my password?")
    assert await tab.js("document.documentElement.scrollWidth <= innerWidth")
    assert await tab.js(UNLABELLED) == []
    assert await tab.js(CONTRAST) == []


def rows_of(*searches):
    """Searches as the page gets them, of similarities and whether they hit."""
    return json.dumps([{"similarity": similarity, "hit": hit} for similarity, hit in searches])


HISTOGRAM = """(async () => {
  const { histogram } = await import("/page/parts.js");
  const drawn = histogram(%s, %s);
  const number = (each, name) => Number(each.getAttribute(name));
  return {
    bars: [...drawn.querySelectorAll("rect")].map((each) =>
      [each.classList.contains("hit"), ...["x", "y", "width", "height"].map((name) => number(each, name))]),
    limit: drawn.querySelector(".limit").getAttribute("d"),
    marks: [...drawn.querySelectorAll("text")].map((each) => [each.textContent, number(each, "x")]),
    said: drawn.getAttribute("aria-label"),
  };
})()"""


async def test_a_histogram_counts_each_search_in_its_bar(tab, service):
    await tab.show(f"{service.url}/")
    searches = [(0.1, False), (0.5, False), (0.524, False), (0.525, False), (0.85, True), (0.86, False)]
    searches += [(0.999, True), (1, True), (1, True), (None, False)]
    drawn = await tab.js(HISTOGRAM % (rows_of(*searches), 0.85))
    foot, most = 125, 110
    counted = {}
    for hit, x, y, width, height in drawn["bars"]:
        counted[round((x - 11) / 20), hit] = round(3 * height / most)
        assert (width, y >= foot - most - 1e-6, y + height <= foot + 1e-6) == (18, True, True)
    assert counted == {(0, False): 3, (1, False): 1, (14, True): 1, (14, False): 1, (19, True): 3}
    at = {(round((x - 11) / 20), hit): (y, y + height) for hit, x, y, _, height in drawn["bars"]}
    assert at[14, True][1] == pytest.approx(at[14, False][0]), "hits stand on misses"
    assert drawn["limit"] == "M290 4V125"
    assert dict(drawn["marks"])["0.8"] == pytest.approx(250)
    assert drawn["said"] == (
        "Searches by similarity, from 0.5 to 1. below 0.525: 0 hit, 3 missed; 0.525: 0 hit, 1 missed; "
        "0.850: 1 hit, 1 missed; 0.975: 3 hit, 0 missed"
    )


@pytest.mark.parametrize(("threshold", "x"), [(0, 10), (0.5, 10), (0.75, 210), (1, 410)])
async def test_a_histogram_of_nothing_says_so_and_shows_the_threshold(tab, service, threshold, x):
    await tab.show(f"{service.url}/")
    drawn = await tab.js(HISTOGRAM % ("[]", threshold))
    assert (drawn["bars"], drawn["limit"]) == ([], f"M{x} 4V125")
    assert drawn["said"] == "Searches by similarity, from 0.5 to 1. None yet."


async def test_the_histogram_of_the_page_is_that_of_its_searches(tab, service):
    await inside(tab, service)
    drawn = "document.querySelector('svg[role=img]')"
    said = await tab.js(f"{drawn}.getAttribute('aria-label')")
    shown = await tab.js("[...document.querySelectorAll('#asked li')].map((each) => each.className)")
    hits, misses = (sum(map(int, re.findall(rf"(\d+) {what}", said))) for what in ("hit", "missed"))
    assert (hits, hits + misses) == (sum("hit" in each for each in shown), len(shown))


async def test_labels_become_the_picture(tab, service, tmp_path):
    await inside(tab, service)
    await ask(tab, "How can I reset my password?")
    await tab.js("document.querySelector('#found button').click()")
    assert await tab.js("document.getElementById('labels').textContent") == "1 right, 0 wrong"
    assert await tab.js("document.getElementById('draw').disabled")
    lines = [json.dumps({"similarity": 0.5 + at / 100, "same": at > 20}) for at in range(40)]
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(lines))
    root = (await tab.do("DOM.getDocument"))["root"]["nodeId"]
    node = (await tab.do("DOM.querySelector", nodeId=root, selector="#pairs"))["nodeId"]
    await tab.do("DOM.setFileInputFiles", nodeId=node, files=[f"{file}"])
    await tab.until("document.getElementById('labels').textContent === '20 right, 21 wrong'")
    await tab.js("document.getElementById('draw').click()")
    await tab.until("document.getElementById('drawn').naturalWidth > 0")
    assert "41 pairs" in await tab.js("document.getElementById('table').textContent")
    assert tab.errors == []


async def test_without_its_service_it_says_so(tab, service):
    await inside(tab, service)
    lost = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    await tab.do("Network.emulateNetworkConditions", **lost)
    await tab.js("document.getElementById('again').click()")
    assert "reached" in await tab.until("document.getElementById('said').textContent")
