"""The numbers of a text in one spelling each: signs, separators, fractions, versions and times of day."""

from __future__ import annotations

import re
from collections.abc import Iterator

from . import words

__all__ = ["DATE", "NUMBER", "fraction", "is_version", "joined", "roman", "spelt_as", "time_of_day", "values"]

DATE = (
    r"\d{4}(?P<parted>[-/.])\d{1,2}(?P=parted)\d{1,2}(?!\d)"
    r"|\d{1,2}(?P<between>[-/])\d{1,2}(?P=between)(?:\d{4}|\d\d)(?!\d)"
)
_COUNTED = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
WRITTEN = f"minus|negative|{_COUNTED}"
"""The words that numbers begin with."""
_HALF = r"\ ?(?i:[ap]\.m\.?|[ap]m|in\ the\ (?:morning|afternoon|evening)|noon|midnight)(?!\w)"
NUMBER = (
    r"(?P<minus>(?<![\w)\]%-])-|(?<=\d-)-|(?<!\S)(?<![\d)]\ )(?<!\b\w\ )(?i:minus|negative)\ )?"
    r"(?P<currency>[$\u20ac\u00a3\u00a5])?"
    r"(?P<digits>0[xX][\da-fA-F]+|\d+(?::\d+)+|\d+(?:[.,_]\d+)*(?:[eE][+-]?\d+(?!\w))?|(?<![\w.])\.\d+"
    rf"|(?<!\w)(?i:{_COUNTED})(?={_HALF}))"
    rf"(?P<times>(?:[kKMB]|bn)(?!\w))?(?P<half>{_HALF})?"
)

_GROUPED = re.compile(r"\d{1,3}(?:[,_]\d{3})+(?:\.\d+)?")
_GROUPED_BY_DOTS = re.compile(r"\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}")
_DECIMAL_COMMA = re.compile(r"\d+,\d+")
_ZEROS = {"k": 3, "m": 6, "b": 9, "bn": 9}
_MONEY = "|".join(
    re.escape(word)
    for word, unit in words.UNITS.items()
    if unit in ("USD", "EUR", "GBP", "JPY") and word not in ("dollar", "euro", "pound")
)
"""Not in the singular: 2 500 euro notes may be two notes."""
_PARTED = re.compile(
    r"(?P<sign>[$\u20ac\u00a3\u00a5] ?)?(?<![\w.,])"
    r"(?P<digits>\d{1,3}(?P<mark>[ '\u2019\u00a0\u2009\u202f])\d{3}(?:(?P=mark)\d{3}){0,4})"
    r"(?![\w'\u2019]|(?P=mark)\d)"
    rf"(?P<unit>(?:[.,]\d\d?)? ?(?:{_MONEY})(?!\w))?",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d")
_ONE = re.compile(NUMBER)
_IN_FIGURES = re.compile(
    r"\d+(?:[.,]\d+)?|\d{1,3}(?:[,_]\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d+|\d{1,2}:\d\d"
)  # not 1.2.3, which is a version or an address
_BEFORE_LITERALS = tuple("[({'\"`\u201c\u2018")
"""Signs before what a program is given, where `1,500` is not `1500`."""
_LAST_WORD = re.compile(r"([^\W\d_]+) ?\Z")
_CERTAIN = re.compile(r"[1-9]\d{0,2}(?:[,_]\d{3})+(?:\.\d+)?")
"""Digits with marks that are one number wherever they are."""
_UNCERTAIN = re.compile(r"[1-9]\d{0,2}\.\d{3}|0,\d{3}")
"""Digits that are thousands to some and a fraction to others."""
_NEXT_WORD = re.compile(r".?([^\W\d_]+)")
_ROMAN = re.compile(r"(?=[IVXLC]{2})C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")


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
    if len(token) > 8 or not (before[:1].isupper() or before in words.NUMBERED):
        return None
    if not _ROMAN.fullmatch(token.upper()) or (token != token.upper() and before not in words.NUMBERED):
        return None
    numerals = token.upper()
    for less, more in (("XC", "LXXXX"), ("XL", "XXXX"), ("IX", "VIIII"), ("IV", "IIII")):
        numerals = numerals.replace(less, more)
    return str(sum({"C": 100, "L": 50, "X": 10, "V": 5, "I": 1}[numeral] for numeral in numerals))


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


def joined(text: str) -> str:
    """A text whose numbers have no spaces or apostrophes between thousands: 1500 for 1'500.

    A space as wide as a plain one may part two numbers, so it goes only where money is counted and nothing
    else is numbered: 1 500 euros, but not seat 12 500 euros.
    """
    return _PARTED.sub(_joined, text) if _DIGIT.search(text) else text


def _joined(found: re.Match[str]) -> str:
    mark = found["mark"]
    if mark in " \u00a0" and not found["sign"]:
        before = _LAST_WORD.search(found.string, max(found.start() - 30, 0), found.start())
        if not found["unit"] or (before is not None and before[1].lower() not in words.SMALL_WORDS):
            return found[0]
    return found[0].replace(found["digits"], found["digits"].replace(mark, ""))


def spelt_as(text: str, other: str) -> str:
    """A text with the numbers of another one where they are equal and written in another way.

    1,500 and 1500 are equal, and so are 2.50 and 2.5 where money, a unit or % is counted. Not so 5.000,
    which is five thousand to some. A text that has a number in two ways is left as it is: 5 pm to 17:00.
    """
    if not _DIGIT.search(text) or not _DIGIT.search(other):
        return text
    text = joined(text)
    ours, figures = [*_figures(text)], [*_figures(joined(other))]
    if _has_two_spellings(ours) or _has_two_spellings(figures):
        return text
    theirs = {value: written for value, written, _ in figures}
    parts: list[str] = []
    end = 0
    for value, written, start in ours:
        if theirs.get(value, written) != written:
            parts += (text[end:start], theirs[value])
            end = start + len(written)
    return "".join((*parts, text[end:]))


def _figures(text: str) -> Iterator[tuple[str, str, int]]:
    """The value of each number, how it is written, and where, but for those that may be something else."""
    for found in _ONE.finditer(text):
        start, end = found.start("digits"), found.end()
        if not _IN_FIGURES.fullmatch(found["digits"]) or text[start - 1 : start] in _BEFORE_LITERALS:
            continue
        digits = found["digits"]
        is_plain = digits.isdigit() or ":" in digits or found["half"]
        if not is_plain and not _CERTAIN.fullmatch(digits):
            after = _NEXT_WORD.match(text, end)
            has_unit = text[end : end + 1] == "%" or (after is not None and after[1].lower() in words.UNITS)
            is_counted = has_unit or found["currency"] or found["times"]
            if _UNCERTAIN.fullmatch(digits) or not is_counted:
                continue  # 3.10 may be a version, a clause or a day; 5.000 five thousand; 2,30 two numbers
        yield values(found, listed=False)[-1], text[start:end], start


def _has_two_spellings(figures: list[tuple[str, str, int]]) -> bool:
    """Whether two numbers are equal and written in different ways."""
    return len({value for value, _, _ in figures}) < len({(value, written) for value, written, _ in figures})
