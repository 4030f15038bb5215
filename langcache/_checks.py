"""Checks of arguments: the types and bounds of numbers and texts, and the errors for what breaks a rule."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from operator import index
from typing import Any, SupportsFloat, SupportsIndex, TypeAlias, TypeVar, cast
from urllib.parse import quote

from .errors import BadRequestError, BadRequestErrorResponseContentData, LangCacheError
from .models import FieldError, ProblemDetails

__all__ = [
    "LARGEST_INT",
    "LimitError",
    "check_duration",
    "check_instance",
    "check_int",
    "check_number",
    "check_path_segment",
    "check_seconds",
    "check_text",
    "check_texts",
    "plain_number",
    "setting_error",
    "short",
    "wrong_type",
]

T = TypeVar("T")

MakeError: TypeAlias = Callable[[str, str, str], ValueError]
"""Makes the error for a broken rule out of argument, rule and reason."""

LARGEST_INT = 2**63 - 1
"""The largest number that a service written in nearly any language can read."""

_LARGEST_FLOAT = sys.float_info.max


class LimitError(BadRequestError, ValueError):
    """An argument breaks a rule of the service. ``str(e)`` names the argument, the rule and the value.

    It is raised in place of the 400 that the service would have answered, and is a `BadRequestError` as well,
    so that a program handles both in the same way. Nothing was sent, so ``tries`` is 0.
    """

    __module__ = "langcache.limits"  # where programs import it from

    def __init__(self, argument: str, rule: str, reason: str, hint: str = "") -> None:
        LangCacheError.__init__(self, f"{argument}: {reason}{hint and f' ({hint})'}")
        self.argument = argument
        """The Python name of the argument."""
        self.rule = rule
        """The rule's short name: ``min``, ``max``, ``pattern``, ``required``, ``oneof``."""
        self.reason = reason
        """The rule in words, and the value that was given."""
        self.tries = 0
        self.status_code = 400
        self.data: ProblemDetails = BadRequestErrorResponseContentData(
            title="Invalid Request",
            type="/errors/invalid-data",  # of `BadRequestErrorType`
            detail=f"{argument}: {reason}",
            fields=[FieldError(field=argument, rule=rule, message=reason)],
        )


def check_instance(argument: str, value: object, kind: type[T], name: str) -> T | None:
    """None or an instance of ``kind``. Raises `TypeError` for anything else."""
    if value is not None and not isinstance(value, kind):
        raise wrong_type(argument, f"a {name}", value)
    return value


def check_text(argument: str, value: object) -> str:
    """A string that can be encoded as UTF-8. Raises `TypeError` or `LimitError`."""
    if type(value) is str and value.isascii():  # the usual case
        return value
    if not isinstance(value, str):
        raise wrong_type(argument, "str", value)
    if not value.isascii() and (index := _lone_surrogate(value)) is not None:
        raise LimitError(
            argument,
            "unicode",
            f"must be text that UTF-8 can carry, but has a lone surrogate at index {index}",
        )
    return str.__str__(value)  # str() of an enum member would be its name


def _lone_surrogate(text: str) -> int | None:
    # Apart, so that Python's error, which holds the whole text, is not the context of ours.
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def check_texts(argument: str, value: object, expected: str) -> list[str]:
    """The items of an iterable of texts. A text alone is refused: its characters are not what is meant."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise wrong_type(argument, expected, value)
    return [check_text(argument, item) for item in cast("Iterable[object]", value)]


def setting_error(argument: str, rule: str, reason: str) -> ValueError:
    """The error for a setting of this package that breaks a rule. For what is sent, it is `LimitError`."""
    return ValueError(f"{argument}: {reason}")


def check_number(
    argument: str,
    value: object,
    *,
    minimum: float,
    maximum: float | None = None,
    error: MakeError = setting_error,
) -> int | float:
    """A finite number from ``minimum`` to ``maximum``, as an int or float of Python's own.

    Numbers of NumPy, `decimal` and `fractions` are converted; a bool is no number.

    Raises `TypeError` for what is no number, and for a number out of bounds what ``error`` makes of argument,
    rule and reason.
    """
    number = plain_number(argument, value, "a number")
    if not minimum <= number <= (_LARGEST_FLOAT if maximum is None else maximum):  # also true for NaN
        bounds = f"at least {minimum:g} and finite" if maximum is None else f"from {minimum:g} to {maximum:g}"
        raise error(argument, "range", f"must be {bounds}, but is {short(number)}")
    return number


def check_int(
    argument: str,
    value: object,
    *,
    minimum: int,
    maximum: int | None = None,
    error: MakeError = setting_error,
) -> int:
    """A whole number from ``minimum`` to ``maximum`` (by default, the largest of 64 bits), as an int.

    Whole numbers of other types are converted, floats too. Raises as `check_number` does, and `TypeError` for
    a number that is not whole.
    """
    number = plain_number(argument, value, "int")
    if isinstance(number, float):
        if not number.is_integer():
            raise wrong_type(argument, "int", value)
        number = int(number)  # of a product such as 0.5 * 3600 * 1000
    largest = LARGEST_INT if maximum is None else maximum
    if minimum <= number <= largest:
        return number
    rule = "min" if number < minimum else "max"
    if maximum is not None:
        bounds = f"from {minimum} to {maximum}"
    else:
        bounds = f"at least {minimum}" if rule == "min" else f"at most {largest}"
    raise error(argument, rule, f"must be {bounds}, but is {short(number)}")


def check_duration(argument: str, value: object, unit: str = "seconds") -> int | float:
    """A number of this unit of time, more than 0 and finite. Raises `TypeError` or `ValueError`."""
    number = plain_number(argument, value, f"a number of {unit}")
    if not 0 < number <= _LARGEST_FLOAT:
        raise ValueError(f"{argument}: must be more than 0 {unit} and finite, but is {short(number)}")
    return number


def check_seconds(argument: str, value: object) -> int | float:
    """Seconds, given as a number or a `timedelta`, more than 0 and finite. Raises as `check_duration`."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return check_duration(argument, plain_number(argument, value, "a number of seconds or a timedelta"))


def plain_number(argument: str, value: object, expected: str) -> int | float:
    """A number as an int or float of Python's own; infinity for one that no float can hold.

    Raises `TypeError` for what is no number.
    """
    if type(value) is int or type(value) is float:
        return value
    # NumPy gives all of its types a conversion to float, text and bool too; these kinds are real numbers.
    kind: object = getattr(getattr(value, "dtype", None), "kind", "f")
    if not isinstance(value, bool) and kind in ("i", "u", "f"):
        if isinstance(value, SupportsIndex):
            with suppress(TypeError):  # of an array of floats, which has the method all the same
                return int(index(value))
        if isinstance(value, SupportsFloat):
            with suppress(TypeError):  # of an array of several numbers
                return _as_float(value)
    raise wrong_type(argument, expected, value)


def _as_float(value: SupportsFloat) -> float:
    try:
        return float(value)
    except OverflowError:  # of a fraction
        return -math.inf if cast("Any", value) < 0 else math.inf
    except ValueError:  # of a signalling NaN
        return math.nan


def check_path_segment(argument: str, value: object) -> str:
    """An opaque id, percent-encoded as one segment of a path.

    Raises `LimitError` for an id that a server or a proxy could read as another path: an empty one, ``.``,
    ``..``, or one with a slash or backslash.
    """
    text = check_text(argument, value)
    if text in ("", ".", "..") or "/" in text or "\\" in text:
        raise LimitError(
            argument,
            "pattern",
            f"must be an id without slashes, as the service gave it, but is {short(text)}",
        )
    return quote(text, safe="")


def wrong_type(argument: str, expected: str, value: object) -> TypeError:
    """The error for an argument of a wrong type."""
    return TypeError(f"{argument}: must be {expected}, but is {type(value).__name__}")


def short(value: object) -> str:
    """The repr of a value, cut to fit into a message."""
    try:
        text = repr(value)
    except ValueError:  # of an int with more digits than Python is willing to write
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:60]}…"
