"""Vectors for the prompts that an embedder can read, and none for the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from .embedders import Embedder, Vectors
from .in_front import InFront
from .vectors import EmbedNow, checked

__all__ = ["ReadableOnly", "embed_readable"]

_log = logging.getLogger(__name__)


class ReadableOnly(InFront):
    """An `Embedder` in front of another one: a text that the other one can't read gets a vector of zeros.

    A vector of zeros is near to nothing, so neither search nor `set` can take such a text for a similar one.
    The first such text of each server is reported in the log, without its words.
    """

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(embedder)
        self._reported = False

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`; a row is zeros where the text can't be read."""
        vectors, unreadable = await embed_readable(self._embedder, texts)
        if unreadable:
            self._report()
        return vectors

    @property
    def embed_now(self) -> EmbedNow | None:
        """The same without async, if the other embedder has it."""
        now: EmbedNow | None = getattr(self._embedder, "embed_now", None)
        if now is None or getattr(self._embedder, "can_read", None) is None:
            return now
        return partial(self._embed_now, now)

    def _embed_now(self, embed: EmbedNow, texts: Sequence[str]) -> Vectors:
        readable = _readable(self._embedder, texts)
        if len(readable) == len(texts):
            return embed(texts)
        self._report()
        vectors = embed([texts[row] for row in readable]) if readable else None
        return _among_zeros(self._embedder, texts, readable, vectors)

    def _report(self) -> None:
        if self._reported:
            return
        self._reported = True
        _log.warning(
            "the embedder %s can't read the language or the signs of a prompt; such prompts are found by "
            "exact search only, never by meaning. Use an embedder that knows the language: "
            "`serve --embedder openai:URL --embedder-model MODEL`, or "
            "`LocalServer(embedder=OpenAIEmbedder(url, model))`. Further prompts are not reported.",
            self.name,
        )


async def embed_readable(embedder: Embedder, texts: Sequence[str]) -> tuple[Vectors, int]:
    """The vectors of texts, zeros for those that the embedder can't read, and how many these are."""
    readable = _readable(embedder, texts)
    if len(readable) == len(texts):
        return await embedder.embed(texts), 0
    vectors = await embedder.embed([texts[row] for row in readable]) if readable else None
    return _among_zeros(embedder, texts, readable, vectors), len(texts) - len(readable)


def _readable(embedder: Embedder, texts: Sequence[str]) -> list[int]:
    """Which of the texts the embedder can read."""
    can_read: Callable[[str], bool] | None = getattr(embedder, "can_read", None)
    return [row for row, text in enumerate(texts) if can_read is None or can_read(text)]


def _among_zeros(
    embedder: Embedder, texts: Sequence[str], readable: Sequence[int], vectors: object
) -> Vectors:
    """A row for each text: that of ``vectors`` for those that can be read, else zeros."""
    rows = np.zeros((len(texts), embedder.dimensions), np.float32)
    if readable:
        # Checked, because NumPy would take one vector for all of these rows.
        rows[readable] = checked(vectors, (len(readable), embedder.dimensions))
    return rows
