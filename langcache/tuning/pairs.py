"""Labelled pairs of questions, and the files that they come in: JSON lines, TSV, CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from .._checks import check_number, check_text, short, wrong_type

__all__ = ["Pair", "checked_pairs", "read_pairs"]


class Pair(msgspec.Struct, frozen=True):
    """A question, the prompt of an entry, and whether the entry's answer is right for the question.

    Raises `TypeError` or `ValueError` for anything else.
    """

    question: str
    """What is asked. Not empty."""

    prompt: str
    """What an answer is stored under. Not empty."""

    same: bool
    """True if the answer to the one is the answer to the other."""

    similarity: float | None = None
    """The similarity that a service gave the entry, 0 to 1. None: it is not known."""

    def __post_init__(self) -> None:
        for name in ("question", "prompt"):
            if not check_text(name, getattr(self, name)).strip():
                raise ValueError(f"{name}: must be a text, but is empty")
        if not isinstance(self.same, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise wrong_type("same", "bool", self.same)
        if self.similarity is not None:
            similarity = float(check_number("similarity", self.similarity, minimum=0, maximum=1))
            msgspec.structs.force_setattr(self, "similarity", similarity)


_SAME = "1 1.0 true t yes y same duplicate paraphrase equivalent equal match positive"
_DIFFERENT = (
    "0 0.0 false f no n different distinct notduplicate nonduplicate nearmiss unrelated notequivalent "
    "notequal notsame mismatch nomatch negative"
)
_LABELS = {**dict.fromkeys(_SAME.split(), True), **dict.fromkeys(_DIFFERENT.split(), False)}
_LABELS_SHOWN = "1 or 0, true or false, yes or no, same or different, duplicate or not duplicate"

_NAMES = {
    "question": "question question1 query query1 sentence1 text1 prompt1 q1 s1 a asked",
    "prompt": "prompt question2 query2 sentence2 text2 prompt2 q2 s2 b saved stored cached",
    "same": "same label isduplicate duplicate issame isparaphrase paraphrase isequivalent equivalent ismatch",
    "similarity": "similarity",
}
_FIELDS = {name: field for field, names in _NAMES.items() for name in names.split()}
_COLUMNS = "question, prompt and same (or question1, question2, label, and other usual names)"

_JSON, _TSV, _CSV = "JSON lines", "tab-separated", "comma-separated"
_KINDS = {".jsonl": _JSON, ".ndjson": _JSON, ".tsv": _TSV, ".tab": _TSV, ".csv": _CSV}


class _Line(NamedTuple):
    number: int
    values: Mapping[str, Any]
    """By the names of the fields of `Pair`."""


def read_pairs(path: str | PathLike[str]) -> list[Pair]:
    """The pairs in a file.

    - ``.jsonl``, ``.ndjson``: an object on each line with ``question``, ``prompt``, ``same`` and maybe
      ``similarity``, such as cache-aside writes them. Other fields are ignored.
    - ``.tsv``, ``.csv``: columns that the first line names ``question``, ``prompt``, ``same`` and maybe
      ``similarity``, or other usual names such as ``sentence1``, ``sentence2``, ``label``; further columns
      are ignored. Without such a line, the first three columns are the texts and the label; the label comes
      first or last. Labels are ``1`` or ``0``, ``true`` or ``false``, ``yes`` or ``no``, ``same`` or
      ``different``, and so on. A CSV file may have semicolons in place of commas.
    - Any other file is taken for what its first line looks like.

    Raises:
        OSError: the file can't be read.
        ValueError: a line is no pair, or there is none. The message has the file and the number of the line.
    """
    path = Path(path)
    text = _decoded(path)
    try:
        kind = _KINDS.get(path.suffix.lower()) or _kind_of(text)
        lines = _json_lines(text) if kind == _JSON else _table(text, kind)
        pairs = [_pair(line) for line in lines]
    except _LineError as error:
        raise ValueError(f"{path}, line {error.number}: {error}") from None
    if not pairs:
        raise ValueError(f"{path}: has no pairs")
    return pairs


class _LineError(ValueError):
    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"  # as Excel writes them
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {number}: is not encoded as UTF-8; convert the file first") from None


def _kind_of(text: str) -> str:
    first = text.lstrip().partition("\n")[0]
    if first.startswith("["):
        raise _LineError(1, "looks like a JSON array; write one object on each line")
    if first.startswith("{"):
        return _JSON
    return _TSV if "\t" in first else _CSV


def _json_lines(text: str) -> Iterator[_Line]:
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines(): JSON may hold other line ends
        if not line.strip():
            continue
        try:
            found = msgspec.json.decode(line.encode(), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise _LineError(
                number,
                f'must be an object, such as {{"question": …, "prompt": …, "same": true}}, but {error}',
            ) from None
        yield _Line(number, _by_field(number, found))


def _by_field(number: int, found: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in found.items():
        field = _FIELDS.get(_plain(name))
        if field is not None and (field not in values or name == field):
            values[field] = value
    missing = [field for field in ("question", "prompt", "same") if field not in values]
    if missing:
        raise _LineError(number, f"has no {' and no '.join(map(repr, missing))}")
    return values


def _table(text: str, kind: str) -> Iterator[_Line]:
    rows = _tab_separated(text) if kind == _TSV else _comma_separated(text)
    first = next(rows, None)
    if first is None:
        return
    number, cells = first
    columns = _header(number, cells)
    if columns is None:
        columns = _columns_without_header(number, cells, kind)
        yield _row(number, cells, columns, kind)
    for number, cells in rows:
        yield _row(number, cells, columns, kind)


def _row(number: int, cells: Sequence[str], columns: Mapping[str, int], kind: str) -> _Line:
    needed = max(columns.values()) + 1
    if len(cells) < needed:
        what = "column" if len(cells) == 1 else "columns"
        hint = "" if kind == _TSV else "; put texts with commas between double quotes"
        raise _LineError(number, f"has {len(cells)} {what} where {needed} are due{hint}")
    return _Line(number, {field: cells[at] for field, at in columns.items()})


def _header(number: int, cells: Sequence[str]) -> dict[str, int] | None:
    """The columns by field, or None if the first line is a pair already."""
    columns: dict[str, int] = {}
    for at, cell in enumerate(cells):
        field = _FIELDS.get(_plain(cell))
        if field is not None:
            columns.setdefault(field, at)
    if {"question", "prompt", "same"} <= columns.keys():
        return columns
    if any(_plain(cell) in _LABELS for cell in (cells[0], *cells[2:3])):
        return None
    shown = short(", ".join(cells))
    raise _LineError(
        number,
        f"is neither a header nor a pair: {shown}; a header names the columns {_COLUMNS}, and a pair has two "
        f"texts with a label before or after them, which is {_LABELS_SHOWN}",
    )


def _columns_without_header(number: int, cells: Sequence[str], kind: str) -> dict[str, int]:
    if len(cells) < 3:
        _row(number, cells, {"same": 2}, kind)  # which raises
    labels = [at for at in (0, 2) if _plain(cells[at]) in _LABELS]
    if len(labels) == 2:
        raise _LineError(
            number,
            f"could have its label in the first column or in the third; let a first line name the columns "
            f"{_COLUMNS}",
        )
    return (
        {"question": 1, "prompt": 2, "same": 0} if labels == [0] else {"question": 0, "prompt": 1, "same": 2}
    )


def _tab_separated(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, [_unquoted(cell) for cell in line.removesuffix("\r").split("\t")]


def _unquoted(cell: str) -> str:
    # Spreadsheets put quotes around a cell that holds some; elsewhere quotes belong to the text.
    inner = cell[1:-1]
    if len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return cell


def _comma_separated(text: str) -> Iterator[tuple[int, list[str]]]:
    first = text.partition("\n")[0]
    delimiter = ";" if ";" in first and "," not in first else ","
    try:
        return iter(_csv_rows(text, delimiter, None))
    except _LineError:
        with suppress(_LineError):  # some programs write \" for a quote, in place of ""
            return iter(_csv_rows(text, delimiter, "\\"))
        raise


def _csv_rows(text: str, delimiter: str, escape: str | None) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, escapechar=escape, strict=True)
    rows: list[tuple[int, list[str]]] = []
    number = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((number, cells))
            number = reader.line_num + 1
    except csv.Error as error:
        raise _LineError(number, f"is not comma-separated: {error}") from None
    return rows


def _pair(line: _Line) -> Pair:
    values = dict(line.values)
    values["same"] = _label(line.number, values["same"])
    similarity = values.get("similarity")
    try:
        if isinstance(similarity, str):
            values["similarity"] = _number(similarity) if similarity.strip() else None
        return Pair(**values)
    except (TypeError, ValueError) as error:
        raise _LineError(line.number, str(error)) from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"similarity: must be a number from 0 to 1, such as 0.9, but is {short(text)}"
        ) from None


def _label(number: int, value: object) -> bool:
    if isinstance(value, bool):
        return value
    label = _LABELS.get(_plain(str(value))) if isinstance(value, str | int | float) else None
    if label is None:
        raise _LineError(number, f"{short(value)} is no label; a label is {_LABELS_SHOWN}")
    return label


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]+", "", name).casefold()


def checked_pairs(pairs: object) -> list[Pair]:
    """The pairs of an argument: a file, several files, `Pair`s or (question, prompt, same) tuples."""
    if isinstance(pairs, str | PathLike):
        return read_pairs(cast("str | PathLike[str]", pairs))
    kind = type(pairs).__name__
    if not isinstance(pairs, Iterable) or isinstance(pairs, bytes | Mapping):
        raise TypeError(
            f"pairs: must be a file, or an iterable of Pair or (question, prompt, same), but is {kind}"
        )
    found: list[Pair] = []
    files: set[Path] = set()
    for at, item in enumerate(cast("Iterable[object]", pairs)):
        if isinstance(item, Pair):
            found.append(item)
        elif isinstance(item, str | PathLike):
            file = Path(cast("str | PathLike[str]", item))
            if file.resolve() in files:  # what is certified would seem twice as sure as it is
                raise ValueError(f"pairs: {file} is given twice")
            files.add(file.resolve())
            found += read_pairs(file)
        else:
            found.append(_from_tuple(f"pairs[{at}]", item))
    return found


def _from_tuple(where: str, item: object) -> Pair:
    kind = type(item).__name__
    parts = tuple(cast("Sequence[Any]", item)) if isinstance(item, tuple | list) else ()
    if len(parts) not in (3, 4):
        hint = f" of {len(parts)}" if parts else ""
        raise TypeError(
            f"{where}: must be a Pair, a (question, prompt, same) tuple or a file, but is {kind}{hint}"
        )
    try:
        return Pair(*parts)
    except TypeError as error:
        raise TypeError(f"{where}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
