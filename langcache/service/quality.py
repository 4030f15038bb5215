"""How well an embedder tells a question asked again from one that only looks like it.

``python -m langcache.service.quality`` measures WordLlama on the labelled pairs in ``quality_pairs.tsv``,
which were written for this purpose; `measure` does so for any embedder, which is how to choose a threshold
for it.
"""
# ruff: noqa: T201 (it prints its table when it is run)

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from .embedders import Embedder, WordLlamaEmbedder

__all__ = ["PARAPHRASE", "Figures", "Pair", "measure", "pairs"]

PARAPHRASE, NEAR_MISS, UNRELATED = "paraphrase", "near-miss", "unrelated"
_PAIRS = Path(__file__).with_name("quality_pairs.tsv")
_THRESHOLDS = (0.70, 0.75, 0.80, 0.85, 0.90, 0.95)


class Pair(msgspec.Struct, frozen=True):
    """Two prompts, and whether one's answer does for the other: only a paraphrase's does."""

    label: str
    saved: str
    asked: str


class Figures(msgspec.Struct, frozen=True):
    """What a threshold does to the pairs. Shares are from 0 to 1."""

    threshold: float
    recall: float
    """Paraphrases that hit."""

    near_miss_hits: float
    """Near misses that hit, and should not."""

    unrelated_hits: float
    """Unrelated pairs that hit, and should not."""

    false_hits: float
    """Paraphrases that hit in a cache that holds the saved prompts of all the others, and should not."""

    precision: float
    """Hits that are paraphrases, in this mixture of pairs; 1 if nothing hits."""


def pairs() -> list[Pair]:
    """The labelled pairs."""
    return [Pair(*line.split("\t")) for line in _PAIRS.read_text("utf-8").splitlines()]


async def measure(
    embedder: Embedder, pairs: Sequence[Pair], thresholds: Sequence[float] = _THRESHOLDS
) -> list[Figures]:
    """What an embedder, which must be started, makes of the pairs at each threshold."""
    saved = await embedder.embed([pair.saved for pair in pairs])
    asked = await embedder.embed([pair.asked for pair in pairs])
    similarities = (1 + np.sum(saved * asked, axis=1)) / 2
    labels = np.array([pair.label for pair in pairs])
    paraphrases = labels == PARAPHRASE
    others = (1 + asked[paraphrases] @ saved[paraphrases].T) / 2
    np.fill_diagonal(others, 0)
    figures: list[Figures] = []
    for threshold in thresholds:
        hits = similarities >= threshold
        figures.append(
            Figures(
                threshold=threshold,
                recall=float(hits[paraphrases].mean()),
                near_miss_hits=float(hits[labels == NEAR_MISS].mean()),
                unrelated_hits=float(hits[labels == UNRELATED].mean()),
                false_hits=float((others.max(axis=1) >= threshold).mean()),
                precision=float(paraphrases[hits].mean()) if hits.any() else 1.0,
            )
        )
    return figures


async def _main() -> None:
    embedder = WordLlamaEmbedder()
    await embedder.start()
    labelled = pairs()
    counts = [sum(pair.label == label for pair in labelled) for label in (PARAPHRASE, NEAR_MISS, UNRELATED)]
    print("{}: {} paraphrases, {} near misses, {} unrelated pairs\n".format(embedder.name, *counts))
    print("| threshold | paraphrases found | false hits | near misses hit | unrelated hit | precision |")
    print("|---|---|---|---|---|---|")
    for row in await measure(embedder, labelled):
        print(
            f"| {row.threshold:.2f} | {row.recall:.0%} | {row.false_hits:.0%} | {row.near_miss_hits:.0%} "
            f"| {row.unrelated_hits:.0%} | {row.precision:.0%} |"
        )


if __name__ == "__main__":
    asyncio.run(_main())
