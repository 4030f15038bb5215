"""The similarity of a semantic hit: one score, from what the embedder says and what the two texts say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from ..matching.score import REPEATED, likelihood, load, most_likely, similarity_of, what_texts_say
from ..matching.verifier import are_equal, differ_in_case, differ_in_layout
from .alignment import Words, aligned, words_of
from .embedders import Embedder, WordVectors

__all__ = ["Scorer", "start"]

_WordVectors: TypeAlias = Callable[[Sequence[str]], Awaitable[list[WordVectors]]]

_DECIMALS = 6


async def start(embedder: Embedder) -> None:
    """Start an embedder, and read in a thread what a first comparison would read in the event loop.

    Raises what `Embedder.start` raises.
    """
    await embedder.start()
    if getattr(embedder, "compare_texts", True):
        await asyncio.to_thread(load)


class Scorer:
    """Gives each candidate for a prompt its similarity, 0 to 1.

    - 1.0: equal but for case and spacing. 0.99: but for politeness, punctuation and slips of the keyboard,
      too, or for how lines are indented.
    - Otherwise it stands for the likelihood that the one answer is the other's: 0.85 for 0.5, 0.9 for 0.6.
      The weights are fitted to pairs in English, so it means the same with every embedder.
    - For texts that the weights say nothing of (`langcache.matching.score.is_verifiable`), it is
      (1 + cos) / 2, counted from the cosine of unrelated prompts.
    - 0 for texts that are told apart, by a number or a negation say.

    An embedder with a method ``word_vectors`` tells how well words match as well.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._compares_texts: bool = getattr(embedder, "compare_texts", True)
        self._word_vectors: _WordVectors | None = getattr(embedder, "word_vectors", None)
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def similarities(
        self, prompt: str, candidates: Sequence[tuple[float, str]], threshold: float = 0.0
    ) -> list[float]:
        """The similarity of each candidate, given (1 + cos) / 2 and its prompt. Raises `EmbedderError`.

        Of one that can't reach the threshold, the words are not embedded, and the result is the highest
        similarity that they could have given it, which is below the threshold as well.
        """
        if not self._compares_texts:
            return [similarity for similarity, _ in candidates]
        ours: Words | None = None
        similarities: list[float] = []
        for similarity, stored in candidates:
            said = await self._compare(prompt, stored, similarity, is_only=len(candidates) == 1)
            if not isinstance(said, list):
                similarities.append(said)
                continue
            cosine = 2 * similarity - 1
            values: list[float] = [*said, cosine, cosine**2]
            kind = "cosine"
            if self._word_vectors is not None:
                possible = max(most_likely("words", values), likelihood("cosine", values))
                highest = round(similarity_of(possible), _DECIMALS)
                if highest < threshold:
                    similarities.append(highest)
                    continue
                texts = [stored, prompt] if ours is None else [stored]
                theirs, *first = map(words_of, await self._word_vectors(texts))
                ours = first[0] if ours is None else ours
                if ours.stems and theirs.stems:
                    values += aligned(ours, theirs)
                    kind = "words"
            similarities.append(round(similarity_of(likelihood(kind, values)), _DECIMALS))
        return similarities

    async def _compare(
        self, prompt: str, stored: str, similarity: float, *, is_only: bool
    ) -> float | list[float]:
        """The similarity, if the two texts settle it, or else what they say (`features.lexical`).

        It takes up to a millisecond of the event loop, so there is one comparison in each turn of the loop:
        the searches that have some to make take it by turns. One that has no other to make (``is_only``), and
        that nobody waits for, waits for no turn.
        """
        if differ_in_case(prompt, stored):
            return 0.0
        if are_equal(prompt, stored):
            return 1.0
        if differ_in_layout(prompt, stored):
            return REPEATED
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            if self._waiting or not is_only:
                await asyncio.sleep(0)
            said = what_texts_say(prompt, stored)
            return similarity if said is None else said
        finally:
            self._turn.release()
