"""How well the words of two texts match, by the vectors that a model gives them within their sentences."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..matching.features import is_content
from ..matching.guard.opposites import stem
from .embedders import Vectors, WordVectors
from .embedders.base import unit_rows

__all__ = ["Words", "aligned", "words_of"]

_ONE_SIDED = 0.6
"""What a word that has no counterpart at all counts as, in place of a cosine."""


class Words(NamedTuple):
    """The words of a text that say something, as stems, and a row of length 1 for each of them."""

    stems: list[str]
    rows: Vectors


def words_of(vectors: WordVectors) -> Words:
    """The words with a meaning; all words of a text that has none."""
    words, rows = vectors
    chosen = [at for at, word in enumerate(words) if is_content(word)]
    if 0 < len(chosen) < len(words):
        words, rows = [words[at] for at in chosen], rows[chosen]
    return Words([*map(stem, words)], unit_rows(rows.astype(np.float32)))


def aligned(one: Words, other: Words) -> list[float]:
    """The values of `langcache.matching.features.ALIGNED`. The same for two texts in either order."""
    if not one.stems or not other.stems:
        return [0.0] * 3
    cosines = one.rows @ other.rows.T
    ours, theirs = cosines.max(axis=1), cosines.max(axis=0)
    our_stems, their_stems = set(one.stems), set(other.stems)
    our_alone = [at for at, word in enumerate(one.stems) if word not in their_stems]
    their_alone = [at for at, word in enumerate(other.stems) if word not in our_stems]
    alone = [*ours[our_alone].tolist(), *theirs[their_alone].tolist()]
    if our_alone and their_alone:
        between = cosines[our_alone][:, their_alone]
        # From the side with fewer words, and the smaller of both where they are equally many.
        exchanged = min(
            float(between.max(axis=axis).min())
            for axis in (0, 1)
            if between.shape[1 - axis] == min(between.shape)
        )
    else:
        exchanged = 1.0 if not alone else _ONE_SIDED
    greater_least = max(float(ours.min()), float(theirs.min()))
    return [greater_least, sum(alone) / len(alone) if alone else 1.0, exchanged]
