"""The `Embedder` protocol, and what several embedders share."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Embedder", "EmbedderError", "Vectors", "WordVectors", "folded", "several", "unit_rows"]

Vectors = NDArray[np.float32]


class WordVectors(NamedTuple):
    """The words of a text, with a vector for each of them, as ``word_vectors`` of an embedder gives them."""

    words: Sequence[str]
    """In small letters."""

    rows: NDArray[np.float16]
    """A row for each word, whose length makes no difference."""


class EmbedderError(Exception):
    """A text could not be embedded. The service answers 424."""


class Embedder(Protocol):
    """What the local service needs of a sentence-embedding model. An embedder works for one server at a time.

    An embedder may have one more method, ``can_read(text: str) -> bool``, which is called after `start`. A
    text for which it gives false, such as one in a language that the model does not know, is stored and found
    by exact search, but never by meaning. Without the method every text counts as readable.

    It may also have an attribute ``unrelated_cosine: float``, read after `start`: the cosine of its vectors
    for prompts that have nothing to do with each other, from which similarity counts. Without it the service
    embeds 50 such prompts to measure it, at each start of a server, or at the first one with a file.

    With an attribute ``compare_texts = False``, the similarity of a hit is that of the vectors alone,
    without a look at the texts, which knows English.

    It may also have a method ``embed_now(texts) -> Vectors``, which is not async: it gives what `embed`
    gives, within about a millisecond and without waiting for anything. It is called after `start`, in any
    thread, by several at once. With it, an embedded cache answers in the thread that calls.

    It may also have a method ``word_vectors(texts) -> list[WordVectors]``, async: the vectors of the words
    of each text, as they stand in it; no words for a text for which that takes too long. With it the score
    of a hit knows how well words match. Its weights are fitted to MiniLM's vectors.
    """

    @property
    def name(self) -> str:
        """The name of the model. Vectors of embedders with different names are never compared.

        Change it with whatever changes the vectors, or which texts can be read.
        """
        ...

    @property
    def dimensions(self) -> int:
        """The length of a vector. Valid after `start` has returned."""
        ...

    async def start(self) -> None:
        """Get ready, in the event loop that will call `embed`. Raises whatever keeps it from working."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One float32 vector of length 1 for each text, as the rows of an array.

        A row of zeros is for a text that is similar to none. Raises `EmbedderError`.
        """
        ...

    async def close(self) -> None:
        """Release what `start` opened. May be called without `start`, and twice."""
        ...


def several(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise TypeError("texts: must be a list of texts, but is one str")
    return list(texts)


def folded(text: str) -> str:
    # The model has a vector for each of "Spain", "spain" and "SPAIN", and they are far apart. After a change
    # here the embedder needs another name, or old vectors in files would be compared with new ones.
    return " ".join(unicodedata.normalize("NFC", text.casefold()).split())


def unit_rows(vectors: Vectors) -> Vectors:
    """The rows, scaled to length 1. A row of zeros stays as it is."""
    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    if not lengths.all():
        lengths[lengths == 0] = 1
    rows: Vectors = (vectors / lengths).astype(np.float32, copy=False)
    return rows
