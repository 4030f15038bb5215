"""Makes the request of each operation, and the model or error of each reply. No I/O."""

from __future__ import annotations

from contextlib import suppress
from typing import TypeVar

import msgspec

from .._checks import check_path_segment, check_text
from .._wire.base import camel_case
from .._wire.exchange import UNREADABLE, Operation, Request
from ..errors import LangCacheError, ResponseValidationError, error_from_reply
from ..limits import Limits
from ..models import (
    CacheEntry,
    ConversationalSearchRequest,
    ConversationalSearchResponseContent,
    DeleteQueryRequest,
    DeleteQueryResponse,
    HealthResponse,
    ReplyModel,
    SearchRequest,
    SearchResponse,
    SearchStrategy,
    SetRequest,
    SetResponse,
)
from .forks import importing
from .received import Received, is_success

ModelT = TypeVar("ModelT")
SearchT = TypeVar("SearchT", bound=SearchRequest)

_MOST_BYTES_WITH_NULLS = 1 << 21  # reading a larger body twice could take 100 ms

_encode = msgspec.json.Encoder().encode


class _EntryWithNulls(msgspec.Struct, rename=camel_case):
    id: str
    prompt: str
    response: str
    similarity: float
    search_strategy: SearchStrategy
    attributes: dict[str, str | None] | None = None


class _ResultsWithNulls(msgspec.Struct):
    data: list[_EntryWithNulls] | None

    def entries(self) -> list[CacheEntry]:
        return [
            CacheEntry(
                id=entry.id,
                prompt=entry.prompt,
                response=entry.response,
                attributes={
                    name: value for name, value in (entry.attributes or {}).items() if value is not None
                },
                similarity=entry.similarity,
                search_strategy=entry.search_strategy,
            )
            for entry in self.data or ()
        ]


class _ConversationalResultsWithNulls(_ResultsWithNulls, rename=camel_case):
    actual_prompt: str


def _read_search_with_nulls(content: bytes) -> SearchResponse:
    return SearchResponse(data=msgspec.json.decode(content, type=_ResultsWithNulls).entries())


def _read_conversational_search_with_nulls(content: bytes) -> ConversationalSearchResponseContent:
    read = msgspec.json.decode(content, type=_ConversationalResultsWithNulls)
    return ConversationalSearchResponseContent(data=read.entries(), actual_prompt=read.actual_prompt)


_skip_json = msgspec.json.Decoder(msgspec.Raw).decode


def read_nothing(content: bytes) -> None:
    # The service answers with nothing or with JSON. A page comes from something in between, such as a proxy
    # that asks to sign in, and then nothing was deleted. Whatever JSON it is, it is not built.
    if content and not content.isspace():
        _skip_json(content)
        content.decode()


def _read_health(content: bytes) -> HealthResponse:
    # The body of a healthy service is not specified, but it is not a page.
    if content.lstrip().startswith(b"<"):
        raise msgspec.DecodeError("it is a page, not an answer of the service")
    return HealthResponse()


_SEARCH = Operation(
    name="search",
    method="POST",
    path="entries/search",
    read=msgspec.json.Decoder(SearchResponse).decode,
    read_with_nulls=_read_search_with_nulls,
)
_SET = Operation(
    name="set", method="POST", path="entries", read=msgspec.json.Decoder(SetResponse).decode, repeatable=False
)
_DELETE_BY_ID = Operation(name="delete_by_id", method="DELETE", path="entries/", read=read_nothing)
_DELETE_QUERY = Operation(
    name="delete_query",
    method="DELETE",
    path="entries",
    read=msgspec.json.Decoder(DeleteQueryResponse).decode,
)
_FLUSH = Operation(name="flush", method="POST", path="flush", read=read_nothing)
_CONVERSATIONAL_SEARCH = Operation(
    name="conversational_search",
    method="POST",
    path="conversations/search",
    read=msgspec.json.Decoder(ConversationalSearchResponseContent).decode,
    read_with_nulls=_read_conversational_search_with_nulls,
)
_HEALTH = Operation(name="health", method="GET", path="health", read=_read_health)


def search(
    limits: Limits,
    prompt: object,
    similarity_threshold: object,
    search_strategies: object,
    attributes: object,
    max_results: object,
) -> Request[SearchResponse]:
    """The request of ``search``."""
    body = _search_body(
        SearchRequest, limits, prompt, similarity_threshold, search_strategies, attributes, max_results
    )
    return Request(_SEARCH, _encode(body))


def conversational_search(
    limits: Limits,
    prompt: object,
    similarity_threshold: object,
    search_strategies: object,
    attributes: object,
    max_results: object,
    context: object,
) -> Request[ConversationalSearchResponseContent]:
    """The request of ``conversational_search``."""
    body = _search_body(
        ConversationalSearchRequest,
        limits,
        prompt,
        similarity_threshold,
        search_strategies,
        attributes,
        max_results,
    )
    body.context = limits.context(context)
    return Request(_CONVERSATIONAL_SEARCH, _encode(body))


def _search_body(
    kind: type[SearchT],
    limits: Limits,
    prompt: object,
    similarity_threshold: object,
    search_strategies: object,
    attributes: object,
    max_results: object,
) -> SearchT:
    return kind(
        prompt=limits.prompt(prompt),
        similarity_threshold=limits.similarity_threshold(similarity_threshold),
        search_strategies=limits.search_strategies(search_strategies),
        attributes=limits.attribute_map(attributes),
        max_results=limits.max_results(max_results),
    )


def set(
    limits: Limits,
    prompt: object,
    response: object,
    attributes: object,
    ttl_millis: object,
    ttl: object = None,
) -> Request[SetResponse]:
    """The request of ``set``. A search whose reply has the entry must be within ``limits.reply_bytes``."""
    body = SetRequest(
        prompt=limits.prompt(prompt),
        response=check_text("response", response),
        attributes=limits.attribute_map(attributes),
        ttl_millis=limits.ttl(ttl_millis, ttl),
    )
    content = _encode(body)
    limits.check_entry_bytes(len(content))
    return Request(_SET, content)


def delete_by_id(entry_id: object) -> Request[None]:
    """The request of ``delete_by_id``. No id makes it reach another endpoint."""
    return Request(_DELETE_BY_ID, None, check_path_segment("entry_id", entry_id))


def delete_query(limits: Limits, attributes: object) -> Request[DeleteQueryResponse]:
    """The request of ``delete_query``. Without attributes, it raises `LimitError`."""
    return Request(
        _DELETE_QUERY, _encode(DeleteQueryRequest(attributes=limits.required_attributes(attributes)))
    )


def flush() -> Request[None]:
    """The request of ``flush``."""
    return Request(_FLUSH)


def health() -> Request[HealthResponse]:
    """The request of ``health``."""
    return Request(_HEALTH)


def read_reply(request: Request[ModelT], received: Received, tries: int) -> ModelT:
    """The result of the client's method, with its ``tries`` set.

    Raises a `StatusError` for a status other than 2xx, and `ResponseValidationError` for a 2xx whose body
    can't be read; ``tries`` is set on both.
    """
    try:
        model = _read(request.operation, received)
    except LangCacheError as error:
        error.tries = tries
        raise
    if tries > 1 and isinstance(model, ReplyModel):
        model.tries = tries
    return model


def _read(operation: Operation[ModelT], received: Received) -> ModelT:
    if not is_success(received.status_code):
        with importing:  # of the types of errors, by the first one
            error = error_from_reply(received.shown())
        raise error
    try:
        return operation.read(received.content)
    except UNREADABLE as error:
        unread = _reason(error)
    return _read_with_nulls(
        operation, received, unread
    )  # here, so that the decoder's error is not the context


def _reason(error: Exception) -> Exception:
    """The decoder's error, as one that does not hold the body: neither itself nor in a frame."""
    if isinstance(error, UnicodeDecodeError):
        return msgspec.DecodeError(f"it is not UTF-8: {error.reason}")
    return error.with_traceback(None)


def _read_with_nulls(operation: Operation[ModelT], received: Received, error: Exception) -> ModelT:
    """Read a body again, with nulls for absent fields. ``error`` is the reason that reading it failed.

    Called only for a reply that could not be read as it is, so that other replies cost nothing more.
    """
    read = operation.read_with_nulls
    # No local variable has the content, which tools that show a traceback with those would show.
    if (
        read is not None
        and isinstance(error, msgspec.ValidationError)
        and len(received.content) <= _MOST_BYTES_WITH_NULLS
        and b"null" in received.content
    ):
        with suppress(*UNREADABLE):
            return read(received.content)
    shown = received.shown()
    if operation.tells_secret:
        shown = msgspec.structs.replace(shown, content=b"")
    raise ResponseValidationError(
        f"{operation.name}: a {received.status_code} whose body is not what the service sends", shown, error
    )
