"""Fingerprints of JSON values: equal for equal values alone, and the same in every process.

Two values have one fingerprint only if they are the same JSON: ``1``, ``1.0``, ``True`` and ``"1"`` differ,
and so do ``0.0`` and ``-0.0``, and texts in different forms of Unicode. The order of keys does not count.
"""

from __future__ import annotations

import enum
import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from ..aside.differences import has_fields, state_of

__all__ = ["NotJsonError", "canonical", "fields_of", "fingerprint"]

_DEEPEST = 100
_MOST = 100_000


class NotJsonError(ValueError):
    """A value has no fingerprint, since it is no JSON. The message quotes nothing of it."""

    def __init__(self, message: str, *, of_value: bool = False) -> None:
        super().__init__(message)
        self.of_value = of_value
        """Whether another value of the same type may have one."""


def fingerprint(value: object) -> str:
    """The fingerprint of a JSON value: 64 hexadecimal digits. Raises as `canonical` does."""
    return hashlib.sha256(canonical(value)).hexdigest()


def canonical(value: object) -> bytes:
    """The one text of a JSON value, in UTF-8.

    Tuples count as lists and mappings as dicts. A pydantic model, as SDKs have them, a dataclass, an attrs
    class and a msgspec Struct count as the name of their class and their fields, and so does a named tuple,
    or a list, dict or text of a class of one's own that keeps more than its items; a member of an enum counts
    as its name, or, if it is a text or a number too, as that.

    Raises:
        NotJsonError: the value, or a part of it, is none that JSON has: a number that is not finite, a key
            that is no str, bytes, another object; or it is nested more than 100 deep, or in itself, or has
            more than 100,000 lists and dicts.
    """
    try:
        text = _encode(value if _is_plain(value) else _plain(value, 0, itertools.count()))
    except NotJsonError:
        raise
    except RecursionError:  # of a program that has nearly used up its stack already
        raise NotJsonError("is nested too deep", of_value=True) from None
    except ValueError:  # whose message quotes the number
        raise NotJsonError("has a number that is not finite, or too long", of_value=True) from None
    # By themselves, lone surrogates are encoded too, each in its own way.
    return text.encode("utf-8", "surrogatepass")


def fields_of(value: object) -> dict[str, Any] | None:
    """The fields of a pydantic model, dataclass, attrs class or msgspec Struct that are not None; else None.

    They are all that it keeps, and more than its serializer may send.
    """
    if isinstance(value, type) or not has_fields(type(value)):
        return None
    try:
        fields = state_of(value)
    except Exception:  # of a property, say, whose message may quote the value
        raise NotJsonError(f"has a value of type {_name(type(value))}, which can't be read") from None
    extra = fields.pop("__pydantic_extra__", None)
    if isinstance(extra, dict):
        fields.update(cast("dict[str, Any]", extra))
    return {name: each for name, each in fields.items() if each is not None}


_encode = json.JSONEncoder(
    ensure_ascii=False,  # else two lone surrogates would be written like the one character of the pair
    check_circular=False,  # `_is_plain` has seen to that
    allow_nan=False,
    sort_keys=True,
    separators=(",", ":"),
).encode

_SCALARS = frozenset({str, int, float, bool, type(None)})
_STR = frozenset({str})
_BASES = (list, tuple, dict, str, int, float)


def _is_plain(value: object) -> bool:
    """Whether a value has nothing but what the encoder knows.

    Raises `NotJsonError` for what it takes wrongly: keys that are no texts, and what is too large when it is
    written out.
    """
    level: list[object] = [value]
    left = _MOST
    for _ in range(_DEEPEST):
        inner: list[object] = []
        for part in level:
            if type(part) is dict:
                fields = cast("dict[object, object]", part)
                if not _STR.issuperset(map(type, fields)):
                    _check_keys(fields)
                inner += [each for each in fields.values() if type(each) not in _SCALARS]
            elif type(part) is list or type(part) is tuple:
                inner += [each for each in cast("list[object]", part) if type(each) not in _SCALARS]
            elif type(part) not in _SCALARS:
                return False
        if not inner:
            return True
        left -= len(inner)
        if left < 0:
            break
        level = inner
    raise _too_large()


def _plain(value: object, depth: int, count: Iterator[int]) -> object:
    """A value of dicts, lists and scalars in place of one that has objects in it."""
    if type(value) in _SCALARS:
        return value
    if depth > _DEEPEST or next(count) > _MOST:
        raise _too_large()
    if isinstance(value, enum.Enum):
        if isinstance(value, str | int | float):
            return value
        # Members of a Flag that are a combination have no name before Python 3.11.
        member: Any = value
        return {f"<{_name(type(value))}>": member.value if member.name is None else member.name}
    given: Any = value
    kind: Any = type(value)
    fields = fields_of(value)
    if isinstance(value, list | tuple):
        items: Any = [_plain(each, depth + 1, count) for each in given]
    elif isinstance(value, dict) or (fields is None and isinstance(value, Mapping)):
        _check_keys(given)
        items = {key: _plain(each, depth + 1, count) for key, each in dict(given).items()}
    elif isinstance(value, str | int | float):
        items = value
    elif fields is not None:  # with the class, since others may have the same fields and mean something else
        return {f"<{_name(type(value))}>": _plain(fields, depth + 1, count)}
    else:
        what = f"the class {_name(given)}" if isinstance(value, type) else f"a value of type {_name(kind)}"
        raise NotJsonError(f"has {what}, which is no JSON")
    # A class of one's own that is derived from one of Python's may keep more than its items.
    kept = state_of(given) if fields is None and isinstance(value, _BASES) else fields
    if kept and isinstance(value, defaultdict):
        kept.pop("default_factory", None)
    if kept or hasattr(kind, "_fields"):  # the latter of a named tuple
        return {f"<{_name(kind)}>": [items, _plain(kept, depth + 1, count)]}
    return items


def _check_keys(fields: Iterable[object]) -> None:
    for key in fields:
        if not isinstance(key, str):  # the encoder takes 1 and "1" for the same key
            raise NotJsonError(f"has a key that is {type(key).__name__} instead of str")


def _too_large() -> NotJsonError:
    return NotJsonError(
        f"is nested more than {_DEEPEST} deep, or has more than {_MOST:,} parts", of_value=True
    )


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
