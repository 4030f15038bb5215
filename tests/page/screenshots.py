"""Makes the pictures of the page for the docs: 1280 and 390 pixels wide, light and dark."""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path

import aiohttp
from browser import CHROMIUM, KEY, Tab, browser
from PIL import Image

from langcache.cli.serve import _draw
from langcache.service import CacheConfig, MiniLMEmbedder, ServerConfig
from langcache.service.server import serving

FOLDER = Path(__file__).parents[2] / "docs" / "_static"
SIZES = {1280: 1560, 390: 1688}
MOST_BYTES = 60 * 1024

STORED = {
    "How do I reset my password?": "Choose “Forgot password” on the sign-in page.",
    "How long does shipping to Canada take?": "Five working days.",
    "Can I return a gift?": "Yes, within 30 days and without the receipt.",
    "Which payment methods do you take?": "Cards, PayPal and bank transfer.",
}
ASKED = [
    *("I forgot my password, how can I reset it?", "How long does shipping to Mexico take?"),
    *("To Canada, how many days is shipping?", "Do you ship to Canada by air?", "Can gifts be returned?"),
    *("What payment methods do you accept?", "Can I pay by cheque?", "How do I reset my password?"),
]


async def shoot(tab: Tab, url: str, width: int, theme: str) -> None:
    await tab.do("Emulation.setScrollbarsHidden", hidden=True)
    await tab.show(f"{url}/", width, SIZES[width], theme)
    if await tab.js("!sessionStorage.length"):
        await tab.js("document.getElementById('key').focus()")
        await tab.type(KEY)
        await tab.press("Enter")
    await tab.until("document.querySelectorAll('#asked li').length")
    await tab.js("document.getElementById('question').focus()")
    await tab.type("How many days does shipping to Canada take?")
    await tab.press("Enter")
    await tab.until("document.querySelectorAll('#found li').length")
    await tab.js("document.activeElement.blur(); scrollTo(0, 0)")
    picture = Image.open(io.BytesIO(await tab.picture())).convert("RGB")
    path = FOLDER / f"page-{width}-{theme}.png"
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        sys.exit(f"{path.name} is too large: {path.stat().st_size} bytes")


async def main() -> None:
    config = ServerConfig(caches=(CacheConfig(cache_id="support", api_key=KEY),))
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        serving(config, MiniLMEmbedder(), draw=_draw) as running,
        aiohttp.ClientSession(f"{running.url}/v1/caches/support/", headers=headers) as session,
        browser() as tab,
    ):
        for prompt, response in STORED.items():
            (await session.post("entries", json={"prompt": prompt, "response": response})).raise_for_status()
        for prompt in ASKED:
            (await session.post("entries/search", json={"prompt": prompt})).raise_for_status()
        for width in SIZES:
            for theme in ("light", "dark"):
                await shoot(tab, running.url, width, theme)


if __name__ == "__main__":
    if CHROMIUM is None:
        sys.exit("there is no Chromium; give its path in the variable LANGCACHE_CHROMIUM")
    asyncio.run(main())
