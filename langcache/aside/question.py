"""A question to a cache: the text, the attributes, and the function that computes the answer."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable
from copy import copy
from types import FunctionType
from typing import Generic, TypeVar

import msgspec

from .._wire.exchange import Request
from ..models import CacheEntry, SearchResponse
from .answers import Lookup
from .codecs import TEXT, Codec
from .functions import computation_key, describe, hashable
from .options import Options

__all__ = ["Question"]

T = TypeVar("T")


class Question(Generic[T]):
    """One question to one cache. `Questions.question` makes it, and checks the arguments.

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
        *("raises_errors", "request", "stale", "started", "stores", "text", "timeout", "turned_down"),
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
        self.stale: CacheEntry | None = None
        """The stale entry that the answer takes the place of, if it is computed anew in the background."""
        self.stores: bool = False
        """Whether its answer is being stored, or is stored, as far as that is known."""
        self.turned_down: frozenset[str] = frozenset()
        """The ids of entries of the near cache that were not accepted: nobody is asked about them again."""

    def flight_key(self, domain: Hashable, authorization: str | None) -> Hashable:
        """Equal for questions that may share one answer.

        Args:
            domain: what `flight_domain` of the execution returned.
            authorization: that of the call, if the client's key comes from a callable; else None.
        """
        text = self.text
        # A refresh replaces the entry of the very text. Lines that are indented may be those of a program.
        if not self.options.refresh and "\n " not in text and "\n\t" not in text:
            text = " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())
        given: object = self.codec
        codec = None if given is TEXT else hashable(given)
        options = _options_key(self.options)
        return domain, text, self.attributes, codec, options, self.computation, authorization

    def renewing(self, stale: CacheEntry) -> Question[T]:
        """The same question, for computing its stale answer anew."""
        renewing = copy(self)
        renewing.stale = stale
        renewing.options = msgspec.structs.replace(self.options, refresh=True, store="wait")
        return renewing

    def attributes_match(self, entry: CacheEntry) -> bool:
        """Whether an entry has all attributes of the question.

        Checked for every entry found, in case the service does not filter by attributes as requested.
        """
        return self.attributes is None or self.attributes <= entry.attributes.items()

    def __str__(self) -> str:
        return self.options.function or describe(self.make)


def _options_key(options: Options) -> Hashable:
    """Equal for options of which calls may share an answer. Functions are compared by what they do.

    So those that are written in the call itself don't keep calls from sharing, and neither does how long each
    would wait for another.
    """
    if options is Options.DEFAULT:
        return None
    if options.flight_timeout is not None:
        return _options_key(msgspec.structs.replace(options, flight_timeout=None))
    if options == Options.DEFAULT:
        return None
    functions = (options.accept, options.store_if, options.sources, options.usage)
    if FunctionType not in map(type, functions):  # the usual case
        return hashable(options)
    keys = [computation_key(each) if isinstance(each, FunctionType) else hashable(each) for each in functions]
    others = msgspec.structs.replace(options, accept=None, store_if=None, sources=None, usage=None)
    return hashable(others), *keys
