"""How the replies of providers are stored: as the JSON of a reply that was not streamed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from ...aside.options import StoreIf
from ..replies import FORMATS, Json
from ..replies.reading import object_of

__all__ = ["NotShared", "OfReply", "Piece", "ReplyCodec", "StoresAnswers"]


class NotShared(Exception):
    """A call got an error or no answer, which is its own alone."""

    def __init__(self, owner: object) -> None:
        super().__init__("the reply of a provider is not shared")
        self.owner = owner


class Piece(NamedTuple):
    """A part of a stream."""

    data: bytes
    """The events to pass on."""

    reply: Json | None = None
    """In the last piece, what all of them say; None if that is not complete, or was not understood."""

    ends: bool = False
    """Whether the last event of a complete reply is in it."""


class ReplyCodec:
    """Stores the replies of an API: dicts, or the lists of pieces of a stream.

    All are equal. What is stored is JSON that was read before, so that it comes back as it is. A reply is
    given again as either, and no API finds the replies of another, since it is part of the fingerprint.
    """

    is_exact = True

    def __init__(self, api: str, *, streamed: bool) -> None:
        self._api = api
        self._format = FORMATS[api]
        self._streamed = streamed

    def encode(self, value: Any) -> str:
        """The JSON. Raises `TypeError` if there is none."""
        reply = self.whole(value)
        if reply is None:
            raise TypeError("the reply is not complete")
        return msgspec.json.encode(reply).decode()

    def decode(self, text: str) -> Any:
        """The reply again; of a stream, one piece. Raises `ValueError` if it is none that is stored."""
        reply = object_of(text)
        if self._format.kept(reply) is None:
            raise ValueError(f"this is no reply of {self._api} that can be given again")
        return [Piece(b"", reply)] if self._streamed else reply

    def whole(self, value: Any) -> Json | None:
        """What comes back of a value, whether or not it was streamed."""
        reply: Json | None = (value[-1].reply if value else None) if self._streamed else value
        return reply

    def text(self, value: Any) -> str:
        """What a reply says; nothing if it is none that is stored."""
        reply = self.whole(value)
        kept = None if reply is None else self._format.kept(reply)
        return "" if kept is None else self._format.text(kept)

    def check_shared(self, value: Any) -> None:
        """Raise `NotShared` for a reply that is none that is stored: it is that of one call alone."""
        if not self.text(value):
            raise NotShared(None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReplyCodec)

    def __hash__(self) -> int:
        return hash(ReplyCodec)


class OfReply(NamedTuple):
    """A function of a reply's JSON, for what is called with the reply or its pieces.

    Those of two requests are equal, as are two `StoresAnswers`, or the requests would share nothing.
    """

    codec: ReplyCodec
    given: Callable[[Json], Any]

    def __call__(self, value: Any) -> Any:
        reply = self.codec.whole(value)
        return None if reply is None else self.given(reply)


class StoresAnswers(NamedTuple):
    """A ``store_if`` that stores what may be stored, if the one that is given lets it."""

    codec: ReplyCodec
    given: StoreIf | None

    def __call__(self, value: Any) -> Any:
        reply = self.codec.whole(value)
        if reply is None or not self.codec.text(value):
            return False
        return True if self.given is None else self.given(reply)
