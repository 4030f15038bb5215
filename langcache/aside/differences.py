"""Where two values differ: whether they are equal, and of the same types all the way down."""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import struct
import sys
import uuid
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from types import MemberDescriptorType
from typing import Any, NamedTuple, cast

import msgspec

__all__ = [
    "Difference",
    "find_difference",
    "first_difference",
    "has_fields",
    "state_of",
    "type_name",
]

_POINTER = struct.calcsize("P")

_DEEPEST = 1_000
_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
_AS = "would come back as"
_ANOTHER = "would come back with another value"


_NO_SLOTS = frozenset({"__pydantic_fields_set__", "__dict__"})

_known_slots: weakref.WeakKeyDictionary[type, list[tuple[str, Any]]] = weakref.WeakKeyDictionary()


class _Absent:
    """Stands for what only one of two values has."""


_ABSENT = _Absent()

_Parts = Iterator[tuple[str, object, object]]
"""Where a part of two values is in them, and the part of either."""


class Difference(NamedTuple):
    """Where two values differ, and how. As text it quotes nothing of them."""

    where: str  # empty for the whole
    how: str
    in_type: bool = False

    def __str__(self) -> str:
        return f"{self.where or 'it'} {self.how}"


class _DiffersError(Exception):
    """Raised with how two values differ that have no part of which to say so."""


def first_difference(one: object, other: object) -> str | None:
    """Where two values differ and how, as in ``.lines[0].total is int and would come back as float``.

    None if they are the same: equal, and of the same types all the way down. What is nested more than
    1,000 deep, or in itself, counts as different, and so does what can't be compared. Items of a dict or a
    set are named by their position, and no value is quoted. Raises nothing.
    """
    difference = find_difference(one, other)
    return None if difference is None else str(difference)


def find_difference(one: object, other: object) -> Difference | None:
    """As `first_difference`, in parts."""
    comparison = _Comparison()
    place: list[str] = []
    # Not by recursion, since an answer may be nested deeper than Python calls functions.
    open_parts: list[_Parts] = [iter([("", one, other)])]
    try:
        while open_parts:
            part = next(open_parts[-1], None)
            if part is None:
                open_parts.pop()
                del place[-1:]  # which is empty at the end
                continue
            where, one, other = part
            if one is other:
                continue
            kind = type(one)
            if kind is not type(other):
                if not _are_fixed_offsets(one, other):
                    return Difference(_path(place, where), _of_other_types(one, other), in_type=True)
            elif kind in _PLAIN:
                if one == other if kind is not float else float.hex(one) == float.hex(other):  # type: ignore[arg-type]
                    continue
                return Difference(_path(place, where), _ANOTHER)
            if len(open_parts) > _DEEPEST:
                return Difference(_path(place, where), f"is nested more than {_DEEPEST:,} deep")
            place.append(where)
            open_parts.append(comparison.parts(one, other))
    except _DiffersError as difference:
        return Difference(_path(place), str(difference))
    except Exception as error:  # of an `__eq__`, a property and such
        return Difference(_path(place), f"can't be compared ({type(error).__name__})")
    return None


def _path(place: list[str], *last: str) -> str:
    whole = [where for where in (*place, *last) if where]  # the whole has no place
    return "".join(whole if len(whole) <= 20 else [*whole[:10], "...", *whole[-10:]])


def _of_other_types(one: object, other: object) -> str:
    if other is _ABSENT:
        return f"is {type_name(type(one))} and would not come back"
    if one is _ABSENT:
        return f"is not set and {_AS} {type_name(type(other))}"
    names = [type_name(type(one)), type_name(type(other))]
    if names[0] == names[1]:
        names = [f"{type(value).__module__}.{type_name(type(value))}" for value in (one, other)]
    return f"is {names[0]} and {_AS} {names[1]}"


def _class(value: object) -> Any:
    return type(value)


def type_name(type_: type) -> str:
    """The name of a type, for messages."""
    module, name = type_.__module__, type_.__qualname__.rpartition("<locals>.")[2]
    return f"numpy.{name}" if module == "numpy" else name  # float64, str_ and bool look like Python's


_CONTAINERS = (list, tuple, deque, dict, set, frozenset)


class _Comparison:
    """What two values of the same type are compared by. Keeps what it found out of their classes."""

    def __init__(self) -> None:
        self._numpy: Any = sys.modules.get("numpy")  # else nobody can have made an array

    def parts(self, one: Any, other: Any) -> _Parts:
        """The parts of two values, to compare in place of them. Raises `_DiffersError` if they differ."""
        kind = _class(one)
        if isinstance(one, _CONTAINERS):
            yield from _items(one, other)
            if kind in _CONTAINERS:
                return
        elif self._numpy is not None and isinstance(one, (self._numpy.ndarray, self._numpy.generic)):
            yield from _array(one, other)
            yield from self._state_parts(one, other)
            return
        elif isinstance(one, (enum.Enum, type)):
            raise _DiffersError(_ANOTHER)  # of a member or a class there is one
        elif _contents(one) != _contents(other):
            raise _DiffersError(_ANOTHER)
        elif isinstance(one, (datetime.datetime, datetime.time)):
            yield ".tzinfo", one.tzinfo, other.tzinfo
        elif _is_fixed_offset(one):
            return
        stateful = False
        for part in self._state_parts(one, other):
            stateful = True
            yield part
        equal: Any = kind.__eq__
        if equal in _COMPARED or has_fields(kind):
            return
        if equal is not object.__eq__:
            if (one == other) is not True:
                raise _DiffersError("is not equal to what would come back")
        elif not stateful or not all(_is_pythons(class_) for class_ in kind.__mro__[:-1]):
            raise _DiffersError(f"is {type_name(kind)}, which does not say what is equal to it")

    def _state_parts(self, one: Any, other: Any) -> _Parts:
        kind = _class(one)
        ones, others = _state(one, kind), _state(other, kind)
        for name in ones if ones.keys() == others.keys() else [*ones, *(others.keys() - ones.keys())]:
            mine, its = ones.get(name, _ABSENT), others.get(name, _ABSENT)
            if (mine is _ABSENT or its is _ABSENT) and _is_computed_once(kind, name):
                continue
            yield f".{name}", mine, its


def _state(value: Any, kind: type) -> dict[str, Any]:
    """All that an object keeps: in its `__dict__`, in slots and in pydantic's private attributes."""
    found: dict[str, Any] = {}
    attributes = getattr(value, "__dict__", None)
    if type(attributes) is dict:
        found.update(cast("dict[str, Any]", attributes))
    for name, slot in _slots(kind):
        try:
            found[name] = slot.__get__(value)
        except AttributeError:
            continue  # not set
    private = found.get("__pydantic_private__")
    if type(private) is dict:
        del found["__pydantic_private__"]
        found.update(cast("dict[str, Any]", private))
    # What `typing` notes of the alias by which an object was made, as in `Box[int](1)`.
    found.pop("__orig_class__", None)
    return found


def state_of(value: object) -> dict[str, Any]:
    """All that an object of Python keeps, by name, without what a `functools.cached_property` computed."""
    kind = type(value)
    return {name: each for name, each in _state(value, kind).items() if not _is_computed_once(kind, name)}


def _slots(kind: type) -> list[tuple[str, Any]]:
    known = _known_slots.get(kind)
    if known is None:
        known = _known_slots[kind] = [*_find_slots(kind)]
    return known


def _find_slots(kind: type) -> Iterable[tuple[str, Any]]:
    for class_ in kind.__mro__:
        if class_ in _OPAQUE or class_.__module__.partition(".")[0] == "pathlib":
            continue  # compared otherwise: it keeps there what is no part of the value, or what it computed
        for name, attribute in vars(class_).items():
            # Which fields were given and which left to their defaults is no part of a model's value.
            if type(attribute) is MemberDescriptorType and name not in _NO_SLOTS:
                yield name, attribute


def _is_computed_once(kind: type, name: str) -> bool:
    for class_ in kind.__mro__:
        if name in vars(class_):
            return isinstance(vars(class_)[name], functools.cached_property)
    return False


def has_fields(kind: Any) -> bool:
    """Whether a class is made of fields, all of which are its state, and by which alone its `==` compares."""
    return issubclass(kind, msgspec.Struct) or any(
        hasattr(kind, mark) for mark in ("__dataclass_fields__", "__attrs_attrs__", "__pydantic_validator__")
    )


def _is_pythons(class_: type) -> bool:
    """Whether a class was made by a class statement, so that all of its state can be seen.

    The objects of an extension module's class have room for more than slots, `__dict__` and `__weakref__`.
    """
    seen = object.__basicsize__ + _POINTER * (2 + len(_slots(class_)))
    return bool(class_.__flags__ & 1 << 9) and class_.__basicsize__ <= seen  # Py_TPFLAGS_HEAPTYPE


def _is_fixed_offset(value: object) -> bool:
    kind = type(value)
    return kind is datetime.timezone or (kind.__name__ == "TzInfo" and kind.__module__.startswith("pydantic"))


def _are_fixed_offsets(one: object, other: object) -> bool:
    """Whether two values are both time zones of one offset: pydantic gives its own kind for Python's."""
    return _is_fixed_offset(one) and _is_fixed_offset(other)


_OPAQUE = (
    *(str, bytes, bytearray, memoryview, int, float, complex, decimal.Decimal, uuid.UUID, PurePath),
    *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone),
)
"""Classes that are compared by what `_contents` says of an instance."""

_COMPARED: frozenset[Any] = frozenset(
    cast("type", class_).__eq__ for class_ in (*_OPAQUE, *_CONTAINERS, OrderedDict)
)
"""The `__eq__` that say no more of two values than was compared."""

_DATE = ("year", "month", "day")
_TIME = ("hour", "minute", "second", "microsecond", "fold")


def _contents(value: Any) -> object:
    """What tells a value from another of its class, of types whose `==` says all; None if there is none."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(memoryview(value))
    if isinstance(value, int):
        return int.__index__(value)
    if isinstance(value, float):
        return float.hex(value)  # tells -0.0 from 0.0, and says that a NaN is a NaN
    if isinstance(value, complex):
        return value.real.hex(), value.imag.hex()
    if isinstance(value, memoryview):
        return value.format, value.shape, value.tobytes()
    if isinstance(value, decimal.Decimal):
        return decimal.Decimal.as_tuple(value)  # tells 1.0 from 1.00
    if isinstance(value, uuid.UUID):
        return value.int  # and not `is_safe`, which says how it was made
    if isinstance(value, datetime.datetime):
        return [getattr(value, name) for name in _DATE + _TIME]
    if isinstance(value, datetime.date):
        return [getattr(value, name) for name in _DATE]
    if isinstance(value, datetime.time):
        return [getattr(value, name) for name in _TIME]
    if isinstance(value, datetime.timedelta):
        return value.days, value.seconds, value.microseconds
    if _is_fixed_offset(value):
        return value.utcoffset(None), value.tzname(None)
    if isinstance(value, PurePath):
        return str(value)
    return None


def _are_plain_and_same(ones: list[object], others: list[object]) -> bool:
    """Whether two lists hold the same plain values and nothing else, told at the speed of `==`."""
    kinds = [*map(type, ones)]
    return (
        _PLAIN.issuperset(kinds)
        and kinds == [*map(type, others)]
        and ones == others
        # Of plain values, only 0.0 equals another of its type: -0.0.
        and (0.0 not in ones or all(str(a) == str(b) for a, b in zip(ones, others, strict=True) if a == 0))
    )


def _items(one: Any, other: Any) -> _Parts:
    kind = _class(one)
    if kind in (list, tuple) and _are_plain_and_same([*one], [*other]):
        return iter(())
    if isinstance(one, dict):
        return _dict_items(one, other)
    if isinstance(one, (set, frozenset)):
        return _set_items(one, other)
    return _sequence_items(one, other, next(base for base in (list, tuple, deque) if isinstance(one, base)))


def _check_length(one: int, other: int) -> None:
    if one != other:
        raise _DiffersError(f"has {one} items and would come back with {other}")


def _sequence_items(one: Any, other: Any, base: Any) -> _Parts:
    _check_length(base.__len__(one), base.__len__(other))
    names = getattr(one, "_fields", ())  # of a named tuple
    # By the methods of the base, since those of a derived class need not tell what it holds.
    for index, (mine, its) in enumerate(zip(base.__iter__(one), base.__iter__(other), strict=True)):
        yield f".{names[index]}" if index < len(names) else f"[{index}]", mine, its
    if base is deque:
        yield ".maxlen", one.maxlen, other.maxlen


def _dict_items(one: Any, other: Any) -> _Parts:
    base: Any = OrderedDict if isinstance(one, OrderedDict) else dict
    _check_length(base.__len__(one), base.__len__(other))
    for index, ((key, mine), (its_key, its)) in enumerate(
        zip(base.items(one), base.items(other), strict=True)
    ):
        if key is not its_key:
            if key != its_key and base.keys(one) == base.keys(other):
                raise _DiffersError("would come back with its items in another order")
            yield f"[key {index}]", key, its_key
        # A key is not quoted, for it may be as secret as any other part of an answer.
        yield f"[value {index}]", mine, its


def _set_items(one: Any, other: Any) -> _Parts:
    _check_length(len(one), len(other))
    twins: dict[object, object] = {item: item for item in other}
    for item in one:
        if item not in twins:
            raise _DiffersError(_ANOTHER)
        yield "[an item]", item, twins[item]


def _array(one: Any, other: Any) -> _Parts:
    """NumPy arrays and scalars: by their bytes, since `==` gives an array and no answer."""
    if one.dtype != other.dtype or one.shape != other.shape:
        raise _DiffersError("would come back with another dtype or shape")
    if one.dtype.hasobject:  # whose bytes are addresses
        yield ".tolist()", one.tolist(), other.tolist()
    elif one.tobytes() != other.tobytes():
        raise _DiffersError(_ANOTHER)
