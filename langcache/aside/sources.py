"""What an answer was made from, and how a service that filters by equal attributes alone finds it by that.

The attribute of an answer holds the text of all its sources. Beside it, the cache has an index entry for each
source and each such text. It has a prompt that is like no question, and that all index entries of one source
have in common, so that an exact search finds them. Stored entries contain all this, so it must never change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias, cast

import msgspec

from .._checks import check_text, short, wrong_type
from ..limits import LimitError
from ..models import CacheEntry
from .scope import encode_attributes

__all__ = [
    "IndexEntry",
    "Sources",
    "attribute_of",
    "check_source",
    "check_source_set",
    "check_sources",
    "index_attribute",
    "index_prompt",
    "index_response",
    "is_index_entry",
    "name_of",
    "read_index_entry",
]

Sources: TypeAlias = Iterable[str] | Callable[[Any], "Iterable[str] | Awaitable[Iterable[str]]"]
"""What an answer was made from; or a function of the computed answer that returns it."""

_MOST = 64
_MOST_CHARS = 500
_SEPARATOR = "&"  # which no encoded text has
_INDEX = "index~"  # which neither the text of sources has


class IndexEntry(msgspec.Struct, rename="camel"):
    """The response of an index entry."""

    source: str
    """The source, with its version."""

    value: str
    """The attribute of the answers that have this source and the same others."""

    at: int
    """When it was stored, in seconds since 1970 (UTC)."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(IndexEntry).decode


def check_sources(argument: str, value: object) -> Any:
    """Check the option: None, a function, or what `check_source_set` takes."""
    return value if value is None or callable(value) else check_source_set(argument, value)


def check_source_set(argument: str, value: object) -> tuple[str, ...]:
    """Check sources: an iterable of up to 64 texts. Returns them sorted, each once."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise wrong_type(argument, "an iterable of str, such as ['doc:42@v7']", value)
    sources = sorted({check_source(argument, each) for each in cast("Iterable[object]", value)})
    if len(sources) > _MOST:
        raise LimitError(argument, "max", f"must have at most {_MOST} sources, but has {len(sources)}")
    return tuple(sources)


def check_source(argument: str, value: object) -> str:
    """Check one source: a text of 1 to 500 characters that has a name before its version."""
    source = check_text(argument, value)
    if not source.strip() or len(source) > _MOST_CHARS:
        rule = "max" if source.strip() else "min"
        reason = f"a source must have 1 to {_MOST_CHARS} characters, but {short(source)} has {len(source)}"
        raise LimitError(argument, rule, reason)
    if not name_of(source):
        raise LimitError(argument, "pattern", f"a source must have a name before '@', but is {short(source)}")
    return source


def name_of(source: str) -> str:
    """The name of a source, without its version, which follows the last ``@``."""
    name, _, _ = source.rpartition("@")
    return name if "@" in source else source


def attribute_of(sources: Iterable[str]) -> str:
    """The attribute of an answer that was made from these sources; a digest of them, if it would be long."""
    encoded = (encode_attributes({"source": source})["source"] for source in sources)
    text = _SEPARATOR.join(sorted(encoded))
    return text if len(text) <= _MOST_CHARS else f"sha256~{_digest(text)}"


def index_prompt(name: str) -> str:
    """The prompt of the index entries of a source with this name.

    A number and no words of the source, so that it is like no question; and no letters without a meaning, of
    which the local service would warn.
    """
    return f"langcache index {int(_digest(name), 16) % 10**40:040}"


def index_attribute(name: str) -> str:
    """The attribute of the index entries of a source with this name."""
    return f"{_INDEX}{_digest(name)}"


def index_response(source: str, value: str, at: int) -> str:
    """The response of an index entry. The arguments are the fields of `IndexEntry`."""
    return _encode(IndexEntry(source, value, at)).decode()


def is_index_entry(attributes: Mapping[str, str], source_attribute: str) -> bool:
    """Whether an entry with these attributes is an index entry, and no answer."""
    return attributes.get(source_attribute, "").startswith(_INDEX)


def read_index_entry(entry: CacheEntry) -> IndexEntry | None:
    """What an index entry says; None for an entry that somebody else has made."""
    try:
        return _decode(entry.response)
    except msgspec.MsgspecError:
        return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
