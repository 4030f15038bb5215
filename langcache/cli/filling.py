"""Many entries into a cache: several at once, those of one question in their order, each once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import islice

import msgspec

from ..errors import (
    AuthenticationError,
    ClosedError,
    ForbiddenError,
    GatewayError,
    LangCacheError,
    NotFoundError,
    RequestError,
    TooManyRequestsError,
)
from ..limits import Limits
from .client import ClientSettings, entries_of, patient
from .lines import Line, NewEntry

__all__ = ["Done", "Filling", "Stopped"]

_WINDOW = 1024
"""Lines that are read ahead. Entries of one question among them are stored one after the other."""

_encode = msgspec.json.Encoder().encode

_HOPELESS = (
    *(AuthenticationError, ForbiddenError, NotFoundError, ClosedError),
    *(RequestError, GatewayError, TooManyRequestsError),
)
"""Errors that the next line would have too. The last three have been retried for a minute by then."""


class Done(msgspec.Struct):
    """What became of the lines."""

    lines: int = 0
    stored: int = 0
    there: int = 0
    """Which the cache had already."""
    expired: int = 0
    skipped: int = 0
    """Without prompt or response, where such lines are passed over."""
    failed: int = 0

    def __str__(self) -> str:
        others = (
            (self.there, "there already"),
            (self.expired, "expired"),
            (self.skipped, "passed over"),
            (self.failed, "failed"),
        )
        return ", ".join(
            [f"Stored {self.stored:,}", *(f"{count:,} {what}" for count, what in others if count)]
        )


class Stopped(Exception):
    """No further line can be stored."""

    def __init__(self, error: LangCacheError) -> None:
        super().__init__(f"{error}")
        self.error = error


class Filling:
    """Stores entries.

    Args:
        settings: of the client.
        ttl: milliseconds to keep entries that do not say when they expire. None: as the cache says.
        concurrency: how many questions are stored at once.
        again: whether entries that the cache has are stored once more.
        copies: whether lines with the same entry are entries of their own, as in an export, and not the same
            one told twice, as in a log.
        progress: called with the number of lines that are done.

    Raises `ValueError` if what it is given breaks a rule.
    """

    def __init__(
        self,
        settings: ClientSettings,
        *,
        ttl: int | None,
        concurrency: int,
        again: bool,
        copies: bool,
        progress: Callable[[int], None],
    ) -> None:
        from ..client import AsyncLangCache  # `serve`, which needs none, starts sooner

        self._limits = Limits()
        self._limits.ttl(ttl)
        self._client = AsyncLangCache(*settings, retry_config=patient(), timeout_ms=30_000)
        self._ttl = ttl
        self._slots = asyncio.Semaphore(concurrency)
        self._again = again
        self._copies = copies
        self._progress = progress
        self.done: Done = Done()
        self._failures: dict[int, str] = {}
        self._entries = entries_of(self._client)
        # By digests: a file may be larger than memory.
        self._looked: dict[bytes, bool] = {}
        """The questions that the cache was asked for, and whether it has told all their entries."""
        self._there: Counter[bytes] = Counter()
        """By entry: how many copies the cache has that no line has been matched with yet."""

    @property
    def failures(self) -> Sequence[tuple[int, str]]:
        """The numbers of lines that failed, in order, each with the reason."""
        return sorted(self._failures.items())

    async def run(self, lines: Iterable[Line]) -> None:
        """Store the entries of lines. Raises `Stopped`, and `OSError` if they can't be read."""
        async with self._client:
            read = iter(lines)
            while window := list(islice(read, _WINDOW)):
                await self._store_window(window)

    async def _store_window(self, window: Sequence[Line]) -> None:
        questions: dict[str, list[tuple[int, NewEntry]]] = {}
        for line in window:
            if line.entry is not None:
                questions.setdefault(line.entry.prompt.casefold(), []).append((line.number, line.entry))
                continue
            if line.reason is None:
                self.done.skipped += 1
            else:
                self._fail(line.number, line.reason)
            self._count()
        tasks = [asyncio.ensure_future(self._store_in_order(entries)) for entries in questions.values()]
        try:
            for task in asyncio.as_completed(tasks):
                await task
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _store_in_order(self, entries: Iterable[tuple[int, NewEntry]]) -> None:
        async with self._slots:
            for number, entry in entries:
                try:
                    await self._store(entry)
                except _HOPELESS as error:
                    raise Stopped(error) from error
                except (LangCacheError, ValueError) as error:
                    self._fail(number, " ".join(f"{error}".split()))
                self._count()

    async def _store(self, entry: NewEntry) -> None:
        ttl = self._ttl if entry.expires_at is None else self._left(entry.expires_at)
        if ttl is not None and ttl <= 0:
            self.done.expired += 1
        elif not self._again and await self._is_there(entry):
            self.done.there += 1
        else:
            attributes = entry.attributes or None
            await self._client.set(entry.prompt, entry.response, attributes=attributes, ttl_millis=ttl)
            self.done.stored += 1
            if not self._copies:
                self._there[_digest(entry.prompt, entry.attributes, entry.response)] = 1

    def _left(self, expires_at: int) -> int:
        """The milliseconds until an entry expires. Raises `ValueError` if none is kept for so long."""
        left, most = expires_at - time.time_ns() // 1_000_000, self._limits.ttl_millis
        if most is not None and left > most:
            raise ValueError(
                f"expires_at: must be at most {most} ms (a year) from now; without it an entry lives as long "
                "as --ttl or the cache says"
            )
        return left

    async def _is_there(self, entry: NewEntry) -> bool:
        """Whether the cache has the entry of a line; of copies, one for each line so far.

        Raises `ValueError` if the cache does not tell.
        """
        question = _digest(entry.prompt, entry.attributes)
        if question not in self._looked:
            found, complete = await self._entries.exact(entry.prompt, entry.attributes)
            self._looked[question] = complete
            for each in found:
                if (each.prompt, each.attributes) == (entry.prompt, entry.attributes):
                    self._there[_digest(each.prompt, each.attributes, each.response)] += 1
        same = _digest(entry.prompt, entry.attributes, entry.response)
        if self._there[same]:
            self._there[same] -= self._copies
            return True
        if not self._looked[question]:
            raise ValueError(
                "the cache has more entries of this prompt than it tells, and maybe this one; put the line "
                "into a file of its own and give --again, which stores all lines, there already or not"
            )
        return False

    def _fail(self, number: int, reason: str) -> None:
        self.done.failed += 1
        self._failures[number] = reason

    def _count(self) -> None:
        self.done.lines += 1
        self._progress(self.done.lines)


def _digest(prompt: str, attributes: Mapping[str, str], response: str | None = None) -> bytes:
    return blake2b(_encode((prompt, sorted(attributes.items()), response)), digest_size=16).digest()
