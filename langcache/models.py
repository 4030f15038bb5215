"""The bodies of requests and replies, as msgspec Structs: snake_case in Python, camelCase in JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

import msgspec

from ._established.paths import alias_modules
from ._lazy import lazy_names
from ._wire.base import Model, SearchStrategy
from ._wire.problems import FieldError, ProblemDetails

if TYPE_CHECKING:
    from ._wire.error_types import (
        AuthenticationErrorType,
        AuthenticationErrorURI,
        BadRequestErrorType,
        BadRequestErrorURI,
        FailedDependencyErrorType,
        ForbiddenErrorType,
        ForbiddenErrorURI,
        NotFoundErrorType,
        NotFoundErrorURI,
        PayloadTooLargeErrorType,
        PayloadTooLargeErrorURI,
        ResourceUnavailableErrorURI,
        TooManyRequestsErrorType,
        TooManyRequestsErrorURI,
        UnexpectedErrorType,
        UnexpectedErrorURI,
    )
    from ._wire.typed_dicts import (
        CacheEntryTypedDict,
        ConversationalSearchBodyTypedDict,
        ConversationalSearchResponseContentTypedDict,
        DeleteQueryRequestTypedDict,
        DeleteQueryResponseTypedDict,
        FieldErrorTypedDict,
        SearchRequestTypedDict,
        SearchResponseTypedDict,
        SetRequestTypedDict,
        SetResponseTypedDict,
    )

__all__ = [
    "AuthenticationErrorType",
    "AuthenticationErrorURI",
    "BadRequestErrorType",
    "BadRequestErrorURI",
    "CacheEntry",
    "CacheEntryTypedDict",
    "ConversationalSearchBody",
    "ConversationalSearchBodyTypedDict",
    "ConversationalSearchRequest",
    "ConversationalSearchResponseContent",
    "ConversationalSearchResponseContentTypedDict",
    "DeleteQueryRequest",
    "DeleteQueryRequestTypedDict",
    "DeleteQueryResponse",
    "DeleteQueryResponseTypedDict",
    "FailedDependencyErrorType",
    "FieldError",
    "FieldErrorTypedDict",
    "ForbiddenErrorType",
    "ForbiddenErrorURI",
    "HealthResponse",
    "Model",
    "NotFoundErrorType",
    "NotFoundErrorURI",
    "PayloadTooLargeErrorType",
    "PayloadTooLargeErrorURI",
    "ProblemDetails",
    "ResourceUnavailableErrorURI",
    "SearchRequest",
    "SearchRequestTypedDict",
    "SearchResponse",
    "SearchResponseTypedDict",
    "SearchStrategy",
    "SetRequest",
    "SetRequestTypedDict",
    "SetResponse",
    "SetResponseTypedDict",
    "TooManyRequestsErrorType",
    "TooManyRequestsErrorURI",
    "UnexpectedErrorType",
    "UnexpectedErrorURI",
]


ReplyT = TypeVar("ReplyT", bound="ReplyModel")


class SearchRequest(Model, kw_only=True, omit_defaults=True):
    """The body of ``search``."""

    prompt: str
    similarity_threshold: float | None = None
    search_strategies: list[SearchStrategy] | None = None
    attributes: dict[str, str] | None = None
    max_results: int | None = None


class ConversationalSearchRequest(SearchRequest, kw_only=True):
    """The body of ``conversational_search``."""

    context: list[str] | None = None


ConversationalSearchBody = ConversationalSearchRequest


class SetRequest(Model, kw_only=True, omit_defaults=True):
    """The body of ``set``."""

    prompt: str
    response: str
    attributes: dict[str, str] | None = None
    ttl_millis: int | None = None


class DeleteQueryRequest(Model, kw_only=True, omit_defaults=True):
    """The body of ``delete_query``."""

    attributes: dict[str, str]


class ReplyModel(Model, kw_only=True, dict=True):
    """The base class of replies: how often the request was sent."""

    # No field: it is not sent by the service, and does not count when replies are compared.
    @property
    def tries(self) -> int:
        """How many times the request was sent: 1 unless it was retried."""
        tries: int = vars(self).get("tries", 1)
        return tries

    @tries.setter
    def tries(self, value: int) -> None:
        vars(self)["tries"] = value

    def _with(self: ReplyT, changes: Mapping[str, Any]) -> ReplyT:
        # msgspec.structs.replace copies the fields alone; a program that calls it itself loses the tries.
        copied = super()._with(changes)
        vars(copied).update(vars(self))
        return copied

    def __copy__(self: ReplyT) -> ReplyT:
        return self._with({})

    def __reduce__(self) -> tuple[Any, ...]:
        return *super().__reduce__()[:2], vars(self)


class CacheEntry(Model, kw_only=True):
    """A stored prompt and response, and how similar the prompt is to the one searched for."""

    id: str
    """The id, as ``delete_by_id`` takes it."""

    prompt: str
    """The prompt that was stored."""

    response: str
    """The response that was stored."""

    attributes: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    """The attributes that were stored."""

    similarity: float
    """How alike the prompts are, 0 to 1: from the hosted service the normalised cosine similarity of their
    vectors, (1 + cos) / 2, and from the local one a score of vectors and texts."""

    search_strategy: SearchStrategy
    """The strategy that found the entry. A plain string is converted to a member."""

    def __post_init__(self) -> None:
        if not isinstance(self.search_strategy, SearchStrategy):  # pyright: ignore[reportUnnecessaryIsInstance]
            self.search_strategy = SearchStrategy(self.search_strategy)


class _Results(ReplyModel, kw_only=True):
    """A list of entries. It is false when the search was a miss."""

    data: list[CacheEntry]
    """The entries found, best first; empty on a miss. Dicts are converted to entries, as by
    `Model.model_validate`."""

    def __post_init__(self) -> None:
        if self.data and isinstance(self.data[0], dict):
            self.data = [CacheEntry.model_validate(entry) for entry in self.data]

    @property
    def hit(self) -> bool:
        """Whether anything was found."""
        return bool(self.data)

    @property
    def entry(self) -> CacheEntry | None:
        """The best entry, or None on a miss."""
        return self.data[0] if self.data else None

    @property
    def response(self) -> str | None:
        """The best entry's response, or None on a miss."""
        return self.data[0].response if self.data else None

    @property
    def similarity(self) -> float | None:
        """The best entry's similarity, 0 to 1, or None on a miss."""
        return self.data[0].similarity if self.data else None

    def __bool__(self) -> bool:
        return bool(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __contains__(self, item: object) -> bool:
        return item in self.data or super().__contains__(item)

    def __iter__(self) -> Iterator[CacheEntry]:
        return iter(self.data)

    @overload
    def __getitem__(self, index: int) -> CacheEntry: ...
    @overload
    def __getitem__(self, index: slice) -> list[CacheEntry]: ...
    @overload
    def __getitem__(self, index: str) -> Any: ...
    def __getitem__(self, index: int | slice | str) -> Any:
        return super().__getitem__(index) if isinstance(index, str) else self.data[index]


class SearchResponse(_Results, kw_only=True):
    """The result of ``search``: false on a miss, iterable, and indexable as in ``result[0].response``."""


class ConversationalSearchResponseContent(_Results, kw_only=True):
    """The result of ``conversational_search``, with the prompt that the service made of the conversation."""

    actual_prompt: str
    """The prompt that was searched for, which the service made of ``prompt`` and ``context``."""


class SetResponse(ReplyModel, kw_only=True):
    """The result of ``set``."""

    entry_id: str
    """The id of the new entry, as ``delete_by_id`` takes it."""


class DeleteQueryResponse(ReplyModel, kw_only=True):
    """The result of ``delete_query``."""

    deleted_entries_count: int
    """The number of entries that were deleted."""


class HealthResponse(ReplyModel, kw_only=True):
    """The result of ``health`` for a healthy service. For an unhealthy one, ``health`` raises."""

    status: str = "ok"
    """Always ``"ok"``."""


alias_modules(
    __name__,
    """
    authenticationerrortype authenticationerroruri badrequesterrortype badrequesterroruri cacheentry
    conversationalsearchbody conversationalsearchresponsecontent deletequeryrequest deletequeryresponse
    faileddependencyerrortype fielderror forbiddenerrortype forbiddenerroruri notfounderrortype
    notfounderroruri payloadtoolargeerrortype payloadtoolargeerroruri resourceunavailableerroruri
    searchrequest searchresponse searchstrategy setrequest setresponse toomanyrequestserrortype
    toomanyrequestserroruri unexpectederrortype unexpectederroruri
    """,
)

if not TYPE_CHECKING:  # they take a millisecond each, and only annotations and errors need them
    __getattr__ = lazy_names(
        __name__,
        {name: "._wire.typed_dicts" for name in __all__ if name.endswith("TypedDict")}
        | {name: "._wire.error_types" for name in __all__ if name.endswith(("ErrorType", "ErrorURI"))},
    )
