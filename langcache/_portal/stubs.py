"""Methods that are made of others, with a type for those who use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["replaced_by"]

F = TypeVar("F")  # without a bound, which pyright would take for the type of the method


def replaced_by(made: F) -> Callable[[Callable[..., Any]], F]:
    """A decorator that replaces a stub by this method.

    If the method were assigned to a name, type checkers would have to infer its type, and editors would show
    a variable. The stub takes any arguments and returns a value, as linters expect.
    """
    return lambda stub: made
