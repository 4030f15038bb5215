"""A blocking socket and msgspec: the floor, with nothing of what makes an HTTP client one."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import texts

from ._wire import Search, Set, decode_found, decode_stored, encode


@contextmanager
def connect(url: str, cache_id: str) -> Iterator[dict[str, Callable[[], str]]]:
    server = urlsplit(url)
    entries = f"/v1/caches/{cache_id}/entries"
    with socket.create_connection((server.hostname, server.port)) as connection:

        def post(path: str, body: bytes) -> bytes:
            connection.sendall(
                f"POST {path} HTTP/1.1\r\nHost: {server.netloc}\r\nAuthorization: Bearer key\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            received = connection.recv(65536)
            while b"\r\n\r\n" not in received:
                received += connection.recv(65536)
            head, _, content = received.partition(b"\r\n\r\n")
            length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n", 1)[0])
            while len(content) < length:
                content += connection.recv(65536)
            return content

        def search() -> str:
            body = encode(Search(texts.PROMPT, texts.THRESHOLD))
            return decode_found(post(f"{entries}/search", body)).data[0].response

        def set() -> str:
            return decode_stored(post(entries, encode(Set(texts.PROMPT, texts.RESPONSE)))).entry_id

        yield {"search": search, "set": set}
