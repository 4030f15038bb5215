"""Similarity that counts from the cosine which an embedder gives to unrelated prompts.

Some models give any two texts a cosine of 0.8, so that everything would be a hit at a threshold of 0.85.
With c0 for the median cosine of unrelated prompts, similarity is (1 + (cos - c0) / (1 - c0)) / 2: again 0.5
for prompts that have nothing to do with each other, and 1 for equal ones.
"""

from __future__ import annotations

import logging

import numpy as np

from .embedders import Embedder
from .readable import embed_readable
from .vectors import checked

__all__ = ["UNRELATED_PROMPTS", "calibrated", "measure_unrelated", "unrelated_cosine"]

_log = logging.getLogger(__name__)

_MOST = 0.95
"""An embedder beyond it gives nearly the same vector to everything."""

_DECIMALS = 6

UNRELATED_PROMPTS = (
    "How do I reset my password?",
    "What is the capital of Australia?",
    "Write a short poem about autumn leaves.",
    "My washing machine makes a grinding noise when it spins.",
    "Explain how vaccines train the immune system.",
    "Which wine goes with grilled fish?",
    "Translate 'good morning' into Japanese.",
    "How long does shipping to Canada take?",
    "Who painted the ceiling of the Sistine Chapel?",
    "Sort a list of dictionaries by two keys in Python.",
    "Can I claim a home office on my tax return?",
    "What causes the northern lights?",
    "Suggest three names for a black cat.",
    "How many calories are in a banana?",
    "The train to Munich was late and I missed my flight.",
    "What does a mitochondrion do?",
    "Give me a vegan recipe for lasagne.",
    "When did the Berlin Wall come down?",
    "How do I unclog a kitchen sink?",
    "What is the difference between a virus and a worm?",
    "Recommend a science fiction novel about time travel.",
    "How do interest rates affect house prices?",
    "Is it safe to run with a sprained ankle?",
    "Summarise the plot of Hamlet in two sentences.",
    "How far away is the moon?",
    "Please cancel my gym membership.",
    "What should I pack for a week in Iceland?",
    "How do you tune a ukulele?",
    "Which countries border Switzerland?",
    "Why do cats purr?",
    "Draft an invitation to a retirement party.",
    "What is the boiling point of ethanol?",
    "My garden is full of slugs.",
    "How does a blockchain reach consensus?",
    "What are the rules of offside in football?",
    "Where can I renew my passport?",
    "Describe the taste of saffron.",
    "What is a good warm-up before swimming?",
    "How do I write a unit test for a function that reads a file?",
    "What did Freud mean by the unconscious?",
    "Which battery does the remote control of the television need?",
    "Tell me a joke about lawyers.",
    "How are diamonds formed?",
    "Is there a discount for students?",
    "What size of screws do I need to hang a heavy mirror?",
    "Compare renting and buying a car.",
    "How do bees make honey?",
    "What is the longest river in Africa?",
    "My baby wakes up every two hours at night.",
    "Convert 3 pints to litres.",
)
"""Prompts without anything in common, written for this."""


async def unrelated_cosine(embedder: Embedder) -> float:
    """The cosine that an embedder gives to unrelated prompts, from 0 to 0.95.

    It is the embedder's attribute ``unrelated_cosine`` if it has one, and is measured otherwise, with one
    call for 50 prompts. Raises `EmbedderError`.
    """
    known: float | None = getattr(embedder, "unrelated_cosine", None)
    cosine = await measure_unrelated(embedder) if known is None else known
    if cosine > _MOST:
        _log.warning(
            "the embedder %s gives nearly the same vector to prompts that have nothing to do with each other "
            "(median cosine %.3f): searches by meaning will find wrong answers",
            *(embedder.name, cosine),
        )
    return min(max(cosine, 0.0), _MOST)


async def measure_unrelated(embedder: Embedder) -> float:
    """The median cosine of any two of `UNRELATED_PROMPTS`; 0 if the embedder can read none of them."""
    vectors, _ = await embed_readable(embedder, UNRELATED_PROMPTS)
    vectors = checked(vectors, (len(UNRELATED_PROMPTS), embedder.dimensions))
    vectors = vectors[vectors.any(axis=1)]
    if len(vectors) < 2:
        return 0.0
    return float(np.median((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]))


def calibrated(similarity: float, unrelated: float) -> float:
    """The similarity (1 + cos) / 2 of two vectors, counted from the cosine of unrelated prompts; 0 to 1."""
    cosine = 2 * similarity - 1
    return round(min(max((1 + (cosine - unrelated) / (1 - unrelated)) / 2, 0.0), 1.0), _DECIMALS)
