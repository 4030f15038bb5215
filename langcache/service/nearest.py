"""The search for the nearest vectors: many searches in one pass over the rows, in any thread.

A pass compares in float32, with whatever kernels NumPy's BLAS chooses, so its results depend in their last
digits on what else is in the pass. It only selects: the similarity of every row that may be among the best is
worked out again in float64, always the same way, and that decides. So what a search finds does not depend on
the searches it shares a pass with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .embedders import Vectors
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
"""OpenBLAS computes a product of so many multiplications on the thread that calls.

A larger one it spreads over threads, which spin for a while afterwards and take the event loop's processor.
"""

_DISTINCT = 64
"""From so many candidates on it pays to look which have the same vector."""


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
        self.rows = rows.length
        """The number of rows."""
        self._blocks = list(rows.blocks)
        self._comparable = rows.comparable
        self._age = rows.age
        self._digest = rows.digest
        self._queries = queries
        self._bests = [_Best(query, rows.length) for query in queries]

    def run(self) -> list[Found]:
        """What each query finds."""
        tiles = [
            (self._bests[first : first + _TILE], _side_by_side(self._queries[first : first + _TILE]))
            for first in range(0, len(self._queries), _TILE)
        ]
        start = 0
        for block in self._blocks:
            block = block[: self.rows - start]
            if not len(block):
                break
            for bests, vectors in tiles:
                scores = _products(block, vectors)
                for column in np.flatnonzero(scores.max(axis=0) >= [best.bar for best in bests]).tolist():
                    self._look(bests[column], start, block, scores[:, column])
            start += len(block)
        return [self._found(best) for best in self._bests]

    def among(self, rows: NDArray[np.int64]) -> list[Found]:
        """What each query finds among these rows, which ascend."""
        vectors = gathered(self._blocks, rows)
        for best in self._bests:
            self._add(best, rows, vectors, np.arange(len(rows)))
        return [self._found(best) for best in self._bests]

    def _look(self, best: _Best, start: int, block: Vectors, scores: Vectors) -> None:
        """Add the rows of a block whose scores show that they may be among the best."""
        end = start + len(block)
        candidates = self._comparable[start:end] & (scores >= best.bar)
        for column, number in best.query.filters:
            candidates &= column[start:end] == number
        places = np.flatnonzero(candidates)
        if len(places) > best.limit:
            scores = scores[places]
            least = np.partition(scores, len(scores) - best.limit)[len(scores) - best.limit]
            places = places[scores >= least - best.margin]
        self._add(best, places + start, block, places)

    def _add(self, best: _Best, rows: NDArray[np.int64], vectors: Vectors, places: NDArray[np.int64]) -> None:
        """Add rows to the best ones, if they are; their vectors are at these places of ``vectors``."""
        if not len(rows):
            return
        if len(rows) < _DISTINCT:
            millionths = best.millionths(vectors[places])
        else:
            _, first, which = np.unique(self._digest[rows], return_index=True, return_inverse=True)
            millionths = best.millionths(vectors[places[first]])[which]
        best.add(rows, (millionths << _AGE_BITS) + self._age[rows])

    def _found(self, best: _Best) -> Found:
        order = np.argsort(best.keys)[::-1]
        millionths: list[int] = (best.keys[order] >> _AGE_BITS).tolist()
        rows: list[int] = best.rows[order].tolist()
        return [(number / _UNIT, self._entries[row]) for number, row in zip(millionths, rows, strict=True)]


class _Best:
    """The best rows for a query, of those seen so far.

    Their keys order them: first by similarity in millionths, then by age, newest last.
    """

    def __init__(self, query: Query, length: int) -> None:
        self.query = query
        self.limit = min(query.limit, length)
        self.keys = np.empty(0, np.int64)
        self.rows = np.empty(0, np.int64)
        self.bar = -np.inf
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
        return np.rint(((cosines + 1) / 2).clip(0, 1) * _UNIT).astype(np.int64)

    def add(self, rows: NDArray[np.int64], keys: NDArray[np.int64]) -> None:
        """Keep the best of the rows that there are and of these."""
        rows, keys = np.concatenate((self.rows, rows)), np.concatenate((self.keys, keys))
        if len(keys) > self.limit:
            kept = np.argpartition(keys, len(keys) - self.limit)[len(keys) - self.limit :]
            rows, keys = rows[kept], keys[kept]
        self.rows, self.keys = rows, keys
        if len(keys) == self.limit:
            least = (int(keys.min()) >> _AGE_BITS) - 0.5  # rounded, it is the similarity of the worst
            self.bar = 2 * least / _UNIT - 1 - self._error


def _side_by_side(queries: Sequence[Query]) -> Vectors:
    return np.ascontiguousarray(np.stack([query.vector for query in queries], axis=1), np.float32)


def _products(block: Vectors, vectors: Vectors) -> Vectors:
    """The products of the rows of a block with the columns of ``vectors``, on this thread alone."""
    dimensions, count = vectors.shape
    if count == 1:
        return np.einsum("ij,j->i", block, vectors[:, 0])[:, None]  # as quick as BLAS, without its threads
    together = 1 << (max(1, _ON_ONE_THREAD // vectors.size).bit_length() - 1)
    whole = len(block) // together * together
    products = np.empty((len(block), count), np.float32)
    np.matmul(
        block[:whole].reshape(-1, together, dimensions),
        vectors,
        out=products[:whole].reshape(-1, together, count),
    )
    np.matmul(block[whole:], vectors, out=products[whole:])
    return products
