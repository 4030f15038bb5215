"""What the hand-written rivals send and read: msgspec Structs of their own."""

from __future__ import annotations

import msgspec


class Search(msgspec.Struct, rename="camel"):
    prompt: str
    similarity_threshold: float


class Set(msgspec.Struct):
    prompt: str
    response: str


class Entry(msgspec.Struct, rename="camel"):
    id: str
    prompt: str
    response: str
    attributes: dict[str, str]
    similarity: float
    search_strategy: str


class Found(msgspec.Struct):
    data: list[Entry]


class Stored(msgspec.Struct, rename="camel"):
    entry_id: str


encode = msgspec.json.Encoder().encode
decode_found = msgspec.json.Decoder(Found).decode
decode_stored = msgspec.json.Decoder(Stored).decode
