"""Replies that cost a naive client much: time, memory, or both."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

MEGABYTE = 1 << 20
ENTRY = b'{"id":"","prompt":"","response":"","similarity":1,"searchStrategy":"%b","attributes":{%b}}'


def filled(size: int, first: bytes, piece: bytes, last: bytes) -> bytes:
    """About ``size`` bytes: ``piece`` again and again between ``first`` and ``last``."""
    return first + piece * ((size - len(first) - len(last)) // len(piece)) + last


def members(count: int, width: int = 7) -> bytes:
    """As many members of a JSON object, none twice."""
    return b",".join(b'"%0*d":""' % (width, number) for number in range(count))


def values(size: int) -> dict[str, bytes]:
    """JSON values of about this size that no reply needs."""
    return {
        "empty lists": filled(size, b"[", b"[],", b"0]"),
        "empty objects": filled(size, b"[", b"{},", b"0]"),
        "numbers": filled(size, b"[", b"0,", b"0]"),
        "short texts": filled(size, b"[", b'"ab",', b"0]"),
        "lists of lists": filled(size, b"[", b"[" * 50 + b"]" * 50 + b",", b"0]"),
        "members": b"{" + members(size // 12) + b"}",
        "the same member again": filled(size, b"{", b'"detail":"x",', b'"detail":"x"}'),
        "escapes": filled(size, b'"', b"\\u0041", b'"'),
        "percent escapes": filled(size, b'"', b"%2541", b'"'),
        "backslashes": filled(size, b'"', b"\\\\", b'"'),
        "a text": filled(size, b'"', b"a", b'"'),
        "quotes in a text": filled(size, b'"', b'\\"', b'"'),
        "an integer": b"9" * size,
        "a fraction": b"0." + b"1" * size,
        "an exponent": b"1e" + b"9" * size,
        "nesting without an end": b"[" * size,
        "nested objects": filled(size, b"", b'{"a":', b""),
        "not UTF-8": filled(size, b'"', b"\xff\xfe", b'"'),
        "blanks": b" " * size + b"0",
        "entries": filled(size, b"[", ENTRY % (b"exact", b"") + b",", ENTRY % (b"exact", b"") + b"]"),
        "entries of an unknown strategy": filled(size, b"[", ENTRY % (b"?", b"") + b",", b"0]"),
        "entries with nulls": filled(size, b"[", ENTRY % (b"exact", b'"a":null') + b",", b"0]"),
        "an entry with a million attributes": b"[%b]" % (ENTRY % (b"exact", members(size // 12))),
        "one entry and one of nulls": b"[%b,null]" % (ENTRY % (b"exact", members(size // 12))),
    }


NAMES = ["data", "junk", "entryId", "deletedEntriesCount", "actualPrompt"]
PROBLEM_NAMES = ["title", "type", "status", "detail", "instance", "fields", "junk"]


def successes(size: int) -> Iterator[tuple[str, bytes]]:
    """Bodies of a 200, each with what it is."""
    for what, value in values(size).items():
        yield what, value
        yield f"{what} as data", b'{"data":%b}' % value
        yield f"{what} beside no data", b'{"junk":%b,"data":null}' % value
        yield f"{what} before a null", b'{"junk":%b,"data":[%b]}' % (value, ENTRY % (b"exact", b'"a":null'))
        yield f"{what} as all", b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), value) for name in NAMES)


def problems(size: int) -> Iterator[tuple[str, bytes]]:
    """Bodies of an error, each with what it is."""
    for what, value in values(size).items():
        yield what, value
        for name in PROBLEM_NAMES:
            yield f"{what} as {name}", b'{"%b":%b}' % (name.encode(), value)
    yield "key: value pairs", b'{"detail":"x","fields":[%b]}' % b",".join([b'{"field":"a"}'] * (size // 14))


def deflated(body: bytes, wbits: int) -> bytes:
    packer = zlib.compressobj(9, wbits=wbits)
    return packer.compress(body) + packer.flush()
