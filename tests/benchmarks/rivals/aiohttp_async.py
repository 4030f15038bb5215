"""aiohttp and msgspec by hand, the way aiohttp's documentation shows: one session with default headers, a
``post`` with a URL, bytes and a content type."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import texts

from ._wire import Search, Set, decode_found, decode_stored, encode


@asynccontextmanager
async def connect(url: str, cache_id: str) -> AsyncIterator[dict[str, Callable[[], Awaitable[str]]]]:
    entries = f"{url}/v1/caches/{cache_id}/entries"
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer key"}) as session:

        async def post(url: str, body: bytes) -> bytes:
            headers = {"Content-Type": "application/json"}
            async with session.post(url, data=body, headers=headers) as response:
                response.raise_for_status()
                return await response.read()

        async def search() -> str:
            body = encode(Search(texts.PROMPT, texts.THRESHOLD))
            return decode_found(await post(f"{entries}/search", body)).data[0].response

        async def set() -> str:
            body = encode(Set(texts.PROMPT, texts.RESPONSE))
            return decode_stored(await post(entries, body)).entry_id

        yield {"search": search, "set": set}
