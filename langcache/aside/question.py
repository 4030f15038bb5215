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


class Question(msgspec.Struct, Generic[T], eq=False):
    """One question to one cache. `Questions.question` makes it, and checks the arguments."""

    # A Struct, since one is made for each call: it takes a fraction of the time of a class with __init__.

    method: str
    """The name of the client's method."""

    text: str
    """The text to look up."""

    attributes: frozenset[tuple[str, str]] | None
    """The encoded attributes, including those of the scope; None for none."""

    codec: Codec[T]
    """Converts the answer to text and back."""

    options: Options
    """The options of the call."""

    make: object
    """The function that computes the answer, or the answer itself."""

    computation: Hashable
    """Equal for questions whose answers are computed by the same function and arguments."""

    raises_errors: bool
    """Whether errors of the cache are raised."""

    timeout: float
    """Seconds that a lookup may take, and that a call waits for its answer to be stored."""

    claimed: bool = False
    """Whether the function is known to have entries with these attributes."""

    started: float = 0.0
    """When the lookup began, by `time.monotonic`."""

    request: Request[SearchResponse] | None = None
    """The search; None if the cache must not be asked."""

    outcome: Lookup | None = None
    """The outcome, if the cache must not be asked; else None."""

    stale: CacheEntry | None = None
    """The stale entry that the answer takes the place of, if it is computed anew in the background."""

    stores: bool = False
    """Whether its answer is being stored, or is stored, as far as that is known."""

    turned_down: frozenset[str] = frozenset()
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


_NO_FUNCTIONS = (None, None, None, None)


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
    if functions == _NO_FUNCTIONS or FunctionType not in map(type, functions):  # the usual cases
        return hashable(options)
    keys = [computation_key(each) if isinstance(each, FunctionType) else hashable(each) for each in functions]
    others = msgspec.structs.replace(options, accept=None, store_if=None, sources=None, usage=None)
    return hashable(others), *keys
