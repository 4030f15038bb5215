"""One spelling for the characters that are written in several ways, before the guard reads a text."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from .numbers import joined

__all__ = ["respell"]

_ALIKE = str.maketrans(
    {
        "\u2212": "-",
        "\u2010": "-",
        "\u2011": "-",
        "\u2018": "'",
        "\u2019": "'",
        "\u02bc": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2014": " ",
        "\u2015": " ",
        "\u00d7": "*",
        "\u22c5": "*",
        "\u00f7": "/",
        "\u2215": "/",
        "\u2044": "/",
        "\u2264": "<=",
        "\u2a7d": "<=",
        "\u2265": ">=",
        "\u2a7e": ">=",
        "\u2260": "!=",
        "\u2122": " ",
        "\u00ae": " ",
        "\u00a9": " ",
        "\u00ad": None,
        "\u200b": None,
        "\u200d": None,
        "\ufe0e": None,
        "\ufe0f": None,
    }
)
_SMALL = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b\u207f"
_RAISED = re.compile(f"[{_SMALL}]+")
_PLAIN = str.maketrans(_SMALL, "0123456789+-n")
_DEGREES = re.compile("[\u00b0\u00ba] ?(?:([cC])|([fF]))(?![\\w+#])|\u00b0")
_DASH = re.compile("(?<=[0-9])\u2013(?=[0-9])|(?<![^ (])\u2013(?=[0-9])")  # a range, or a sign

_BULLET = re.compile(
    r"^[ \t]*(?:[-*+\u2022\u00b7\u2023\u25aa\u25ab\u25cf\u25cb\u25a0\u25a1\u25b6\u25ba][ \t]+(?=\S)"
    r"|>[ \t]?(?=[^\W\d])|\#{1,6}[ \t]+(?=\S))",
    re.MULTILINE,
)
_RULE = re.compile(r"^[ \t]*([-=*_#~])\1{2,}[ \t]*$|^[ \t]*`{3,}.*$", re.MULTILINE)
_EMPHASIS = re.compile(
    r"(?<![\w*\\/.])(?P<stars>\*{2,3}(?=[^\s*])|\*(?=[^\W_]))(?P<strong>[^*\n]*?[^\s*])(?P=stars)(?![\w*])"
    r"|(?<!\w)(?P<lines>__?)(?=[^\s_])(?P<italic>(?:[^_\n]|(?<=\w)_(?=\w))*?[^\s_])(?P=lines)(?!\w)"
)
_SPACES = re.compile(r"\s+")
_SECOND_HAND = re.compile("second-hand", re.IGNORECASE)
"""Which has no number in it."""
_WITH = re.compile(r"(?<!\S)w/(?:(o)(?!\w)|(?=\s|[^\W\d_]))", re.IGNORECASE)


@lru_cache(maxsize=16)  # the guard and the features read the same texts
def respell(text: str) -> str:
    """A text with one spelling for signs that mean the same, and without the marks of its layout."""
    text = joined(text)
    if not text.isascii():
        text = _RAISED.sub(lambda found: "^" + found[0].translate(_PLAIN), text.translate(_ALIKE))
        text = _DASH.sub("-", text).replace("\u2013", " ")
        text = "".join(map(_plain, text))
        text = unicodedata.normalize("NFKC", _DEGREES.sub(_degrees, text)).translate(_ALIKE)
        text = _DEGREES.sub(_degrees, text)
    text = _EMPHASIS.sub(_emphasised, _BULLET.sub("", _RULE.sub("", text)))
    text = _SECOND_HAND.sub("secondhand", text)
    return _SPACES.sub(" ", _WITH.sub(_with, text)).strip()


def _emphasised(found: re.Match[str]) -> str:
    return found["strong"] or found["italic"]


def _degrees(found: re.Match[str]) -> str:
    return " celsius" if found[1] else " fahrenheit" if found[2] else " "


def _with(found: re.Match[str]) -> str:
    return "without" if found[1] else "with "


def _plain(character: str) -> str:
    # NFKC would make 11/2 of one and a half, and it leaves the digits of other scripts as they are.
    if character.isascii():
        return character
    decimal = unicodedata.decimal(character, None)
    if decimal is not None:
        return str(decimal)
    if "\u2044" in unicodedata.normalize("NFKC", character):
        return " " + unicodedata.normalize("NFKC", character).replace("\u2044", "/")
    return character
