"""`langcache.LangCache` with cache-aside, with a near cache and without one.

Of the questions of ``near_miss`` and ``far_other`` there are more than the near cache keeps, so none is a
near hit. Each is a hit in the service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle

import texts

from langcache import LangCache
from langcache.aside import AsideConfig, NearCache

MANY = [f"{texts.PROMPT} ({number})" for number in range(64)]


@contextmanager
def connect(url: str, cache_id: str) -> Iterator[dict[str, Callable[[], str]]]:
    without = AsideConfig(accept="any")
    missed, others = cycle(MANY), cycle(MANY)
    near = AsideConfig(accept="any", near=NearCache(max_entries=8))
    with (
        LangCache(url, "key", cache_id, aside=without) as far_cache,
        LangCache(url, "key", cache_id, aside=near) as near_cache,
        LangCache(url, "key", cache_id, aside=near) as missed_cache,
    ):

        def make(prompt: str) -> str:
            raise AssertionError("a hit needs no answer made")

        def near_hit() -> str:
            return near_cache.get_or_set(texts.PROMPT, make).value

        def far_hit() -> str:
            return far_cache.get_or_set(texts.PROMPT, make).value

        def near_miss() -> str:
            answer = missed_cache.get_or_set(next(missed), make)
            assert not answer.near
            return answer.value

        def far_other() -> str:
            answer = far_cache.get_or_set(next(others), make)
            assert not answer.near
            return answer.value

        yield {"near_hit": near_hit, "far_hit": far_hit, "near_miss": near_miss, "far_other": far_other}
