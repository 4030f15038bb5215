"""What can go wrong on the wire, and the error that each becomes: the table of docs/reliability.md."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import Literal, NamedTuple, TypeAlias

from langcache.errors import (
    APIError,
    GatewayError,
    LangCacheError,
    NoResponseError,
    NotFoundError,
    ResponseValidationError,
    ServiceUnavailableError,
    TimeoutException,
    TooManyRequestsError,
    UnexpectedError,
)

from .proxy import Fault, Wire

ENTRY = {
    "id": "1",
    "prompt": "hi",
    "response": "hello",
    "attributes": {},
    "similarity": 1.0,
    "searchStrategy": "semantic",
}
GOOD = json.dumps(
    {"data": [ENTRY], "actualPrompt": "hi", "entryId": "1", "deletedEntriesCount": 1, "status": "ok"}
).encode()
"""A body that every operation can read."""

MINIMAL = json.dumps(ENTRY).encode()
MEGABYTE = 1_000_000


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def reply(body: bytes, *lines: str, status: str = "200 OK", kind: str = "application/json") -> bytes:
    return head(f"Content-Type: {kind}", f"Content-Length: {len(body)}", *lines, status=status) + body


def sends(*pieces: bytes) -> Fault:
    return lambda wire: wire.send(*pieces)


def sends_and_closes(*pieces: bytes) -> Fault:
    async def fault(wire: Wire) -> None:
        await wire.send(*pieces)
        wire.close()

    return fault


def sends_and_resets(*pieces: bytes) -> Fault:
    async def fault(wire: Wire) -> None:
        await wire.send(*pieces)
        wire.reset()

    return fault


def sends_and_stalls(*pieces: bytes) -> Fault:
    async def fault(wire: Wire) -> None:
        await wire.send(*pieces)
        await wire.stall()

    return fault


async def trickles(wire: Wire) -> None:
    await wire.trickle(reply(GOOD))


async def trickles_body(wire: Wire) -> None:
    await wire.send(head(f"Content-Length: {len(GOOD)}"))
    await wire.trickle(GOOD)


async def continues_for_ever(wire: Wire) -> None:
    while True:
        await wire.send(head(status="100 Continue"))
        await asyncio.sleep(0.001)


async def chunks_for_ever(wire: Wire) -> None:
    await wire.send(head("Transfer-Encoding: chunked"))
    while True:
        await wire.send(b"100000\r\n" + b" " * 0x100000 + b"\r\n")


def bomb(unpacked: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    zeros = b"\0" * MEGABYTE
    return b"".join(packer.compress(zeros) for _ in range(unpacked // MEGABYTE)) + packer.flush()


Outcome: TypeAlias = "type[LangCacheError] | Literal['same'] | None"
SAME: Literal["same"] = "same"
INVALID = ResponseValidationError


class Row(NamedTuple):
    """A fault and what it becomes."""

    what: str
    fault: Fault
    error: type[LangCacheError] | None
    """The error that the operation raises; None if it works all the same."""
    bodiless: Outcome = SAME
    """The same for flush and delete_by_id, which expect no body but read one, if it differs."""
    health: Outcome = SAME
    """The same for health, which takes any body but a page, if it differs."""
    slow: bool = False
    """Whether it ends only with the timeout."""

    def error_of(self, operation: str) -> type[LangCacheError] | None:
        special = {"flush": self.bodiless, "delete_by_id": self.bodiless, "health": self.health}
        error = special.get(operation, SAME)
        return self.error if error == SAME else error


HALF = len(GOOD) // 2
LENGTH = f"Content-Length: {len(GOOD)}"
CHUNKED = "Transfer-Encoding: chunked"
PROBLEM = b'{"title": "no", "type": "/errors/any", "status": 0}'
INVALID_UTF8 = b'{"data": "\xe9", "actualPrompt": "\xe9", "entryId": "\xe9", "deletedEntriesCount": "\xe9"}'
PAGE = b"<!DOCTYPE html><html><body>Please sign in</body></html>"
GZIP = "Content-Encoding: gzip"

ROWS = [
    # The connection
    Row("closed in place of a reply", sends_and_closes(), NoResponseError),
    Row("reset in place of a reply", sends_and_resets(), NoResponseError),
    Row("closed within the headers", sends_and_closes(head(LENGTH)[:-10]), NoResponseError),
    Row("reset within the headers", sends_and_resets(head(LENGTH)[:-10]), NoResponseError),
    Row("closed between headers and body", sends_and_closes(head(LENGTH)), NoResponseError),
    Row("reset between headers and body", sends_and_resets(head(LENGTH)), NoResponseError),
    Row("closed half-way through the body", sends_and_closes(head(LENGTH) + GOOD[:HALF]), NoResponseError),
    Row("reset half-way through the body", sends_and_resets(head(LENGTH) + GOOD[:HALF]), NoResponseError),
    # Time
    Row("no reply at all", Wire.stall, TimeoutException, slow=True),
    Row("a stall within the headers", sends_and_stalls(head(LENGTH)[:-10]), TimeoutException, slow=True),
    Row("a stall between headers and body", sends_and_stalls(head(LENGTH)), TimeoutException, slow=True),
    Row(
        "a stall half-way through the body",
        sends_and_stalls(head(LENGTH) + GOOD[:HALF]),
        TimeoutException,
        slow=True,
    ),
    Row("one byte a second", trickles, TimeoutException, slow=True),
    Row("a body of one byte a second", trickles_body, TimeoutException, slow=True),
    Row("`100 Continue` again and again", continues_for_ever, TimeoutException, slow=True),
    # HTTP
    Row("bytes that are not HTTP", sends(b"\x16\x03\x01\x00\xa5 who goes there\r\n\r\n"), NoResponseError),
    Row(
        "a Content-Length that is too long",
        sends_and_closes(head("Content-Length: 9999") + GOOD),
        NoResponseError,
    ),
    Row("a Content-Length that is too short", sends(head(f"Content-Length: {HALF}") + GOOD), NoResponseError),
    Row("a Content-Length that is no number", sends(head("Content-Length: many") + GOOD), NoResponseError),
    Row("a negative Content-Length", sends(head("Content-Length: -5") + GOOD), NoResponseError),
    Row("two Content-Lengths that differ", sends(head(LENGTH, "Content-Length: 3") + GOOD), NoResponseError),
    Row("garbage for chunks", sends(head(CHUNKED) + b"these are no chunks\r\n" * 9), NoResponseError),
    Row("a chunk of absurd size", sends(head(CHUNKED) + b"f" * 40 + b"\r\n" + GOOD), NoResponseError),
    Row("chunks that end too early", sends_and_closes(head(CHUNKED) + b"5\r\nhello\r\n"), NoResponseError),
    Row("a header of 1 MB", sends(head(LENGTH, "X-Long: " + "x" * MEGABYTE) + GOOD), NoResponseError),
    Row("1 MB of short headers", sends(head(LENGTH, *["X-Short: x"] * 90_000) + GOOD), NoResponseError),
    Row("a NUL in a header", sends(head(LENGTH, "X-Odd: a\0b") + GOOD), NoResponseError),
    Row(
        "good JSON in good chunks", sends(head(CHUNKED) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD)), None
    ),
    Row("good JSON until the connection closes", sends_and_closes(head() + GOOD), None),
    # Statuses
    Row("500 with an HTML page", sends(reply(PAGE, status="500 Oops", kind="text/html")), UnexpectedError),
    Row("404 with an HTML page", sends(reply(PAGE, status="404 Not Found", kind="text/html")), NotFoundError),
    Row(
        "502 with an HTML page", sends(reply(PAGE, status="502 Bad Gateway", kind="text/html")), GatewayError
    ),
    Row("503 with an empty body", sends(reply(b"", status="503 Service Unavailable")), GatewayError),
    Row(
        "503 with an HTML page",
        sends(reply(PAGE, status="503 Service Unavailable", kind="text/html")),
        GatewayError,
    ),
    Row(
        "503 with a problem", sends(reply(PROBLEM, status="503 Service Unavailable")), ServiceUnavailableError
    ),
    Row(
        "500 with a page in punycode, or so it says",
        sends(reply(PAGE * 9000, status="500 Oops", kind="text/html; charset=punycode")),
        UnexpectedError,
    ),
    Row(
        "404 with 9 MB of JSON that means nothing",
        sends(reply(b"[" + b"[]," * 3 * MEGABYTE + b"0]", status="404 Not Found")),
        NotFoundError,
    ),
    Row("429", sends(reply(PROBLEM, status="429 Too Many Requests")), TooManyRequestsError),
    Row("a status that HTTP does not know", sends(reply(PROBLEM, status="799 Why Not")), APIError),
    Row(
        "a redirect, to wherever",
        sends(reply(b"", "Location: http://127.0.0.1:1/elsewhere", status="307 Temporary Redirect")),
        APIError,
    ),
    Row(
        "101 Switching Protocols",
        sends(head("Upgrade: x", "Connection: upgrade", status="101 Switch")),
        APIError,
    ),
    # Bodies
    Row("200 with an HTML page", sends(reply(PAGE, kind="text/html")), INVALID),
    Row("200 with an empty body", sends(reply(b"")), INVALID, bodiless=None, health=None),
    Row("100 MB of body", sends(reply(b" " * 100 * MEGABYTE)), INVALID),
    Row("a body without end", chunks_for_ever, INVALID),
    Row("good JSON in gzip", sends(reply(gzip.compress(GOOD), GZIP)), None),
    Row("a gzip bomb: 300 MB in 300 kB", sends(reply(bomb(300 * MEGABYTE), GZIP)), INVALID),
    Row("gzip that is none", sends(reply(GOOD, GZIP)), NoResponseError),
    Row(
        "gzip that is cut short",
        sends(reply(gzip.compress(GOOD)[:-20], GZIP)),
        INVALID,
        health=None,
    ),
    Row(
        "an unknown Content-Encoding",
        sends(reply(b"?!", "Content-Encoding: magic")),
        INVALID,
        health=None,
    ),
    Row("invalid UTF-8", sends(reply(INVALID_UTF8)), INVALID, health=None),
    Row("JSON that is cut short", sends(reply(GOOD[:HALF])), INVALID, health=None),
    Row("JSON with NaN", sends(reply(GOOD.replace(b"1.0", b"NaN"))), INVALID, health=None),
    Row(
        "JSON 100,000 levels deep",
        sends(reply(b"[" * 100_000 + b"]" * 100_000)),
        INVALID,
        health=None,
    ),
    Row(
        "JSON of another shape",
        sends(reply(b'[{"data": 1}]')),
        INVALID,
        bodiless=None,
        health=None,
    ),
    Row(
        "good JSON with 4 MB that mean nothing",
        sends(reply(b'{"junk":[' + b"[]," * (4 * MEGABYTE // 3) + b"0]," + GOOD[1:])),
        None,
    ),
    Row(
        "more entries than any cache has",
        sends(reply(b'{"data":[%b]}' % b",".join([MINIMAL] * 20_000))),
        INVALID,
    ),
    Row("JSON null", sends(reply(b"null")), INVALID, bodiless=None, health=None),
]
REFUSED = "refused, or no such host"


def markdown() -> str:
    """The table as it stands in the documentation."""

    def name(error: type[LangCacheError] | None) -> str:
        return "*it works*" if error is None else f"`{error.__name__}`"

    lines = [
        "| what happens to the exchange | `search`, `conversational_search`, `set`, `delete_query` "
        "| `flush`, `delete_by_id` | `health` |",
        "|---|---|---|---|",
        f"| {REFUSED} | `ConnectError` | `ConnectError` | `ConnectError` |",
    ]
    for row in ROWS:
        outcomes = [name(row.error_of(operation)) for operation in ("search", "flush", "health")]
        lines.append(f"| {row.what} | {' | '.join(outcomes)} |")
    return "\n".join(lines)
