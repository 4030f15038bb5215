"""An operation becomes a request, and a reply becomes a model or an error. No I/O."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from .errors import ResponseValidationError, error_from_reply
from .exchange import Operation, Reply, Request
from .limits import Limits, check_path_segment, check_text
from .models import (
    ConversationalSearchRequest,
    ConversationalSearchResponseContent,
    DeleteQueryRequest,
    DeleteQueryResponse,
    HealthResponse,
    ReplyModel,
    SearchRequest,
    SearchResponse,
    SetRequest,
    SetResponse,
)

ModelT = TypeVar("ModelT", bound=ReplyModel)

_encode = msgspec.json.Encoder().encode

_SEARCH = Operation(
    name="search", method="POST", path="entries/search", reply=msgspec.json.Decoder(SearchResponse)
)
_SET = Operation(
    name="set", method="POST", path="entries", reply=msgspec.json.Decoder(SetResponse), repeatable=False
)
_DELETE_BY_ID = Operation[ReplyModel](name="delete_by_id", method="DELETE", path="entries/")
_DELETE_QUERY = Operation(
    name="delete_query", method="DELETE", path="entries", reply=msgspec.json.Decoder(DeleteQueryResponse)
)
_FLUSH = Operation[ReplyModel](name="flush", method="POST", path="flush")
_CONVERSATIONAL_SEARCH = Operation(
    name="conversational_search",
    method="POST",
    path="conversations/search",
    reply=msgspec.json.Decoder(ConversationalSearchResponseContent),
)
_HEALTH = Operation[ReplyModel](name="health", method="GET", path="health")


def search(
    limits: Limits,
    prompt: object,
    similarity_threshold: object,
    search_strategies: object,
    attributes: object,
    max_results: object,
) -> Request[SearchResponse]:
    """The request of ``search``."""
    body = SearchRequest(
        prompt=limits.prompt(prompt),
        similarity_threshold=limits.similarity_threshold(similarity_threshold),
        search_strategies=limits.search_strategies(search_strategies),
        attributes=limits.attribute_map(attributes),
        max_results=limits.max_results(max_results),
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
    body = ConversationalSearchRequest(
        prompt=limits.prompt(prompt),
        similarity_threshold=limits.similarity_threshold(similarity_threshold),
        search_strategies=limits.search_strategies(search_strategies),
        attributes=limits.attribute_map(attributes),
        max_results=limits.max_results(max_results),
        context=limits.context(context),
    )
    return Request(_CONVERSATIONAL_SEARCH, _encode(body))


def set(  # noqa: A001
    limits: Limits, prompt: object, response: object, attributes: object, ttl_millis: object
) -> Request[SetResponse]:
    """The request of ``set``."""
    body = SetRequest(
        prompt=limits.prompt(prompt),
        response=check_text("response", response),
        attributes=limits.attribute_map(attributes),
        ttl_millis=limits.ttl(ttl_millis),
    )
    return Request(_SET, _encode(body))


def delete_by_id(entry_id: object) -> Request[ReplyModel]:
    """The request of ``delete_by_id``. Whatever the id, it reaches no other endpoint."""
    return Request(_DELETE_BY_ID, None, check_path_segment("entry_id", entry_id))


def delete_query(limits: Limits, attributes: object) -> Request[DeleteQueryResponse]:
    """The request of ``delete_query``, which never goes out without attributes."""
    return Request(_DELETE_QUERY, _encode(DeleteQueryRequest(attributes=limits.required_attributes(attributes))))


def flush() -> Request[ReplyModel]:
    """The request of ``flush``."""
    return Request(_FLUSH)


def health() -> Request[ReplyModel]:
    """The request of ``health``."""
    return Request(_HEALTH)


def read_reply(request: Request[ModelT], reply: Reply) -> ModelT | None:
    """The model that a reply carries, None where the operation's success has no body.

    Raises the `StatusError` that fits any status but a success, and `ResponseValidationError` if a success
    can't be read.
    """
    if not 200 <= reply.status_code < 300:
        raise error_from_reply(reply)
    decoder = request.operation.reply
    if decoder is None:
        return None
    try:
        return decoder.decode(reply.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ResponseValidationError(
            f"{request.operation.name}: the reply ({reply.status_code}) is not what the service should send",
            reply,
            error,
        ) from error


def base_url(server_url: object, cache_id: str) -> str:
    """The URL below which a cache's operations live, with a slash at its end.

    A bare host gets ``https://``. Raises `TypeError` or `ValueError` for what can't be the URL of a service.
    """
    url = check_text("server_url", server_url).strip()
    if "://" not in url:
        url = f"https://{url}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # either may raise
    except ValueError as error:
        raise ValueError(f"server_url: must be a URL such as https://host[:port], but {error}") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("server_url: must not carry a user or password; the key goes in api_key")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"server_url: must begin with https:// or http://, but begins with {parts.scheme}://")
    if not host or any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError(f"server_url: must be a URL such as https://host[:port], but is {url!r}")
    if parts.query or parts.fragment:
        raise ValueError(f"server_url: must end before any ? or #, but is {url!r}")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/v1/caches/{cache_id}/"


def authorization(api_key: object) -> str:
    """The value of the Authorization header. No message of this function holds the key."""
    if not isinstance(api_key, str):
        raise TypeError(f"api_key: must be str or a callable that returns one, but is {type(api_key).__name__}")
    if not api_key:
        raise ValueError("api_key: is empty")
    if not all("!" <= character <= "~" for character in api_key):
        raise ValueError("api_key: has a character that no key has (a space or line end around it, perhaps)")
    return f"Bearer {api_key}"
