"""Writes data/cosines.tsv: what MiniLM and WordLlama say of each labelled pair, and how well its words align.

``python tests/quality/measure.py`` needs the extras ``local`` and ``wordllama``, and the package
``fow-cache``. The weights are fitted to these numbers, so that a fit comes out the same on every machine; a
model's own numbers differ between processors in their last digits.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from sets import DATA, Pair, labelled_sets

from langcache.matching.features import ALIGNED
from langcache.service import Embedder, MiniLMEmbedder, WordLlamaEmbedder
from langcache.service.alignment import aligned, words_of
from langcache.service.calibration import unrelated_cosine

__all__ = ["Measured", "measure", "measured", "minilm_says"]

_FILE = DATA / "cosines.tsv"
_DECIMALS = 6


class Measured(NamedTuple):
    """What models say of a pair. Cosines are counted from that of unrelated prompts, and may be negative."""

    minilm: float
    wordllama: float
    aligned: tuple[float, ...]


def measured() -> dict[str, list[Measured]]:
    """What is in the file, for each set in the order of its pairs."""
    sets: dict[str, list[Measured]] = {}
    for line in _FILE.read_text("utf-8").splitlines()[1:]:
        name, *numbers = line.split("\t")
        minilm, wordllama, *words = map(float, numbers)
        sets.setdefault(name, []).append(Measured(minilm, wordllama, tuple(words)))
    return sets


async def measure(pairs: list[Pair]) -> list[Measured]:
    """What the models of this machine say of some pairs."""
    minilm, wordllama = MiniLMEmbedder(), WordLlamaEmbedder()
    await minilm.start()
    await wordllama.start()
    found: list[Measured] = []
    for pair in pairs:
        cosine, *words = await minilm_says(minilm, pair)
        found.append(Measured(cosine, await _cosine(wordllama, pair), tuple(words)))
    return found


async def minilm_says(minilm: MiniLMEmbedder, pair: Pair) -> list[float]:
    """The cosine of a pair by MiniLM, and the values of `ALIGNED`."""
    one, other = await minilm.word_vectors([pair.stored, pair.asked])
    words = aligned(words_of(one), words_of(other))
    return [await _cosine(minilm, pair), *(round(each, _DECIMALS) for each in words)]


async def _cosine(embedder: Embedder, pair: Pair) -> float:
    one, other = await embedder.embed([pair.stored, pair.asked])
    unrelated = await unrelated_cosine(embedder)
    return round((float(one @ other) - unrelated) / (1 - unrelated), _DECIMALS)


async def _main() -> None:
    lines = ["\t".join(("set", "minilm", "wordllama", *ALIGNED))]
    for name, pairs in labelled_sets().items():
        for row in await measure(pairs):
            numbers = (row.minilm, row.wordllama, *row.aligned)
            lines.append("\t".join((name, *(f"{number:.{_DECIMALS}f}" for number in numbers))))
        print(name, len(pairs))
    _FILE.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    asyncio.run(_main())
