"""`langcache.LangCache` from threads, ours or the established one: whichever is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import texts

from langcache import LangCache


@contextmanager
def connect(url: str, cache_id: str) -> Iterator[dict[str, Callable[[], str]]]:
    with LangCache(server_url=url, api_key="key", cache_id=cache_id) as cache:

        def search() -> str:
            found = cache.search(prompt=texts.PROMPT, similarity_threshold=texts.THRESHOLD)
            return found.data[0].response

        def set() -> str:
            return cache.set(prompt=texts.PROMPT, response=texts.RESPONSE).entry_id

        def make(prompt: str) -> str:
            raise AssertionError("a hit needs no answer made")

        def get_or_set() -> str:  # which the established one does not have
            return cache.get_or_set(texts.PROMPT, make, similarity_threshold=texts.THRESHOLD).value

        yield {"search": search, "set": set, "get_or_set": get_or_set}
