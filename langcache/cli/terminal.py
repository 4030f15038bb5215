"""What a command shows: colours where there is a terminal, progress, tables, JSON."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

import msgspec

from ..models import Model
from .messages import failed

__all__ = [
    "Colours",
    "Progress",
    "discard_output",
    "one_line",
    "output_failed",
    "print_json",
    "print_table",
    "printable",
    "stdin",
    "stdin_text",
    "write_line",
]

_WIDTH = 24
"""Characters of a bar."""

_REDRAW_SECONDS = 0.1


class Colours:
    """Marks of a text for one stream: none unless that is a terminal.

    The variable ``NO_COLOR`` turns them off and ``FORCE_COLOR`` on, whatever they are set to; of both the
    first counts. An empty variable counts for nothing.
    """

    def __init__(self, stream: TextIO) -> None:
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            self._on = False
        else:
            self._on = bool(os.environ.get("FORCE_COLOR")) or stream.isatty()

    def bold(self, text: str) -> str:
        """For headings."""
        return self._marked("1", text)

    def dim(self, text: str) -> str:
        """For what matters less."""
        return self._marked("2", text)

    def good(self, text: str) -> str:
        """For a hit, and for what is as it should be."""
        return self._marked("32", text)

    def bad(self, text: str) -> str:
        """For what is wrong."""
        return self._marked("31", text)

    def doubtful(self, text: str) -> str:
        """For a miss, and for what may be meant."""
        return self._marked("33", text)

    def _marked(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._on else text


class Progress:
    """Reports on stderr how much is done: a bar on a terminal, elsewhere a line at each tenth.

    Without a total, a terminal gets a count and nothing else does. Use it under ``with``, so that what is
    printed next begins on a line of its own.
    """

    def __init__(self, done: str, things: str) -> None:
        self._words = done, things
        self._changes = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._open = False
        self._tenths = 0
        self._drawn = float("-inf")
        self._began = time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        """Report. It may be called for each thing: a terminal is drawn to at most ten times in a second."""
        verb, things = self._words
        now = time.monotonic()
        if self._changes:
            if now - self._drawn < _REDRAW_SECONDS and done != total:
                return
            self._open, self._drawn = True, now
            print(f"\r\x1b[K{self._line(done, total, now)}", end="", file=sys.stderr, flush=True)
        elif total and done * 10 // total > self._tenths:
            self._tenths = done * 10 // total
            print(f"{verb} {done:,} of {total:,} {things}", file=sys.stderr, flush=True)

    def _line(self, done: int, total: int | None, now: float) -> str:
        verb, things = self._words
        if not total:
            return f"{verb} {done:,} {things}"
        full = min(done * _WIDTH // total, _WIDTH)
        line = f"[{'#' * full}{'.' * (_WIDTH - full)}] {verb} {done:,} of {total:,} {things}"
        if 0 < done < total:
            line += f", {_time((now - self._began) / done * (total - done))} left"
        return line

    def end(self) -> None:
        """End the line that is drawn."""
        if self._open:
            self._open = False
            print(file=sys.stderr)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def _time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def discard_output() -> None:
    """Have what is left in the buffer of stdout go nowhere: at its exit Python would report an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def output_failed(error: OSError, more: str = "") -> int:
    """Say that no output can be written, to a disk that is full perhaps, and discard what is left of it.

    Returns the exit status. ``more`` is said behind the reason.
    """
    discard_output()
    return failed(f"can't write the output: {error.strerror or error}{more}")


def print_json(value: Model | Sequence[Model] | object) -> None:
    """Print a value as JSON; a model, or a list of models, with names as on the wire."""
    dumped: Any = value
    if isinstance(value, Model):
        dumped = value.model_dump(mode="json", by_alias=True)
    elif isinstance(value, list):
        dumped = [
            each.model_dump(mode="json", by_alias=True) if isinstance(each, Model) else each
            for each in value  # pyright: ignore[reportUnknownVariableType]
        ]
    write_line(msgspec.json.format(msgspec.json.encode(dumped), indent=2))


def write_line(line: bytes) -> None:
    """Write a line of JSON to stdout, in UTF-8 whatever the terminal has."""
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        print(line.decode())
        return
    sys.stdout.flush()
    binary.write(line + b"\n")
    binary.flush()


def stdin() -> TextIO:
    """What comes in. Raises `ValueError` if it is closed."""
    if sys.stdin is None:
        raise ValueError("-: stdin is closed")
    return sys.stdin


def stdin_text() -> str:
    """All that comes in, without the line end after it. Raises `ValueError` if it is closed or no text."""
    stream = stdin()
    try:
        text = stream.read()
        text.encode(stream.encoding or "utf-8")  # Python reads wrong bytes as surrogates if LC_ALL is C, say
    except UnicodeError:
        raise ValueError(f"-: stdin is not {(stream.encoding or 'utf-8').upper()}") from None
    return text.removeprefix("\N{BOM}").removesuffix("\n")


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns; the first row has their names."""
    rows = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def printable(text: str) -> str:
    """A text of a cache without characters that could control a terminal."""
    return "".join(
        each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}" for each in text
    )


def one_line(text: str) -> str:
    """The same on one line."""
    return " ".join(printable(text).split())
