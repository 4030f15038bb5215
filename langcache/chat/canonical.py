"""Fingerprints of JSON values: equal for equal values alone, and the same in every process.

Two values have one fingerprint only if they are the same JSON: ``1``, ``1.0``, ``True`` and ``"1"`` differ,
and so do ``0.0`` and ``-0.0``, and texts in different forms of Unicode. The order of keys does not count.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Iterable, Mapping
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
    class and a msgspec Struct count as the name of their class and their fields, a member of an enum as its
    name.

    Raises:
        NotJsonError: the value, or a part of it, is none that JSON has: a number that is not finite, a key
            that is no str, bytes, another object; or it is nested more than 100 deep, or in itself, or has
            more than 100,000 lists and dicts.
    """
    _check(value)
    try:
        text = _encode(value)
    except NotJsonError:
        raise
    except RecursionError:
        raise NotJsonError("is nested too deep", of_value=True) from None
    except (TypeError, ValueError):  # whose messages may quote the value
        raise NotJsonError("has a number that is not finite, or too long", of_value=True) from None
    # By themselves, lone surrogates are encoded too, each in its own way.
    return text.encode("utf-8", "surrogatepass")


def _check(value: object) -> None:
    """Check what the encoder does not: that keys are texts, and how large a value is when written out."""
    level: list[object] = [value]
    left = _MOST
    for _ in range(_DEEPEST):
        inner: list[object] = []
        for part in level:
            if isinstance(part, dict):
                fields = cast("dict[object, object]", part)
                if not _STR.issuperset(map(type, fields)):
                    _check_keys(fields)
                inner += [each for each in fields.values() if type(each) not in _SCALARS]
            elif isinstance(part, list | tuple):
                inner += [each for each in cast("list[object]", part) if type(each) not in _SCALARS]
        if not inner:
            return
        left -= len(inner)
        if left < 0:
            break
        level = inner
    limits = f"{_DEEPEST} deep, or has more than {_MOST:,} parts"
    raise NotJsonError(f"is nested more than {limits}", of_value=True)


def _check_keys(fields: Iterable[object]) -> None:
    for key in fields:
        if not isinstance(key, str):  # the encoder takes 1 and "1" for the same key
            raise NotJsonError(f"has a key that is {type(key).__name__} instead of str")


_STR = frozenset({str})
_SCALARS = frozenset({str, int, float, bool, type(None)})


def fields_of(value: object) -> dict[str, Any] | None:
    """The fields of a pydantic model, dataclass, attrs class or msgspec Struct that are not None; else None.

    They are all that it keeps, and more than its serializer may send.
    """
    if isinstance(value, type) or not has_fields(type(value)):
        return None
    fields = state_of(value)
    extra = fields.pop("__pydantic_extra__", None)
    if isinstance(extra, dict):
        fields.update(cast("dict[str, Any]", extra))
    return {name: each for name, each in fields.items() if each is not None}


def _default(value: object) -> Any:
    kind = type(value)
    given: Any = value
    if isinstance(value, Mapping):
        inside = dict(given)
    elif isinstance(value, enum.Enum):
        return {f"<{_name(kind)}>": value.name}
    elif (fields := fields_of(value)) is not None:
        inside = {f"<{_name(kind)}>": fields}  # classes may have the same fields and mean something else
    else:
        what = f"the class {_name(value)}" if isinstance(value, type) else f"a value of type {_name(kind)}"
        raise NotJsonError(f"has {what}, which is no JSON")
    _check(inside)
    return inside


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


_encode = json.JSONEncoder(
    ensure_ascii=False,  # else two lone surrogates would be written like the one character of the pair
    check_circular=False,  # `_check` has seen to that
    allow_nan=False,
    sort_keys=True,
    separators=(",", ":"),
    default=_default,
).encode
