"""Entries and their vectors in memory, one row for each; NumPy compares a vector with every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .embedders import Vectors
from .store import Entry, Found, now_millis

__all__ = ["Index"]

_FIRST_ROWS = 64
_NEVER = np.iinfo(np.int64).max
_DECIMALS = 6
"""Similarities are rounded to the precision of float32, so that equal texts have equal similarities."""


class Index:
    """The entries of a cache, in arrays without gaps: the last row moves to the place of a removed one.

    Every method first removes the expired entries. So none is found or counted, and no thread or timer is
    needed. ``clock`` gives the time in milliseconds since the epoch.
    """

    def __init__(self, dimensions: int, clock: Callable[[], int] = now_millis) -> None:
        self.dimensions = dimensions
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """Remove every entry."""
        self._entries: list[Entry] = []
        self._row_of: dict[str, int] = {}
        self._same: dict[str, list[str]] = {}
        self._vectors: Vectors = np.empty((_FIRST_ROWS, self.dimensions), np.float32)
        self._expiry = np.empty(_FIRST_ROWS, np.int64)
        self._age = np.empty(_FIRST_ROWS, np.int64)
        self._has_meaning = np.empty(_FIRST_ROWS, np.bool_)
        self._ages = count()
        self._next_expiry: int = _NEVER
        self._attributes = _AttributeColumns(_FIRST_ROWS)

    def __len__(self) -> int:
        self._remove_expired()
        return len(self._entries)

    def add(self, entries: Sequence[Entry], vectors: Vectors) -> None:
        """Add entries, oldest first. ``vectors`` has a row for each of them."""
        self._remove_expired()
        start, end = len(self._entries), len(self._entries) + len(entries)
        self._make_room(end)
        self._vectors[start:end] = vectors
        self._has_meaning[start:end] = self._vectors[start:end].any(axis=1)
        for row, entry in enumerate(entries, start):
            self._entries.append(entry)
            self._row_of[entry.id] = row
            self._same.setdefault(entry.prompt.casefold(), []).append(entry.id)
            self._age[row] = next(self._ages)
            self._expiry[row] = _NEVER if entry.expires_at is None else entry.expires_at
            self._attributes.add(row, entry.attributes)
        self._next_expiry = min(self._next_expiry, int(self._expiry[start:end].min(initial=_NEVER)))

    def same(self, prompt: str, attributes: Mapping[str, str], limit: int) -> Found:
        """See `Store.same`."""
        self._remove_expired()
        newest_first = reversed(self._same.get(prompt.casefold(), ()))
        entries = (self._entries[self._row_of[entry_id]] for entry_id in newest_first)
        matching = (entry for entry in entries if attributes.items() <= entry.attributes.items())
        return [(1.0, entry) for entry in islice(matching, min(limit, len(self._entries)))]

    def nearest(self, vector: Vectors, attributes: Mapping[str, str], limit: int) -> Found:
        """See `Store.nearest`."""
        self._remove_expired()
        similarities = (self._vectors[: len(self._entries)] @ vector + 1) / 2
        rows = self._attributes.rows(attributes, self._has_meaning[: len(self._entries)])
        if not len(rows):
            return []
        if len(rows) < len(similarities):
            similarities = similarities[rows]
        similarities = similarities.clip(0, 1).round(_DECIMALS)
        limit = min(limit, len(rows))
        least = np.partition(similarities, len(rows) - limit)[len(rows) - limit]
        best = np.flatnonzero(similarities >= least)
        order = best[np.lexsort((-self._age[rows[best]], -similarities[best]))][:limit]
        return [(round(float(similarities[i]), _DECIMALS), self._entries[rows[i]]) for i in order]

    def matching(self, attributes: Mapping[str, str]) -> list[str]:
        """The ids of the entries that match."""
        self._remove_expired()
        every = np.ones(len(self._entries), np.bool_)
        rows: list[int] = self._attributes.rows(attributes, every).tolist()
        return [self._entries[row].id for row in rows]

    def remove(self, entry_ids: Sequence[str]) -> int:
        """Remove entries. Returns the number of those that existed."""
        self._remove_expired()
        rows = [self._row_of[entry_id] for entry_id in entry_ids if entry_id in self._row_of]
        self._remove_rows(np.array(rows, np.int64))
        return len(rows)

    def _remove_expired(self) -> None:
        now = self._clock()
        if now < self._next_expiry:
            return
        expiry = self._expiry[: len(self._entries)]
        self._remove_rows(np.flatnonzero(expiry <= now))
        self._next_expiry = int(self._expiry[: len(self._entries)].min(initial=_NEVER))

    def _remove_rows(self, rows: NDArray[np.int64]) -> None:
        for row in rows.tolist():
            self._unregister(row)
        end = len(self._entries) - len(rows)
        gaps = rows[rows < end]
        movers = np.setdiff1d(np.arange(end, len(self._entries)), rows)
        for column in self._columns():
            column[gaps] = column[movers]
        moves: list[tuple[int, int]] = list(zip(gaps.tolist(), movers.tolist(), strict=True))
        for gap, mover in moves:
            self._entries[gap] = self._entries[mover]
            self._row_of[self._entries[gap].id] = gap
        del self._entries[end:]

    def _unregister(self, row: int) -> None:
        entry = self._entries[row]
        del self._row_of[entry.id]
        prompt = entry.prompt.casefold()
        self._same[prompt].remove(entry.id)
        if not self._same[prompt]:
            del self._same[prompt]
        self._attributes.remove(entry.attributes)

    def _make_room(self, rows: int) -> None:
        capacity = len(self._vectors)
        if rows <= capacity:
            return
        capacity = max(rows, 2 * capacity)
        self._vectors = _longer(self._vectors, capacity)
        self._expiry = _longer(self._expiry, capacity)
        self._age = _longer(self._age, capacity)
        self._has_meaning = _longer(self._has_meaning, capacity)
        self._attributes.grow(capacity)

    def _columns(self) -> Iterator[NDArray[Any]]:
        yield self._vectors
        yield self._expiry
        yield self._age
        yield self._has_meaning
        yield from self._attributes.columns.values()


class _AttributeColumns:
    """A column of numbers for each attribute name, one number for each value, which NumPy can filter."""

    def __init__(self, capacity: int) -> None:
        self.columns: dict[str, NDArray[np.int64]] = {}
        self._capacity = capacity
        self._codes: dict[tuple[str, str], int] = {}
        self._uses: Counter[tuple[str, str]] = Counter()
        self._next_code = count(1)  # 0: the entry lacks the attribute

    def add(self, row: int, attributes: Mapping[str, str]) -> None:
        for name in attributes:
            if name not in self.columns:
                self.columns[name] = np.zeros(self._capacity, np.int64)
        for column in self.columns.values():
            column[row] = 0
        for pair in attributes.items():
            if pair not in self._codes:
                self._codes[pair] = next(self._next_code)
            self._uses[pair] += 1
            self.columns[pair[0]][row] = self._codes[pair]

    def remove(self, attributes: Mapping[str, str]) -> None:
        """Remove the codes that only a removed entry used."""
        for pair in attributes.items():
            self._uses[pair] -= 1
            if not self._uses[pair]:
                del self._uses[pair], self._codes[pair]

    def rows(self, attributes: Mapping[str, str], among: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The numbers of the rows that match, of those for which ``among`` is true."""
        match = among
        for pair in attributes.items():
            if pair not in self._codes:
                return np.empty(0, np.int64)
            match = match & (self.columns[pair[0]][: len(among)] == self._codes[pair])
        return np.flatnonzero(match)

    def grow(self, capacity: int) -> None:
        self._capacity = capacity
        self.columns = {name: _longer(column, capacity) for name, column in self.columns.items()}


def _longer(column: NDArray[Any], capacity: int) -> NDArray[Any]:
    # Without zeroing: the system provides memory only when it is first written.
    longer = np.empty((capacity, *column.shape[1:]), column.dtype)
    longer[: len(column)] = column
    return longer
