"""Ours in the program's own process: ``async`` or ``sync``, in ``memory`` or ``SQLite``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import numpy as np
import rival_questions as questions

from langcache import AsyncLangCache, LangCache

from . import Place, ours


class Given:
    """An embedder whose vectors are there already."""

    name = "given"
    dimensions = questions.DIMENSIONS
    unrelated_cosine = 0.0
    compare_texts = False

    def __init__(self, vector: Callable[[str], bytes]) -> None:
        self._vector = vector

    async def start(self) -> None:
        """Nothing: they are there."""

    async def embed(self, texts: Sequence[str]) -> Any:
        """See `embed_now`."""
        return self.embed_now(texts)

    def embed_now(self, texts: Sequence[str]) -> Any:
        """Their rows."""
        return np.frombuffer(b"".join(map(self._vector, texts)), np.float32).reshape(len(texts), -1)

    async def close(self) -> None:
        """Nothing."""


def connect(place: Place) -> AbstractAsyncContextManager[Any] | AbstractContextManager[Any]:
    way, kept = place.kind.split(", ")
    db = place.folder / "cache.db" if kept == "SQLite" else None
    embedder = Given(place.vector)
    if way == "sync":
        return ours.blocking(LangCache.embedded(db, embedder=embedder))
    return ours.tasks(AsyncLangCache.embedded(db, embedder=embedder))
