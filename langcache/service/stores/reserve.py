"""Room on the disk that is kept for deletes, which need some too, for when there is none left."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

__all__ = ["Reserve"]

_log = logging.getLogger(__name__)

_BYTES = 1024 * 1024


class Reserve:
    """A file of 1 MiB that holds nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def release(self) -> bool:
        """Give the room back to the disk. False if there was none."""
        try:
            had_room = self._path.stat().st_size > 0
            os.truncate(self._path, 0)
        except OSError:
            return False
        return had_room

    def renew(self) -> None:
        """Take the room, unless it is there. If that fails, it is logged, and no room is taken."""
        try:
            if self._path.exists() and self._path.stat().st_size >= _BYTES:
                return
            with open(os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as reserve:
                reserve.write(bytes(_BYTES))
        except OSError as error:
            _log.warning(
                "%s can't be written; on a full disk entries can't be deleted: %s", self._path, error
            )
            with contextlib.suppress(OSError):
                os.truncate(self._path, 0)
