"""The search for the nearest vectors: many searches in one pass over the rows, in any thread.

A pass compares in float32, with whatever kernels NumPy's BLAS chooses, so its results depend in their last
digits on what else is in the pass. It only selects: the similarity of every row that may be among the best is
worked out again in float64, always the same way, and that decides. So what a search finds does not depend on
the searches it shares a pass with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..embedders import Vectors
from .rows import Rows, gathered
from .store import Entry, Found

__all__ = ["Query", "Scan"]

_DECIMALS = 6
"""Similarities are rounded to the precision of float32, so that equal texts have equal similarities."""

_UNIT = 10**_DECIMALS
_AGE_BITS = 43  # of 63: the others hold a similarity in millionths

_TILE = 16
"""How many queries are multiplied with a block at once."""

_ON_ONE_THREAD = 1 << 18
"""OpenBLAS computes a product of rows with a matrix, of so many multiplications, on the thread that calls.

A larger one it spreads over threads, which spin for a while afterwards and take the event loop's processor.
So larger ones are computed in parts, in one call of NumPy's and at the same speed. Others don't mind.
"""

_MATRIX_PAYS = 5
"""For fewer queries than this, products with one vector at a time are quicker. They take no other thread."""

_SCORES = 1 << 20
"""How many products are worked out (4 MB) before the best of them are looked for."""

_PIECE = 4096
"""Of so many rows at most are similarities worked out at once, which takes some MB."""

_LOWEST = -1e38
"""The score of a row that is not to be found, which is below every bar."""

_DISTINCT = 64
"""From so many rows on it pays to look which have the same vector."""


class Query(NamedTuple):
    """What to search for."""

    vector: Vectors
    filters: Sequence[tuple[NDArray[np.int64], int]]
    """Columns, and the number that a row must have in each."""
    limit: int


class Scan:
    """A pass over the rows as they are now, for some queries.

    `run` may be called in another thread while rows are appended, hidden or cleared, but not while any move.
    """

    def __init__(self, entries: Sequence[Entry], rows: Rows, queries: Sequence[Query]) -> None:
        self._entries = entries
        self.length: int = rows.length
        """The number of rows."""
        self._blocks = list(rows.blocks)
        self._comparable = rows.comparable
        self._age = rows.age
        self._digest = rows.digest
        self._bests: list[_Best] = [_Best(query, rows.length) for query in queries]

    def run(self) -> list[Found]:
        """What each query finds."""
        if len(self._bests) == 1 and (found := self._nearest_one(self._bests[0])) is not None:
            return [found]
        vectors = np.array([best.query.vector for best in self._bests], np.float32)
        size = len(self._blocks[0])
        blocks = max(1, _SCORES // max(1, size * len(vectors)))
        for start in range(0, self.length, max(1, blocks * size)):
            end = min(self.length, start + blocks * size)
            scores = np.empty((len(vectors), end - start), np.float32)
            for first in range(start, end, size):
                block = self._blocks[first // size][: end - first]
                _multiply(vectors, block, scores[:, first - start : first - start + len(block)])
            for best, highest, row in zip(self._bests, scores.max(axis=1).tolist(), scores, strict=True):
                if highest >= best.bar:
                    self._look(best, start, row)
        return [best.found(self._entries) for best in self._bests]

    def _nearest_one(self, best: _Best) -> Found | None:
        """What the usual query finds, in less time: it is alone, and wants the one nearest row of all.

        None for another query, and if the highest score is that of a row that is not to be found.
        """
        if best.limit != 1 or best.query.filters or self.length > _SCORES:
            return None
        vector, size = best.query.vector[None], len(self._blocks[0])
        scores = np.empty((1, self.length), np.float32)
        for first in range(0, self.length, size):
            end = min(first + size, self.length)
            _multiply(vector, self._blocks[first // size][: end - first], scores[:, first:end])
        highest = int(scores.argmax())
        if not self._comparable[highest]:
            return None
        rows = (scores[0] >= scores[0, highest] - best.margin).nonzero()[0]
        if len(rows) > 1:
            self._add(best, rows[self._comparable[rows]])
            # All may have been removed since, if this is not the thread that removes.
            return best.found(self._entries) or None
        millionths = best.millionths_of_one(self._blocks[highest // size][highest % size])
        return [(millionths / _UNIT, self._entries[highest])]

    def among(self, rows: NDArray[np.int64]) -> list[Found]:
        """What each query finds among these rows, which ascend."""
        for best in self._bests:
            self._add(best, rows)
        return [best.found(self._entries) for best in self._bests]

    def _look(self, best: _Best, start: int, scores: Vectors) -> None:
        """Add the rows from ``start`` on whose scores show that they may be among the best."""
        end = start + len(scores)
        allowed = self._comparable[start:end]
        for column, number in best.query.filters:
            allowed = allowed & (column[start:end] == number)
        scores = np.where(allowed, scores, _LOWEST)
        bar = max(best.bar, scores.max() - best.margin) if best.limit == 1 else best.bar
        rows = (scores >= bar).nonzero()[0]
        if len(rows) > best.limit > 1:
            scores = scores[rows]
            last = len(scores) - best.limit
            rows = rows[scores >= np.partition(scores, last)[last] - best.margin]
        self._add(best, rows + start)

    def _add(self, best: _Best, rows: NDArray[np.int64]) -> None:
        """Add rows, which ascend, to the best ones, if they are."""
        for first in range(0, len(rows), _PIECE):
            piece = rows[first : first + _PIECE]
            distinct, which = self._distinct(piece)
            millionths = best.millionths(gathered(self._blocks, distinct))[which]
            best.add(piece, (millionths << _AGE_BITS) + self._age[piece])

    def _distinct(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Any]:
        """Rows with different vectors, ascending, and which of them has the vector of each row."""
        if len(rows) < _DISTINCT:
            return rows, slice(None)
        _, first, which = np.unique(self._digest[rows], return_index=True, return_inverse=True)
        order = first.argsort()
        return rows[first[order]], order.argsort()[which]


class _Best:
    """The best rows for a query, of those seen so far.

    Their keys order them: first by similarity in millionths, then by age, newest last.
    """

    def __init__(self, query: Query, length: int) -> None:
        self.query = query
        self.limit = min(query.limit, length)
        self.keys = np.empty(0, np.int64)
        self.rows = np.empty(0, np.int64)
        self.bar = -1e37
        """A row with a lower score can't be among the best."""
        # The most that a sum of products in float32 can be wrong by, in any order, for vectors of length 1;
        # and some, for the rounding of what it is compared with.
        self._error = (len(query.vector) + 8) * 2.0**-24
        self.margin = 2 * self._error + 2 / _UNIT
        """A row whose score is lower by more than this has a lower similarity, even when rounded."""
        self._vector = query.vector.astype(np.float64)

    def millionths(self, vectors: Vectors) -> NDArray[np.int64]:
        """The similarities of rows in millionths: (1 + cos) / 2, computed for each row by itself."""
        cosines = (vectors * self._vector).sum(axis=1)
        millionths = np.rint((cosines + 1) * (_UNIT / 2))
        clipped: NDArray[np.int64] = np.minimum(np.maximum(millionths, 0), _UNIT).astype(np.int64)
        return clipped

    def millionths_of_one(self, vector: Vectors) -> int:
        """The same number for a single row, in less time."""
        cosine: float = (vector[None] * self._vector).sum(axis=1).item()
        millionths: int = min(max(round((cosine + 1) * (_UNIT / 2)), 0), _UNIT)
        return millionths

    def add(self, rows: NDArray[np.int64], keys: NDArray[np.int64]) -> None:
        """Keep the best of the rows that there are and of these."""
        if len(self.rows):
            rows, keys = np.concatenate((self.rows, rows)), np.concatenate((self.keys, keys))
        if len(keys) > self.limit:
            kept = keys.argpartition(len(keys) - self.limit)[len(keys) - self.limit :]
            rows, keys = rows[kept], keys[kept]
        self.rows, self.keys = rows, keys
        if len(keys) == self.limit:
            least = (int(keys.min()) >> _AGE_BITS) - 0.5  # rounded, it is the similarity of the worst
            self.bar = 2 * least / _UNIT - 1 - self._error

    def found(self, entries: Sequence[Entry]) -> Found:
        """The entries of the best rows, best first."""
        best_first = sorted(zip(self.keys.tolist(), self.rows.tolist(), strict=True), reverse=True)
        return [((key >> _AGE_BITS) / _UNIT, entries[row]) for key, row in best_first]


def _multiply(vectors: Vectors, block: Vectors, products: Vectors) -> None:
    """Set ``products`` to those of each vector with each row of a block, all on this thread."""
    if len(vectors) < _MATRIX_PAYS:
        for vector, their in zip(vectors, products, strict=True):
            np.vecdot(block, vector, out=their)
        return
    for first in range(0, len(vectors), _TILE):
        some, their = vectors[first : first + _TILE], products[first : first + _TILE]
        rows = 1 << (max(1, _ON_ONE_THREAD // some.size).bit_length() - 1)
        whole = len(block) // rows * rows
        parts = block[:whole].reshape(-1, rows, block.shape[1]).transpose(0, 2, 1)
        np.matmul(some, parts, out=their[:, :whole].reshape(len(some), -1, rows).transpose(1, 0, 2))
        if whole < len(block):
            np.matmul(some, block[whole:].T, out=their[:, whole:])
