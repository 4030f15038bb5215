"""What the operations of a cache ask and answer, however that is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import msgspec

from ..limits import LimitError, Limits
from ..models import (
    CacheEntry,
    ConversationalSearchResponseContent,
    DeleteQueryResponse,
    FieldError,
    Model,
    SearchResponse,
    SearchStrategy,
    SetResponse,
)
from .engine import Cache
from .problems import NotFound, Problem

__all__ = [
    "MAX_RESULTS",
    "MAX_SEMANTIC_RESULTS",
    "Operations",
    "chars_of",
    "decode_attributes_to_delete",
    "decode_conversation",
    "decode_search",
    "decode_set",
]

MAX_CONTEXT = 1000
"""The most texts in the context of a conversational search."""

MAX_RESULTS = 4096
"""The most entries that an exact search may ask for. The published description names no limit. Cache-aside
asks for as many when it replaces the entries of a prompt."""

MAX_SEMANTIC_RESULTS = 100
"""The most entries that a search by meaning may ask for: each is compared, text by text and word by word,
which takes some milliseconds."""

MAX_REPLY_BYTES = 3 * 1024 * 1024
"""Once the entries of a reply take so many bytes, further ones are left out. So a reply with fewer has all
entries, and none is larger than a client takes in, which is more than this and the largest `set`."""

_SEARCHES_AT_ONCE = 32
"""How many searches are under way at once, as many as are embedded together. The others wait, so that a crowd
of them does not hold up what takes less."""

_MAX_STRATEGIES = 2  # there are no more
_MAX_PART_BYTES = 64 * 1024

T = TypeVar("T")

_LIMITS = Limits()


class _DeleteQueryBody(Model):
    # Attributes are optional here, unlike in the client's model, so that their absence gets the hosted
    # service's own error message.
    attributes: dict[str, str] | None = None


_NULL = msgspec.Raw(b"null")


class SearchBody(Model, kw_only=True):
    """The body of a search."""

    # What may have many parts is left as it is until its size is known: building the parts takes time.
    prompt: str
    similarity_threshold: float | None = None
    search_strategies: msgspec.Raw = _NULL
    attributes: msgspec.Raw = _NULL
    max_results: int | None = None


class ConversationBody(SearchBody, kw_only=True):
    """The body of a conversational search."""

    context: list[str] | None = None


class SetBody(Model):
    """The body of a ``set``."""

    prompt: str
    response: str
    attributes: msgspec.Raw = _NULL
    ttl_millis: int | None = None


_encode = msgspec.json.Encoder().encode
decode_search: Callable[[bytes], SearchBody] = msgspec.json.Decoder(SearchBody).decode
decode_conversation: Callable[[bytes], ConversationBody] = msgspec.json.Decoder(ConversationBody).decode
decode_set: Callable[[bytes], SetBody] = msgspec.json.Decoder(SetBody).decode
_decode_delete_query = msgspec.json.Decoder(_DeleteQueryBody).decode
_decode_attributes = msgspec.json.Decoder(dict[str, str] | None).decode
_decode_strategies = msgspec.json.Decoder(list[str] | None).decode


def decode_attributes_to_delete(content: bytes) -> dict[str, str] | None:
    """The attributes that the body of a ``delete_query`` has, if any."""
    return _decode_delete_query(content).attributes if content else None


class Operations:
    """The operations, of any cache. Each checks what is asked before it asks the cache.

    They raise `LimitError` and `Problem`, and whatever `Cache` raises.

    Args:
        turn: what each search waits for. Default: that fewer than 32 others are under way.
    """

    def __init__(self, turn: AbstractAsyncContextManager[object] | None = None) -> None:
        self._turn = asyncio.Semaphore(_SEARCHES_AT_ONCE) if turn is None else turn

    async def search(self, cache: Cache, body: SearchBody) -> SearchResponse:
        """Search for the prompt of a body."""
        return SearchResponse(data=await self._found(cache, body))

    async def conversational_search(
        self, cache: Cache, body: ConversationBody
    ) -> ConversationalSearchResponseContent:
        """The same for the latest prompt of a conversation."""
        # The hosted service rewrites the prompt with a language model. There is none here.
        if body.context and len(body.context) > MAX_CONTEXT:
            raise _too_many("context", "texts", MAX_CONTEXT, len(body.context))
        _LIMITS.context(body.context)
        found = await self._found(cache, body)
        return ConversationalSearchResponseContent(actual_prompt=body.prompt, data=found)

    async def set(self, cache: Cache, body: SetBody) -> SetResponse:
        """Store an entry."""
        entry_id = await cache.set(
            _LIMITS.prompt(body.prompt),
            body.response,
            _LIMITS.attribute_map(_part("attributes", body.attributes, _decode_attributes)),
            _LIMITS.ttl(body.ttl_millis),
        )
        return SetResponse(entry_id=entry_id)

    async def delete_by_id(self, cache: Cache, entry_id: str) -> None:
        """Delete an entry. Raises `NotFound` if there is none with this id."""
        if not await cache.delete_by_id(entry_id):
            raise NotFound("entry", f"there is no entry {entry_id!r} in this cache")

    async def delete_query(self, cache: Cache, attributes: Mapping[str, str] | None) -> DeleteQueryResponse:
        """Delete the entries that have these attributes. There must be some."""
        if not attributes:
            blank = FieldError(field="attributes", rule="required", message="cannot be blank")
            raise Problem(400, "attributes: cannot be blank", [blank])
        count = await cache.delete_query(_LIMITS.required_attributes(attributes))
        return DeleteQueryResponse(deleted_entries_count=count)

    async def flush(self, cache: Cache) -> None:
        """Delete all entries."""
        await cache.flush()

    async def _found(self, cache: Cache, body: SearchBody) -> list[CacheEntry]:
        strategies = _part("search_strategies", body.search_strategies, _decode_strategies)
        if strategies and len(strategies) > _MAX_STRATEGIES:
            raise _too_many("search_strategies", "strategies", _MAX_STRATEGIES, len(strategies))
        chosen = _LIMITS.search_strategies(strategies)
        if chosen and len(set(chosen)) < len(chosen):
            raise LimitError("search_strategies", "unique", "must be different ones, but has one twice")
        only_exact = chosen is not None and SearchStrategy.SEMANTIC not in chosen
        limit = MAX_RESULTS if only_exact else MAX_SEMANTIC_RESULTS
        most = _LIMITS.max_results(body.max_results)
        if most is not None and most > limit:
            ask_for_more = "" if only_exact else f"; up to {MAX_RESULTS} with the strategy 'exact' alone"
            raise LimitError("max_results", "max", f"must be at most {limit}, but is {most}{ask_for_more}")
        prompt = _LIMITS.prompt(body.prompt)
        threshold = _LIMITS.similarity_threshold(body.similarity_threshold)
        attributes = _LIMITS.attribute_map(_part("attributes", body.attributes, _decode_attributes))
        async with self._turn:
            found = await cache.search(prompt, threshold, chosen, attributes, most)
        if len(found) < 2:
            return found
        size = 0
        for number, entry in enumerate(found, 1):
            size += len(_encode(entry))  # a character takes up to six bytes
            if size >= MAX_REPLY_BYTES:
                return found[:number]
        return found


def chars_of(entry: CacheEntry) -> int:
    """The characters of an entry's texts: about how large it is."""
    attributes = sum(len(name) + len(value) for name, value in entry.attributes.items())
    return len(entry.prompt) + len(entry.response) + attributes


def _part(argument: str, raw: msgspec.Raw, decode: Callable[[msgspec.Raw], T | None]) -> T | None:
    """A part of a body that was left as it is. Raises `LimitError`."""
    if raw is _NULL:  # the body does not have it
        return None
    if len(memoryview(raw)) > _MAX_PART_BYTES:
        raise LimitError(argument, "max", f"must have at most {_MAX_PART_BYTES} bytes")
    try:
        return decode(raw)
    except msgspec.ValidationError as error:
        raise LimitError(argument, "type", str(error).partition(" - at ")[0]) from None


def _too_many(argument: str, what: str, most: int, count: int) -> LimitError:
    return LimitError(argument, "max", f"must have at most {most} {what}, but has {count}")
