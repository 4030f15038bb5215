"""The hand-written aiohttp calls from a thread, through `asyncio.run_coroutine_threadsafe`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from . import aiohttp_async


@contextmanager
def connect(url: str, cache_id: str) -> Iterator[dict[str, Callable[[], str]]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    connection = aiohttp_async.connect(url, cache_id)
    operations = asyncio.run_coroutine_threadsafe(connection.__aenter__(), loop).result()

    def blocking(operation: Callable[[], Awaitable[str]]) -> Callable[[], str]:
        async def call() -> str:
            return await operation()

        return lambda: asyncio.run_coroutine_threadsafe(call(), loop).result()

    yield {name: blocking(operation) for name, operation in operations.items()}
    asyncio.run_coroutine_threadsafe(connection.__aexit__(None, None, None), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
