"""The rows of an index: blocks of vectors, and columns of numbers that NumPy can compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..embedders import Vectors
from .shrinking import ShrinkingDict, resized

__all__ = ["AttributeColumns", "Rows", "gathered"]

_FIRST_ROWS = 64
_MOST_BLOCK_ROWS = 4096
_BLOCK_NUMBERS = 1 << 21
"""How many numbers a block has at most, which are 8 MB, and from 256 dimensions on half as many at least. The
processor's cache holds it while a batch of searches reads it, and for arrays of 4 MB or more NumPy asks Linux
for large pages, which are read in less time."""
_COLUMNS = ("expiry", "age", "shown", "comparable", "group", "digest")


class Rows:
    """A row for each entry, without gaps: its vector, its attributes and the columns below.

    Vectors are in blocks of ``block_rows`` rows, so that an index neither copies them when it grows nor keeps
    many when it shrinks. A thread may read the blocks and columns while rows are appended, if it has a copy
    of the list ``blocks`` and reads only the first ``length`` rows of then; `move` would disturb it.
    """

    def __init__(self, dimensions: int) -> None:
        self.length: int = 0
        fitting = max(1, _BLOCK_NUMBERS // dimensions)
        self.block_rows: int = min(_MOST_BLOCK_ROWS, 1 << (fitting.bit_length() - 1))
        self.blocks: list[Vectors] = [np.empty((0, dimensions), np.float32)]
        self.expiry: NDArray[np.int64] = np.empty(0, np.int64)
        """When the entry expires, in milliseconds since the epoch, or `NEVER`."""
        self.age: NDArray[np.int64] = np.empty(0, np.int64)
        """A number that is greater for a newer entry."""
        self.shown: NDArray[np.bool_] = np.empty(0, np.bool_)
        """Whether the entry may be found: false once it has expired or was deleted."""
        self.comparable: NDArray[np.bool_] = np.empty(0, np.bool_)
        """Whether it may be found by its vector: it may be found, and the vector is not zeros."""
        self.group: NDArray[np.int64] = np.empty(0, np.int64)
        """The number of the entries with the same prompt, if there are several; else 0."""
        self.digest: NDArray[np.int64] = np.empty(0, np.int64)
        """A hash of the vector, of 64 bits: rows with the same digest have the same vector."""
        self.attributes: AttributeColumns = AttributeColumns()
        self._capacity = 0
        self._resize(_FIRST_ROWS)

    @property
    def nbytes(self) -> int:
        """The bytes of all arrays."""
        return sum(array.nbytes for array in (*self.blocks, *self._columns()))

    def append(self, vector: Vectors) -> int:
        """Add a row with this vector, which is not shown, and return its number. All other columns but the
        attributes, of which it has none, have to be set."""
        row, size = self.length, self.block_rows
        if row == self._capacity:
            self._resize(2 * row)
        block, place = divmod(row, size)
        if block == len(self.blocks):
            self.blocks.append(np.empty((size, self.blocks[0].shape[1]), np.float32))
        self.shown[row] = False
        self.length = row + 1
        self.blocks[block][place] = vector
        for column in self.attributes.columns.values():
            column[row] = 0
        return row

    def move(self, rows: NDArray[np.int64], to: NDArray[np.int64]) -> None:
        """Copy some rows to the places of others, all but whether they are shown. Both ascend."""
        vectors = gathered(self.blocks, rows)
        size = self.block_rows
        for block, first, last in _groups(to, size):
            self.blocks[block][to[first:last] - block * size] = vectors[first:last]
        for column in self._columns():
            if column is not self.shown:
                column[to] = column[rows]

    def truncate(self, length: int) -> None:
        """Keep only the first rows, and give back the memory of the others if they were many."""
        self.length = length
        del self.blocks[max(1, -(-length // self.block_rows)) :]
        if 4 * length < self._capacity > _FIRST_ROWS:
            self._resize(max(2 * length, _FIRST_ROWS))

    def forget_attributes(self) -> None:
        """Make all rows have no attributes."""
        attributes = AttributeColumns()
        attributes.resize(self._capacity, 0)
        self.attributes = attributes

    def _resize(self, capacity: int) -> None:
        # All at once, when there was enough memory for everything.
        new: dict[str, Any] = {name: resized(getattr(self, name), capacity, self.length) for name in _COLUMNS}
        if len(self.blocks) == 1:  # an only block may be smaller than others
            new["blocks"] = [resized(self.blocks[0], min(capacity, self.block_rows), self.length)]
        self.attributes.resize(capacity, self.length)
        self.__dict__.update(new, _capacity=capacity)

    def _columns(self) -> Iterator[NDArray[Any]]:
        for name in _COLUMNS:
            yield getattr(self, name)
        yield from self.attributes.columns.values()


class AttributeColumns:
    """A column for each attribute name, with a number for each value, or 0 where an entry lacks it."""

    def __init__(self) -> None:
        self.columns: dict[str, NDArray[np.int64]] = {}
        self._capacity = 0
        self._codes: ShrinkingDict[tuple[str, str], int] = ShrinkingDict()
        self._uses: ShrinkingDict[tuple[str, str], int] = ShrinkingDict()
        self._values: ShrinkingDict[str, int] = ShrinkingDict()
        self._next_code = count(1)  # a number never gets another meaning, so removed rows may keep theirs

    def __len__(self) -> int:
        """The number of different attributes."""
        return len(self._codes)

    def add(self, row: int, attributes: Mapping[str, str]) -> None:
        """Give a row without attributes these."""
        for pair in attributes.items():
            name = pair[0]
            code = self._codes.get(pair)
            if code is None:
                code = self._codes[pair] = next(self._next_code)
                self._values[name] = self._values.get(name, 0) + 1
                if name not in self.columns:
                    self.columns[name] = np.zeros(self._capacity, np.int64)
            self._uses[pair] = self._uses.get(pair, 0) + 1
            self.columns[name][row] = code

    def remove(self, attributes: Mapping[str, str]) -> None:
        """Forget the attributes that only a removed row had."""
        for pair in attributes.items():
            self._uses[pair] -= 1
            if not self._uses[pair]:
                self._uses.remove(pair)
                self._codes.remove(pair)
                name = pair[0]
                self._values[name] -= 1
                if not self._values[name]:
                    self._values.remove(name)
                    del self.columns[name]

    def filters(self, attributes: Mapping[str, str]) -> list[tuple[NDArray[np.int64], int]] | None:
        """Columns, and the number that a matching row has in each. None if no row has all of them."""
        filters: list[tuple[NDArray[np.int64], int]] = []
        for pair in attributes.items():
            code = self._codes.get(pair)
            if code is None:
                return None
            filters.append((self.columns[pair[0]], code))
        return filters

    def resize(self, capacity: int, used: int) -> None:
        """Have room for so many rows."""
        self.columns = {name: resized(column, capacity, used) for name, column in self.columns.items()}
        self._capacity = capacity


def gathered(blocks: Sequence[Vectors], rows: NDArray[np.int64]) -> Vectors:
    """A copy of the vectors of some rows, which ascend."""
    vectors = np.empty((len(rows), blocks[0].shape[1]), np.float32)
    size = len(blocks[0])  # if it is smaller than it could be, it is the only one
    for block, first, last in _groups(rows, size):
        np.take(blocks[block], rows[first:last] - block * size, axis=0, out=vectors[first:last], mode="clip")
    return vectors


def _groups(rows: NDArray[np.int64], size: int) -> Iterator[tuple[int, int, int]]:
    """The blocks in which ascending rows lie, and from where to where in ``rows`` those of each stand."""
    if not len(rows):
        return
    blocks = range(int(rows[0]) // size, int(rows[-1]) // size + 1)
    ends = np.searchsorted(rows, [(block + 1) * size for block in blocks]).tolist()
    for block, first, last in zip(blocks, [0, *ends[:-1]], ends, strict=True):
        if first < last:
            yield block, first, last
