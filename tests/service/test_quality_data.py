"""The models of this machine say of labelled pairs what the weights of the score were fitted to."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "quality"))

from measure import measured, minilm_says
from sets import labelled_sets

from langcache.service import MiniLMEmbedder

OF_EACH_SET = 10
SETS = labelled_sets()


@pytest.mark.parametrize("name", SETS)
async def test_minilm_gives_the_cosines_and_the_alignment_that_were_kept(name):
    embedder = MiniLMEmbedder()
    await embedder.start()
    known = measured()[name]
    assert len(known) == len(SETS[name])
    chosen = range(0, len(known), len(known) // OF_EACH_SET)
    found = np.array([await minilm_says(embedder, SETS[name][at]) for at in chosen])
    kept = np.array([[known[at].minilm, *known[at].aligned] for at in chosen])
    # The kernels for 8 bits differ between processors: little in a vector, more in those of words.
    difference = np.abs(found - kept)
    assert difference[:, 0].max() < 0.02
    assert difference[:, 1:].mean() < 0.02
    assert difference.max() < 0.1
