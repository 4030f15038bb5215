"""A sentence transformer from a folder: `OnnxEmbedder`."""

from __future__ import annotations

import asyncio
import hashlib
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from .base import EmbedderError, Vectors, folded, several
from .batches import Batches
from .folder import Folder, read_tokenizer
from .reading import can_read
from .transformer import POOLINGS, Tokenizer, Transformer

__all__ = ["OnnxEmbedder"]

_MODEL_FILES = ("model.onnx", "onnx/model.onnx")
_LEAST_LENGTH = 8
_LEAST_LETTERS = 2


class OnnxEmbedder:
    """Any sentence transformer that was exported to ONNX, from a folder on this machine.

    ``folder`` has the model (``model.onnx`` or ``onnx/model.onnx``, or another ``file``) and its tokenizer
    (``tokenizer.json`` or ``vocab.txt``), as ``optimum-cli export onnx`` and the hubs have them. A WordPiece
    tokenizer, such as those of BERT models, needs no package; for any other one ``pip install tokenizers``.

    ``pooling`` is "mean" or "cls". Without it the file's own output ``sentence_embedding`` is used, or what
    ``1_Pooling/config.json`` says, or "mean". ``prefix`` is what stands before each prompt, such as "query: "
    for E5; by default the default prompt in ``config_sentence_transformers.json``, if there is one.
    ``max_length`` is how many pieces the model takes at once: by default what the folder says, at most 512;
    a longer prompt is embedded in parts, whose mean is its vector. ``casefold=False`` keeps upper-case
    letters for a model that knows them; with it "IT" and "it" have two vectors. Vectors are always scaled to
    length 1.

    The model runs on a thread of its own, and prompts that wait at the same moment are embedded together,
    unless that would change their vectors: then each is embedded alone.

    Raises `ValueError` for settings that are not possible and for a folder without a model or a tokenizer;
    `start` raises `EmbedderError` for a model that can't be used, and `ImportError` without onnxruntime (the
    extra ``local``) or without ``tokenizers`` where it is needed.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        file: str | None = None,
        pooling: str | None = None,
        prefix: str | None = None,
        max_length: int | None = None,
        casefold: bool = True,
    ) -> None:
        if pooling is not None and pooling not in POOLINGS:
            raise ValueError(f"pooling: must be 'mean' or 'cls', but is {pooling!r}")
        if max_length is not None and max_length < _LEAST_LENGTH:
            raise ValueError(f"max_length: must be at least {_LEAST_LENGTH} pieces, but is {max_length!r}")
        self._folder = Folder(Path(folder), file)
        self._prefix = self._folder.default_prompt() if prefix is None else prefix
        self._prefer_pooled = pooling is None
        self._pooling = pooling or self._folder.pooling()
        self._max_length = max_length or self._folder.max_length()
        self._casefold = casefold
        self.name: str = f"onnx/{self._folder.name}"
        """After `start` with a hash, which changes with whatever changes the vectors."""
        self.dimensions: int = 0
        self._tokenizer: Tokenizer | None = None
        self._batches: Batches | None = None

    async def start(self) -> None:
        """Load the model, and run it on three words to learn the length of its vectors."""
        if self._batches is None or self._batches.begun:
            await asyncio.to_thread(self._load)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`."""
        if self._batches is None:
            raise EmbedderError("the embedder was not started")
        return await self._batches.embed([self._prefix + self._folded(text) for text in several(texts)])

    def can_read(self, text: str) -> bool:
        """Whether pieces of two letters or more, whole words, and signs that stand for words (kana, Chinese
        characters, Hangul) make up 60 % of the letters of a text.

        A text without letters can't be read, nor one with a letter that the model does not know.
        """
        if self._tokenizer is None:
            raise EmbedderError("the embedder was not started")
        return can_read(self._tokenizer.words(self._folded(text)), _LEAST_LETTERS, signs=True)

    async def close(self) -> None:
        """Let go of the model and its thread."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def _folded(self, text: str) -> str:
        return folded(text) if self._casefold else " ".join(unicodedata.normalize("NFC", text).split())

    def _load(self) -> None:
        tokenizer = read_tokenizer(self._folder)
        transformer = Transformer(
            str(self._folder.model),  # not its content: weights may be in files beside it
            tokenizer,
            max_length=self._max_length,
            pooling=self._pooling,
            prefer_pooled=self._prefer_pooled,
        )
        if not transformer.pooled:
            self._folder.refuse_unknown_modules()
        settings = repr((self._pooling, self._prefer_pooled, self._prefix, self._max_length, self._casefold))
        self.name = f"onnx/{self._folder.name}-{self._hash(settings)}"
        self.dimensions = transformer.dimensions
        self._tokenizer = tokenizer
        self._batches = Batches(transformer.embed)

    def _hash(self, settings: str) -> str:
        total = hashlib.sha256(settings.encode())
        for path in self._folder.files():
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    total.update(chunk)
        return total.hexdigest()[:12]
