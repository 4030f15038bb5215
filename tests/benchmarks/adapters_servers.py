"""A provider and a service that answer at once, for what `cached_http` costs.

``python adapters_servers.py provider`` or ``… service`` prints its URL, and serves until its standard input
ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from server import Connection, canned, serve

_TEXT = "In Paris, on the right bank of the Seine. " * 5
_COMMON: dict[str, Any] = {
    "id": "chatcmpl-1",
    "created": 1_780_000_000,
    "model": "m",
    "service_tier": "default",
}
_USAGE = {"prompt_tokens": 21, "completion_tokens": 50, "total_tokens": 71}


def _event(data: bytes) -> bytes:
    """An event of a stream, as a chunk of a body whose length is not known before."""
    return b"%x\r\ndata: %b\n\n\r\n" % (len(data) + 8, data)


def _chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return _event(json.dumps({**_COMMON, "object": "chat.completion.chunk", "choices": [choice]}).encode())


_MESSAGE = {"role": "assistant", "content": _TEXT, "refusal": None, "annotations": []}
_CHOICE = {"index": 0, "message": _MESSAGE, "logprobs": None, "finish_reason": "stop"}
_REPLY = canned(
    "200 OK",
    json.dumps({**_COMMON, "object": "chat.completion", "choices": [_CHOICE], "usage": _USAGE}).encode(),
)
_STREAM = [
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    _chunk({"role": "assistant", "content": "", "refusal": None}),
    *(_chunk({"content": f"{word} "}) for word in _TEXT.split()),
    _chunk({}, "stop"),
    _event(b"[DONE]"),
    b"0\r\n\r\n",
]


class _Provider(Connection):
    """Gives each request the same answer, in a stream each word by itself."""

    def answer(self, path: bytes, body: bytes) -> None:
        for part in _STREAM if b'"stream":true' in body else [_REPLY]:
            self.transport.write(part)


_NOTHING = canned("200 OK", b'{"data":[]}')
_STORED = canned("201 Created", b'{"entryId":"1"}')
_entries: dict[str, bytes] = {}
"""What is found by each text."""


class _Service(Connection):
    """Finds the same texts alone."""

    def answer(self, path: bytes, body: bytes) -> None:
        asked = json.loads(body)
        if path.endswith(b"/search"):
            self.transport.write(_entries.get(asked["prompt"], _NOTHING))
            return
        entry = {"id": "1", "similarity": 1.0, "searchStrategy": "semantic", "attributes": {}, **asked}
        _entries[asked["prompt"]] = canned("200 OK", json.dumps({"data": [entry]}).encode())
        self.transport.write(_STORED)


if __name__ == "__main__":
    asyncio.run(serve({"provider": _Provider, "service": _Service}[sys.argv[1]]))
