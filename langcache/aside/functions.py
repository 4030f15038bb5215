"""What tells the functions that compute answers from each other, and what they are called."""

from __future__ import annotations

import functools
import itertools
import sys
import weakref
from collections.abc import Hashable
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from .._call.forks import importing

__all__ = ["ByExactValue", "computation_key", "describe", "function_key", "hashable", "name_of", "plain_key"]

_DEPTH = 4  # of nested functions: a function may be in its own closure


class ByExactValue:
    """A hashable wrapper, equal if the values are equal and of the same types at every depth."""

    __slots__ = ("thing",)

    def __init__(self, thing: object) -> None:
        self.thing: object = thing

    def __eq__(self, other: object) -> bool:
        with importing:
            from .differences import first_difference  # imported late, since few programs compare two

        return isinstance(other, ByExactValue) and first_difference(self.thing, other.thing) is None

    def __hash__(self) -> int:
        kind = type(self.thing)
        # Of other types, equal values may have different hashes, such as NaN.
        return hash((kind, self.thing) if kind in _HASHED else kind)


_HASHED = frozenset({str, bytes, int, bool})


def hashable(thing: object) -> Hashable:
    """A key for a thing: itself if it can be hashed, else a wrapper that compares it by its exact value."""
    try:
        hash(thing)
    except TypeError:
        return ByExactValue(thing)
    return thing


class _ByIdentity:
    """A hashable wrapper, equal only if it wraps the same object, which it keeps alive."""

    __slots__ = ("_thing",)

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and self._thing is other._thing

    def __hash__(self) -> int:
        return id(self._thing)


def computation_key(make: object, depth: int = _DEPTH) -> Hashable:
    """A key that is equal for functions that compute the same: the same code, with the same bound values.

    Two lambdas from the same place in a program are equal unless the value of a variable in their closures or
    of a default differs. Values are equal if they are equal and of the same type. Two objects are never
    equal, nor are the methods of two objects. Compare keys only while both functions exist.
    """
    plain = plain_key(make)
    if plain is not None:
        return plain
    if isinstance(make, FunctionType):
        if depth:
            bound = (computation_key(value, depth - 1) for value in _bound_values(make))
            return (id(make.__code__), id(make.__globals__), *bound)
    elif isinstance(make, functools.partial) and depth:
        parts: functools.partial[Any] = make  # pyright: ignore[reportUnknownVariableType]
        arguments = [parts.func, *parts.args, *parts.keywords.values()]
        return (*parts.keywords, *(computation_key(value, depth - 1) for value in arguments))
    elif isinstance(make, str | bytes | int | float | None):
        return ByExactValue(make)
    elif isinstance(make, MethodType | BuiltinFunctionType):
        return make  # equal if function and object are the same
    return _ByIdentity(make)  # pyright: ignore[reportUnknownArgumentType]


def _bound_values(function: FunctionType) -> list[object]:
    """The values that a function brings along: those of its closure, and its defaults."""
    closure = [_cell_value(cell) for cell in function.__closure__ or ()]
    return [*closure, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]


def _cell_value(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # the variable has no value yet
        return _ByIdentity(cell)


def name_of(make: object) -> str | None:
    """A name of a function that is the same in every process: its module and qualified name.

    None for what has no such name: lambdas, closures, bound methods, partials, callable objects, values.
    """
    if isinstance(make, BuiltinFunctionType):
        has_name = isinstance(make.__self__, ModuleType) or make.__self__ is None
    else:
        has_name = isinstance(make, FunctionType) and not make.__closure__ and make.__name__ != "<lambda>"
    return f"{_module(make.__module__)}.{make.__qualname__}" if has_name else None  # type: ignore[attr-defined]


def _module(name: str | None) -> str:
    main = sys.modules.get("__main__")
    if name != "__main__" or main is None:
        return name or "builtins"
    # Every script is called __main__, so the name of its file is used.
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    return spec.name if spec is not None else Path(file).stem if file else name


def describe(make: object) -> str:
    """A description of a function, for messages."""
    if isinstance(make, functools.partial):
        parts: functools.partial[Any] = make  # pyright: ignore[reportUnknownVariableType]
        return f"a partial of {describe(parts.func)}"
    name = getattr(make, "__qualname__", None)
    if isinstance(name, str):
        return f"{getattr(make, '__module__', None) or 'builtins'}.{name}"
    kind = type(make).__qualname__
    return f"a {type(make).__module__}.{kind}" if callable(make) else f"a ready answer of type {kind}"


def plain_key(make: object) -> tuple[int, int] | None:
    """The `computation_key` of a function to which no values are bound; None for all else."""
    if type(make) is not FunctionType or make.__closure__ or make.__defaults__ or make.__kwdefaults__:
        return None
    return id(make.__code__), id(make.__globals__)


def function_key(make: object, given_name: str | None, codec: object) -> Hashable:
    """Equal for functions that may share answers: by name, or because they are the same.

    Unlike a `computation_key` it is compared after the function is gone, and keeps as little as it can.
    """
    codec = hashable(codec)
    if given_name is not None:
        return given_name, codec
    if isinstance(make, FunctionType) and _is_interactive(make) and "<" not in make.__qualname__:
        return "interactive", make.__qualname__, codec  # a cell of a notebook that is run again
    return _lasting_key(make, _DEPTH), codec


def _lasting_key(make: object, depth: int) -> Hashable:
    if isinstance(make, FunctionType) and depth:
        bound = (_lasting_key(value, depth - 1) for value in _bound_values(make))
        place = (make.__module__, make.__qualname__, id(make.__globals__))
        return (*place, _code_key(make.__code__), *bound)
    if isinstance(make, functools.partial) and depth:
        parts: functools.partial[Any] = make  # pyright: ignore[reportUnknownVariableType]
        arguments = [parts.func, *parts.args, *parts.keywords.values()]
        return (*parts.keywords, *(_lasting_key(value, depth - 1) for value in arguments))
    if isinstance(make, MethodType) and depth:
        return _lasting_key(make.__func__, depth - 1), _lasting_key(make.__self__, depth - 1)
    if isinstance(make, BuiltinFunctionType):
        return make.__qualname__, _lasting_key(make.__self__, depth - 1)
    if isinstance(make, str | bytes | int | float | None):
        return ByExactValue(make)
    return _lasting_identity(make)  # pyright: ignore[reportUnknownArgumentType]


def _code_key(code: CodeType) -> Hashable:
    """What a code object does, wherever it stands. Equal for a lambda that is written again."""
    constants = [_code_key(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
    return code.co_code, code.co_names, code.co_freevars, *constants


_numbers = itertools.count()
_numbered: dict[int, tuple[weakref.ref[Any], int]] = {}
"""By their ids, objects that exist and the number of each. An id may be that of another object later."""


def _lasting_identity(thing: object) -> Hashable:
    """Equal only for the same object, which it does not keep alive if it can help it."""
    at = id(thing)
    try:
        new = weakref.ref(thing, lambda _: _numbered.pop(at, None)), next(_numbers)
    except TypeError:  # such as a list
        return _ByIdentity(thing)
    _, number = _numbered.setdefault(at, new)
    return "object", number


def _is_interactive(function: FunctionType) -> bool:
    return function.__module__ == "__main__" and not hasattr(sys.modules.get("__main__"), "__file__")
