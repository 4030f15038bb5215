"""WordLlama: a static model that embeds a prompt in 0.1 ms."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from . import packages
from .base import Vectors, folded, several, unit_rows
from .reading import READABLE_SHARE, is_letter

__all__ = ["WordLlamaEmbedder"]


class WordLlamaEmbedder:
    """WordLlama (256 dimensions): a static model whose weights are installed with its package.

    A prompt takes about 0.1 ms on one core, without a network. Case, spacing and the encoding of accents make
    no difference. The model knows words but not their order, so prompts that differ in one word, such as
    "enable" and "disable", look alike to it. It reads English, most European languages that are written in
    Latin or Cyrillic letters, and much Chinese; `can_read` tells. docs/local-service.md has figures.

    `start` raises `ImportError` where the extra ``wordllama`` is missing, and on a Python for which the
    package has no wheels: it has some for CPython 3.10 to 3.13, free-threaded builds excepted.
    """

    name = "wordllama/l2_supercat_256-uncased-2"  # 2: without vectors for what it can't read
    dimensions = 256

    def __init__(self) -> None:
        self._model: _Model

    async def start(self) -> None:
        """Load the model. A process loads it once and shares it."""
        self._model = await asyncio.to_thread(_wordllama)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`. Runs in the event loop: passing the work to a thread would take longer."""
        return self.embed_now(texts)

    def embed_now(self, texts: Sequence[str]) -> Vectors:
        """The same, in any thread."""
        return unit_rows(self._model.embed([folded(text) for text in several(texts)]))

    def can_read(self, text: str) -> bool:
        """Whether the model has pieces of words for at least 60 % of the letters of a text.

        A Chinese character is a word; one that the model lacks counts half. A text without letters can't be
        read, and neither can a text in a script that the model spells letter by letter: the mean of the
        vectors of single letters is much the same whatever the text says.
        """
        text = folded(text)
        pieces = self._model.tokenizer.encode(text, add_special_tokens=False).tokens
        read = chinese = 0
        for piece, next_piece in zip_longest(pieces, pieces[1:], fillvalue=""):
            letters, is_chinese = _letters_of(piece)
            chinese += is_chinese
            if letters > 1 or is_chinese or (letters and piece[0] == _SPACE and not _letter(next_piece[:1])):
                read += letters
        # A Chinese character that the model does not know is three bytes, which still tell it from others.
        unknown_chinese = sum(map(_chinese, text)) - chinese
        return read > 0 and read >= READABLE_SHARE * (sum(map(_letter, text)) - unknown_chinese / 2)

    async def close(self) -> None:
        """Does nothing: the model stays loaded for the next server of this process."""


_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""What the tokenizer puts in place of a space."""


@cache  # at most one for each of the model's 32,000 pieces
def _letters_of(piece: str) -> tuple[int, bool]:
    """The number of letters in a piece of the tokenizer's, and whether the piece is a Chinese character."""
    if _BYTE.fullmatch(piece):
        return 0, False
    text = piece.strip(_SPACE)
    return sum(map(_letter, text)), len(text) == 1 and _chinese(text)


_BYTE = re.compile("<0x[0-9A-F]{2}>")
"""A piece that is one byte of a character that the model does not know."""


def _letter(character: str) -> bool:
    return character != "" and character != _SPACE and is_letter(character)  # "▁" is a picture to Unicode


def _chinese(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff"


class _Model:
    """The model, read from the files of its package, which is not imported itself: it loads much more."""

    def __init__(self, folder: Path) -> None:
        tokenizers: Any = packages.load("tokenizers")
        safetensors: Any = packages.load("safetensors")
        self.tokenizer: Any = tokenizers.Tokenizer.from_file(
            str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json")
        )
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        with safetensors.safe_open(
            folder / "weights" / "l2_supercat_256.safetensors", framework="np"
        ) as file:
            self._rows: Vectors = file.get_tensor("embedding.weight").astype(np.float32)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The mean of the vectors of each text's pieces; zeros for a text without any."""
        vectors = np.zeros((len(texts), self._rows.shape[1]), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            pieces = self.tokenizer.encode(text, add_special_tokens=False).ids
            if pieces:
                vector[:] = self._rows[pieces].sum(axis=0) / np.float32(len(pieces))
        return vectors


_wordllama_model: _Model | None = None
_wordllama_lock = threading.Lock()


def _wordllama() -> _Model:
    """The WordLlama model of this process."""
    global _wordllama_model
    with _wordllama_lock:
        if _wordllama_model is None:
            spec = find_spec("wordllama")
            if spec is None or not spec.submodule_search_locations:
                packages.load("wordllama")  # says how to get it
                raise ImportError("the package wordllama has no folder to read its model from")
            _wordllama_model = _Model(Path(spec.submodule_search_locations[0]))
        return _wordllama_model
