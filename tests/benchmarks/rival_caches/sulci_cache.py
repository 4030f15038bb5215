"""sulci: with ``faiss``, ``SQLite`` or ``Redis``, and its telemetry off."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rival_questions as questions
from sulci import Cache

from . import Place


class Given:
    """Vectors that are there already."""

    dimension = questions.DIMENSIONS

    def __init__(self, vector: Callable[[str], bytes]) -> None:
        self._vector = vector

    def embed(self, text: str) -> list[float]:
        """Its row."""
        return array("f", self._vector(text)).tolist()

    def embed_batch(self, texts: list[str]) -> list[list[float]]:
        """Their rows."""
        return [self.embed(text) for text in texts]


@contextmanager
def connect(place: Place) -> Iterator[Any]:
    backend: Any = place.kind.lower()
    if place.server:
        from sulci.backends.redis import RedisBackend

        backend = RedisBackend(url=place.server)
    cache = Cache(
        backend=backend,
        threshold=questions.THRESHOLD,
        embedding_model=Given(place.vector),
        db_path=str(place.folder),
        telemetry=False,
    )

    def find(prompt: str) -> str | None:
        return cache.get(prompt)[0]

    yield cache.set, find
