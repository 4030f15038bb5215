"""Reads JSON, and the events of streams as they come in."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from .format import Collector, Json, as_dict

__all__ = ["EventReader", "StreamReader", "object_of"]

_END = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
"""The end of a line and an empty line."""

_LINES = re.compile(r"\r\n|\n|\r")
_LONGEST = 1 << 24


def object_of(data: str | bytes) -> Json:
    """The object in a text of JSON; an empty one if there is none."""
    try:
        value: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return as_dict(value)


class EventReader:
    """Splits the bytes of a stream into server-sent events."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def take(self, chunk: bytes) -> tuple[bytes, list[str]]:
        """Take bytes, in pieces of any size.

        Returns the bytes of all events that are complete now, and the data of each. What is no event is kept
        back until it is one, up to 16 MiB.
        """
        end_of_event = None if self._rest else _end_of_events(chunk)
        if end_of_event is not None and chunk.endswith(end_of_event):  # as nearly all send them
            events = chunk[: -len(end_of_event)].split(end_of_event)
            return chunk, [data for event in events for data in _data(event)]
        searched = max(len(self._rest) - 3, 0)
        self._rest += chunk
        found: list[str] = []
        end = 0
        for match in _END.finditer(self._rest, searched):
            found += _data(self._rest[end : match.start()])
            end = match.end()
        if not end and len(self._rest) > _LONGEST:
            end = len(self._rest)
        complete = bytes(self._rest[:end])
        del self._rest[:end]
        return complete, found

    def end(self) -> tuple[bytes, list[str]]:
        """The same for what is left when the stream ends: some don't end the last event."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest, _data(rest)


def _end_of_events(chunk: bytes) -> bytes | None:
    """What each event ends with, if all lines end alike; else None."""
    if b"\r" not in chunk:
        return b"\n\n"
    is_alike = chunk.count(b"\r\n") == chunk.count(b"\r") == chunk.count(b"\n")
    return b"\r\n\r\n" if is_alike else None


def _data(event: bytes | bytearray) -> list[str]:
    """The data of an event, of which a comment has none."""
    text = event.decode("utf-8", "surrogateescape")  # what is no UTF-8 is then no JSON, and not stored
    lines = text.split("\n") if "\r" not in text else _LINES.split(text)
    data = [line[5:].removeprefix(" ") for line in lines if line.startswith("data:")]
    return ["\n".join(data)] if data else []


class StreamReader:
    """Reads the reply in a stream, while its bytes are passed on.

    Args:
        collector: that of the API for this stream.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector: Collector | None = collector
        self._events = EventReader()
        self.is_done: bool = False
        """Whether the last event was among the bytes that were taken."""

    def take(self, chunk: bytes) -> bytes:
        """Take bytes. Returns those to pass on now: complete events."""
        return self._collect(*self._events.take(chunk))

    def end(self) -> bytes:
        """The bytes that are left when the stream ends, or that came after its last event."""
        return self._collect(*self._events.end())

    def reply(self) -> Json | None:
        """The reply, as if it had not been streamed; None if it is not complete, or was not understood."""
        try:
            return None if self._collector is None else self._collector.reply()
        except Exception:  # of whatever shape the events were: they are passed on all the same
            return None

    def _collect(self, passed: bytes, events: list[str]) -> bytes:
        collector = self._collector
        if collector is not None and not self.is_done:
            try:
                for data in events:
                    self.is_done |= collector.add(data)
            except Exception:  # as above
                self._collector = None
        return passed
