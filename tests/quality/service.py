"""Asks a running service the sets that nothing is fitted to: ``python tests/quality/service.py``.

All stored questions of a set are in one cache; each of the others is asked once, at the defaults of
`LocalServer` and at the strict threshold. A paraphrase is found if the entry of its own pair is the one that
comes back. ``--write`` puts the table into docs/right-and-wrong-hits.md.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from sets import HELD_OUT, PARAPHRASE, RELATED, TRAP, UNSEEN, Pair, labelled_sets
from table import write

from langcache import AsyncLangCache
from langcache.matching.score import STRICT
from langcache.service import LocalServer

__all__ = ["asked_of_a_service"]


async def asked_of_a_service(
    cache: AsyncLangCache, pairs: Sequence[Pair], threshold: float | None
) -> dict[str, float]:
    """The share of hits for each kind of pair, of a cache that holds the stored questions alone."""
    hits: dict[str, list[bool]] = {}
    for pair in pairs:
        found = await cache.search(pair.asked, similarity_threshold=threshold)
        is_hit = bool(found) and (not pair.same or found.data[0].prompt == pair.stored)
        hits.setdefault(pair.kind, []).append(is_hit)
    return {kind: sum(each) / len(each) for kind, each in hits.items()}


async def _table() -> str:
    lines = [
        "| asked of a service | paraphrases found | near misses that hit | related questions that hit |",
        "|---|---|---|---|",
    ]
    sets = labelled_sets()
    for name in (HELD_OUT, UNSEEN):
        async with (
            LocalServer() as server,
            AsyncLangCache(server.url, server.api_key, server.cache_id) as cache,
        ):
            await cache.set_many([(pair.stored, pair.stored) for pair in sets[name]])
            for label, threshold in (("default", None), (f"strict, {STRICT}", STRICT)):
                shares = await asked_of_a_service(cache, sets[name], threshold)
                cells = (f"{100 * shares[kind]:.0f}" for kind in (PARAPHRASE, TRAP, RELATED))
                lines.append(f"| {name}, {label} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    printed = asyncio.run(_table())
    print(printed, end="")
    if "--write" in sys.argv[1:]:
        write(printed)
