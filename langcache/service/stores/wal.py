"""What the write-ahead log of a SQLite file holds: whether all of it can be read, or its end was cut off."""

from __future__ import annotations

import struct
from typing import Literal

__all__ = ["wal_state"]

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = 0x377F0682  # the lowest bit says in which byte order checksums are computed


def wal_state(content: bytes) -> Literal["empty", "intact", "torn", "damaged"]:
    """The state of a log, by the checksums that SQLite keeps in it (https://www.sqlite.org/fileformat2.html).

    SQLite itself takes the first frame with a wrong checksum for the end of the log. That is right if a power
    cut tore the last commit: "torn". If commits follow, they were acknowledged, and the log is "damaged".
    """
    if len(content) <= _HEADER.size:
        return "empty"  # the first frame was never written
    magic, _, page_size, _, *salts, first, second = _HEADER.unpack_from(content)
    order = "<>"[magic & 1]
    sums = _add(order, content[: _HEADER.size - 8], (0, 0))
    if magic | 1 != _MAGIC | 1 or sums != (first, second) or not 512 <= page_size <= 65536:
        return "damaged"
    size = _FRAME.size + page_size
    intact = True
    commits = 0  # after the first frame that is wrong
    for start in range(_HEADER.size, len(content) - size + 1, size):
        _, pages_after_commit, *frame_salts, first, second = _FRAME.unpack_from(content, start)
        current = frame_salts == salts  # else it is left from before the log began again
        if intact:
            if current:
                sums = _add(order, content[start : start + 8], sums)
                sums = _add(order, content[start + _FRAME.size : start + size], sums)
            intact = current and sums == (first, second)
        if not intact and current:
            if commits:
                return "damaged"
            commits += pages_after_commit > 0
    return "torn" if commits else "intact"


def _add(order: str, content: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    for one, other in struct.iter_unpack(f"{order}2I", content):
        first = (first + one + second) & 0xFFFF_FFFF
        second = (second + other + first) & 0xFFFF_FFFF
    return first, second
