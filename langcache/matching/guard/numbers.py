"""The numbers of a text in one spelling each: signs, separators, fractions, versions and times of day."""

from __future__ import annotations

import re

from . import words

__all__ = ["DATE", "NUMBER", "fraction", "is_version", "roman", "time_of_day", "values"]

DATE = (
    r"\d{4}(?P<parted>[-/.])\d{1,2}(?P=parted)\d{1,2}(?!\d)"
    r"|\d{1,2}(?P<between>[-/])\d{1,2}(?P=between)(?:\d{4}|\d\d)(?!\d)"
)
_HALF = r"\ ?(?i:[ap]\.m\.?|[ap]m|in\ the\ (?:morning|afternoon|evening)|noon|midnight)(?!\w)"
NUMBER = (
    r"(?P<minus>(?<![\w)\]%-])-|(?<=\d-)-|(?<!\S)(?<![\d)]\ )(?<!\b\w\ )(?i:minus|negative)\ )?"
    r"(?P<currency>[$\u20ac\u00a3\u00a5])?"
    r"(?P<digits>0[xX][\da-fA-F]+|\d+(?::\d+)+|\d+(?:[.,_]\d+)*(?:[eE][+-]?\d+(?!\w))?|(?<![\w.])\.\d+"
    rf"|(?<!\w)(?i:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)(?={_HALF}))"
    rf"(?P<times>(?:[kKMB]|bn)(?!\w))?(?P<half>{_HALF})?"
)

_GROUPED = re.compile(r"\d{1,3}(?:[,_]\d{3})+(?:\.\d+)?")
_GROUPED_BY_DOTS = re.compile(r"\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}")
_DECIMAL_COMMA = re.compile(r"\d+,\d+")
_ZEROS = {"k": 3, "m": 6, "b": 9, "bn": 9}
_ROMAN = re.compile(r"(?=[IVX]{2})X{0,3}(?:IX|IV|V?I{0,3})")


def values(found: re.Match[str], listed: bool) -> list[str]:
    """What a match of ``NUMBER`` stands for; between brackets, commas part the items of a list."""
    digits, half = found["digits"], found["half"]
    digits = words.NUMBERS.get(digits.lower(), "1") if digits.isalpha() else digits
    if half and (time := time_of_day(digits, half.strip().lower())):
        return [time]
    if ":" in digits:
        return [_clock(digits)]
    if digits[:2] in ("0x", "0X"):
        return [digits.lower()]
    sign = "-" if found["minus"] else ""
    parts = digits.split(",")
    if len(parts) > 1 and not _GROUPED.fullmatch(digits) and not _GROUPED_BY_DOTS.fullmatch(digits):
        if listed or len(parts) > 2 or not _DECIMAL_COMMA.fullmatch(digits):
            return [sign + _plain(part) if not at else _plain(part) for at, part in enumerate(parts) if part]
        digits = digits.replace(",", ".")
    value = _plain(digits)
    if found["times"] and value != "401" and "e" not in value:  # 401k is a plan
        value = _times(value, _ZEROS[found["times"].lower()])
    return [sign + value]


def _plain(digits: str) -> str:
    """A number without separators of thousands, and without zeros at the end that add nothing."""
    if _GROUPED_BY_DOTS.fullmatch(digits):
        digits = digits.replace(".", "").replace(",", ".")
    digits = digits.lower().replace(",", "").replace("_", "").replace("+", "")
    mantissa, e, exponent = digits.partition("e")
    if mantissa.startswith("."):
        mantissa = "0" + mantissa
    while mantissa.count(".") > 1 and mantissa.endswith(".0"):
        mantissa = mantissa.removesuffix(".0")  # 2.0.0 is 2.0
    if mantissa.count(".") == 1:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return mantissa + e + exponent


def _times(value: str, zeros: int) -> str:
    whole, _, rest = value.partition(".")
    shifted = rest.ljust(zeros, "0")
    return f"{whole}{shifted[:zeros]}.{shifted[zeros:]}".rstrip(".").lstrip("0") or "0"


def time_of_day(digits: str, half: str) -> str | None:
    """A time of day as of 24 hours: 5 pm and 17:00 are the same."""
    hour, _, rest = digits.replace(".", ":").partition(":")
    if not (hour.isdigit() and len(hour) <= 2 and 1 <= int(hour) <= 12 and len(rest) in (0, 2, 5)):
        return None
    late = half.startswith("p") or half == "noon" or half.endswith(("afternoon", "evening"))
    return f"{int(hour) % 12 + 12 * late}:{rest or '00'}"


def _clock(digits: str) -> str:
    hour, _, rest = digits.partition(":")
    return f"{hour.lstrip('0') or '0'}:{rest}"


def fraction(over: str, under: str) -> str | None:
    """The number that ``1/2`` stands for: what could be a score, a date or ``24/7`` stays as it is."""
    if not (over.isdigit() and under.isdigit() and len(over) + len(under) <= 3):
        return None
    a, b = int(over), int(under)
    if not 0 < a < b <= 16 or any(a % prime == b % prime == 0 for prime in (2, 3, 5, 7)):
        return None
    return str(a / b) if b in (2, 4, 5, 8, 10) else f"{a}/{b}"


def roman(token: str, before: str) -> str | None:
    """The number that a Roman numeral of two letters or more stands for, after what is numbered so."""
    if len(token) > 5 or not (before[:1].isupper() or before in words.NUMBERED):
        return None
    if not _ROMAN.fullmatch(token.upper()) or (token != token.upper() and before not in words.NUMBERED):
        return None
    numerals = token.upper().replace("IX", "VIIII").replace("IV", "IIII")
    return str(sum({"X": 10, "V": 5, "I": 1}[numeral] for numeral in numerals))


def is_version(before: str, after: str) -> bool:
    """Whether a number with a dot is a version, between these words: then 3.1 and 3.10 are two."""
    word = before.lower()
    return (
        word.isalpha()
        and word not in words.SMALL_WORDS
        and word not in words.MEASURING
        and word not in words.UNITS
        and after.lower() not in words.UNITS
    )
