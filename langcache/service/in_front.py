"""What embedders in front of another one have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from .embedders import Embedder, WordVectors

__all__ = ["InFront"]


class InFront:
    """Has all that the embedder behind it has, but for `embed` and ``can_read``."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def name(self) -> str:
        """The name of the other embedder."""
        return self._embedder.name

    @property
    def dimensions(self) -> int:
        """The length of the other embedder's vectors."""
        return self._embedder.dimensions

    @property
    def unrelated_cosine(self) -> float | None:
        """The other embedder's, if it has one."""
        known: float | None = getattr(self._embedder, "unrelated_cosine", None)
        return known

    @property
    def compare_texts(self) -> bool:
        """The other embedder's, if it has one."""
        return getattr(self._embedder, "compare_texts", True)

    @property
    def word_vectors(self) -> Callable[[Sequence[str]], Awaitable[list[WordVectors]]] | None:
        """The other embedder's method, if it has one."""
        return getattr(self._embedder, "word_vectors", None)

    async def start(self) -> None:
        """Start the other embedder."""
        await self._embedder.start()

    async def close(self) -> None:
        """Close the other embedder."""
        await self._embedder.close()
