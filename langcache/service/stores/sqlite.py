"""The store that keeps its entries in a SQLite file. An entry is on disk before `add` returns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..calibration import unrelated_cosine
from ..config import CacheSettings
from ..embedders import Embedder, Vectors
from ..vectors import checked_row
from .index import Index
from .memory import MemoryStore
from .sqlite_errors import reason_of
from .sqlite_file import Commit, SqliteFile, Step
from .sqlite_records import SqliteRecords
from .sqlite_reembed import embed_again
from .sqlite_rows import EmbeddedWith
from .store import NEVER, Entry, Found, StoreError, now_millis

__all__ = ["Database", "SqliteStore"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _Change(msgspec.Struct, frozen=True):
    """A change of the file, and what to do in memory once that is on disk."""

    step: Step
    then: Callable[[Any], object]
    done: asyncio.Future[Any]


class Database:
    """A SQLite file with the entries of any number of caches.

    The file is in WAL mode, and each commit waits for the disk: a change that has returned survives a kill
    and a power cut. Changes that arrive during a commit share the next one. One process at a time can have
    the file open. If another embedder made the vectors of a file, its prompts are embedded again.

    The file decides what there is: a change is made when it is committed, and memory follows. Memory that
    can't follow is read from the file again. An entry whose time is over by ``clock`` (milliseconds since the
    epoch) is deleted from both, so it does not come back if the clock is set back.
    """

    name = "sqlite"

    def __init__(
        self,
        path: Path,
        embedder: Embedder,
        clock: Callable[[], int] = now_millis,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._file = SqliteFile(path)
        self._embedder = embedder
        self._clock = clock
        self._progress = progress
        self._thread = ThreadPoolExecutor(1, "langcache-sqlite")  # one: a connection belongs to a thread
        self._stores: dict[str, SqliteStore] = {}
        self.records: SqliteRecords = SqliteRecords(self)
        self._search_threads = ThreadPoolExecutor(1, "langcache-search")
        self._pending: list[_Change] = []
        self._committing = False
        self._closed = False
        self.embedded_anew: int = 0
        """How many prompts of the file `open` has embedded, since another embedder had made their vectors."""
        self._next_expiry: int = NEVER
        self._expired_by = 0
        """The time for which memory has left out expired entries that the file may still have."""

    async def open(self) -> None:
        """Open the file, or create it. Raises `StoreError` if it can't be used, with the reason.

        Raises `EmbedderError` if its prompts have to be embedded again and that fails; the file is unchanged.
        """
        self._loop = asyncio.get_running_loop()
        self._embedded_with = EmbeddedWith(self._embedder.name, self._embedder.dimensions)
        try:
            await self._run(self._file.open, self._embedded_with, self._clock())
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        try:
            self.embedded_anew = await embed_again(
                self._run, self._file, self._embedder, self._embedded_with, self._progress
            )
            self._unrelated = await self._calibrate()
            await self.change(lambda _: None)  # learns when the next entry expires
        except BaseException:
            await self.close()
            raise

    async def store(self, cache: CacheSettings) -> SqliteStore:
        """The store of one cache, with its entries from the file."""
        store = self._stores.setdefault(cache.cache_id, SqliteStore(self, cache.cache_id, cache.max_entries))
        await store.read()
        await store.evict()
        return store

    async def drop(self, cache: CacheSettings, flush: bool) -> None:
        """See `Storage.drop`."""
        store = self._stores.pop(cache.cache_id, None) or SqliteStore(self, cache.cache_id)
        if flush:
            await store.clear()

    def change(
        self,
        run: Callable[[SqliteFile], T],
        then: Callable[[T], object] = lambda _: None,
        frees: bool = False,
    ) -> asyncio.Future[T]:
        """Change the file with ``run``, then memory with ``then``; the future gets what ``run`` returned.

        Changes take effect in the order of the calls, on disk as in memory, even if a caller is cancelled.
        The future always gets an outcome: a `StoreError` if the file has not changed. ``frees`` says that the
        change only deletes. ``then`` must not raise.
        """
        done: asyncio.Future[T] = self._loop.create_future()
        if self._closed:
            done.set_exception(StoreError(f"the database {self._file.path} is closed"))
            return done
        self._pending.append(_Change(Step(run, frees), then, done))
        self._commit_soon()
        return done

    def now(self) -> int:
        """The time, for indexes in memory. If entries have expired by then, the file deletes them too."""
        now = self._clock()
        if now >= self._next_expiry:
            self._expired_by = max(self._expired_by, now)
            self._next_expiry = NEVER  # until the commit says what the next one is
            if not self._closed:
                self._loop.call_soon_threadsafe(self._commit_soon)  # a search may run on another thread
        return now

    def new_index(self) -> Index:
        """An index for vectors of this database's embedder."""
        return Index(self._embedded_with.dimensions, self.now)

    async def close(self) -> None:
        """Finish what was begun and close the file."""
        await asyncio.to_thread(self._search_threads.shutdown)
        try:
            last = self.change(lambda _: None)  # changes are made in order
            await asyncio.wait([last])
            last.exception()  # at the interpreter's exit there is no thread left for it
        finally:
            self._closed = True
            try:
                await self._run(self._file.close)
            finally:
                self._thread.shutdown(wait=False)

    async def give_back(self) -> None:
        """Give the room of deleted entries back to the disk, if no entry is left."""
        await self._run(self._file.give_back)

    def _commit_soon(self) -> None:
        if not self._committing and (self._pending or self._expired_by):
            self._committing = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        # Callbacks in place of a task: a task could be cancelled, and then its callers would wait for ever.
        changes, self._pending = self._pending, []
        expired_by, self._expired_by = self._expired_by, 0
        now = max(self._clock(), expired_by)
        steps = [change.step for change in changes]
        try:
            commit = self._loop.run_in_executor(self._thread, self._file.commit, steps, now)
        except Exception as error:  # the process may have no thread left to give
            commit = self._loop.create_future()
            commit.set_exception(error)
        commit.add_done_callback(lambda commit: self._settle(changes, expired_by, commit))

    def _settle(self, changes: Sequence[_Change], expired_by: int, commit: asyncio.Future[Commit]) -> None:
        self._committing = False
        outcomes: list[Any]
        error = asyncio.CancelledError() if commit.cancelled() else commit.exception()
        if error is None:
            done = commit.result()
            self._next_expiry = done.next_expiry
            for cache_id, entry_ids in done.expired.items():
                if cache_id in self._stores:
                    self._stores[cache_id].forget(entry_ids)
            outcomes = done.outcomes
        else:
            self._expired_by = max(self._expired_by, expired_by)
            outcomes = [error] * len(changes)
        for change, outcome in zip(changes, outcomes, strict=True):
            failure = reason_of(self._file.path, outcome) if isinstance(outcome, BaseException) else None
            if failure is None:
                change.then(outcome)
            if change.done.done():  # its caller was cancelled
                continue
            if failure is None:
                change.done.set_result(outcome)
            else:
                failure.__cause__ = outcome
                change.done.set_exception(failure)
        if self._pending:
            self._commit_soon()

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        try:
            return await self._loop.run_in_executor(self._thread, function, *arguments)
        except Exception as error:
            raise reason_of(self._file.path, error) from error

    async def _calibrate(self) -> float:
        """The cosine of unrelated prompts: the file's own, so that its scores stay, or a new one."""
        known = await self._run(self._file.embedded_with)
        if known is not None and known.unrelated_cosine is not None:
            return known.unrelated_cosine
        measured = await unrelated_cosine(self._embedder)
        renewed = msgspec.structs.replace(self._embedded_with, unrelated_cosine=measured)
        await self.change(lambda file: file.set_embedder(renewed))
        return measured

    def new_store(self, index: Index) -> MemoryStore:
        """A store in memory with the entries of an index."""
        return MemoryStore(index, self._unrelated, self._search_threads)


class SqliteStore:
    """A `Store` that searches in memory. A change is made in the file first, then in memory.

    If memory can't follow a change, say for want of room, the next call reads the entries from the file
    again. While that fails too, calls raise `StoreError`, except for `delete` and `clear`.

    There may be ``most`` entries. The change that adds one more deletes the oldest.
    """

    def __init__(self, database: Database, cache_id: str, most: int | None = None) -> None:
        self._database = database
        self._cache_id = cache_id
        self._most = most
        self._adding = 0
        self._evicting: set[str] = set()
        """The entries that changes under way delete to make room."""
        self._memory: MemoryStore | None = None
        self._reading: asyncio.Future[Index] | None = None

    def at_once(self, most_rows: int) -> MemoryStore | None:
        """Like `MemoryStore.at_once`, for what changes nothing: a change waits for the disk."""
        return None if self._memory is None else self._memory.at_once(most_rows)

    @property
    def is_held_here(self) -> bool:
        """See `MemoryStore.is_held_here`."""
        return self._memory is not None and self._memory.is_held_here

    async def add(self, entry: Entry, vector: Vectors) -> None:
        memory = await self.read()
        vector = checked_row(vector, memory.index.dimensions)
        oldest = self._surplus(memory, self._adding + 1)

        def change(file: SqliteFile) -> None:
            file.insert(self._cache_id, entry, vector)
            if oldest:
                file.delete(self._cache_id, oldest)

        def follow(memory: MemoryStore) -> None:
            memory.put(entry, vector)
            if oldest:
                memory.remove(oldest)

        def over(_: object) -> None:
            self._adding -= 1
            self._evicting.difference_update(oldest)

        self._adding += 1
        self._evicting.update(oldest)
        changed = self._database.change(change, lambda _: self._follow(follow))
        changed.add_done_callback(over)
        await changed
        await self.evict()  # if more were added at once than there may be

    async def same(self, prompt: str, attributes: Mapping[str, str], limit: int) -> Found:
        return await (await self.read()).same(prompt, attributes, limit)

    async def nearest(self, vector: Vectors, attributes: Mapping[str, str], limit: int) -> Found:
        return await (await self.read()).nearest(vector, attributes, limit)

    async def delete(self, entry_id: str) -> bool:
        return await self._delete([entry_id]) == 1

    async def delete_matching(self, attributes: Mapping[str, str]) -> int:
        memory = await self.read()
        return await self._delete(memory.matching(attributes))

    async def clear(self) -> None:
        await self._database.change(
            lambda file: file.clear(self._cache_id),
            lambda _: self._follow(lambda memory: memory.remove_all()),
            True,
        )
        await self._database.give_back()

    async def size(self) -> int:
        return await (await self.read()).size()

    async def check(self) -> None:
        await self.read()
        await self._database.change(lambda _: None)  # reads the file, and writes nothing

    async def keep_at_most(self, entries: int | None) -> None:
        self._most = entries
        await self.evict()

    async def evict(self) -> None:
        """Delete the oldest entries if there are more than there may be."""
        if self._most is None:
            return
        surplus = self._surplus(await self.read(), 0)
        if surplus:
            self._evicting.update(surplus)
            deleted = self._delete(surplus)
            deleted.add_done_callback(lambda _: self._evicting.difference_update(surplus))
            await deleted

    def forget(self, entry_ids: Sequence[str]) -> None:
        """Remove entries from memory that the file no longer has."""
        self._follow(lambda memory: memory.remove(entry_ids))

    async def read(self) -> MemoryStore:
        """The entries in memory, which are read from the file if memory does not have them."""
        if self._memory is None:
            if self._reading is None or self._reading.done():
                self._reading = self._database.change(
                    lambda file: file.load(self._cache_id, self._database.new_index()), self._install
                )
                self._reading.add_done_callback(lambda reading: reading.exception())  # all may have left
            await asyncio.shield(self._reading)
        if self._memory is None:  # it could not follow the very next change
            raise StoreError("the entries can't be held in memory; there may not be enough of it")
        return self._memory

    def _install(self, index: Index) -> None:
        self._memory = self._database.new_store(index)

    def _surplus(self, memory: MemoryStore, more: int) -> list[str]:
        """The oldest entries, which have to go so that there is room for so many more."""
        if self._most is None:
            return []
        going = len(self._evicting)
        count = memory.count() + more - going - self._most
        oldest = memory.oldest(count + going) if count > 0 else []
        return [entry_id for entry_id in oldest if entry_id not in self._evicting][:count]

    def _delete(self, entry_ids: Sequence[str]) -> asyncio.Future[int]:
        return self._database.change(
            lambda file: file.delete(self._cache_id, entry_ids), lambda _: self.forget(entry_ids), True
        )

    def _follow(self, step: Callable[[MemoryStore], object]) -> None:
        if self._memory is None:  # it will be read from the file, which has the change
            return
        try:
            step(self._memory)
        except Exception:
            _log.warning(
                "memory can't follow a change of the file; its entries are read again", exc_info=True
            )
            self._memory = None
