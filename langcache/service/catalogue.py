"""The caches of a service and the keys that open them: those of its settings, and those made at run time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

import msgspec

from .access import ACTIONS, digest_of
from .config import CacheConfig, CacheSettings
from .embedders import Embedder, EmbedderError
from .engine import Cache
from .made import CacheRecord, KeyRecord, read_records
from .stores.store import Storage, Store, StoreError, now_millis

__all__ = ["Catalogue", "Failure"]

_log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0
"""How often a service looks for what others have changed: no revoked key is taken for longer."""

_TRIES = 8

_AGAIN_SECONDS = 0.05
"""How long to wait before looking again at once, for a key or a cache that is not known."""


class Failure(msgspec.Struct, frozen=True):
    """That a cache could not be opened, and when, in milliseconds since the epoch."""

    occurred_at: int


class Catalogue:
    """The caches and keys of a service.

    What is made at run time is kept as records of the storage. Other services on the same Redis see a change
    within `_POLL_SECONDS`, and a key or a cache that they don't know at once.

    Args:
        configs: the caches of the service's settings, which no operation changes.
        storage: keeps entries and records. It is open.
        embedder: makes the vectors.
        admin_key: the key that may change the rest.
    """

    def __init__(
        self,
        configs: Iterable[CacheConfig],
        storage: Storage,
        embedder: Embedder,
        admin_key: str | None = None,
    ) -> None:
        self.configs: Mapping[str, CacheConfig] = {config.cache_id: config for config in configs}
        self.storage = storage
        self.embedder = embedder
        self.admin: bytes | None = None if admin_key is None else digest_of(admin_key.encode())
        """The digest of the admin key."""
        self.caches: Mapping[str, CacheRecord] = {}
        """The caches that were made at run time."""
        self.keys: Mapping[str, KeyRecord] = {}
        """The keys that were made at run time."""
        self.failures: dict[str, Failure] = {}
        """The caches that could not be opened when they were last needed."""
        self.on_forget: Callable[[str], None] | None = None
        """Called with the id of a cache that there is no longer."""
        self._open: dict[str, Cache] = {}
        self._opening: dict[str, asyncio.Task[Cache]] = {}
        self._access: dict[bytes, dict[str, set[str]]] = {}
        self._records: Mapping[str, bytes] = {}
        self._version: bytes | None = None
        self._changing = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._read_at = float("-inf")
        self._unread: StoreError | None = None
        """What kept the last reading from its end."""
        self._poll: asyncio.Task[None] | None = None
        self._beside: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Open the caches of the settings, and read what there is besides."""
        for config in self.configs.values():
            self._open[config.cache_id] = Cache(config, await self.storage.store(config), self.embedder)
        self._take({}, {})
        await self.refresh()
        if self.storage.records.shared:
            self._poll = asyncio.get_running_loop().create_task(self._keep_up())

    async def close(self) -> None:
        """End what runs beside the requests."""
        tasks = [*self._beside, *self._opening.values(), *([self._poll] if self._poll is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def stores(self) -> list[Store]:
        """The stores of the caches of the settings. Those of others are in the same place."""
        return [self._open[cache_id].store for cache_id in self.configs]

    def knows(self, cache_id: str) -> bool:
        """Whether there is such a cache."""
        return cache_id in self.configs or cache_id in self.caches

    def knows_key(self, digest: bytes) -> bool:
        """Whether there is a key with this digest, as far as is known here."""
        return digest == self.admin or digest in self._access

    async def access(self, digest: bytes) -> Mapping[str, set[str]] | None:
        """What the key with this digest opens, and what it may do there. None: there is no such key."""
        if digest not in self._access and digest != self.admin:
            await self._look_again()
        return {} if digest == self.admin else self._access.get(digest)

    async def has(self, cache_id: str) -> bool:
        """Whether there is such a cache, also one that another service has just made."""
        if not self.knows(cache_id):
            await self._look_again()
        return self.knows(cache_id)

    async def cache(self, cache_id: str) -> Cache:
        """A cache that there is. Raises `StoreError` or `EmbedderError` if it can't be used."""
        cache = self._open.get(cache_id)
        if cache is not None:
            return cache
        opening = self._opening.get(cache_id)
        if opening is None:  # for all who need it meanwhile
            opening = asyncio.get_running_loop().create_task(self._begin(self.caches[cache_id]))
            self._opening[cache_id] = opening
            opening.add_done_callback(lambda opening: self._began(cache_id, opening))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if opening.cancelled():
                raise StoreError("the service ends") from None
            raise

    async def refresh(self, since: float | None = None) -> None:
        """Read what was made at run time, if it has changed. Raises `StoreError`.

        What was read after ``since``, a time of the event loop, will do. Default: now.
        """
        since = asyncio.get_running_loop().time() if since is None else since
        async with self._reading:
            if self._read_at > since:
                if self._unread is not None:
                    raise StoreError(f"{self._unread}") from self._unread
                return
            self._read_at = asyncio.get_running_loop().time()
            try:
                contents = await self.storage.records.read(self._version)
            except StoreError as error:
                self._unread = error
                raise
            self._unread = None
            if contents is not None:
                self._take(*read_records(contents.records))
                self._records, self._version = contents.records, contents.version

    async def replace(self, name: str, value: Callable[[], bytes | None]) -> None:
        """Give a record the value that ``value`` returns, which may raise; None deletes the record.

        It is called when all that is known is up to date, and once more if another service changes the record
        meanwhile. Raises `StoreError`.
        """
        async with self._changing:  # so that what it counts is right
            for _ in range(_TRIES):
                await self.refresh()
                if await self.storage.records.replace(name, self._records.get(name), value()):
                    await self.refresh()
                    return
        raise StoreError("others change the same record all the time")

    async def clear(self, cache_id: str) -> None:
        """Delete all entries of a cache, also if it can't be used because another embedder made them.

        Raises `StoreError` or `EmbedderError`.
        """
        try:
            await (await self.cache(cache_id)).flush()
        except StoreError:
            if cache_id in self.configs:
                raise
            self._forget(cache_id)  # it is opened anew when it is next needed
            await self.storage.drop(CacheSettings(cache_id=cache_id), True)

    async def drop(self, cache_id: str, flush: bool) -> None:
        """Forget a cache that is no longer among the records, and its entries if ``flush`` says so."""
        self._forget(cache_id)
        settings = CacheSettings(cache_id=cache_id)
        await self.storage.drop(settings, flush)
        if flush and self.storage.records.shared:
            self._begin_soon(self._sweep(settings))

    async def _look_again(self) -> None:
        """Look for a change by another service, but not all the time for those who try keys."""
        if not self.storage.records.shared:
            return
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(0, self._read_at + _AGAIN_SECONDS - now))
        await self.refresh(now)

    async def _keep_up(self) -> None:
        failed = False
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                await self.refresh()
            except StoreError as error:
                if not failed:
                    _log.warning("changes of caches and keys by others can't be read: %s", error)
                failed = True
            else:
                failed = False

    async def _sweep(self, settings: CacheSettings) -> None:
        # Until it has seen that a cache is gone, another service may add entries, and an index for them.
        await asyncio.sleep(3 * _POLL_SECONDS)
        if not self.knows(settings.cache_id):
            with contextlib.suppress(StoreError, EmbedderError):
                await self.storage.drop(settings, True)

    def _take(self, caches: Mapping[str, CacheRecord], keys: Mapping[str, KeyRecord]) -> None:
        """Go by these records from now on."""
        self.caches = {name: record for name, record in caches.items() if name not in self.configs}
        self.keys = keys
        for cache_id in [*self._open, *self._opening]:
            if not self.knows(cache_id):  # its id never comes again
                self._forget(cache_id)
                self._begin_soon(self.storage.drop(CacheSettings(cache_id=cache_id), False))
            elif cache_id in self._open and cache_id in self.caches:
                self._configure(self._open[cache_id], self.caches[cache_id].settings())
        access: dict[bytes, dict[str, set[str]]] = {}
        for config in self.configs.values():
            access.setdefault(digest_of(config.api_key.encode()), {})[config.cache_id] = set(ACTIONS)
        for key in keys.values():
            opened = access.setdefault(bytes.fromhex(key.digest), {})
            for grant in key.grants:
                opened.setdefault(grant.cache_id, set()).update(grant.actions)
        self._access = access

    def _configure(self, cache: Cache, settings: CacheSettings) -> None:
        before = cache.settings.max_entries
        cache.configure(settings)
        if settings.max_entries != before:
            self._begin_soon(self._limit(cache))

    async def _limit(self, cache: Cache) -> None:
        try:
            await cache.store.keep_at_most(cache.settings.max_entries)
        except (StoreError, EmbedderError) as error:
            _log.warning("the oldest entries can't be deleted now: %s", error)

    def _begin_soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def _forget(self, cache_id: str) -> None:
        self.failures.pop(cache_id, None)
        if self.on_forget is not None:
            self.on_forget(cache_id)
        cache = self._open.pop(cache_id, None)
        if cache is not None:
            cache.retire()
        opening = self._opening.pop(cache_id, None)
        if opening is not None:
            opening.cancel()

    async def _begin(self, record: CacheRecord) -> Cache:
        settings = record.settings()
        return Cache(settings, await self.storage.store(settings), self.embedder)

    def _began(self, cache_id: str, opening: asyncio.Task[Cache]) -> None:
        if self._opening.get(cache_id) is opening:
            del self._opening[cache_id]
        if opening.cancelled():
            return
        if opening.exception() is not None:
            self.failures[cache_id] = Failure(now_millis())
        elif cache_id in self.caches:
            self.failures.pop(cache_id, None)
            self._open[cache_id] = opening.result()
            self._configure(opening.result(), self.caches[cache_id].settings())
