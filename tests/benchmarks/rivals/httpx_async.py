"""httpx and msgspec by hand, the way httpx's documentation shows: one client with default headers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import texts

from ._wire import Search, Set, decode_found, decode_stored, encode


@asynccontextmanager
async def connect(url: str, cache_id: str) -> AsyncIterator[dict[str, Callable[[], Awaitable[str]]]]:
    entries = f"{url}/v1/caches/{cache_id}/entries"
    async with httpx.AsyncClient(headers={"Authorization": "Bearer key"}) as client:

        async def post(url: str, body: bytes) -> bytes:
            response = await client.post(url, content=body, headers={"Content-Type": "application/json"})
            response.raise_for_status()
            return response.content

        async def search() -> str:
            body = encode(Search(texts.PROMPT, texts.THRESHOLD))
            return decode_found(await post(f"{entries}/search", body)).data[0].response

        async def set() -> str:
            body = encode(Set(texts.PROMPT, texts.RESPONSE))
            return decode_stored(await post(entries, body)).entry_id

        yield {"search": search, "set": set}
