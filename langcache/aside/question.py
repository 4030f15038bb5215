"""A question as it is put to a cache: what is asked, with which attributes, and what computes the answer."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable
from typing import Generic, TypeVar

from .._wire.exchange import Request
from ..models import CacheEntry, SearchResponse
from .answers import Lookup
from .codecs import TEXT, Codec
from .functions import describe
from .options import Options

__all__ = ["Question", "checked_text"]

T = TypeVar("T")


class Question(Generic[T]):
    """One question to one cache. Made by `Aside.question`, which checks what is in it.

    Args:
        call: the name of the method.
        text: what is looked up.
        attributes: encoded, those of the scope included; None for none.
        codec: makes text of the answer.
        options: those of the call.
        make: what computes the answer.
        name: what the program calls that function, or else where it is defined; None if that is nowhere.
        computation: equal for questions whose answers are computed alike.
        raising: whether errors of the cache are raised.
        timeout: seconds for a lookup.
    """

    __slots__ = (
        *("attributes", "call", "codec", "computation", "make", "name", "options", "outcome", "raising"),
        *("request", "text", "timeout"),
    )

    def __init__(
        self,
        call: str,
        text: str,
        attributes: frozenset[tuple[str, str]] | None,
        codec: Codec[T],
        options: Options,
        make: object,
        name: Hashable,
        computation: Hashable,
        raising: bool,
        timeout: float,
    ) -> None:
        self.call = call
        self.text = text
        self.attributes = attributes
        self.codec = codec
        self.options = options
        self.make = make
        self.name = name
        self.computation = computation
        self.raising = raising
        self.timeout = timeout
        self.request: Request[SearchResponse] | None = None
        """The search, None if the cache must not be asked."""
        self.outcome: Lookup | None = None
        """The outcome, if the cache must not be asked; else None."""

    def flight_key(self, place: Hashable, key: str | None) -> Hashable:
        """Equal for questions that may share one answer.

        Args:
            place: where they can wait for each other: an event loop, say.
            key: the authorization of the call, if it differs from call to call.
        """
        text = self.text if self.text.isascii() else unicodedata.normalize("NFC", self.text)
        given: object = self.codec
        codec = None if given is TEXT else _hashable(given)
        options = None if self.options is Options.DEFAULT else _hashable(self.options)
        return place, " ".join(text.split()), self.attributes, codec, options, self.computation, key

    def may_be_answered_by(self, entry: CacheEntry) -> bool:
        """Whether an entry carries the attributes asked for.

        Asked of every entry found, though the service was told to filter: it may be one that does not.
        """
        return self.attributes is None or self.attributes <= entry.attributes.items()

    def __str__(self) -> str:
        return self.options.function or describe(self.make)


def checked_text(text: object, *, by_key: bool) -> str | None:
    """The text to look up. None, which only ``key`` may return, if there is nothing to look up.

    Raises `TypeError` for anything else.
    """
    if isinstance(text, str) or (text is None and by_key):
        return text
    if by_key:
        raise TypeError(
            f"key: must return str, or None to bypass the cache, but returned {type(text).__name__}"
        )
    raise TypeError(f"prompt: must be str, but is {type(text).__name__}; key= can make a text of it")


def _hashable(thing: object) -> Hashable:
    """Stand in for ``thing`` in a key: itself if it can be hashed, else its identity while it is in use."""
    try:
        hash(thing)
    except TypeError:
        return id(thing)
    return thing
