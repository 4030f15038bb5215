"""A question to a cache: the text, the attributes, and the function that computes the answer."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable
from typing import Generic, TypeVar

from .._wire.exchange import Request
from ..models import CacheEntry, SearchResponse
from .answers import Lookup
from .codecs import TEXT, Codec
from .functions import describe, hashable
from .options import Options

__all__ = ["Question"]

T = TypeVar("T")


class Question(Generic[T]):
    """One question to one cache. `Aside.question` makes it, and checks the arguments.

    Args:
        method: the name of the client's method.
        text: the text to look up.
        attributes: the encoded attributes, including those of the scope; None for none.
        codec: converts the answer to text and back.
        options: the options of the call.
        make: the function that computes the answer, or the answer itself.
        computation: equal for questions whose answers are computed by the same function and arguments.
        raises_errors: whether errors of the cache are raised.
        timeout: seconds that a lookup may take, and that a call waits for its answer to be stored.
    """

    __slots__ = (
        *("attributes", "claimed", "codec", "computation", "make", "method", "options", "outcome"),
        *("raises_errors", "request", "started", "text", "timeout"),
    )

    def __init__(
        self,
        method: str,
        text: str,
        attributes: frozenset[tuple[str, str]] | None,
        codec: Codec[T],
        options: Options,
        make: object,
        computation: Hashable,
        raises_errors: bool,
        timeout: float,
    ) -> None:
        self.method = method
        self.text = text
        self.attributes = attributes
        self.codec = codec
        self.options = options
        self.make = make
        self.computation = computation
        self.raises_errors = raises_errors
        self.timeout = timeout
        self.claimed: bool = False
        """Whether the function is known to have entries with these attributes."""
        self.started: float = 0.0
        """When the lookup began, by `time.monotonic`."""
        self.request: Request[SearchResponse] | None = None
        """The search; None if the cache must not be asked."""
        self.outcome: Lookup | None = None
        """The outcome, if the cache must not be asked; else None."""

    def flight_key(self, domain: Hashable, authorization: str | None) -> Hashable:
        """Equal for questions that may share one answer.

        Args:
            domain: what `flight_domain` of the execution returned.
            authorization: that of the call, if the client's key comes from a callable; else None.
        """
        text = self.text
        if not self.options.refresh:  # which replaces the entry of the very text
            text = " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())
        given: object = self.codec
        codec = None if given is TEXT else hashable(given)
        options = None if self.options is Options.DEFAULT else hashable(self.options)
        return domain, text, self.attributes, codec, options, self.computation, authorization

    def attributes_match(self, entry: CacheEntry) -> bool:
        """Whether an entry has all attributes of the question.

        Checked for every entry found, in case the service does not filter by attributes as requested.
        """
        return self.attributes is None or self.attributes <= entry.attributes.items()

    def __str__(self) -> str:
        return self.options.function or describe(self.make)
