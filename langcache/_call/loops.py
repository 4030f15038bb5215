"""The running event loop, or an error that says what to do without one."""

from __future__ import annotations

import asyncio

__all__ = ["running_loop"]


def running_loop() -> asyncio.AbstractEventLoop:
    """The running asyncio event loop. Raises `RuntimeError` if there is none, as under trio."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "no asyncio event loop is running, and what is awaited here needs one: run it with asyncio.run, "
            "or use the blocking methods of LangCache; under trio call those in a thread, "
            "as await trio.to_thread.run_sync(cache.search, prompt)"
        ) from None
