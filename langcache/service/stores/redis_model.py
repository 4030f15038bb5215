"""What is in Redis: names of keys, fields of an entry, indexes, and what the vectors were made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from ..embedders import Vectors
from .redis_calls import Command
from .redis_url import IndexKind
from .store import Entry, StoreError

__all__ = [
    "ADD",
    "DELETE",
    "Keys",
    "Made",
    "create_index",
    "definition",
    "fields",
    "prompt_tag",
    "read_entry",
    "tags",
    "vector_tag",
]

SCHEMA = 1
"""Change it with whatever makes entries of another version unreadable."""

_HNSW = ("M", 16, "EF_CONSTRUCTION", 64, "EF_RUNTIME", 64)
"""With these, 998 of 1,000 nearest entries or more are found, among 10,000 prompts and among 100,000 vectors
in clusters. EF_CONSTRUCTION 100 finds one more of 1,000, and Redis takes a third longer to store an entry.
EF_RUNTIME 32 finds four to ten fewer, and a search takes Redis a third less time."""

# One command, so that entries get their numbers in the order in which they are there to be found. The number
# is the server's time in microseconds, forced to grow: 16 digits, which a double of the index holds exactly.
# A last number that is none, or beyond that, is not ours.
ADD = """
if redis.call('HGET', KEYS[1], 'made') ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local number = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('HGET', KEYS[1], 'last') or '0')
if last and number <= last and last < 2^53 then number = last + 1 end
number = string.format('%.0f', number)
redis.call('HSET', KEYS[1], 'last', number)
redis.call('HSET', KEYS[2], 'number', number, unpack(ARGV, 3))
if ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
return 1
"""
"""Adds an entry, if the metadata are what is expected. Returns 1, or 0 if they are not.

Keys: metadata, entry. Arguments: the expected metadata, the time to live in milliseconds or nothing, names
and values of the entry's fields.
"""


# One command, so that nothing is deleted after the metadata name another embedder, and what is being embedded
# anew loses what is deleted meanwhile.
DELETE = """
if redis.call('HGET', KEYS[1], 'made') ~= ARGV[1] then return -1 end
local anew = redis.call('HGET', KEYS[1], 'anew')
if anew then
    for number = 2, #KEYS do redis.call('UNLINK', anew .. string.sub(KEYS[number], #ARGV[2] + 1)) end
end
return redis.call('UNLINK', unpack(KEYS, 2))
"""
"""Deletes entries, if the metadata are what is expected. Returns their number, or -1 if they are not.

Keys: metadata, entries. Arguments: the expected metadata, what the entries' keys begin with.
"""


class Made(msgspec.Struct, frozen=True):
    """What the entries of a cache were made with, and what searches them."""

    schema: int
    embedder: str
    dimensions: int
    unrelated_cosine: float
    """The cosine of unrelated prompts, from which similarity counts."""
    index: IndexKind
    build: str = ""
    """Changes before an index is made: then whoever went by a former one looks whether the new one is there
    and complete, before anything is added or found."""

    def encoded(self) -> bytes:
        """As it is in Redis."""
        return _encode_json(self)

    @staticmethod
    def read(value: bytes) -> Made:
        """What is in Redis. Raises `StoreError`."""
        try:
            made = _read_made(value)
        except msgspec.MsgspecError as error:
            raise StoreError(f"what Redis has about the cache can't be read: {error}") from error
        if not -1 <= made.unrelated_cosine < 1:
            raise StoreError("what Redis has about the cache can't be right: it has no cosine")
        if made.schema != SCHEMA:
            raise StoreError(
                f"the entries in Redis have schema version {made.schema}, and this langcache reads {SCHEMA}; "
                "use the version that wrote them, or another ?prefix= in the URL"
            )
        return made


class Keys:
    """The names of the keys of a cache. All are in one slot of a cluster: they have the same ``{...}``."""

    def __init__(self, prefix: str, cache_id: str, embedder: str, dimensions: int) -> None:
        self.base: str = f"{prefix}:{{{cache_id}}}"
        self.meta: str = f"{self.base}:meta"
        # Vectors of different embedders are under different names, so that none are ever compared.
        fingerprint = _digest("made with", str(SCHEMA), embedder, str(dimensions))[:16]
        self._own = f"{self.base}:{fingerprint}"
        self.entries: str = f"{self._own}:e:"

    def index(self, kind: IndexKind) -> str:
        """The name of an index."""
        return f"{self._own}:{kind}"

    def entry(self, entry_id: str) -> bytes:
        """The key of an entry."""
        return (self.entries + entry_id).encode("utf-8", "surrogatepass")


def create_index(keys: Keys, kind: IndexKind, dimensions: int, new: bool) -> Command:
    """The command that makes an index. It compares by product, which is the cosine of unit vectors.

    ``new`` says that there are no entries yet. Otherwise Redis looks for them, among all keys that it has.
    """
    vector = (
        "TYPE",
        "FLOAT32",
        "DIM",
        dimensions,
        "DISTANCE_METRIC",
        "IP",
        *(_HNSW if kind == "hnsw" else ()),
    )
    return (
        *("FT.CREATE", keys.index(kind), "ON", "HASH", "PREFIX", 1, keys.entries),
        *(*(("SKIPINITIALSCAN",) if new else ()), "SCHEMA"),
        *("vector", "VECTOR", kind.upper(), len(vector), *vector),
        *("tags", "TAG", "number", "NUMERIC", "SORTABLE"),
    )


def definition(keys: Keys, kind: IndexKind, dimensions: int) -> Mapping[str, Mapping[str, Any]]:
    """What FT.INFO tells of such an index: all without which a search misses entries or ranks others."""
    return {
        "index": {"key_type": b"HASH", "prefixes": [keys.entries.encode()], "filter": None},
        "vector": {
            "identifier": b"vector",
            "type": b"VECTOR",
            "algorithm": kind.upper().encode(),
            "data_type": b"FLOAT32",
            "dim": dimensions,
            "distance_metric": b"IP",
        },
        "tags": {"identifier": b"tags", "type": b"TAG", "SEPARATOR": b",", "indexed": True},
        "number": {"identifier": b"number", "type": b"NUMERIC", "indexed": True},
    }


def fields(entry: Entry, vector: Vectors) -> list[Any]:
    """Names and values of the fields of an entry. A vector of zeros is left out: no search may find it."""
    marks = [prompt_tag(entry.prompt), *tags(entry.attributes), vector_tag(vector)]
    try:
        named: dict[str, Any] = {"entry": _encode(entry), "tags": ",".join(marks)}
    except (UnicodeEncodeError, OverflowError, msgspec.MsgspecError) as error:
        raise StoreError(f"an entry can't be stored: {error}") from error
    if entry.expires_at is not None:
        named["expires_at"] = entry.expires_at
    if vector.any():
        named["vector"] = vector.tobytes()
    return [part for pair in named.items() for part in pair]


def read_entry(value: Any) -> Entry:
    """The entry of a field. Raises `StoreError`."""
    try:
        return _decode(value)
    except (msgspec.MsgspecError, TypeError) as error:
        raise StoreError(f"an entry in Redis is not what was written: {error}") from error


# Digests stand for texts of any length, with any characters and of any attribute, so that none has to be
# escaped in a query, and none has to be known when the index is made.


def prompt_tag(prompt: str) -> str:
    """Stands for a prompt, apart from case."""
    return _digest("prompt", prompt.casefold())


def tags(attributes: Mapping[str, str]) -> Sequence[str]:
    """Stand for attributes and their values."""
    return [_digest("attribute", name, value) for name, value in attributes.items()]


def vector_tag(vector: Vectors) -> str:
    """Stands for a vector."""
    return blake2b(vector.tobytes(), digest_size=16, person=b"vector").hexdigest()


def _digest(kind: str, *texts: str) -> str:
    data = "\0".join(texts).encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=16, person=kind.encode()).hexdigest()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode
_encode_json = msgspec.json.Encoder(order="deterministic").encode
_read_made = msgspec.json.Decoder(Made).decode
