"""A reply as it arrived. What errors and logs show of it has a bounded size and no secrets."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from multidict import CIMultiDict

from .._wire.exchange import ERROR_BODY_BYTES, Reply
from ..errors import ResponseValidationError
from .masking import Secrets

__all__ = ["MOST_STRINGS", "Received", "is_success"]

MOST_STRINGS = 100_000
"""The most names and texts in a reply. They cost memory by their number; 9,000 entries have fewer."""


class Received(msgspec.Struct, frozen=True):
    """A reply whose model is still to be made. Nothing but the model is made of its exact content.

    It is no `Reply`, so that errors and logs can't hold it; they get what `shown` returns.
    """

    status_code: int
    headers: Mapping[str, str]
    content: bytes
    """Decompressed. Of a status other than 2xx at most `ERROR_BODY_BYTES` and one more."""

    sent: Mapping[str, str]
    """The headers of the request, those for the proxy included."""

    def __repr__(self) -> str:  # tools that show a traceback with local variables use it
        return f"<Received {self.status_code}, {len(self.content)} bytes>"

    @property
    def secrets(self) -> Secrets:
        """What must not be shown."""
        return Secrets.of_request(self.sent)

    def shown(self) -> Reply:
        """The reply for errors and logs: at most `ERROR_BODY_BYTES` of its body and as many characters of its
        headers, with the secrets of the request masked."""
        secrets = self.secrets
        is_cut = len(self.content) > ERROR_BODY_BYTES
        content = self.content[:ERROR_BODY_BYTES] if is_cut else self.content
        return Reply(
            self.status_code,
            _shown_headers(self.headers, secrets),
            secrets.mask_bytes(content, is_cut=is_cut),
        )

    def check_size(self, most_bytes: int | None, declared: int | None = None) -> None:
        """Raise `ResponseValidationError` for a success that is too large.

        Args:
            most_bytes: the most bytes in its body; None if its size has no limit.
            declared: the length in its headers, if its body was not read.
        """
        size = len(self.content) if declared is None else max(len(self.content), declared)
        if most_bytes is None or (size <= most_bytes and size <= ERROR_BODY_BYTES):  # the usual case
            return
        if not is_success(self.status_code):
            return
        if size > most_bytes:
            reason = f"it has more than {most_bytes} bytes; Limits(reply_bytes=...) allows more"
        elif _has_too_many_strings(self.content):
            reason = f"it has more than {MOST_STRINGS} texts; Limits(reply_bytes=None) allows any number"
        else:
            return
        raise ResponseValidationError("the reply is too large", self.shown(), ValueError(reason))


def is_success(status: int) -> bool:
    """Whether a reply with this status has what was asked for."""
    return 200 <= status < 300


def _has_too_many_strings(content: bytes) -> bool:
    """Whether a JSON text has more than `MOST_STRINGS` strings, or perhaps a bit more than half of that."""
    # Outside of strings there is no backslash, so that the quote that begins a string always counts.
    quotes = content.count(b'"')
    return quotes > 2 * MOST_STRINGS and quotes - content.count(b'\\"') > 2 * MOST_STRINGS


def _shown_headers(headers: Mapping[str, str], secrets: Secrets) -> Mapping[str, str]:
    shown: list[tuple[str, str]] = []
    left = ERROR_BODY_BYTES
    is_same = True
    for name, value in headers.items():
        left -= len(name) + len(value)
        if left < 0:
            is_same = False
            break
        pair = secrets.mask(name), secrets.mask(value)
        is_same = is_same and pair[0] is name and pair[1] is value
        shown.append(pair)
    return headers if is_same else CIMultiDict(shown)
