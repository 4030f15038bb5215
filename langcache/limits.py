"""The limits of the service, and the error for what breaks one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import cast

import msgspec

from ._checks import (
    LARGEST_INT,
    LimitError,
    check_int,
    check_number,
    check_text,
    check_texts,
    plain_number,
    short,
    wrong_type,
)
from .models import SearchStrategy

__all__ = ["LimitError", "Limits"]

_YEAR = 31_556_952_000
_LEAST = {
    "prompt_chars": 1,
    "attributes": 0,
    "attribute_name_chars": 1,
    "attribute_value_chars": 1,
    "ttl_millis": 1,
    "reply_bytes": 0,
}
_BESIDES_BYTES = 256
"""What a reply with one entry has besides its texts and attributes: names of fields, id, similarity."""

_ATTRIBUTE_NAME = re.compile(r"[a-zA-Z0-9_-]+")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits that LangCache documents (https://redis.io/docs/latest/develop/ai/langcache/).

    The client checks them before it sends anything. For a service that allows more, pass other limits:
    ``AsyncLangCache(limits=Limits(prompt_chars=8192))``. ``None`` removes a limit, and ``Limits.none()``
    removes all of them; types are still checked.
    """

    prompt_chars: int | None = 1024
    """The most characters in a prompt. The least is always 1."""

    attributes: int | None = 5
    """The most attributes in one call."""

    attribute_name_chars: int | None = 32
    """The most characters in an attribute's name. Unless it is None, names must match ``[a-zA-Z0-9_-]+``."""

    attribute_value_chars: int | None = 500
    """The most characters in an attribute's value. Unless it is None, values must not have a comma."""

    ttl_millis: int | None = _YEAR
    """The longest time to live, in milliseconds. The default is a year."""

    reply_bytes: int | None = 8 * 1024 * 1024
    """The most bytes in the body of a reply, decompressed. This limit is the client's own: it bounds the
    memory that a broken proxy or a gzip bomb can take, and the time for which reading a reply can hold up
    the event loop, some 50 milliseconds. Unless it is None, a reply must also have no more than 100,000 names
    and texts, which is 9,000 entries, and an entry that no such reply could have is not stored."""

    known_strategies: bool = True
    """Whether a search strategy must be one that this client knows."""

    def __post_init__(self) -> None:
        for name, minimum in _LEAST.items():
            value = getattr(self, name)
            if value is not None:
                msgspec.structs.force_setattr(self, name, check_int(name, value, minimum=minimum))

    @classmethod
    def none(cls) -> Limits:
        """Limits that refuse only wrong types and senseless values (an empty prompt, a negative time)."""
        return cls(
            prompt_chars=None,
            attributes=None,
            attribute_name_chars=None,
            attribute_value_chars=None,
            ttl_millis=None,
            reply_bytes=None,
            known_strategies=False,
        )

    def prompt(self, value: object) -> str:
        """Check a prompt: 1 to ``prompt_chars`` characters."""
        text = check_text("prompt", value)
        if not text:
            raise LimitError("prompt", "min", "must have at least 1 character, but is empty")
        if self.prompt_chars is not None and len(text) > self.prompt_chars:
            raise _too_many("prompt", "characters", self.prompt_chars, len(text))
        return text

    def similarity_threshold(self, value: object) -> float | None:
        """Check a threshold: None or a number from 0 to 1."""
        if value is None or (type(value) is float and 0 <= value <= 1):  # the usual cases
            return value
        return float(check_number("similarity_threshold", value, minimum=0, maximum=1, error=LimitError))

    def search_strategies(self, value: object) -> list[SearchStrategy] | None:
        """Check strategies: None, one, or an iterable of them in order of priority."""
        if value is None:
            return None
        if isinstance(value, str):
            value = [value]
        if isinstance(value, bytes) or not isinstance(value, Iterable):
            raise wrong_type("search_strategies", "an iterable of SearchStrategy or str", value)
        strategies: list[SearchStrategy] = []
        for item in cast("Iterable[object]", value):
            if not isinstance(item, str):
                raise wrong_type("search_strategies", "an iterable of SearchStrategy or str", item)
            strategy = SearchStrategy(item)
            if self.known_strategies and strategy not in SearchStrategy.__members__.values():
                known = ", ".join(repr(member.value) for member in SearchStrategy)
                message = f"must be among {known}, but has {short(strategy.value)}"
                raise LimitError("search_strategies", "oneof", message)
            strategies.append(strategy)
        if not strategies:
            raise LimitError(
                "search_strategies", "min", "is empty; leave it out to search with the service's default"
            )
        return strategies

    def attribute_map(self, value: object) -> dict[str, str] | None:
        """Check attributes: None or a mapping of names to values. Returns None for an empty one."""
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise wrong_type("attributes", "a mapping of str to str", value)
        given = cast("Mapping[object, object]", value)
        if self.attributes is not None and len(given) > self.attributes:
            raise _too_many("attributes", "attributes", self.attributes, len(given))
        attributes: dict[str, str] = {}
        for name, item in given.items():
            attributes[self._attribute_name(name)] = self._attribute_value(name, item)
        return attributes or None

    def required_attributes(self, value: object) -> dict[str, str]:
        """Check the attributes of ``delete_query``. At least one is required: none could mean all entries."""
        attributes = self.attribute_map(value)
        if attributes is None:
            raise LimitError("attributes", "required", "cannot be blank; flush() is what empties a cache")
        return attributes

    def check_entry_bytes(self, size: int) -> None:
        """Check the bytes of an entry as JSON. Raises `LimitError` if no reply could have it."""
        if self.reply_bytes is not None and size + _BESIDES_BYTES > self.reply_bytes:
            raise LimitError(
                "response",
                "max",
                f"makes an entry of {size} bytes, but the client reads replies of {self.reply_bytes} at most",
                hint="Limits(reply_bytes=...) allows more",
            )

    def max_results(self, value: object) -> int | None:
        """Check a number of results: None or at least 1."""
        return None if value is None else check_int("max_results", value, minimum=1, error=LimitError)

    def ttl(self, ttl_millis: object, ttl: object = None) -> int | None:
        """Check a time to live: None, or 1 to ``self.ttl_millis`` milliseconds.

        It is given as ``ttl_millis`` or, in seconds or as a `timedelta`, as ``ttl``; both at once are a
        `TypeError`. Returns milliseconds.
        """
        largest = LARGEST_INT if self.ttl_millis is None else self.ttl_millis
        if ttl is None:
            if ttl_millis is None:
                return None
            argument, unit = "ttl_millis", ""
            millis = check_int(argument, ttl_millis, minimum=1, error=LimitError)
            given = str(millis)
        else:
            if ttl_millis is not None:
                raise TypeError("ttl: can't be given along with ttl_millis, which says the same")
            argument, unit = "ttl", " milliseconds"
            millis = _millis(ttl)
            given = short(ttl) if isinstance(ttl, timedelta) else f"{short(ttl)} seconds"
            if millis < 1:
                raise LimitError(argument, "min", f"must be at least a millisecond, but is {given}")
        if millis > largest:
            year = " (a year)" if largest == _YEAR else ""
            raise LimitError(argument, "max", f"must be at most {largest}{unit}{year}, but is {given}")
        return millis

    def context(self, value: object) -> list[str] | None:
        """Check a conversation: None or an iterable of texts, oldest first."""
        what = "an iterable of str, one for each earlier question"
        return None if value is None else check_texts("context", value, what)

    def _attribute_name(self, name: object) -> str:
        if not isinstance(name, str):
            raise TypeError(f"attributes: names must be str, but one is {type(name).__name__}")
        text = check_text("attributes", name)
        if self.attribute_name_chars is None:
            return text
        if not _ATTRIBUTE_NAME.fullmatch(text) or len(text) > self.attribute_name_chars:
            raise LimitError(
                "attributes",
                "pattern",
                f"names must be 1 to {self.attribute_name_chars} of a-z A-Z 0-9 _ -, "
                f"but one is {short(text)}",
            )
        return text

    def _attribute_value(self, name: object, value: object) -> str:
        if not isinstance(value, str):
            raise wrong_type(f"attributes[{short(name)}]", "str", value)
        text = check_text("attributes", value)
        if self.attribute_value_chars is None:
            return text
        if not text or len(text) > self.attribute_value_chars:
            raise LimitError(
                "attributes",
                "max" if text else "min",
                f"values must have 1 to {self.attribute_value_chars} characters, "
                f"but {short(name)} has {len(text)}",
            )
        if "," in text:
            raise LimitError(
                "attributes", "pattern", f"values must not have a comma, but {short(name)} is {short(text)}"
            )
        return text


def _millis(ttl: object) -> int:
    if isinstance(ttl, timedelta):
        return round(ttl / timedelta(milliseconds=1))
    seconds = plain_number("ttl", ttl, "a number of seconds or a timedelta")
    if isinstance(seconds, float) and not math.isfinite(seconds):
        raise LimitError("ttl", "range", f"must be finite, but is {seconds!r}")
    whole = math.floor(seconds)  # an int has room for milliseconds where a float would overflow
    return whole * 1000 + round((seconds - whole) * 1000)


def _too_many(argument: str, unit: str, limit: int, count: int) -> LimitError:
    reason = f"must have at most {limit} {unit}, but has {count}"
    return LimitError(argument, "max", reason, hint="if the service allows more, see langcache.Limits")
