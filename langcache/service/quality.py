"""How well an embedder tells a question in other words from a question that only looks like it.

``python -m langcache.service.quality`` measures MiniLM, and with the argument ``wordllama`` that model, on
the labelled pairs of prompts in ``quality_pairs.tsv`` and on the questions in many languages in
``quality_languages.tsv``. Both files were written for this purpose. `measure` and `measure_languages` do the
same for any embedder: use them to choose an embedder for your language, and a threshold for your embedder.
"""
# ruff: noqa: T201 (it prints its tables when it is run)

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .calibration import unrelated_cosine
from .config import DEFAULT_THRESHOLD
from .embedders import Embedder, MiniLMEmbedder, Vectors, WordLlamaEmbedder
from .readable import embed_readable

__all__ = [
    "PARAPHRASE",
    "Figures",
    "LanguageFigures",
    "Pair",
    "Question",
    "measure",
    "measure_languages",
    "pairs",
    "questions",
]

PARAPHRASE, NEAR_MISS, UNRELATED = "paraphrase", "near-miss", "unrelated"
_PAIRS = Path(__file__).with_name("quality_pairs.tsv")
_QUESTIONS = Path(__file__).with_name("quality_languages.tsv")
_THRESHOLDS = (0.70, 0.75, 0.80, 0.85, 0.90, 0.95)


class Pair(msgspec.Struct, frozen=True):
    """Two prompts and their label. Only the prompts of a paraphrase have the same answer."""

    label: str
    saved: str
    asked: str


class Figures(msgspec.Struct, frozen=True):
    """The results for the pairs at one threshold. Shares are from 0 to 1."""

    threshold: float
    recall: float
    """The share of paraphrases that hit."""

    near_miss_hits: float
    """The share of near misses that hit, and should not."""

    unrelated_hits: float
    """The share of unrelated pairs that hit, and should not."""

    false_hits: float
    """The share of paraphrases that hit in a cache with only the other questions, and should not."""

    precision: float
    """The share of paraphrases among the pairs that hit; 1 if no pair hits."""


class Question(msgspec.Struct, frozen=True):
    """A question in one language. Every question in a language has another answer."""

    language: str
    prompt: str
    paraphrase: str
    """The same question in other words; empty for half of the questions."""


class LanguageFigures(msgspec.Struct, frozen=True):
    """The results for the questions in one language at one threshold, as counts."""

    language: str
    prompts: int
    read: int
    """Prompts that the embedder can read."""

    unrelated: int
    """Pairs of different questions."""

    unrelated_hits: int
    """Pairs of different questions that hit, and should not."""

    paraphrases: int
    paraphrase_hits: int
    """Paraphrases that hit."""


def pairs() -> list[Pair]:
    """The labelled pairs."""
    return [Pair(*line.split("\t")) for line in _PAIRS.read_text("utf-8").splitlines()]


def questions() -> list[Question]:
    """The questions in many languages."""
    return [Question(*line.split("\t")) for line in _QUESTIONS.read_text("utf-8").splitlines()]


async def measure(
    embedder: Embedder, pairs: Sequence[Pair], thresholds: Sequence[float] = _THRESHOLDS
) -> list[Figures]:
    """Measure an embedder on the pairs at each threshold. The embedder must be started."""
    saved, _ = await embed_readable(embedder, [pair.saved for pair in pairs])
    asked, _ = await embed_readable(embedder, [pair.asked for pair in pairs])
    unrelated = await unrelated_cosine(embedder)
    similarities = _similarities(np.sum(saved * asked, axis=1), unrelated)
    labels = np.array([pair.label for pair in pairs])
    paraphrases = labels == PARAPHRASE
    others = _similarities(asked[paraphrases] @ saved[paraphrases].T, unrelated)
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


async def measure_languages(
    embedder: Embedder, questions: Sequence[Question], threshold: float = DEFAULT_THRESHOLD
) -> list[LanguageFigures]:
    """Measure an embedder on the questions in each language. The embedder must be started."""
    figures: list[LanguageFigures] = []
    unrelated = await unrelated_cosine(embedder)
    for language in dict.fromkeys(question.language for question in questions):
        own = [question for question in questions if question.language == language]
        both = [question for question in own if question.paraphrase]
        saved, saved_unread = await embed_readable(embedder, [question.prompt for question in own])
        asked, asked_unread = await embed_readable(embedder, [question.paraphrase for question in both])
        paraphrased = saved[[bool(question.paraphrase) for question in own]]
        between = _similarities(saved @ saved.T, unrelated)
        together = _similarities(np.sum(paraphrased * asked, axis=1), unrelated)
        different = np.triu_indices(len(own), 1)
        figures.append(
            LanguageFigures(
                language=language,
                prompts=len(own) + len(both),
                read=len(own) + len(both) - saved_unread - asked_unread,
                unrelated=len(different[0]),
                unrelated_hits=int((between[different] >= threshold).sum()),
                paraphrases=len(both),
                paraphrase_hits=int((together >= threshold).sum()),
            )
        )
    return figures


def _similarities(cosines: NDArray[Any], unrelated: float) -> Vectors:
    return ((1 + (cosines - unrelated) / (1 - unrelated)) / 2).astype(np.float32)


async def _main(*names: str) -> None:
    embedder: Embedder = WordLlamaEmbedder() if names == ("wordllama",) else MiniLMEmbedder()
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
    print(f"\nQuestions in many languages, at the threshold of {DEFAULT_THRESHOLD}:\n")
    print("| language | prompts read | unrelated pairs hit | paraphrases found |")
    print("|---|---|---|---|")
    for language in await measure_languages(embedder, questions()):
        print(
            f"| {language.language} | {language.read} of {language.prompts} "
            f"| {language.unrelated_hits} of {language.unrelated} "
            f"| {language.paraphrase_hits} of {language.paraphrases} |"
        )


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
