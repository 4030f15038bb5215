"""Makes the request of each operation, and the model or error of each reply. No I/O."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy

from .._version import __version__
from .._wire.base import camel_case
from .._wire.exchange import UNREADABLE, Operation, Request
from ..errors import LangCacheError, ResponseValidationError, error_from_reply
from ..limits import Limits, check_path_segment, check_text, wrong_type
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
from .masking import Secret
from .received import Received, is_success

ModelT = TypeVar("ModelT")
SearchT = TypeVar("SearchT", bound=SearchRequest)

USER_AGENT = f"langcache-python/{__version__}"

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_FRAMING = {
    *("connection", "expect", "http2-settings", "keep-alive", "proxy-connection", "te", "upgrade"),
    *("content-encoding", "content-length", "trailer", "transfer-encoding"),
}
"""The headers that say where a message ends, how its body is encoded, or what becomes of its connection."""
_NETLOC = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+(?:%25[\w.-]+)?\])(?::\d+)?", re.ASCII)
_URL_CHARS = re.compile(r"[!-\[\]-~]+")  # visible ASCII without the backslash
_OPERATIONS_PATH = re.compile(r"/v1(/caches(/.*)?)?$", re.IGNORECASE)
_PAGE_PATH = re.compile(r"/(docs|redoc|swagger(-ui)?)(/|$)|\.(html?|json|ya?ml|md)$", re.IGNORECASE)
_WEBSITES = {"redis.io", "www.redis.io", "cloud.redis.io", "app.redislabs.com", "docs.redis.com", "redis.com"}
_MOST_BYTES_WITH_NULLS = 1 << 21  # reading a larger body twice could take 100 ms
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

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


def _read_nothing(content: bytes) -> None:
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
_DELETE_BY_ID = Operation(name="delete_by_id", method="DELETE", path="entries/", read=_read_nothing)
_DELETE_QUERY = Operation(
    name="delete_query",
    method="DELETE",
    path="entries",
    read=msgspec.json.Decoder(DeleteQueryResponse).decode,
)
_FLUSH = Operation(name="flush", method="POST", path="flush", read=_read_nothing)
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
    """The request of ``set``."""
    body = SetRequest(
        prompt=limits.prompt(prompt),
        response=check_text("response", response),
        attributes=limits.attribute_map(attributes),
        ttl_millis=limits.ttl(ttl_millis, ttl),
    )
    return Request(_SET, _encode(body))


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
        raise error_from_reply(received.shown())
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
    raise ResponseValidationError(
        f"{operation.name}: a {received.status_code} whose body is not what the service sends",
        received.shown(),
        error,
    )


def base_url(server_url: object, cache_id: str) -> str:
    """The URL that the paths of a cache's operations are appended to, with a slash at its end.

    A host without a scheme gets ``https://``. Raises `TypeError` or `ValueError` if it can't be the URL of a
    service. No message shows the URL: it may have a password, or be a key that was given by mistake.
    """
    url = check_text("server_url", server_url).strip()
    if "://" not in url:
        url = f"https://{url}"
    if "@" in url:  # anywhere: a slash in a password would end the host
        raise ValueError("server_url: must not carry a user or password, or any @; the key goes in api_key")
    if "?" in url or "#" in url:
        raise ValueError("server_url: must end before any ? or #; the key goes in api_key")
    if not url.lower().startswith(("https://", "http://")):
        raise ValueError("server_url: must begin with https:// or http://")
    if not url.isascii():
        # There are several ways to convert such a host to ASCII, and the key could go to a wrong one.
        raise ValueError("server_url: must be in ASCII, with a host in its xn-- form perhaps")
    if not _URL_CHARS.fullmatch(url):
        raise ValueError("server_url: has a space, a backslash or another character that no URL has")
    parts = _parts(url)
    if parts is None:  # raised outside of `_parts`, so that the parser's error is not its context
        raise ValueError(
            "server_url: must be a URL such as https://host[:port]; its host or port can't be one"
        )
    path = parts.path.rstrip("/")
    if _OPERATIONS_PATH.search(path):
        raise ValueError(
            "server_url: must end before the /v1 at its end, since the client itself appends /v1/caches/ and "
            "what follows; the cache's id goes in cache_id"
        )
    if parts.hostname in _WEBSITES or _PAGE_PATH.search(path):
        raise ValueError(
            "server_url: is the address of a page for people, not of a service; the URL of a LangCache "
            "service is shown with its key and its cache's id, and python -m langcache serve prints that of "
            "one on this machine"
        )
    return f"{parts.scheme}://{parts.netloc}{path}/v1/caches/{cache_id}/"


def _parts(url: str) -> SplitResult | None:
    """The parts of a URL; None if its host or port is not valid."""
    # For what this refuses, the resolver or aiohttp would raise an exception of its own at every call, or
    # would connect to another host than the one read here.
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # either may raise
        is_host = host and _NETLOC.fullmatch(parts.netloc) and host.encode("idna").decode("idna")
    except ValueError:  # UnicodeError is one
        return None
    return parts if is_host else None


def authorization(api_key: object) -> str:
    """The value of the Authorization header. No message of this function holds the key."""
    if not isinstance(api_key, str):
        raise wrong_type("api_key", "str or a callable that returns one", api_key)
    if not api_key:
        raise ValueError("api_key: is empty")
    if not all("!" <= character <= "~" for character in api_key):
        raise ValueError("api_key: has a character that no key has (a space or line end around it, perhaps)")
    return Secret(f"Bearer {api_key}")


def headers(request: Request[Any], authorization: str, extra: Mapping[str, str] | None) -> Mapping[str, str]:
    """The headers of a request. Those of the user replace ours of the same name, in any case."""
    ours = _own_headers(authorization, request.body is not None)
    if extra is None:
        return ours
    if not isinstance(extra, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise wrong_type("http_headers", "a mapping of str to str", extra)
    theirs = {_header_name(name): _header_value(name, value) for name, value in extra.items()}
    merged = ours.copy()
    merged.update(theirs)
    return merged


@functools.lru_cache(maxsize=64)
def _own_headers(authorization: str, has_body: bool) -> CIMultiDictProxy[str]:
    # Cached, and of the type that aiohttp would otherwise convert a dict to for each request.
    ours = CIMultiDict(
        {"Authorization": authorization, "Accept": "application/json", "User-Agent": USER_AGENT}
    )
    if has_body:
        ours["Content-Type"] = "application/json"
    return CIMultiDictProxy(ours)


def _header_name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"http_headers: names must be str, but one is {type(name).__name__}")
    if not _HEADER_NAME.fullmatch(name):
        # Not shown: it may be a value in the place of a name.
        raise ValueError(
            "http_headers: one of the names can't be the name of a header: it is empty, or has a character "
            "that is no letter, digit or one of !#$%&'*+.^_`|~-"
        )
    if name.lower().replace("_", "-") in _FRAMING:  # CGI takes the two for the same
        raise ValueError(
            f"http_headers: {name!r} says how the message is sent, which the client itself must decide; "
            "leave it out (settings of connections belong to an aiohttp.ClientSession, given as client=)"
        )
    return name


def _header_value(name: object, value: object) -> str:
    text = check_text(f"http_headers[{name!r}]", value)
    if _CONTROL.search(text):
        raise ValueError(f"http_headers: the value of {name!r} has a control character")
    return text
