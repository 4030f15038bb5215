"""Tests that are the same for both kinds of clients."""

from __future__ import annotations

import asyncio

from langcache import LangCache


class Either:
    """A client of either kind, with the same methods to await: those of `LangCache` run in a thread."""

    def __init__(self, client):
        self.client = client

    async def get(self, *args, **options):
        return await self._run(self.client.get_or_set, *args, **options)

    async def look_up(self, *args, **options):
        return await self._run(self.client.look_up, *args, **options)

    async def store(self, asked, value):
        return await self._run(asked.store, value)

    async def stream(self, prompt, make, **options):
        """The chunks, and the stream that they came from."""
        if isinstance(self.client, LangCache):

            def read():
                stream = self.client.get_or_stream(prompt, make, **options)
                return list(stream), stream

            return await asyncio.to_thread(read)

        async def chunks(prompt):
            for chunk in make(prompt):
                yield chunk

        stream = self.client.get_or_stream(prompt, chunks, **options)
        return [chunk async for chunk in stream], stream

    async def invalidate(self, source):
        return await self._run(self.client.invalidate, source)

    async def flush(self):
        await self._run(self.client.flush)

    async def entries(self, prompt, **attributes):
        """The entries with this prompt, in any case."""
        search = {"search_strategies": ["exact"], "max_results": 100, "attributes": attributes}
        return (await self._run(self.client.search, prompt, **search)).data

    def scoped(self, **attributes):
        return Either(self.client.scoped(**attributes))

    def stats(self):
        return self.client.stats()

    async def _run(self, method, *args, **options):
        if isinstance(self.client, LangCache):
            return await asyncio.to_thread(method, *args, **options)
        return await method(*args, **options)
