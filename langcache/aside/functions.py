"""Identifies the functions that compute answers, and checks which of them may share answers."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final

from .scope import AttributeValue, encode_attributes

__all__ = ["ByExactValue", "Functions", "computation_key", "definition", "describe", "name_of"]

_DEPTH = 4  # of nested functions: a function may be in its own closure
_MAX_NOTED = 1024

_ANY: Final = object()
"""Stands for the value of an attribute that may differ from call to call."""


class ByExactValue:
    """A hashable wrapper, equal if the values are equal and of the same types at every depth."""

    __slots__ = ("thing",)

    def __init__(self, thing: object) -> None:
        self.thing: object = thing

    def __eq__(self, other: object) -> bool:
        from .round_trip import first_difference  # imported late, since few programs compare two

        return isinstance(other, ByExactValue) and first_difference(self.thing, other.thing) is None

    def __hash__(self) -> int:
        return hash(type(self.thing))


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
    if isinstance(make, FunctionType):
        code = (id(make.__code__), id(make.__globals__))
        if make.__closure__ is None and make.__defaults__ is None and make.__kwdefaults__ is None:
            return code
        if depth:
            bound = [_cell_value(cell) for cell in make.__closure__ or ()]
            bound += [*(make.__defaults__ or ()), *(make.__kwdefaults__ or {}).values()]
            return (*code, *(computation_key(value, depth - 1) for value in bound))
    elif isinstance(make, functools.partial) and depth:
        parts: functools.partial[Any] = make  # pyright: ignore[reportUnknownVariableType]
        arguments = [parts.func, *parts.args, *parts.keywords.values()]
        return (*parts.keywords, *(computation_key(value, depth - 1) for value in arguments))
    elif isinstance(make, str | bytes | int | float | None):
        return ByExactValue(make)
    elif isinstance(make, MethodType | BuiltinFunctionType):
        return make  # equal if function and object are the same
    return _ByIdentity(make)  # pyright: ignore[reportUnknownArgumentType]


def _cell_value(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # the variable has no value yet
        return _ByIdentity(cell)


def definition(make: object) -> tuple[str, str] | None:
    """Where a function is defined: its module and qualified name.

    None for lambdas, bound methods, partials, callable objects and values.
    """
    if not isinstance(make, (FunctionType, BuiltinFunctionType)) or make.__name__ == "<lambda>":
        return None
    return make.__module__, make.__qualname__


def name_of(make: object) -> str | None:
    """A name of a function that is the same in every process; None if `definition` is None."""
    defined = definition(make)
    return None if defined is None else f"{_module(defined[0])}.{defined[1]}"


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
    return f"a {type(make).__module__}.{type(make).__qualname__}"


class Functions:
    """The functions that compute answers for one client and all of its scopes.

    A function must not find the answers of another, unless the program says that they share them. If the
    cache has an attribute for the function's name, it separates them. If not, a second function with the same
    attributes is refused.

    Args:
        attribute: the name of that attribute; None if the cache has none.
    """

    def __init__(self, attribute: str | None) -> None:
        self.attribute = attribute
        self._declared: list[_Declared] = []
        self._noted: dict[Hashable, tuple[Hashable, object]] = {}

    def declare(
        self,
        function: Callable[..., Any],
        given_name: str | None,
        scope: Mapping[str, str],
        fixed: Mapping[str, AttributeValue] | None,
        names: Iterable[str],
    ) -> TypeError | None:
        """Register a decorated function. Returns an error if it and another one would share answers.

        Args:
            function: the function itself.
            given_name: its ``function=`` option, or None.
            scope: the encoded attributes of the client's scope.
            fixed: attributes that are the same for all of its calls.
            names: names of attributes whose values differ from call to call.
        """
        attributes: dict[str, object] = {**encode_attributes(fixed or {}), **dict.fromkeys(names, _ANY)}
        attributes.update(scope)
        if self.attribute is not None:
            attributes[self.attribute] = self.name_for(function, given_name)
        new = _Declared(function, given_name, attributes)
        for old in self._declared:
            if new.is_same_function(old):
                if new.attributes == old.attributes:
                    return None
            elif new.may_find_answers_of(old) or old.may_find_answers_of(new):
                return _refusal(describe(function), describe(old.function), self.attribute)
        self._declared.append(new)
        return None

    def name_for(self, function: object, given_name: str | None) -> str:
        """The value of the function attribute. Raises `TypeError` for a function that has no name."""
        name = given_name or name_of(function)
        if name is None:
            raise TypeError(
                f"function: {describe(function)} has no name that tells it from others in every process; "
                "pass function='...', a name for what computes the answer"
            )
        return encode_attributes({"function": name})["function"]

    def check(
        self, function: object, name: Hashable, attributes: frozenset[tuple[str, str]] | None
    ) -> TypeError | None:
        """An error if another function's answer is known to be stored with these attributes; else None.

        Args:
            function: the function itself.
            name: its ``function=`` option, or else its `definition`; None is not checked.
            attributes: the encoded attributes of the call.
        """
        noted = self._noted.get(attributes)
        if noted is None or name is None or name == noted[0]:
            return None
        return _refusal(describe(function), describe(noted[1]), self.attribute)

    def note(self, function: object, name: Hashable, attributes: frozenset[tuple[str, str]] | None) -> None:
        """Record whose answer is stored with these attributes. The latest 1,024 sets of them are kept."""
        if name is not None and attributes not in self._noted:
            if len(self._noted) >= _MAX_NOTED:
                del self._noted[next(iter(self._noted))]
            self._noted[attributes] = name, function


class _Declared:
    """A decorated function and the attributes of its calls."""

    def __init__(
        self, function: Callable[..., Any], given_name: str | None, attributes: Mapping[str, object]
    ) -> None:
        self.function = function
        self.given_name = given_name
        self.attributes = attributes

    def is_same_function(self, other: _Declared) -> bool:
        """Whether both are the same function, one redefines the other, or both have the same given name."""
        if self.given_name is not None or other.given_name is not None:
            return self.given_name == other.given_name
        ours, theirs = name_of(self.function), name_of(other.function)
        if ours is not None and ours == theirs and "<locals>" not in ours:
            return True  # redefined: its module was reloaded, or a notebook cell run again
        return computation_key(self.function) == computation_key(other.function)

    def may_find_answers_of(self, other: _Declared) -> bool:
        """Whether an entry of the other may have all attributes that our calls search for."""
        return self.attributes.keys() <= other.attributes.keys() and all(
            value is _ANY or other.attributes[name] is _ANY or value == other.attributes[name]
            for name, value in self.attributes.items()
        )


def _refusal(function: str, other: str, attribute: str | None) -> TypeError:
    ways = (
        "declare an attribute for the function with the cache and name it, "
        "AsideConfig(function_attribute='function'); use a scope or attributes of its own for each, "
        "cache.scoped(task='...'); or, if they may share their answers, give both the same function='...'"
    )
    if attribute is not None:
        ways = "give each a function='...' of its own, or, if they may share their answers, the same one"
    return TypeError(f"{function} would get answers that {other} computed, or the other way round: {ways}")
