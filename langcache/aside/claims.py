"""Which functions have which entries, so that none finds the answers of another."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from .._call.forks import fork_safe_lock
from .codecs import TEXT
from .functions import describe, function_key, hashable, name_of, plain_key
from .scope import AttributeValue, encode_attributes

__all__ = ["Attributes", "Claims", "FunctionConflict"]

_MAX_KEPT = 4096
"""The most attributes that are kept of one function, and the most results of checks."""

_MAX_FUNCTIONS = 16_384
"""The most functions that are known: a program may make one for each request, to which a user is bound."""

_ANY: Final = object()
"""Stands for the value of an attribute that may differ from call to call."""

Attributes: TypeAlias = "frozenset[tuple[str, str]] | None"
"""The encoded attributes of a call."""

_Pattern: TypeAlias = "tuple[frozenset[tuple[str, object]], bool]"
"""Attributes that entries have, `_ANY` for a value that differs, and whether there may be more."""


class FunctionConflict(TypeError):
    """A function would find the answers of another."""


class Claims:
    """Which function has which entries, for one client and all of its scopes.

    A function must not find the answers of another, unless the program says that they share them. If the
    cache has an attribute for the function's name, it separates them. If not, a second function that would
    find entries of the first can't use the cache.

    Args:
        attribute: the name of that attribute; None if the cache has none.
    """

    def __init__(self, attribute: str | None) -> None:
        self.attribute = attribute
        self._known: dict[Hashable, _Known] = {}  # the one that stored or found an answer last is the last
        self._loose: dict[_Known, None] = {}  # those of them that have loose patterns, which are few
        self._owners: _Owners = _Owners()
        # By `_checked_key`, the code of the function, kept so that no other function gets the same key.
        self._checked: dict[Hashable, object] = {}

    def declare(
        self,
        function: Callable[..., Any],
        given_name: str | None,
        codec: object,
        scope: Mapping[str, str],
        fixed: Mapping[str, AttributeValue] | None,
        names: Iterable[str] = (),
        *,
        open_ended: bool = False,
    ) -> FunctionConflict | None:
        """Register a decorated function. Returns an error if it and another one would share answers.

        Args:
            function: the function itself.
            given_name: its ``function=`` option, or None.
            codec: its codec.
            scope: the encoded attributes of the client's scope.
            fixed: attributes that are the same for all of its calls.
            names: names of attributes whose values differ from call to call.
            open_ended: whether its calls may have further attributes, which are not known yet.
        """
        attributes: dict[str, object] = {**encode_attributes(fixed or {}), **dict.fromkeys(names, _ANY)}
        attributes.update(scope)
        self.add_name(attributes, function, given_name)
        pattern = frozenset(attributes.items())
        return self._claim(function, given_name, codec, (pattern, open_ended))

    def claim(
        self, make: object, given_name: str | None, codec: object, attributes: Attributes
    ) -> FunctionConflict | None:
        """Register that an answer of this function has, or will have, an entry with these attributes.

        Returns an error if another function has one that either would find.

        Args:
            make: the function.
            given_name: its ``function=`` option, or None.
            codec: what converts its answers: with another codec they are other answers.
            attributes: the encoded attributes of the call.
        """
        if not callable(make):
            return None  # a ready answer
        refusal = self._claim(make, given_name, codec, (attributes or frozenset(), False))
        plain = plain_key(make)
        if refusal is None and plain is not None:
            if len(self._checked) >= _MAX_KEPT:
                self._checked.clear()
            key = _checked_key(plain, given_name, codec, attributes)
            self._checked[key] = getattr(make, "__code__", None)
        return refusal

    def is_checked(
        self, plain: Hashable, given_name: str | None, codec: object, attributes: Attributes
    ) -> bool:
        """Whether `claim` registered this before. Nearly every call of a plain function finds it so.

        Takes the `plain_key` of the function in place of the function.
        """
        return _checked_key(plain, given_name, codec, attributes) in self._checked

    def check(
        self, make: object, given_name: str | None, codec: object, attributes: Attributes
    ) -> FunctionConflict | None:
        """The error that `claim` would return. Registers nothing."""
        if not self._known or not callable(make):
            return None
        function, described = function_key(make, given_name, codec), given_name or describe(make)
        with _claiming:
            return self._conflict(function, described, (attributes or frozenset(), False))

    def add_name(self, attributes: dict[str, Any], function: object, given_name: str | None) -> None:
        """Add the function attribute, if the cache has one, to the encoded attributes of a call.

        Raises `ValueError` if they have it already, and `TypeError` for a function that has no name.
        """
        if self.attribute is None:
            return
        if self.attribute in attributes:
            raise ValueError(
                f"attributes: {self.attribute!r} is the function_attribute, which the client itself writes; "
                "pass function='...', or give the value in another attribute"
            )
        name = given_name or name_of(function)
        if name is None:
            raise TypeError(
                f"function: {describe(function)} has no name that tells it from others in every process; "
                "pass function='...', a name for what computes the answer"
            )
        attributes[self.attribute] = encode_attributes({"function": name})["function"]

    def _claim(
        self, make: object, given_name: str | None, codec: object, pattern: _Pattern
    ) -> FunctionConflict | None:
        function, described = function_key(make, given_name, codec), given_name or describe(make)
        with _claiming:
            refusal = self._conflict(function, described, pattern)
            if refusal is None:
                known = self._known.pop(function, None) or _Known(described)
                known.is_lasting |= plain_key(make) is not None
                self._known[function] = known
                if self._add(known, pattern) and len(self._known) > 1:
                    self._checked.clear()
                if len(self._known) > _MAX_FUNCTIONS:
                    self._forget_some()
        return refusal

    def _add(self, known: _Known, pattern: _Pattern) -> bool:
        """Add attributes that entries of a function have. Returns whether they are new."""
        attributes, _ = pattern
        if _is_loose(pattern):
            is_new = pattern not in known.loose
            known.loose[pattern] = None
            self._loose[known] = None
            return is_new
        if attributes in known.exact:
            return False
        known.exact.add(attributes)
        self._owners.add(attributes, known)
        if len(known.exact) > _MAX_KEPT:
            self._owners.remove(known)
            known.loosened(self.attribute)
            self._loose[known] = None
        return True

    def _forget_some(self) -> None:
        """Forget half of the functions: those for which it is longest ago that they were used."""
        # Those that are written in the program are few, and an entry of theirs stays theirs.
        some = [each for each in self._known.items() if not each[1].is_lasting and each[1] not in self._loose]
        for function, known in some[: _MAX_FUNCTIONS // 2]:
            self._owners.remove(known)
            del self._known[function]
        self._checked.clear()  # so that those that are used on are known again

    def _conflict(self, function: Hashable, described: str, pattern: _Pattern) -> FunctionConflict | None:
        ours = self._known.get(function)
        for other in self._loose:
            if other is not ours and any(_meet(pattern, theirs) for theirs in other.loose):
                return self._refusal(described, other.described)
        for other in self._owners.that_meet(pattern):
            if other is not ours:
                return self._refusal(described, other.described)
        return None

    def _refusal(self, function: str, other: str) -> FunctionConflict:
        if self.attribute is not None:
            ways = "give each a function='...' of its own"
        else:
            ways = (
                "declare an attribute for the function with the cache and name it, "
                "AsideConfig(function_attribute='function'); use a scope or attributes of its own for each, "
                "cache.scoped(task='...')"
            )
        ways += "; or, if they may share their answers, give both the same function='...'"
        if function == other:
            function = f"another {other}, or the same with another codec,"
        return FunctionConflict(
            f"{function} would get answers that {other} computed, or the other way round: {ways}"
        )


def _checked_key(plain: Hashable, given_name: str | None, codec: object, attributes: Attributes) -> Hashable:
    """Equal for the same function, by its `plain_key`, the same codec and the same attributes."""
    return given_name or plain, None if codec is TEXT else hashable(codec), attributes


class _Known:
    """A function that is known, and which attributes its entries have.

    Args:
        described: what messages call it.
    """

    def __init__(self, described: str) -> None:
        self.described = described
        self.is_lasting: bool = False
        """Whether it is a function of the program itself, to which nothing is bound."""
        self.exact: set[frozenset[tuple[str, object]]] = set()
        """Attributes all of whose values are known, which are those of most functions."""
        self.loose: dict[_Pattern, None] = {}
        """Patterns of which that is not so."""

    def loosened(self, kept: str | None) -> None:
        """Keep the names alone, and take any value for possible but that of the attribute to keep."""
        for attributes in self.exact:
            names = frozenset((name, value if name == kept else _ANY) for name, value in attributes)
            self.loose[names, False] = None
        self.exact.clear()


class _Owners:
    """Whose entries have which attributes, if all values are known: by their names, so that a question costs
    one look-up for each set of names, however many functions and entries there are."""

    def __init__(self) -> None:
        self._groups: dict[frozenset[str], dict[frozenset[tuple[str, object]], _Known]] = {}

    def add(self, attributes: frozenset[tuple[str, object]], known: _Known) -> None:
        """Add attributes that entries of a function have, and of no other."""
        self._groups.setdefault(_names_of(attributes), {})[attributes] = known

    def remove(self, known: _Known) -> None:
        """Remove all that a function has."""
        for attributes in known.exact:
            names = _names_of(attributes)
            del self._groups[names][attributes]
            if not self._groups[names]:
                del self._groups[names]

    def that_meet(self, pattern: _Pattern) -> Iterator[_Known]:
        """The functions whose entries may be found with these attributes, or entries with these by theirs."""
        attributes, _ = pattern
        names = None if _is_loose(pattern) else _names_of(attributes)
        owners: Iterator[_Known]
        for group_names, group in self._groups.items():
            if names is None:
                owners = (owner for each, owner in group.items() if _meet(pattern, (each, False)))
            elif group_names <= names:
                found = frozenset(each for each in attributes if each[0] in group_names)
                owners = iter((group[found],) if found in group else ())
            elif names <= group_names:
                owners = (owner for each, owner in group.items() if attributes <= each)
            else:
                continue
            yield from owners


def _is_loose(pattern: _Pattern) -> bool:
    """Whether more attributes or other values are possible."""
    return pattern[1] or any(value is _ANY for _, value in pattern[0])


def _names_of(attributes: frozenset[tuple[str, object]]) -> frozenset[str]:
    return frozenset(name for name, _ in attributes)


def _meet(one: _Pattern, other: _Pattern) -> bool:
    """Whether entries of one may be found with the attributes of the other."""
    return _may_find(one, other) or _may_find(other, one)


def _may_find(one: _Pattern, other: _Pattern) -> bool:
    """Whether an entry of the other may have all attributes that the one searches for.

    What else the one may search for, if it is open-ended, is not known, and checked when it is.
    """
    if one[1]:
        return False
    attributes, others = dict(one[0]), dict(other[0])
    return attributes.keys() <= others.keys() and all(
        value is _ANY or others[name] is _ANY or value == others[name] for name, value in attributes.items()
    )


_claiming = fork_safe_lock()
"""Held to check for a conflict and register a function at once."""
