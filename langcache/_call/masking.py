"""Finds secrets in what others say (a reply, an error of a library), in whatever form they quote them."""

from __future__ import annotations

import functools
import re
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from .._copies import Uncopied

__all__ = ["NO_SECRETS", "Secret", "Secrets"]

MASK = "***"
_LEAST_CHARS = 4
"""Shorter secrets are not masked: they are guessed at once, and are part of ordinary words."""
_ALWAYS_CHARS = 8
"""Secrets shorter than this are masked where they stand alone, and not as a part of a longer word."""
_LAYERS = 2
"""How many kinds of escapes are undone one after the other: those of a URL in a JSON text, for one."""

# Patterns, which `re` compiles when they are first used: in a program without a failure never.
_GRANTS_ACCESS = "(?i)auth|cookie|credential|key|passw|secret|session|sign|token"
_ESCAPE = (
    # An escape may itself be escaped, any number of times: \\\\u0041, %252541, &amp;amp;#65;
    r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))?|%(?:25)*([0-9a-fA-F]{2})|&(?:amp;)*(#?\w{1,12};)|\0+"
)
_LONGEST_ESCAPE = 16
"""How many characters stand for one at most: a quote takes ten if it is escaped for HTML twice."""


class Secret(Uncopied, str):
    """A text that no repr shows: tools that show a traceback with local variables use that."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{MASK}'"


class Secrets:
    """The secrets of a request, and how to mask them in a text.

    They are the values of its headers that grant access: ``Authorization``, ``Proxy-Authorization``,
    ``Cookie``, ``X-Api-Key`` and all others whose names say so. Each is found as it is, in base64 or
    hexadecimal, in upper or lower case, and with any of its characters escaped as in JSON, HTML or a URL.
    """

    __slots__ = ("_forms", "_reach", "_short")

    def __init__(self, texts: Sequence[str]) -> None:
        self._reach = _LONGEST_ESCAPE * max(map(len, texts), default=0)
        self._forms: list[str] = []
        self._short: set[str] = set()
        for text in texts:
            if len(text) >= _ALWAYS_CHARS:
                self._forms += dict.fromkeys(map(_lower, _forms(text)))
            elif len(text) >= _LEAST_CHARS:
                self._forms.append(_lower(text))
                self._short.add(_lower(text))

    def __repr__(self) -> str:  # tools that show a traceback with local variables use it
        return "<Secrets>"

    @classmethod
    def of_request(cls, headers: Mapping[str, str]) -> Secrets:
        """Those of a request with these headers."""
        values = tuple((name, value) for name, value in headers.items() if re.search(_GRANTS_ACCESS, name))
        return _of_request(values) if values else NO_SECRETS

    def mask(self, text: str) -> str:
        """The text with every secret replaced by ``***``; the same object if there is none."""
        spans = sorted(self._spans(text)) if self._forms else ()
        if not spans:
            return text
        pieces: list[str] = []
        end = 0
        for start, stop in spans:
            if start >= end:
                pieces += text[end:start], MASK
            end = max(end, stop)
        return "".join([*pieces, text[end:]])

    def mask_bytes(self, content: bytes, *, is_cut: bool = False) -> bytes:
        """The same for bytes in any encoding that is a superset of ASCII.

        ``is_cut`` says that the content went on. Then its end is left out, as far as a secret may have begun
        there.
        """
        text = content.decode("latin-1")
        masked = self.mask(text)
        if is_cut and self._reach:
            masked = masked[: -self._reach]
        return content if masked is text else masked.encode("latin-1")

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        for view, places in _views(text):
            view = _lower(view)
            for form in self._forms:
                at = view.find(form)
                while at >= 0:
                    end = at + len(form)
                    if form not in self._short or not (
                        view[max(at - 1, 0) : at].isalnum() or view[end : end + 1].isalnum()
                    ):
                        yield places[at], places[end]
                    at = view.find(form, end)


NO_SECRETS = Secrets(())


@functools.lru_cache(maxsize=64)
def _of_request(headers: tuple[tuple[str, str], ...]) -> Secrets:
    texts = {text for name, value in headers for text in _in_header(name, value)}
    return Secrets(sorted(texts, key=len, reverse=True))


def _lower(text: str) -> str:
    """The text in lower case, as far as that is as long."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _in_header(name: str, value: str) -> Iterator[str]:
    if "cookie" in name.lower():
        yield from (pair.partition("=")[2].strip() for pair in value.split(";"))
        return
    scheme, _, credentials = value.strip().partition(" ")
    yield credentials.strip() or value  # "Bearer" and "Basic" are no secrets
    if scheme.lower() == "basic":
        with suppress(ValueError):
            login = b64decode(credentials).decode()
            yield login
            yield login.partition(":")[2]


def _forms(text: str) -> Iterator[str]:
    """The forms in which a secret is searched for, after escapes have been undone."""
    secret = text.encode("utf-8", "surrogatepass")
    for view, _ in _views(text):  # what looks like an escape in it is undone with others
        yield view
    if "\\" in text:
        yield text.replace("\\", "")
    if not text.isascii():
        yield secret.decode("latin-1")
    yield secret.hex()
    for before in range(3):
        # In base64 the characters for what stands before and after the secret depend on that too.
        encoded = b64encode(b"\0" * before + secret).decode()
        known = encoded[-(-8 * before // 6) : 8 * (before + len(secret)) // 6]
        yield known
        if "+" in known or "/" in known:
            yield known.replace("+", "-").replace("/", "_")


def _views(text: str) -> Iterator[tuple[str, Sequence[int]]]:
    """The text, and what it becomes when escapes are undone, and those in that.

    With each comes where its characters, and its end, are in the text.
    """
    places: Sequence[int] = range(len(text) + 1)
    yield text, places
    for _ in range(_LAYERS):
        pieces: list[str] = []
        inner = array("I")
        end = 0
        for escape in re.finditer(_ESCAPE, text):
            start, after = escape.span()
            if start > end:
                pieces.append(text[end:start])
                inner.extend(range(end, start))
            if meaning := _meaning(escape):
                pieces.append(meaning)
                inner.append(start)
            end = after
        if not end:
            return
        pieces.append(text[end:])
        inner.extend(range(end, len(text) + 1))
        text = "".join(pieces)
        places = inner if isinstance(places, range) else array("I", [places[place] for place in inner])
        yield text, places


def _meaning(escape: re.Match[str]) -> str:
    """The character that an escape stands for.

    Nothing for backslashes alone, which are left out of what is searched for too, and for NULs, which UTF-16
    has between letters.
    """
    kind = escape.lastindex
    if kind is None:
        return ""
    if kind == 4:
        import html  # its table of names takes a millisecond, and few replies need it

        return html.unescape(f"&{escape[4]}")[:1]
    return chr(int(escape[kind], 16))
