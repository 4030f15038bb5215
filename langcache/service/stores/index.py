"""The entries of a cache in memory: by id, by prompt, by attributes, by expiry and by vector."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray

from ..embedders import Vectors
from .nearest import Query, Scan
from .rows import Rows
from .shrinking import ShrinkingDict
from .store import NEVER, Entry, Found, now_millis

__all__ = ["FEW_ROWS", "Index"]

_SLICE = 1_000
"""How many removed entries a call lets go of at most, which takes some 3 ms."""

_CHUNK = 1_024
"""Rows whose earliest expiry, and number of removed entries, is known without looking at them."""

FEW_ROWS = 2_000
"""So many rows are compared one by one, rather than all rows in a pass that others share."""

_LOOKED_AT = 64
"""How many entries with the same prompt are looked at one by one for those with the right attributes."""


class Index:
    """The entries of a cache, each in a row.

    Every method first hides the expired entries, so that none is found or counted, and no thread or timer is
    needed. Removed entries are hidden at once too. Their rows are filled with the last rows by and by: by
    each call some, and by `tidy`, so that no call takes long. While a pass over the rows runs in another
    thread (`hold`), no row moves.

    A change that fails, say for want of memory, is made as a whole or not at all: which rows are shown
    decides what there is, and is the last thing to change. The next call works out all else from these rows.

    ``clock`` gives the time in milliseconds since the epoch.
    """

    def __init__(self, dimensions: int, clock: Callable[[], int] = now_millis) -> None:
        self.dimensions = dimensions
        self._clock = clock
        self._ages = count()
        self._groups = count(1)
        self._held = 0
        self._most: int | None = None
        self.clear()

    def clear(self) -> None:
        """Remove every entry."""
        self._changing = True
        """Whether a change has begun and not ended: if so when a call begins, it has failed."""
        self._entries: list[Entry] = []
        self._row_of: ShrinkingDict[str, int] = ShrinkingDict()
        self._same: ShrinkingDict[str, str | _Group] = ShrinkingDict()
        self._rows = Rows(self.dimensions)
        self._hidden = 0
        self._hidden_in = np.zeros(0, np.int64)
        """How many rows of each chunk are hidden."""
        self._earliest = np.empty(0, np.int64)
        """No row of a chunk expires before this."""
        self._first: deque[tuple[int, str]] = deque()
        """Age and id of some entries, oldest first. None that is there is older than the last of them."""
        self._next_expiry = NEVER
        self._changing = False

    def __len__(self) -> int:
        self._refresh()
        return len(self._entries) - self._hidden

    @property
    def rows(self) -> int:
        """How many rows there are, those of expired and removed entries included."""
        return len(self._entries)

    @property
    def nbytes(self) -> int:
        """The bytes of all arrays."""
        return self._rows.nbytes

    def add(self, entries: Sequence[Entry], vectors: Vectors) -> None:
        """Add entries, oldest first. ``vectors`` has a row for each. One takes the place of its id's."""
        self._refresh()
        self._changing = True
        rows = self._rows
        start = rows.length
        replaced: list[int] = []
        vectors = np.ascontiguousarray(vectors, np.float32)
        for number, entry in enumerate(entries):
            vector = vectors[number]
            row = rows.append(vector)
            self._entries.append(entry)
            if row // _CHUNK == len(self._earliest):
                self._count_chunks()
            rows.comparable[row] = vector[0] != 0 or vector.any()  # the first number nearly always tells
            rows.group[row] = 0
            rows.age[row] = next(self._ages)
            rows.digest[row] = hash(vector.tobytes())
            if entry.attributes:
                rows.attributes.add(row, entry.attributes)
            before = self._row_of.get(entry.id)
            if before is not None:
                replaced.append(before)
                self._forget(before)
            self._register(row, entry)
            rows.expiry[row] = time = NEVER if entry.expires_at is None else entry.expires_at
            if time < NEVER:
                self._earliest[row // _CHUNK] = min(self._earliest[row // _CHUNK], time)
                self._next_expiry = min(self._next_expiry, time)
        shown = start if rows.length == start + 1 else slice(start, rows.length)
        rows.shown[shown] = True  # all at once; of a single row, NumPy sets the element in less time
        if replaced:
            self._hide(np.array([row for row in replaced if rows.shown[row]], np.int64))
        self._changing = False
        if self._most is not None:
            self.keep_at_most(self._most)

    def keep_at_most(self, most: int | None) -> None:
        """Keep so many entries from now on, the newest. None: any number, which is the default."""
        self._most = most
        if most is not None and len(self) > most:
            self.remove(self.oldest(len(self) - most))

    def same(self, prompt: str, attributes: Mapping[str, str], limit: int) -> Found:
        """See `Store.same`."""
        self._refresh()
        group = self._same.get(prompt.casefold(), ())
        ids = (group,) if isinstance(group, str) else group
        found: list[Entry] = []
        for entry_id in islice(reversed(ids), _LOOKED_AT):
            row = self._row_of[entry_id]
            entry = self._entries[row]
            if self._rows.shown[row] and attributes.items() <= entry.attributes.items():
                found.append(entry)
                if len(found) == limit:
                    break
        else:
            if isinstance(group, _Group) and len(group) > _LOOKED_AT:
                among = self._rows.shown & (self._rows.group == group.number)
                found = self._newest(self._matching(attributes, among), limit)
        return [(1.0, entry) for entry in found]

    def nearest(self, vector: Vectors, attributes: Mapping[str, str], limit: int) -> Found:
        """See `Store.nearest`."""
        found = self.nearest_of_few(vector, attributes, limit)
        return self.scan([(vector, attributes, limit)]).run()[0] if found is None else found

    def nearest_of_few(self, vector: Vectors, attributes: Mapping[str, str], limit: int) -> Found | None:
        """What `nearest` finds if there are only few rows to compare, else None."""
        self._refresh()
        if not attributes:
            if len(self._entries) > FEW_ROWS:
                return None
            return Scan(self._entries, self._rows, [Query(vector, (), limit)]).run()[0]
        rows = self._matching(attributes, self._rows.comparable)
        if len(rows) > FEW_ROWS:
            return None
        return Scan(self._entries, self._rows, [Query(vector, (), limit)]).among(rows)[0]

    def scan(self, wanted: Sequence[tuple[Vectors, Mapping[str, str], int]]) -> Scan:
        """A pass over the rows as they are now, for some searches: the vector, attributes and limit of each.

        Call `hold` before this if anything may be called before it has run, and `release` afterwards.
        """
        self._refresh()
        queries: list[Query] = []
        for vector, attributes, limit in wanted:
            filters = self._rows.attributes.filters(attributes)
            if filters is None:  # no row has all of the attributes, and no age is negative
                filters = [(self._rows.age, -1)]
            queries.append(Query(vector, filters, limit))
        return Scan(self._entries, self._rows, queries)

    def hold(self) -> None:
        """Let no row move until `release` is called as many times."""
        self._held += 1

    def release(self) -> None:
        """Let rows move again."""
        self._held -= 1

    @property
    def untidy(self) -> bool:
        """Whether there are removed entries that `tidy` could let go of now."""
        return self._hidden > 0 and not self._held

    def matching(self, attributes: Mapping[str, str]) -> list[str]:
        """The ids of the entries that match."""
        self._refresh()
        rows: list[int] = self._matching(attributes, self._rows.shown).tolist()
        return [self._entries[row].id for row in rows]

    def oldest(self, count: int) -> list[str]:
        """The ids of the entries that were added first, at most so many, oldest first."""
        self._refresh()
        found: list[tuple[int, str]] = []
        while len(found) < min(count, len(self._entries) - self._hidden):
            if not self._first:
                self._first.extend(self._look_for_oldest(max(count, _SLICE)))
                found.clear()
            age, entry_id = self._first.popleft()
            row = self._row_of.get(entry_id)
            if row is not None and self._rows.shown[row] and self._rows.age[row] == age:
                found.append((age, entry_id))
        self._first.extendleft(reversed(found))
        return [entry_id for _, entry_id in found]

    def remove(self, entry_ids: Sequence[str]) -> int:
        """Remove entries. Returns the number of those that existed."""
        self._refresh()
        found = {self._row_of[entry_id] for entry_id in entry_ids if entry_id in self._row_of}
        rows = np.fromiter(found, np.int64, len(found))
        rows = rows[self._rows.shown[rows]]
        self._changing = True
        self._hide(rows)
        self._changing = False
        self.tidy()
        return len(rows)

    def _refresh(self) -> None:
        if self._changing:
            self._work_out_again()
        if self._next_expiry < NEVER:  # else the clock need not be read
            self._hide_expired()
        if self._hidden:
            self.tidy()

    def _matching(self, attributes: Mapping[str, str], among: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The rows that match, of those for which ``among`` is true."""
        filters = self._rows.attributes.filters(attributes)
        if filters is None:
            return np.empty(0, np.int64)
        rows = slice(0, len(self._entries))
        match = among[rows]
        for column, number in filters:
            match = match & (column[rows] == number)
        return np.flatnonzero(match)

    def _newest(self, rows: NDArray[np.int64], limit: int) -> list[Entry]:
        ages = self._rows.age[rows]
        if len(rows) > limit:
            kept = np.argpartition(ages, len(rows) - limit)[len(rows) - limit :]
            rows, ages = rows[kept], ages[kept]
        newest_first: list[int] = rows[np.argsort(-ages)].tolist()
        return [self._entries[row] for row in newest_first]

    def _look_for_oldest(self, count: int) -> list[tuple[int, str]]:
        rows = np.flatnonzero(self._rows.shown[: len(self._entries)])
        ages = self._rows.age[rows]
        if len(rows) > count:
            kept = np.argpartition(ages, count - 1)[:count]
            rows, ages = rows[kept], ages[kept]
        order = np.argsort(ages)
        first: list[int] = rows[order].tolist()
        return [(int(self._rows.age[row]), self._entries[row].id) for row in first]

    def _register(self, row: int, entry: Entry) -> None:
        """Make an entry known by its id and its prompt."""
        self._row_of[entry.id] = row
        prompt = entry.prompt.casefold()
        group = self._same.get(prompt)
        if group is None:
            self._same[prompt] = entry.id
            return
        if isinstance(group, str):
            first, group = group, _Group(next(self._groups))
            group[first] = None
            self._rows.group[self._row_of[first]] = group.number
            self._same[prompt] = group
        group[entry.id] = None
        self._rows.group[row] = group.number

    def _forget(self, row: int) -> None:
        """Undo `_register` for an entry, unless that was done."""
        entry = self._entries[row]
        if self._row_of.get(entry.id) != row:
            return
        self._row_of.remove(entry.id)
        prompt = entry.prompt.casefold()
        group = self._same[prompt]
        if isinstance(group, _Group):
            group.remove(entry.id)
        if isinstance(group, str) or not group:
            self._same.remove(prompt)
        self._rows.attributes.remove(entry.attributes)

    def _hide_expired(self) -> None:
        now = self._clock()
        if now < self._next_expiry:
            return
        self._changing = True
        chunks: list[int] = np.flatnonzero(self._earliest <= now).tolist()
        for chunk in chunks:
            expiry = self._rows.expiry[chunk * _CHUNK : min((chunk + 1) * _CHUNK, len(self._entries))]
            self._hide(np.flatnonzero(expiry <= now) + chunk * _CHUNK)
            self._earliest[chunk] = expiry.min(initial=NEVER)
        self._next_expiry = int(self._earliest.min(initial=NEVER))
        self._changing = False

    def _hide(self, rows: NDArray[np.int64]) -> None:
        """Let no method find these rows, which are shown, any more."""
        self._rows.shown[rows] = False
        self._rows.comparable[rows] = False
        self._rows.expiry[rows] = NEVER
        self._hidden += len(rows)
        np.add.at(self._hidden_in, rows // _CHUNK, 1)

    def tidy(self) -> None:
        """Let go of some removed entries and fill their rows with the last ones."""
        if not self._hidden or self._held:
            return
        rows = self._last_hidden()
        self._changing = True
        for row in rows.tolist():
            self._forget(row)
        self._hidden -= len(rows)
        np.subtract.at(self._hidden_in, rows // _CHUNK, 1)

        end = len(self._entries) - len(rows)
        last_ones = np.ones(len(rows), np.bool_)
        last_ones[rows[rows >= end] - end] = False
        gaps, movers = rows[rows < end], np.flatnonzero(last_ones) + end  # no mover is hidden: see below
        self._rows.move(movers, gaps)
        np.minimum.at(self._earliest, gaps // _CHUNK, self._rows.expiry[gaps])
        for gap, mover in zip(gaps.tolist(), movers.tolist(), strict=True):
            entry = self._entries[gap] = self._entries[mover]
            self._row_of[entry.id] = gap
        self._rows.shown[gaps] = True
        del self._entries[end:]
        self._rows.truncate(end)
        self._count_chunks()
        self._changing = False

    def _work_out_again(self) -> None:
        """Make everything fit the rows that are shown. If this fails too, the next call does it."""
        rows = self._rows
        length = min(len(self._entries), rows.length)
        del self._entries[length:]
        rows.truncate(length)
        rows.forget_attributes()
        rows.group[:length] = 0
        self._row_of, self._same = ShrinkingDict(), ShrinkingDict()
        shown = np.flatnonzero(rows.shown[:length])
        oldest_first: list[int] = shown[np.argsort(rows.age[shown], kind="stable")].tolist()
        for row in oldest_first:
            entry = self._entries[row]
            if entry.id in self._row_of:  # it was to move, or to take the place of the one with its id
                rows.shown[row] = False
                continue
            rows.attributes.add(row, entry.attributes)
            self._register(row, entry)
        hidden = np.flatnonzero(~rows.shown[:length])
        rows.comparable[hidden] = False
        rows.expiry[hidden] = NEVER
        chunks = -(-length // _CHUNK)
        self._hidden = len(hidden)
        self._hidden_in = np.bincount(hidden // _CHUNK, minlength=chunks).astype(np.int64)
        starts = range(0, length, _CHUNK)
        earliest = [int(rows.expiry[start : min(start + _CHUNK, length)].min()) for start in starts]
        self._earliest = np.array(earliest, np.int64)
        self._next_expiry = min(earliest, default=NEVER)
        self._changing = False

    def _last_hidden(self) -> NDArray[np.int64]:
        """The last hidden rows, in ascending order, at most as many as a call may take."""
        found: list[NDArray[np.int64]] = []
        total = 0
        chunks: list[int] = np.flatnonzero(self._hidden_in).tolist()
        for chunk in reversed(chunks):
            shown = self._rows.shown[chunk * _CHUNK : min((chunk + 1) * _CHUNK, len(self._entries))]
            found.append(np.flatnonzero(~shown) + chunk * _CHUNK)
            total += len(found[-1])
            if total >= _SLICE:
                break
        return np.concatenate(found[::-1])[-_SLICE:]

    def _count_chunks(self) -> None:
        """Have a number for each chunk of rows."""
        chunks, have = -(-len(self._entries) // _CHUNK), len(self._earliest)
        if chunks != have:
            more = max(0, chunks - have)
            self._earliest = np.concatenate((self._earliest[:chunks], np.full(more, NEVER)))
            self._hidden_in = np.concatenate((self._hidden_in[:chunks], np.zeros(more, np.int64)))


class _Group(ShrinkingDict[str, None]):
    """The ids of entries with the same prompt, oldest first."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
