"""The page in a browser: what a reader sees, by keyboard and on a phone, and what it never does."""

from __future__ import annotations

import json

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
