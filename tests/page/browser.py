"""A headless Chromium, driven by the DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

import aiohttp

CHROMIUM = os.environ.get("LANGCACHE_CHROMIUM")
"""The program, which ``nox -s page`` looks for."""

KEY = "a-key-of-the-page"

EVIL = "<img src=x onerror=\"document.title='broken into'\">"
"""A prompt that does something in a page that takes it for HTML."""

CONTRAST = """(() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const over = (color, below) => {
    const [red, green, blue, alpha = 1] = color;
    return [red, green, blue].map((value, at) => alpha * value + (1 - alpha) * below[at]);
  };
  const linear = (value) => value <= 10 ? value / 3294.6 : ((value / 255 + .055) / 1.055) ** 2.4;
  const light = ([red, green, blue]) =>
    .2126 * linear(red) + .7152 * linear(green) + .0722 * linear(blue);
  const behind = (each) => {
    if (!each) return [255, 255, 255];
    const color = parts(getComputedStyle(each).backgroundColor);
    return (color[3] ?? 1) === 1 ? color : over(color, behind(each.parentElement));
  };
  const hasText = (each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.querySelectorAll("body *")]
    .filter((each) => each.checkVisibility() && !each.disabled && hasText(each))
    .filter((each) => !each.closest("svg, noscript, .skip, option"))
    .filter((each) => {
      const ground = behind(each);
      const lights = [light(over(parts(getComputedStyle(each).color), ground)), light(ground)];
      lights.sort((one, other) => other - one);
      return (lights[0] + .05) / (lights[1] + .05) < 4.5;
    }).map((each) => each.outerHTML);
})()"""
"""The elements whose text has a contrast below 4.5."""

_SECONDS = 60


class Tab:
    """A tab of the browser, and what went wrong in it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = 0
        self.session: str | None = None
        self.errors: list[str] = []
        self.requested: list[str] = []

    async def do(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        self._numbers += 1
        message = {"id": self._numbers, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        await self._socket.send_json(message)
        while True:
            reply = json.loads(await self._socket.receive_str(timeout=_SECONDS))
            if reply.get("id") == self._numbers:
                assert "error" not in reply, reply
                return reply["result"]
            self._note(reply)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"]))
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])
        elif event.get("method") == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])

    async def js(self, code: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        done = await self.do("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    async def until(self, code: str) -> Any:
        """Wait until an expression is true, and return it."""
        end = monotonic() + _SECONDS
        while not (found := await self.js(code)):
            assert monotonic() < end, f"not so after {_SECONDS} s: {code}"
            await self.js("new Promise((done) => setTimeout(done, 20))")
        return found

    async def show(self, url: str, width: int = 1280, height: int = 900, theme: str = "light") -> None:
        """Load a page in a window of this size."""
        await self.do(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        features = [{"name": "prefers-color-scheme", "value": theme}]
        await self.do("Emulation.setEmulatedMedia", features=features)
        await self.do("Page.navigate", url=url)
        await self.until(f"location.href.startsWith({url!r}) && document.readyState === 'complete'")

    async def press(self, key: str) -> None:
        """Press a key."""
        code = {"Tab": 9, "Enter": 13, "ArrowLeft": 37, "ArrowRight": 39}.get(key, 0)
        pressed = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = "\r" if key == "Enter" else ""
        await self.do("Input.dispatchKeyEvent", type="keyDown", text=text, **pressed)
        await self.do("Input.dispatchKeyEvent", type="keyUp", **pressed)

    async def type(self, text: str) -> None:
        """Type a text where the focus is."""
        await self.do("Input.insertText", text=text)

    async def picture(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode((await self.do("Page.captureScreenshot", format="png"))["data"])


@asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    """A new browser with one empty tab."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        options = ["--headless=new", "--remote-debugging-port=0", "--no-sandbox", "--disable-gpu"]
        options += ["--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={home}", "about:blank"]
        process = await asyncio.create_subprocess_exec(
            CHROMIUM, *options, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            assert process.stderr is not None
            url = ""
            while not url.startswith("ws://"):
                line = await asyncio.wait_for(process.stderr.readline(), _SECONDS)
                assert line, "Chromium has ended"
                url = line.decode().strip().rpartition("DevTools listening on ")[2]
            reading = asyncio.create_task(process.stderr.read())
            async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as socket:
                tab = Tab(socket)
                made = await tab.do("Target.createTarget", url="about:blank")
                attached = await tab.do("Target.attachToTarget", targetId=made["targetId"], flatten=True)
                tab.session = attached["sessionId"]
                for domain in ("Runtime", "Log", "Network", "Page"):
                    await tab.do(f"{domain}.enable")
                yield tab
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            await reading
