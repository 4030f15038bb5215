"""Which function computes an answer: what tells two apart, what they are called, and who may share."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final

from .scope import AttributeValue, encode_attributes

__all__ = ["Exactly", "Functions", "definition", "describe", "identity", "name_of"]

_DEPTH = 4  # of functions within functions: one that is part of its own closure has no end
_MOST_NOTED = 1024

_ANY: Final = object()
"""Stands for the value of an attribute that each call gives anew."""


class Exactly:
    """Compares as equal what is the same down to each type, and hashes whatever there is."""

    __slots__ = ("thing",)

    def __init__(self, thing: object) -> None:
        self.thing: object = thing

    def __eq__(self, other: object) -> bool:
        from .round_trip import first_difference  # not before two are compared

        return isinstance(other, Exactly) and first_difference(self.thing, other.thing) is None

    def __hash__(self) -> int:
        return hash(type(self.thing))


class _Itself:
    """Compares as equal only one and the same object, and keeps it alive."""

    __slots__ = ("_thing",)

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self._thing is other._thing

    def __hash__(self) -> int:
        return id(self._thing)


def identity(make: object, depth: int = _DEPTH) -> Hashable:
    """Equal for functions that would do the same: the same code, with the same values bound to it.

    Two lambdas of one place in a program are the same unless a variable that they hold differs; two objects
    are never the same, and neither are methods of two objects. Values are the same if they are equal and of
    one type. To be compared only while both are in use.
    """
    if isinstance(make, FunctionType):
        code = (id(make.__code__), id(make.__globals__))
        if make.__closure__ is None and make.__defaults__ is None and make.__kwdefaults__ is None:
            return code
        if depth:
            bound = [_contents(cell) for cell in make.__closure__ or ()]
            bound += [*(make.__defaults__ or ()), *(make.__kwdefaults__ or {}).values()]
            return (*code, *(identity(value, depth - 1) for value in bound))
    elif isinstance(make, functools.partial) and depth:
        parts: functools.partial[Any] = make  # pyright: ignore[reportUnknownVariableType]
        arguments = [parts.func, *parts.args, *parts.keywords.values()]
        return (*parts.keywords, *(identity(value, depth - 1) for value in arguments))
    elif isinstance(make, str | bytes | int | float | None):
        return Exactly(make)
    elif isinstance(make, MethodType | BuiltinFunctionType):
        return make  # equal if they are of one function and one object
    return _Itself(make)  # pyright: ignore[reportUnknownArgumentType]


def _contents(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty: the variable has no value yet
        return _Itself(cell)


def definition(make: object) -> tuple[str, str] | None:
    """Where in a program a function is defined: its module and qualified name.

    None for what has no such name: lambdas, methods of objects, partials, callable objects, values.
    """
    if not isinstance(make, (FunctionType, BuiltinFunctionType)) or make.__name__ == "<lambda>":
        return None
    return make.__module__, make.__qualname__


def name_of(make: object) -> str | None:
    """The name of a function that is the same in every process; None if `definition` is."""
    defined = definition(make)
    return None if defined is None else f"{_module(defined[0])}.{defined[1]}"


def _module(name: str | None) -> str:
    main = sys.modules.get("__main__")
    if name != "__main__" or main is None:
        return name or "builtins"
    # Two scripts are two programs, and both are called __main__.
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    return spec.name if spec is not None else Path(file).stem if file else name


def describe(make: object) -> str:
    """What a message calls a function."""
    if isinstance(make, functools.partial):
        parts: functools.partial[Any] = make  # pyright: ignore[reportUnknownVariableType]
        return f"a partial of {describe(parts.func)}"
    name = getattr(make, "__qualname__", None)
    if isinstance(name, str):
        return f"{getattr(make, '__module__', None) or 'builtins'}.{name}"
    return f"a {type(make).__module__}.{type(make).__qualname__}"


class Functions:
    """The functions that one client computes answers with, over all of its scopes.

    What one stored, another must not find, unless the program says that they may share. Where the cache has
    an attribute for the function's name, that keeps them apart; where it has none, a second function can't
    use the same entries.

    Args:
        attribute: the name of that attribute, None if there is none.
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
        """Take note of a decorated function. Returns an error if it would get another one's answers.

        Args:
            function: the function itself.
            given_name: what the program calls it, None if it does not.
            scope: the attributes, encoded, of the client's scope.
            fixed: attributes of all of its calls.
            names: names of attributes that each call gives.
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
        """The value of the attribute. Raises `TypeError` for a function without a name of its own."""
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
        """An error if an answer of another named function is stored with these attributes.

        Args:
            function: the function itself.
            name: what the program calls it, or else its `definition`.
            attributes: of the call.
        """
        noted = self._noted.get(attributes)
        if noted is None or name is None or name == noted[0]:
            return None
        return _refusal(describe(function), describe(noted[1]), self.attribute)

    def note(self, function: object, name: Hashable, attributes: frozenset[tuple[str, str]] | None) -> None:
        """Take note of whose answer is stored with these attributes: of the latest 1,024 at least."""
        if name is not None and attributes not in self._noted:
            if len(self._noted) >= _MOST_NOTED:
                del self._noted[next(iter(self._noted))]
            self._noted[attributes] = name, function


class _Declared:
    """A decorated function, and the attributes that its calls have."""

    def __init__(
        self, function: Callable[..., Any], given_name: str | None, attributes: Mapping[str, object]
    ) -> None:
        self.function = function
        self.given_name = given_name
        self.attributes = attributes

    def is_same_function(self, other: _Declared) -> bool:
        """Whether the program runs the same thing, has defined it anew, or says that they may share."""
        if self.given_name is not None or other.given_name is not None:
            return self.given_name == other.given_name
        ours, theirs = name_of(self.function), name_of(other.function)
        if ours is not None and ours == theirs and "<locals>" not in ours:
            return True  # a module loaded again, a cell of a notebook run again
        return identity(self.function) == identity(other.function)

    def may_find_answers_of(self, other: _Declared) -> bool:
        """Whether an entry of the other may carry all attributes that ours look for."""
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
