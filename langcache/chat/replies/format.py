"""What the formats of replies have in common."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeAlias, cast

from ...aside.usage import Usage

__all__ = [
    "REPEATED",
    "Collector",
    "Json",
    "ReplyFormat",
    "as_dict",
    "as_list",
    "count",
    "event",
    "is_empty",
    "is_known",
    "known",
    "name_of",
    "new_id",
    "zeroed",
]

Json: TypeAlias = dict[str, Any]
"""A JSON object."""


REPEATED = (
    *("metadata", "user", "safety_identifier"),
    *("prompt_cache_key", "prompt_cache_retention", "request_id"),
)
"""What a reply may tell of its own request and user, which is never stored."""

_FLAGS = ("error", "filtered", "detected", "blocked", "blockReason")
"""What says that something failed or was found by a filter."""


class Collector(Protocol):
    """Makes the reply of the events of a stream."""

    def add(self, data: str) -> bool:
        """Take the data of the next event. Returns whether it is the last one of a complete reply.

        Raises nothing for data that is not understood: the reply is then None.
        """
        ...

    def reply(self) -> Json | None:
        """The reply, as if it had not been streamed; None if it is not complete, or was not understood."""
        ...


class ReplyFormat(Protocol):
    """How the replies of one API are read and given again."""

    def kept(self, reply: Json) -> Json | None:
        """What is stored of a reply, which has its own usage; None if it must not be stored.

        Stored are complete answers in text alone: no call of a tool, no refusal, no error, nothing that was
        cut off or filtered, nothing empty, and nothing with a field that is not known and not empty. Thoughts
        are left out, and so is what repeats the request.
        """
        ...

    def usage(self, reply: Json) -> Usage:
        """What a reply, or what is kept of it, cost.

        Tokens that were read from the provider's own cache are not among the input, and those of thoughts are
        among the output.
        """
        ...

    def text(self, reply: Json) -> str:
        """The text of what is kept."""
        ...

    def replayed(self, kept: Json, body: Mapping[str, Any], now: int) -> Json:
        """The reply to give to a request: with new ids, and a usage of zero.

        Args:
            kept: what is stored.
            body: the request.
            now: seconds since 1970.
        """
        ...

    def events(self, reply: Json, body: Mapping[str, Any]) -> Iterator[bytes]:
        """A reply that `replayed` returned, as server-sent events."""
        ...

    def collector(self) -> Collector:
        """A collector for one stream."""
        ...


def as_dict(value: object) -> Json:
    """A value that should be an object; an empty one if it is none."""
    return cast("Json", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """A value that should be a list; an empty one if it is none."""
    return cast("list[object]", value) if isinstance(value, list) else []


def is_empty(values: Iterable[object]) -> bool:
    """Whether all of them are nothing: null, false, or a text, list or object without content."""
    return all(map(_is_nothing, values))


def _is_nothing(value: object) -> bool:
    return value is None or value is False or value in ("", [], {})


def known(given: Json, kept: Collection[str], dropped: Collection[str] = ()) -> Json | None:
    """Those of the fields that are kept; None if others say something that is not understood.

    Args: those of `is_known`.
    """
    if not is_known(given, kept, dropped):
        return None
    return {name: value for name, value in given.items() if name in kept}


def is_known(given: Json, kept: Collection[str], dropped: Collection[str] = ()) -> bool:
    """Whether no field says something that is not understood.

    Args:
        given: a part of a reply.
        kept: the names of fields that are kept.
        dropped: the names of fields that are left out, unless they tell of a failure or a filter. Any other
            field must be empty.
    """
    if isinstance(kept, frozenset) and given.keys() <= kept:  # the usual case, decided fast
        return True
    for name, value in given.items():
        if name not in kept and (_is_flagged(value) if name in dropped else not _is_nothing(value)):
            return False
    return True


def _is_flagged(value: object) -> bool:
    """Whether a value says, at any depth, that something failed or was found by a filter."""
    if isinstance(value, dict):
        fields = cast("Json", value)
        return not is_empty(fields.get(name) for name in _FLAGS) or any(map(_is_flagged, fields.values()))
    return isinstance(value, list) and any(map(_is_flagged, cast("list[object]", value)))


def count(counted: Mapping[str, Any], name: str) -> int | None:
    """A number of tokens; None if it is not given."""
    value = counted.get(name)
    return value if type(value) is int and value >= 0 else None


def name_of(model: object) -> str | None:
    """The name of a model; None if it is none."""
    return model if isinstance(model, str) else None


def zeroed(value: Any) -> Any:
    """The same with every number 0, at every depth."""
    if isinstance(value, dict):
        return {name: zeroed(item) for name, item in cast("Json", value).items()}
    if isinstance(value, list):
        return [zeroed(item) for item in cast("list[object]", value)]
    return 0 if isinstance(value, int | float) and not isinstance(value, bool) else value


def new_id(prefix: str) -> str:
    """An id that no other reply has."""
    return prefix + uuid.uuid4().hex


def event(data: object, name: str | None = None, end: str = "\n") -> bytes:
    """A server-sent event."""
    head = "" if name is None else f"event: {name}{end}"
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}{end}{end}".encode()
