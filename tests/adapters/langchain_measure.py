"""Measures how alike unrelated questions are: as the JSON that LangChain gives a cache, and as text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import combinations

from langchain_core.load import dumps
from langchain_core.messages import HumanMessage, SystemMessage

from langcache.service import MiniLMEmbedder
from langcache.service.calibration import calibrated

QUESTIONS = (
    "How do I reset my password?",
    "How long does shipping to Canada take?",
    "What is the capital of France?",
    "Can I bring my dog on the train?",
    "Write a haiku about autumn.",
    "How many calories are in a banana?",
    "Which plan includes phone support?",
    "Translate good morning into Spanish.",
)
"""Of no two of them the answer is that to the other."""

SYSTEM = "You are a helpful assistant."

WAYS: dict[str, Callable[[str], str]] = {
    "JSON of the messages, with a system prompt": lambda question: dumps(
        [SystemMessage(SYSTEM), HumanMessage(question)]
    ),
    "JSON of the question alone": lambda question: dumps([HumanMessage(question)]),
    "Text of the question, as `LangCacheCache` asks": lambda question: question,
}


def similarities(texts: list[str]) -> list[float]:
    """How similar each pair is to the local service, from 0 to 1."""

    async def embedded():
        embedder = MiniLMEmbedder()
        await embedder.start()
        return await embedder.embed(texts)

    vectors = asyncio.run(embedded())
    unrelated = MiniLMEmbedder.unrelated_cosine
    return [calibrated((1 + float(one @ other)) / 2, unrelated) for one, other in combinations(vectors, 2)]


def rows() -> list[str]:
    """The rows of the table on the page about LangChain."""
    made = []
    for way, asked in WAYS.items():
        found = similarities([asked(question) for question in QUESTIONS])
        over = [f"{sum(each > limit for each in found)} of {len(found)}" for limit in (0.85, 0.9)]
        made.append(f"| {way} | {min(found):.2f} to {max(found):.2f} | {over[0]} | {over[1]} |")
    return made


if __name__ == "__main__":
    print("\n".join(rows()))
