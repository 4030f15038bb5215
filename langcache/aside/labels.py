"""The file of labelled pairs: questions with an entry's prompt, and whether the two have one answer."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Literal, TypeAlias

import msgspec

__all__ = ["LabelFile", "LabelSource"]

LabelSource: TypeAlias = Literal["verdict", "shadow"]

_FLAGS = (
    os.O_RDWR
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_BINARY", 0)  # Windows would write line ends of its own
    | getattr(os, "O_NONBLOCK", 0)  # so that opening a named pipe does not wait for its reader
)


class _Line(msgspec.Struct):
    question: str
    prompt: str
    same: bool
    similarity: float | None
    source: LabelSource
    at: str


class LabelFile:
    """Appends to a file of JSON lines, which several processes may share. It is made when it is first needed,
    for its owner alone, since prompts are private.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def append(
        self, question: str, prompt: str, same: bool, similarity: float | None, source: LabelSource
    ) -> None:
        """Write one line. Raises `OSError`, and `ValueError` for text that can't be written as UTF-8."""
        at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        line = msgspec.json.encode(_Line(question, prompt, same, similarity, source, at)) + b"\n"
        file = os.open(self._path, _FLAGS, 0o600)
        try:
            if os.lseek(file, 0, os.SEEK_END):
                os.lseek(file, -1, os.SEEK_END)
                if os.read(file, 1) != b"\n":  # a line that was cut short, or an editor's last one
                    line = b"\n" + line
            # One write, so that lines of several processes don't mix.
            written = os.write(file, line)
        finally:
            os.close(file)
        if written < len(line):
            raise OSError(f"only {written} of {len(line)} bytes could be written")
