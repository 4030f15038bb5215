"""Which functions have which entries, so that none finds the answers of another."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from .functions import describe, function_key, hashable, name_of, plain_key
from .scope import AttributeValue, encode_attributes

__all__ = ["Attributes", "Claims", "FunctionConflict"]

_MAX_KEPT = 4096

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
        self._known: dict[Hashable, _Known] = {}
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
        key = _checked_key(make, given_name, codec, attributes)
        if refusal is None and key is not None:
            if len(self._checked) >= _MAX_KEPT:
                self._checked.clear()
            self._checked[key] = getattr(make, "__code__", None)
        return refusal

    def is_checked(self, make: object, given_name: str | None, codec: object, attributes: Attributes) -> bool:
        """Whether `claim` registered this before. Nearly every call of a plain function finds it so."""
        key = _checked_key(make, given_name, codec, attributes)
        return key is not None and key in self._checked

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
                known = self._known.get(function)
                if known is None:
                    known = self._known[function] = _Known(described, self.attribute)
                if known.add(pattern) and len(self._known) > 1:
                    self._checked.clear()
        return refusal

    def _conflict(self, function: Hashable, described: str, pattern: _Pattern) -> FunctionConflict | None:
        for other, known in self._known.items():
            if other != function and known.meets(pattern):
                return self._refusal(described, known.described)
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


def _checked_key(
    make: object, given_name: str | None, codec: object, attributes: Attributes
) -> Hashable | None:
    """Equal for the same function, codec and attributes; None for a function that has no `plain_key`."""
    plain = plain_key(make)
    return None if plain is None else (given_name or plain, hashable(codec), attributes)


class _Known:
    """A function that is known, and which attributes its entries have.

    Args:
        described: what messages call it.
        attribute: the name of the attribute that holds its name; None if there is none.
    """

    def __init__(self, described: str, attribute: str | None) -> None:
        self.described = described
        self._attribute = attribute
        # Of most functions all values are known, and each question may have others: a fingerprint, a user.
        # They are kept by names, so that a question costs one look-up for each set of names.
        self._exact: dict[frozenset[str], set[frozenset[tuple[str, object]]]] = {}
        self._kept = 0
        self._loose: dict[_Pattern, None] = {}

    def add(self, pattern: _Pattern) -> bool:
        """Add attributes. Returns whether they are new."""
        attributes, _ = pattern
        if _is_loose(pattern):
            is_new = pattern not in self._loose
            self._loose[pattern] = None
            return is_new
        group = self._exact.setdefault(_names_of(attributes), set())
        if attributes in group:
            return False
        if self._kept >= _MAX_KEPT:  # then names are kept, and any value is taken for possible
            for each in (attributes, *(each for exact in self._exact.values() for each in exact)):
                self._loose[self._with_any_values(each)] = None
            self._exact.clear()
            self._kept = 0
            return True
        group.add(attributes)
        self._kept += 1
        return True

    def meets(self, pattern: _Pattern) -> bool:
        """Whether one of our entries may be found with these attributes, or one of theirs with ours."""
        if any(_may_find(pattern, ours) or _may_find(ours, pattern) for ours in self._loose):
            return True
        attributes, _ = pattern
        if _is_loose(pattern):
            exact = ((each, False) for group in self._exact.values() for each in group)
            return any(_may_find(pattern, ours) or _may_find(ours, pattern) for ours in exact)
        names = _names_of(attributes)
        for our_names, group in self._exact.items():
            if our_names <= names:
                if frozenset(each for each in attributes if each[0] in our_names) in group:
                    return True
            elif names <= our_names and any(attributes <= ours for ours in group):
                return True
        return False

    def _with_any_values(self, attributes: frozenset[tuple[str, object]]) -> _Pattern:
        """These names with any values, but for the function's own name, which tells it from others."""
        kept = self._attribute
        return frozenset((name, value if name == kept else _ANY) for name, value in attributes), False


def _is_loose(pattern: _Pattern) -> bool:
    """Whether more attributes or other values are possible."""
    return pattern[1] or any(value is _ANY for _, value in pattern[0])


def _names_of(attributes: frozenset[tuple[str, object]]) -> frozenset[str]:
    return frozenset(name for name, _ in attributes)


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


_claiming = threading.RLock()
"""Held to check for a conflict and register a function at once."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_claiming.acquire, after_in_parent=_claiming.release, after_in_child=_claiming.release
    )
