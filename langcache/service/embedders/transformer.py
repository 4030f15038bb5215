"""A sentence transformer in an ONNX file: from the numbers of pieces to vectors of length 1."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...matching.features import is_content
from . import packages
from .base import EmbedderError, Vectors, WordVectors, unit_rows

__all__ = ["POOLINGS", "Tokenizer", "Transformer"]

POOLINGS = ("mean", "cls")

_ROWS_AT_ONCE = 8
"""More rows in one run are no faster, and hold up others for longer."""

_LENGTH_STEP = 8
"""Rows share a run if their lengths are equal when rounded up to this, so that little padding is computed."""

_PROBES = ("hello", "reset my password", "a b c d e f")
"""Texts of several lengths which may share a run."""

_MOST_PIECES_KEPT = 48
"""The words of a longer text are not kept: their weights say nothing of it."""

_MOST_BYTES_KEPT = 48 * 2**20
"""The memory for the words of texts: enough for some 10,000 questions of ten words."""

_BYTES_BESIDE = 600
"""About what a text and its words take, beside the rows."""

_NO_WORDS = WordVectors((), np.empty((0, 0), np.float16))

_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}


class Tokenizer(Protocol):
    """What turns a text into the numbers of its pieces."""

    @property
    def before(self) -> Sequence[int]:
        """The numbers of the pieces that stand before each text, such as [CLS]."""
        ...

    @property
    def after(self) -> Sequence[int]:
        """The numbers of the pieces that stand after each text, such as [SEP]."""
        ...

    def encode(self, text: str) -> list[int]:
        """The numbers of the pieces of a text, without those before and after it."""
        ...

    def words(self, text: str) -> Iterable[tuple[str, Sequence[str]]]:
        """Each word of a text with its pieces. An unknown word has none."""
        ...


class Transformer:
    """Runs an ONNX file. ``model`` is its path or its content; ``pooling`` is "mean" or "cls".

    With ``prefer_pooled``, the file's own output ``sentence_embedding`` is taken instead, if there is one.
    ``max_length`` is how many pieces the model takes, those before and after the text included. A longer text
    is cut into parts of that length, and its vector is the mean of all its pieces, or of the parts' vectors:
    nothing at the end of a prompt is left out.

    With ``keep_words``, `words` can be called.

    Raises `EmbedderError` for a model that can't be used, and `ImportError` without onnxruntime.
    """

    def __init__(
        self,
        model: str | bytes,
        tokenizer: Tokenizer,
        *,
        max_length: int,
        pooling: str = "mean",
        prefer_pooled: bool = False,
        keep_words: bool = False,
    ) -> None:
        runtime = packages.load("onnxruntime")
        runtime.disable_telemetry_events()  # the builds for Windows have some
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        try:
            self._session: Any = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own kinds of error have no common base
            raise EmbedderError(f"the ONNX model can't be loaded: {error}") from error
        self._tokenizer = tokenizer
        self._room = max_length - len(tokenizer.before) - len(tokenizer.after)
        self._types = {given.name: _integers(given.type) for given in self._session.get_inputs()}
        self.pooled: bool
        self._output, self.pooled = _choose_output(self._session.get_outputs(), prefer_pooled)
        self._mean = pooling == "mean"
        self._keep_words = keep_words
        self._kept: OrderedDict[str, WordVectors] = OrderedDict()
        self._kept_bytes = 0
        self._keeping = threading.Lock()
        unknown = self._types.keys() - _INPUTS
        if unknown:
            raise EmbedderError(
                f"the ONNX model asks for {', '.join(sorted(unknown))}; "
                "only models of texts that take input_ids, attention_mask and token_type_ids can be used"
            )
        self._rows_at_once = _ROWS_AT_ONCE
        # A model whose activations are quantized while it runs gives a text another vector in another batch.
        alone = np.concatenate([self.embed([text]) for text in _PROBES])
        if not np.isfinite(alone).all():
            raise EmbedderError("the ONNX model gives vectors that are not finite")
        if not np.array_equal(self.embed(_PROBES), alone):
            self._rows_at_once = 1
        self.dimensions: int = alone.shape[1]

    def words(self, texts: Sequence[str]) -> list[WordVectors]:
        """The vectors of the words of each text: the mean of the vectors of a word's pieces, in that text.

        Words without a meaning of their own are left out, unless there are no others. The words of the last
        texts that were embedded or asked for are at hand; others are embedded for it. A long text has none.
        Call it in the thread that calls `embed`.
        """
        missing = [text for text in texts if self._at_hand(text) is None]
        if missing:
            self.embed(missing)
        return [self._at_hand(text) or _NO_WORDS for text in texts]

    def words_at_hand(self, texts: Sequence[str]) -> list[WordVectors] | None:
        """What `words` gives, in any thread, if it needs no embedding; None otherwise."""
        found = [self._at_hand(text) for text in texts]
        return None if None in found else [words for words in found if words is not None]

    def _at_hand(self, text: str) -> WordVectors | None:
        with self._keeping:
            words = self._kept.get(text)
            if words is not None:
                self._kept.move_to_end(text)
        return words

    def _keep(self, text: str, pieces: Vectors) -> None:
        """Remember the vectors of the words of a text, from those of its pieces."""
        words = [*self._tokenizer.words(text)]
        if not words:
            return
        before = len(self._tokenizer.before)
        starts = [*accumulate((max(len(own), 1) for _, own in words), initial=before)]
        chosen = [at for at, (word, _) in enumerate(words) if is_content(word)] or range(len(words))
        rows = np.array([_mean(pieces[starts[at] : starts[at + 1]]) for at in chosen], np.float16)
        kept = WordVectors([words[at][0] for at in chosen], rows)
        with self._keeping:
            earlier = self._kept.pop(text, None)
            self._kept[text] = kept
            self._kept_bytes += _bytes_of(kept) - (0 if earlier is None else _bytes_of(earlier))
            while self._kept_bytes > _MOST_BYTES_KEPT:
                self._kept_bytes -= _bytes_of(self._kept.popitem(last=False)[1])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """A vector of length 1 for each text. The same text has the same vector, whatever is beside it."""
        if not texts:
            return np.empty((0, self.dimensions), np.float32)
        parts = [self._parts(text) for text in texts]
        rows = [(number, part) for number, own in enumerate(parts) for part in own]
        rows.sort(key=lambda row: len(row[1]))
        sums: dict[int, Any] = {}
        for _, alike in groupby(rows, lambda row: (len(row[1]) - 1) // _LENGTH_STEP):
            group = list(alike)
            for start in range(0, len(group), self._rows_at_once):
                some = group[start : start + self._rows_at_once]
                rows_of_pieces = self._run([part for _, part in some])
                for (number, part), pieces in zip(some, rows_of_pieces, strict=True):
                    is_whole = len(parts[number]) == 1  # and not the end of a longer text
                    if self._keep_words and is_whole and len(part) <= _MOST_PIECES_KEPT:
                        self._keep(texts[number], pieces)
                    # Row by row: a sum over a padded row could be rounded otherwise.
                    row = pieces.sum(axis=0) if self._mean and not self.pooled else pieces
                    sums[number] = sums.get(number, 0) + row
        return unit_rows(np.array([sums[number] for number in range(len(texts))]))

    def _parts(self, text: str) -> list[list[int]]:
        numbers = self._tokenizer.encode(text)
        before, after = self._tokenizer.before, self._tokenizer.after
        starts = range(0, max(len(numbers), 1), self._room)
        return [[*before, *numbers[start : start + self._room], *after] for start in starts]

    def _run(self, rows: Sequence[Sequence[int]]) -> list[Vectors]:
        """The vectors of the pieces in each row, or the row's own vector."""
        length = max(map(len, rows))
        numbers = np.zeros((len(rows), length), np.int64)
        mask = np.zeros((len(rows), length), np.int64)
        for index, row in enumerate(rows):
            numbers[index, : len(row)] = row
            mask[index, : len(row)] = 1
        inputs = {"input_ids": numbers, "attention_mask": mask}
        if "token_type_ids" in self._types:
            inputs["token_type_ids"] = np.zeros_like(numbers)
        given: dict[str, Any] = {
            name: inputs[name].astype(kind, copy=False) for name, kind in self._types.items()
        }
        try:
            (output,) = self._session.run([self._output], given)
        except Exception as error:
            raise EmbedderError(f"the ONNX model failed: {error}") from error
        output = np.asarray(output, np.float32)
        if self.pooled:
            return list(output)
        if not self._mean:
            return list(output[:, 0])
        return [output[index, : len(row)] for index, row in enumerate(rows)]


def _mean(rows: Vectors) -> NDArray[Any]:
    """The mean of some rows; of a single one, as most words have, in a tenth of the time."""
    mean: NDArray[Any] = rows[0] if len(rows) == 1 else np.add.reduceat(rows, [0])[0] / np.float64(len(rows))
    return mean


def _bytes_of(words: WordVectors) -> int:
    return words.rows.nbytes + _BYTES_BESIDE


def _integers(onnx_type: str) -> type:
    return np.int32 if onnx_type == "tensor(int32)" else np.int64


def _choose_output(outputs: Sequence[Any], prefer_pooled: bool) -> tuple[str, bool]:
    """The name of the output to take, and whether it has one vector for a text, not one for each piece."""
    names = {output.name: len(output.shape) for output in outputs}
    pooled = [name for name, dimensions in names.items() if dimensions == 2]
    pieces = [name for name, dimensions in names.items() if dimensions == 3]
    if "sentence_embedding" in pooled and (prefer_pooled or not pieces):
        return "sentence_embedding", True
    if pieces:
        return ("last_hidden_state" if "last_hidden_state" in pieces else pieces[0]), False
    raise EmbedderError(
        f"the ONNX model has no output of vectors, only {', '.join(names)}; export it for feature extraction"
    )
