"""The index of a cache in Redis: made when there is none, looked at after each new connection, exchanged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from secrets import token_hex
from typing import Any

import msgspec

from .redis_calls import Calls, Command
from .redis_connect import Connection, checked_reply
from .redis_model import SCHEMA, Keys, Made, create_index, definition
from .redis_queries import count, difference, is_complete, whole_number
from .redis_url import IndexKind
from .store import StoreError

__all__ = ["CacheIndex", "IncompleteError", "State", "create", "has_all", "is_missing", "read_made"]

_log = logging.getLogger(__name__)

_TRIES = 8
"""How often a call is made again because metadata, index or connections have changed meanwhile."""

_LOOK_SECONDS = 0.01
"""How long to wait before looking again whether an index is complete."""

_SWITCH_SECONDS = 1.0
"""The same for an index that is to replace another one, and before another try if that fails."""

FLAT_ENTRIES = 20_000
"""From about so many entries on, searches with an HNSW index are several times faster."""


class IncompleteError(StoreError):
    """An index does not have all entries yet, so a search could miss some."""


class State(msgspec.Struct, frozen=True):
    """What a call relies on, and finds out afterwards whether it still holds."""

    made: Made
    encoded: bytes
    """``made``, as it is in Redis."""
    connections: int
    """How many connections had been made when the index was seen to be complete."""


class CacheIndex:
    """The metadata and the index of one cache.

    A search of an index that has not all entries yet would miss some without saying so. An index lacks
    entries after it was made, and after a server has read its data from disk. Either comes with new
    connections, so after each new one the server is asked. Until the index is complete, calls raise
    `StoreError`.

    Args:
        connection: leads to Redis.
        keys: the names of the cache's keys.
        embedder: name and dimensions of the embedder.
        unrelated: gives the cosine of unrelated prompts, for a cache that has none in Redis.
        wanted: the kind of index. None: the one that there is, or FLAT.
        seconds: how long a call may wait for all that; an index may take half of it to become complete.
    """

    def __init__(
        self,
        connection: Connection,
        keys: Keys,
        embedder: tuple[str, int],
        unrelated: Callable[[], Awaitable[float]],
        wanted: IndexKind | None,
        seconds: float,
    ) -> None:
        self._connection = connection
        self._call = connection.calls(keys.meta)
        self._keys = keys
        self._embedder = embedder
        self._unrelated = unrelated
        self._wanted: IndexKind | None = wanted
        self._seconds = seconds
        self._state: State | None = None
        self._known: Made | None = None
        self._preparing: asyncio.Task[State] | None = None
        self._switching: asyncio.Task[None] | None = None
        self._suggested = False

    async def state(self) -> State:
        """The state, after what was lost or may be incomplete has been seen to.

        Raises `IncompleteError`, another `StoreError`, or `EmbedderError`.
        """
        if self._state is not None and self._state.connections == self._connection.made:
            return self._state
        if self._preparing is None or self._preparing.done():  # for all calls that wait for it
            self._preparing = asyncio.get_running_loop().create_task(self._prepare())
            self._preparing.add_done_callback(_retrieve)
        preparing = self._preparing
        await asyncio.wait([preparing], timeout=self._seconds)
        if not preparing.done():
            raise StoreError(f"Redis has not answered within {self._seconds:g} s")
        if preparing.cancelled():
            raise StoreError(f"{self._keys.base} was closed meanwhile")
        try:
            return preparing.result()
        except StoreError as error:
            raise type(error)(str(error)) from None  # for each call one of its own

    def forget(self, state: State) -> None:
        """Look at everything again: a call has shown that the state no longer holds."""
        if self._state is state:
            self._state = None

    async def search(
        self, commands: Callable[[str], Sequence[Command]]
    ) -> tuple[list[Any], State, int | None]:
        """The replies to commands for an index of which the name is given; and the number of the last entry.

        Raises `StoreError`, also if the replies may lack entries.
        """
        for _ in range(_TRIES):
            state = await self.state()
            index = self._keys.index(state.made.index)
            # The metadata last: they change before the index does.
            *replies, metadata = await self._call(
                *commands(index), last=("HMGET", self._keys.meta, "made", "last")
            )
            made, last = checked_reply(metadata)
            if made != state.encoded or any(is_missing(reply) for reply in replies):
                self.forget(state)
            elif state.connections == self._connection.made:
                found = [checked_reply(reply) for reply in replies]
                return found, state, whole_number(last)
        raise StoreError("the metadata of the cache, or the connections to Redis, change all the time")

    async def check(self) -> None:
        """Look whether the index is still there, ours and complete. Raises `StoreError` if not.

        Then calls look too, as after a new connection: another index in its place may miss entries.
        """
        state = await self.state()
        complete = None
        try:
            complete = await self._has_all(state.made.index)
        finally:
            if not complete:
                self.forget(state)
        await self.state()

    async def suggest(self) -> None:
        """Say so in the log, once, if the cache has become too large for its kind of index."""
        try:
            state = await self.state()
        except IncompleteError as error:
            _log.warning("%s; until it has, this cache is not to be used", error)
            return
        if state.made.index != "flat" or self._wanted == "hnsw" or self._suggested:
            return
        (info,) = await self._call(("FT.INFO", self._keys.index("flat")))
        if count(checked_reply(info)) > FLAT_ENTRIES and not self._suggested:
            self._suggested = True
            _log.warning(
                "%s has more than %d entries, and each search compares them all; with ?index=hnsw in the "
                "store's URL searches take a fraction of the time",
                *(self._keys.base, FLAT_ENTRIES),
            )

    def switch(self) -> None:
        """Begin to replace an index of another kind than wanted."""
        if self._known is not None and self._wanted not in (None, self._known.index):
            self._switching = asyncio.get_running_loop().create_task(self._switch(self._known.index))

    async def close(self) -> None:
        """Leave an exchange of indexes to the next service."""
        tasks = [task for task in (self._switching, self._preparing) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def remove(self) -> None:
        """Remove the indexes and the metadata, and not the entries."""
        commands = [("FT.DROPINDEX", self._keys.index(kind)) for kind in ("flat", "hnsw")]
        for reply in await self._call(("UNLINK", self._keys.meta), *commands, again=False):
            if not is_missing(reply):
                checked_reply(reply)
        self._state = self._known = None

    async def _prepare(self) -> State:
        """Make what is missing, and wait until the index is complete."""
        made, encoded, new = await self._metadata()
        overdue = asyncio.get_running_loop().time() + self._seconds / 2
        while True:
            connections = self._connection.made
            complete = await self._has_all(made.index)
            if complete is None:
                if not new:
                    made = msgspec.structs.replace(made, build=token_hex(4))
                    encoded = await self._change(made)
                await create(self._call, self._keys, made.index, self._embedder[1], new)
            if complete:
                self._state = State(made, encoded, connections)
                return self._state
            if asyncio.get_running_loop().time() > overdue:
                raise IncompleteError(f"the index of {self._keys.base} does not have all entries yet")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _metadata(self) -> tuple[Made, bytes, bool]:
        """The metadata, and whether there were none."""
        new = False
        encoded = await _encoded(self._call, self._keys.meta)
        if encoded is None:
            name, dimensions = self._embedder
            made = self._known or Made(
                SCHEMA, name, dimensions, await self._unrelated(), self._wanted or await self._kind()
            )
            # Others may still go by equal metadata, and add entries before there is an index again.
            made = msgspec.structs.replace(made, build=token_hex(4))
            # Of several that begin with the cache at once, the first decides.
            (reply,) = await self._call(("HSETNX", self._keys.meta, "made", made.encoded()))
            new = bool(checked_reply(reply))
            encoded = await _encoded(self._call, self._keys.meta)
        if encoded is None:
            raise StoreError(f"Redis does not keep what is written to {self._keys.meta}")
        made = Made.read(encoded)
        if (made.embedder, made.dimensions) != self._embedder:
            raise StoreError(
                f"the entries of {self._keys.base} in Redis were made with the embedder {made.embedder} "
                f"({made.dimensions} dimensions), and this service has {self._embedder[0]} "
                f"({self._embedder[1]}): start it with that embedder, or with another cache id, or with "
                f"another ?prefix= in the store's URL, or delete the keys {self._keys.base}:* first"
            )
        self._known = made
        return made, encoded, new

    async def _kind(self) -> IndexKind:
        """The kind of the index that there is: metadata may have been evicted. FLAT for a new cache."""
        (info,) = await self._call(("FT.INFO", self._keys.index("hnsw")))
        if is_missing(info):
            return "flat"
        checked_reply(info)
        return "hnsw"

    async def _change(self, made: Made) -> bytes:
        encoded = made.encoded()
        (reply,) = await self._call(("HSET", self._keys.meta, "made", encoded))
        checked_reply(reply)
        self._known = made
        return encoded

    async def _has_all(self, kind: IndexKind) -> bool | None:
        return await has_all(self._call, self._keys, kind, self._embedder[1])

    async def _switch(self, before: IndexKind) -> None:
        assert self._wanted is not None
        _log.info(
            "%s gets an index of the kind %s; until then it uses %s", self._keys.base, self._wanted, before
        )
        while True:
            try:
                complete = await self._has_all(self._wanted)
                if complete is None:
                    await create(self._call, self._keys, self._wanted, self._embedder[1], new=False)
                if complete:
                    await self._change(msgspec.structs.replace((await self.state()).made, index=self._wanted))
                    (reply,) = await self._call(("FT.DROPINDEX", self._keys.index(before)))  # not the entries
                    if not is_missing(reply):
                        checked_reply(reply)
                    _log.info("%s now uses its index of the kind %s", self._keys.base, self._wanted)
                    return
            except StoreError as error:
                _log.warning("the index of %s can't be replaced now: %s", self._keys.base, error)
            await asyncio.sleep(_SWITCH_SECONDS)


async def create(call: Calls, keys: Keys, kind: IndexKind, dimensions: int, new: bool) -> None:
    """Make an index, unless there is one. ``new`` says that there are no entries yet."""
    (reply,) = await call(create_index(keys, kind, dimensions, new))
    if not (isinstance(reply, Exception) and "already exists" in str(reply).lower()):
        checked_reply(reply)


async def has_all(call: Calls, keys: Keys, kind: IndexKind, dimensions: int) -> bool | None:
    """Whether an index has all entries. None: there is no such index.

    Raises `StoreError` if the index of this name is not what `create` makes: its searches may miss entries.
    """
    (info,) = await call(("FT.INFO", keys.index(kind)))
    if is_missing(info):
        return None
    if other := difference(checked_reply(info), definition(keys, kind, dimensions)):
        raise StoreError(
            f"the index {keys.index(kind)} in Redis is not one that langcache makes: {other}. Remove it with "
            "FT.DROPINDEX, without DD, which keeps the entries: the service then makes its own. Or use "
            "another ?prefix= in the store's URL"
        )
    return is_complete(info)


async def read_made(call: Calls, meta: str) -> Made | None:
    """What the entries of a cache were made with, by the key of its metadata. None if there is none."""
    encoded = await _encoded(call, meta)
    return None if encoded is None else Made.read(encoded)


async def _encoded(call: Calls, meta: str) -> bytes | None:
    (encoded,) = await call(("HGET", meta, "made"))
    found: bytes | None = checked_reply(encoded)
    return found


def _retrieve(preparing: asyncio.Task[State]) -> None:
    if not preparing.cancelled():
        preparing.exception()  # all who waited may have left


def is_missing(reply: Any) -> bool:
    """Whether a reply says that there is no such index. Each version has words of its own."""
    text = str(reply).lower() if isinstance(reply, Exception) else ""
    return "index" in text and any(words in text for words in ("no such", "unknown", "not found"))
