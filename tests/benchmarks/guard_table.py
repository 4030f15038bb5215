"""The table of docs/cache-aside.md: false and lost hits of the local service, with and without the guard.

``python tests/benchmarks/guard_table.py`` prints it. ``dev`` is the half of guard_pairs.tsv that the guard
was written against, ``test`` the half that it was not; ``other`` is langcache/service/quality_pairs.tsv, by
another hand.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

import langcache.service.quality as quality
from langcache import AsyncLangCache
from langcache.aside import lexical_guard
from langcache.service import LocalServer, WordLlamaEmbedder

PAIRS = Path(__file__).parent.parent / "aside" / "data" / "guard_pairs.tsv"
THRESHOLDS = (0.80, 0.85, 0.90, 0.95)


class Pair(NamedTuple):
    """Two questions, and whether the answer to one is the answer to the other."""

    split: str
    same: bool
    question: str
    stored: str


class Measured(NamedTuple):
    """A pair, how alike the service finds it, and whether the guard lets it pass."""

    pair: Pair
    similarity: float
    passes: bool


def labelled_pairs() -> list[Pair]:
    """All pairs that the table is made of."""
    rows = [line.split("\t") for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    ours = [Pair(split, kind == "same", question, stored) for split, kind, question, stored in rows]
    theirs = [
        Pair("other", pair.label == quality.PARAPHRASE, pair.asked, pair.saved) for pair in quality.pairs()
    ]
    return ours + theirs


async def measure(pairs: list[Pair]) -> list[Measured]:
    """Store one prompt of each pair and search for the other, with nothing else in the way."""
    measured: list[Measured] = []
    with LocalServer(("pair",), embedder=WordLlamaEmbedder()) as server:
        async with AsyncLangCache(server.url, server.api_key, server.cache_id) as cache:
            for number, pair in enumerate(pairs):
                alone = cache.scoped(pair=number)
                await alone.set(pair.stored, "answer")
                found = await alone.search(pair.question, similarity_threshold=0)
                entry = found[0]
                measured.append(Measured(pair, entry.similarity, lexical_guard(pair.question, entry)))
    return measured


def row(measured: list[Measured], threshold: float) -> tuple[int, int, int, int]:
    """False hits without and with the guard, and lost hits without and with it."""
    different = [one for one in measured if not one.pair.same and one.similarity >= threshold]
    same = [one for one in measured if one.pair.same]
    lost = [one for one in same if one.similarity < threshold]
    lost_with = [one for one in same if one.similarity < threshold or not one.passes]
    return len(different), sum(one.passes for one in different), len(lost), len(lost_with)


def main() -> None:
    """Print the table."""
    measured = asyncio.run(measure(labelled_pairs()))
    print("| pairs | threshold | false hits | with the guard | lost hits | with the guard |")
    print("|---|---|---|---|---|---|")
    for split in ("dev", "test", "other"):
        those = [one for one in measured if one.pair.split == split]
        same = sum(one.pair.same for one in those)
        for threshold in THRESHOLDS:
            false, false_with, lost, lost_with = row(those, threshold)
            of_different, of_same = f"of {len(those) - same}", f"of {same}"
            print(
                f"| {split} | {threshold:.2f} | {false} {of_different} | {false_with} {of_different} "
                f"| {lost} {of_same} | {lost_with} {of_same} |"
            )


if __name__ == "__main__":
    main()
