"""An embedder whose similarities can be worked out by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from langcache.service.embedders import Vectors


class AngleEmbedder:
    """Puts a prompt at the angle that it ends with: "hello @60" at 60 degrees, and at 0 without one.

    Two prompts have the similarity (1 + cos(difference)) / 2: .933 at 30 degrees, .75 at 60, .5 at 90.
    """

    compare_texts = False  # the vectors are made up
    name = "angle"
    dimensions = 2
    unrelated_cosine = 0.0

    def __init__(self) -> None:
        self.started = 0
        self.closed = 0
        self.failure: Exception | None = None

    async def start(self) -> None:
        self.started += 1

    async def embed(self, texts: Sequence[str]) -> Vectors:
        if self.failure is not None:
            raise self.failure
        angles = [float(found[1]) if (found := re.search(r"@(\d+)$", text)) else 0.0 for text in texts]
        radians = np.radians(angles)
        return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)

    async def close(self) -> None:
        self.closed += 1
