"""Records that a storage keeps beside the entries: the caches and keys that are made while it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

__all__ = ["Contents", "MemoryRecords", "Records"]


class Contents(msgspec.Struct, frozen=True):
    """All records at one time."""

    version: bytes
    """Another one after each change."""

    records: Mapping[str, bytes]


class Records(Protocol):
    """Small named values, of which all are read at once. Methods raise `StoreError`."""

    @property
    def shared(self) -> bool:
        """Whether other processes may change them."""
        ...

    async def read(self, known: bytes | None) -> Contents | None:
        """All records. None if their version is still the ``known`` one."""
        ...

    async def replace(self, name: str, before: bytes | None, after: bytes | None) -> bool:
        """Give a record another value; None stands for no record.

        False if its value is not ``before``: then nothing has changed.
        """
        ...


class MemoryRecords:
    """`Records` in memory. They end with the process."""

    shared = False

    def __init__(self) -> None:
        self._records: dict[str, bytes] = {}
        self._changes = 0

    async def read(self, known: bytes | None) -> Contents | None:
        """See `Records.read`."""
        version = b"%d" % self._changes
        return None if version == known else Contents(version, dict(self._records))

    async def replace(self, name: str, before: bytes | None, after: bytes | None) -> bool:
        """See `Records.replace`."""
        if self._records.get(name) != before:
            return False
        self._changes += 1
        if after is None:
            self._records.pop(name, None)
        else:
            self._records[name] = after
        return True
