"""Searches of an index in Redis: the commands, and what their replies say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec

from ..embedders import Vectors
from .redis_calls import Command
from .store import NEVER, StoreError

__all__ = [
    "MOST",
    "Hit",
    "Hits",
    "by_tags",
    "count",
    "difference",
    "in_millionths",
    "is_complete",
    "nearest",
    "oldest",
    "page",
    "read",
    "whole_number",
]

MOST = 10_000
"""The most entries of one search. Redis has a limit of its own that is no lower unless it is told so."""

_FIELDS = ("expires_at", "number")

_INEXACT = 0.01
"""By how much a distance may be beyond 0 to 2: lengths of vectors are not quite 1."""


class Hit(msgspec.Struct, frozen=True, gc=False):
    """An entry in a reply."""

    key: bytes
    number: int
    """Entries that were added later have higher numbers."""
    similarity: float
    """(1 + cos) / 2, to 6 decimals; 0.5 if no distance was asked for."""
    expires_at: int
    """In milliseconds since the epoch. 0 for what has gone, or is no entry; `NEVER` for one that stays."""
    entry: bytes | None
    """What is in it, if that was asked for."""


class Hits(msgspec.Struct, frozen=True):
    """What a search found."""

    hits: Sequence[Hit]
    are_all: bool
    """Whether there are no more that match."""


def in_millionths(similarity: float) -> float:
    """A similarity to 6 decimals, from 0 to 1. Those of vectors whose length is not quite 1 may be beyond."""
    return round(min(max(similarity, 0.0), 1.0), 6)


def by_tags(index: str, all_of: Sequence[str], limit: int, whole: bool, millis: int) -> Command:
    """The newest entries with all of some tags; ``whole`` with what is in them."""
    limit = min(limit, MOST)
    returned = _returned("entry") if whole else _returned()
    return (
        *("FT.SEARCH", index, _having(all_of), "SORTBY", "number", "DESC", "LIMIT", 0, limit),
        *(*returned, "TIMEOUT", millis, "DIALECT", 2),
    )


def nearest(
    index: str, vector: Vectors, all_of: Sequence[str], limit: int, whole: bool, millis: int
) -> Command:
    """The entries nearest to a vector that have all of some tags; ``whole`` with what is in them."""
    limit = min(limit, MOST)
    query = f"({_having(all_of)})=>[KNN {limit} @vector $given AS distance]"
    returned = _returned("distance", "entry") if whole else _returned("distance")
    return (
        *("FT.SEARCH", index, query, "PARAMS", 2, "given", vector.tobytes(), "SORTBY", "distance", "ASC"),
        *("LIMIT", 0, limit, *returned, "TIMEOUT", millis, "DIALECT", 2),
    )


def page(index: str, all_of: Sequence[str], last: int | None, limit: int, millis: int) -> Command:
    """Some entries with all of some tags and with numbers up to ``last``, without what is in them."""
    numbered = "" if last is None else f" @number:[-inf {last}]"
    query = _having(all_of) if all_of or not numbered else ""
    return (
        *("FT.SEARCH", index, f"{query}{numbered}".strip(), "LIMIT", 0, limit),
        *(*_returned(), "TIMEOUT", millis, "DIALECT", 2),
    )


def oldest(index: str, limit: int, millis: int) -> Command:
    """The entries that were added first, without what is in them."""
    return (
        *("FT.SEARCH", index, "*", "SORTBY", "number", "ASC", "LIMIT", 0, limit),
        *(*_returned(), "TIMEOUT", millis, "DIALECT", 2),
    )


def _returned(*more: str) -> Command:
    return ("RETURN", len(_FIELDS) + len(more), *_FIELDS, *more)


def _having(all_of: Iterable[str]) -> str:
    return " ".join(f"@tags:{{{tag}}}" for tag in all_of) or "*"


def read(reply: Any, asked: int) -> Hits:
    """What a search found. Raises `StoreError` if Redis says that there may be more."""
    try:
        if isinstance(reply, dict):
            named = _mapping(reply)
            warnings, total = named.get(b"warning"), int(named.get(b"total_results", 0))
            results = map(_mapping, _sequence(named[b"results"]))
            hits = [_hit(result[b"id"], result.get(b"extra_attributes")) for result in results]
        else:  # of a module that does not know version 3 of the protocol
            warnings = None
            total, *pairs = _sequence(reply)
            hits = [_hit(key, found) for key, found in zip(pairs[::2], pairs[1::2], strict=True)]
        are_all = max(total, len(hits)) < min(asked, MOST)
    except (KeyError, TypeError, ValueError):
        raise StoreError("Redis answered a search in a way that is not known here") from None
    if warnings:
        raise StoreError(f"a search was not finished: {warnings!r}")
    return Hits(hits, are_all)


def is_complete(info: Any) -> bool:
    """Whether an index has all entries, by the reply to FT.INFO."""
    known = _mapping(info)
    try:
        return not int(float(known[b"indexing"])) and float(known[b"percent_indexed"]) >= 1
    except (KeyError, ValueError, TypeError):
        raise StoreError("Redis describes an index in a way that is not known here") from None


def difference(info: Any, definition: Mapping[str, Mapping[str, Any]]) -> str | None:
    """In what an index is not as it was defined, by the reply to FT.INFO. None: in nothing.

    What Redis does not tell is taken to be right: versions tell different things.
    """
    try:
        known = _mapping(info)
        told = {"index": _mapping(known.get(b"index_definition"))}
        fields = known.get(b"attributes")
        for listed in _sequence([] if fields is None else fields):
            field = _mapping(listed, strict=False)  # it may end with flags, which have no values
            name: bytes = field[b"attribute"]
            told[name.decode()] = {**field, b"indexed": b"NOINDEX" not in field.get(b"flags", ())}
    except (KeyError, ValueError, TypeError, AttributeError):
        raise StoreError("Redis describes an index in a way that is not known here") from None
    for part, facts in definition.items():
        if fields is not None and part not in told:
            return f"it has no field {part}"
        for fact, right in facts.items():
            there, due = _text(told.get(part, {}).get(fact.encode(), right)), _text(right)
            if there != due:
                return f"{part} has {fact} {there}, and not {due}"
    return None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else f"{value}"


def count(info: Any) -> int:
    """How many entries an index has, by the reply to FT.INFO."""
    return int(float(_mapping(info).get(b"num_docs", 0)))


def _hit(key: bytes, found: Any) -> Hit:
    # Redis lists some entries for a moment longer than it has them, and whoever may write under our names may
    # write what is no entry. Neither is ever found, and clearing the cache deletes it.
    fields = _mapping(found)
    number, expires_at = (
        whole_number(fields.get(b"number")),
        whole_number(fields.get(b"expires_at", b"%d" % NEVER)),
    )
    distance = _distance(fields.get(b"distance"))
    if number is None or expires_at is None or distance is None:
        return Hit(key, 0, 0.0, 0, None)
    return Hit(key, number, in_millionths(1 - distance / 2), expires_at, fields.get(b"entry"))


def whole_number(value: bytes | None) -> int | None:
    """The number that a field has. None if it has none, or something else."""
    try:
        return None if value is None else int(value if value.isdigit() else float(value))
    except (ValueError, OverflowError, AttributeError):
        return None


def _distance(value: bytes | None) -> float | None:
    """The distance of two unit vectors, 1 if none was asked for. None if it is that of others."""
    try:
        distance = 1.0 if value is None else float(value)
    except ValueError:
        return None
    return distance if -_INEXACT <= distance <= 2 + _INEXACT else None


def _mapping(value: Any, strict: bool = True) -> dict[bytes, Any]:
    """A mapping, which may have come as a list of names and values."""
    if isinstance(value, dict):
        return cast("dict[bytes, Any]", value)
    listed = [] if value is None else _sequence(value)
    return dict(zip(listed[::2], listed[1::2], strict=strict))


def _sequence(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"a list is due, and not {type(value).__name__}")
    listed: list[Any] = cast(Any, value)
    return listed
