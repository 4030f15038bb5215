"""Entries from lines: JSON lines as ``export`` writes them, logs, and tables."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, cast

import msgspec

from .terminal import stdin

__all__ = [
    "BOM",
    "FORMATS",
    "Fields",
    "Line",
    "NewEntry",
    "count_lines",
    "encoded",
    "format_of",
    "opened",
    "read_lines",
]

Format = Literal["jsonl", "csv", "tsv"]
FORMATS: tuple[Format, ...] = ("jsonl", "csv", "tsv")

BOM = b"\xef\xbb\xbf"
"""What some programs begin a file in UTF-8 with."""

_MOST_CHARS = 2**24
"""The longest cell of a table. The module csv stops at 131,072."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class NewEntry(msgspec.Struct, frozen=True):
    """An entry to store."""

    prompt: str
    response: str
    attributes: dict[str, str]
    expires_at: int | None
    """When it expires, in milliseconds since the epoch. None: never, or as the cache says."""


class Line(NamedTuple):
    """What a line has: an entry, or a reason why it has none. None of both: it is not about an entry."""

    number: int
    entry: NewEntry | None
    reason: str | None


class Fields(NamedTuple):
    """Where in a line the parts of an entry are.

    A name with dots leads into objects and lists: ``choices.0.message.content``; a field that is called so as
    a whole goes before that. A negative number counts from the end.
    """

    prompt: str = "prompt"
    response: str = "response"
    attributes: Mapping[str, str] | None = None
    """The field of each attribute. None: all that the object ``attributes`` has."""

    skip: bool = False
    """Whether a line without prompt or response is passed over, as most lines of a log are."""


def format_of(file: str) -> Format:
    """The format that the end of a file's name tells; JSON lines if it tells none."""
    end = Path(file).suffix.lower()
    return "csv" if end == ".csv" else "tsv" if end in (".tsv", ".tab") else "jsonl"


def encoded(entry: Any) -> bytes:
    """A line of JSON with an entry, as it is read again: an `Entry` of a store, or a `NewEntry`."""
    fields: dict[str, Any] = {"prompt": entry.prompt, "response": entry.response}
    if entry.attributes:
        fields["attributes"] = entry.attributes
    if entry.expires_at is not None:
        when = datetime.fromtimestamp(entry.expires_at // 1000, timezone.utc)
        fields["expires_at"] = f"{when:%Y-%m-%dT%H:%M:%S}.{entry.expires_at % 1000:03}Z"
    return _encode(fields)


@contextmanager
def opened(file: str) -> Generator[IO[bytes], None, None]:
    """The lines of a file, or of stdin for ``-``. Raises `OSError`, and `ValueError` if stdin is closed."""
    if file == "-":
        yield stdin().buffer
        return
    with Path(file).open("rb") as lines:
        yield lines


def count_lines(file: str) -> int | None:
    """How many lines a file has, for a progress bar; None if it can be read once only."""
    if file == "-" or not Path(file).is_file():
        return None
    with Path(file).open("rb") as lines:
        return sum(1 for _ in lines)


def read_lines(file: str, form: Format, fields: Fields) -> Iterator[Line]:
    """The lines of a file, or of stdin for ``-``. Raises `OSError`."""
    with opened(file) as lines:
        yield from _of_json(lines, fields) if form == "jsonl" else _of_table(lines, form, fields)


def _of_json(lines: Iterable[bytes], fields: Fields) -> Iterator[Line]:
    for number, raw in enumerate(lines, 1):
        line = raw.removeprefix(BOM) if number == 1 else raw
        if not line.strip():
            continue
        try:
            content = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield Line(number, None, None if fields.skip else "is not JSON")
        else:
            yield _line(number, content, fields)


def _of_table(content: Iterable[bytes], form: Format, fields: Fields) -> Iterator[Line]:
    lines = iter(content)
    first = next(lines, None)
    if first is None:
        return
    delimiter = "\t" if form == "tsv" else ";" if b";" in first and b"," not in first else ","
    later = (raw.decode("utf-8", "replace") for raw in lines)
    texts = chain([first.decode("utf-8-sig", "replace")], later)
    csv.field_size_limit(_MOST_CHARS)
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
    names: list[str] | None = None
    while True:
        number = reader.line_num + 1  # of the line with which a row begins
        try:
            row = next(reader, None)
        except csv.Error as error:
            hint = "; does a cell lack its second quote?" if reader.line_num > number else ""
            yield Line(number, None, f"can't be read: {error}{hint}")
            continue
        if row is None:
            return
        if names is None:
            names = row
            _check_names(names, fields)
        elif len(row) > len(names):
            yield Line(number, None, f"has {len(row)} cells, and the first line has {len(names)}")
        elif any("\N{REPLACEMENT CHARACTER}" in cell for cell in row):
            yield Line(number, None, "is not UTF-8")
        elif any(row):
            yield _line(number, dict(zip(names, row, strict=False)), fields)


def _check_names(names: Sequence[str], fields: Fields) -> None:
    """Raise `ValueError` unless a table has each column once: without them no line would have an entry."""
    wanted = [("--prompt-field", fields.prompt), ("--response-field", fields.response)]
    wanted += [("--attribute", field) for field in (fields.attributes or {}).values()]
    for option, field in wanted:
        if field not in names:
            raise ValueError(
                f"{option}: no column of the table is called {field!r}; its first line has "
                f"{', '.join(repr(each) for each in names) or 'no names'}"
            )
        if names.count(field) > 1:
            raise ValueError(f"{option}: several columns of the table are called {field!r}")


def _line(number: int, content: Any, fields: Fields) -> Line:
    try:
        prompt, response = _field(content, fields.prompt), _field(content, fields.response)
        if fields.skip and (prompt is None or response is None):
            return Line(number, None, None)
        entry = NewEntry(
            _text(fields.prompt, prompt),
            _text(fields.response, response),
            _attributes(content, fields.attributes),
            _expiry(_field(content, "expires_at")),
        )
    except ValueError as error:
        return Line(number, None, f"{error}")
    return Line(number, entry, None)


def _field(content: Any, path: str) -> Any:
    """What a line has at a path; None if it has nothing there."""
    if isinstance(content, dict) and path in content:
        return cast("dict[str, Any]", content)[path]
    for name in path.split("."):
        if isinstance(content, dict):
            content = cast("dict[str, Any]", content).get(name)
        elif isinstance(content, list):
            try:
                content = cast("Sequence[Any]", content)[int(name)]
            except (ValueError, IndexError):
                return None
        else:
            return None
    return cast("Any", content)


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"has no {name}" if value is None else f"{name} is no text")


def _attributes(content: Any, fields: Mapping[str, str] | None) -> dict[str, str]:
    if fields is None:
        found: object = _field(content, "attributes") or {}
        if not isinstance(found, dict):
            raise ValueError("attributes are no object")
        named = cast("dict[str, Any]", found)
    else:
        values = {name: _field(content, field) for name, field in fields.items()}
        named = {name: value for name, value in values.items() if value not in (None, "")}
    return {name: _value(name, value) for name, value in named.items()}


def _value(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int):  # true and false too, as they are in JSON
        return str(value).lower()
    raise ValueError(f"attribute {name} is no text")


def _expiry(value: Any) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        when = datetime.fromisoformat(f"{value}".replace("Z", "+00:00"))  # Python 3.10 knows no Z
    except ValueError:
        raise ValueError("expires_at is no time, such as 2030-01-31T12:00:00Z or milliseconds") from None
    when = when if when.tzinfo is not None else when.replace(tzinfo=timezone.utc)
    return (when - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)
