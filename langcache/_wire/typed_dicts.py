"""The types of the dicts that ``model_dump()`` returns, for annotations."""

from __future__ import annotations

from typing import TypedDict

from .base import SearchStrategy

__all__ = [
    "CacheEntryTypedDict",
    "ConversationalSearchBodyTypedDict",
    "ConversationalSearchResponseContentTypedDict",
    "DeleteQueryRequestTypedDict",
    "DeleteQueryResponseTypedDict",
    "FieldErrorTypedDict",
    "SearchRequestTypedDict",
    "SearchResponseTypedDict",
    "SetRequestTypedDict",
    "SetResponseTypedDict",
]


class CacheEntryTypedDict(TypedDict):
    """A `CacheEntry`."""

    id: str
    prompt: str
    response: str
    attributes: dict[str, str]
    similarity: float
    search_strategy: SearchStrategy


class _Prompt(TypedDict):
    prompt: str


class SearchRequestTypedDict(_Prompt, total=False):
    """A `SearchRequest`."""

    similarity_threshold: float
    search_strategies: list[SearchStrategy]
    attributes: dict[str, str]
    max_results: int


class SearchResponseTypedDict(TypedDict):
    """A `SearchResponse`."""

    data: list[CacheEntryTypedDict]


class ConversationalSearchBodyTypedDict(SearchRequestTypedDict, total=False):
    """A `ConversationalSearchRequest`."""

    context: list[str]


class ConversationalSearchResponseContentTypedDict(TypedDict):
    """A `ConversationalSearchResponseContent`."""

    actual_prompt: str
    data: list[CacheEntryTypedDict]


class _PromptAndResponse(_Prompt):
    response: str


class SetRequestTypedDict(_PromptAndResponse, total=False):
    """A `SetRequest`."""

    attributes: dict[str, str]
    ttl_millis: int


class SetResponseTypedDict(TypedDict):
    """A `SetResponse`."""

    entry_id: str


class DeleteQueryRequestTypedDict(TypedDict):
    """A `DeleteQueryRequest`."""

    attributes: dict[str, str]


class DeleteQueryResponseTypedDict(TypedDict):
    """A `DeleteQueryResponse`."""

    deleted_entries_count: int


class FieldErrorTypedDict(TypedDict):
    """A `FieldError`."""

    field: str
    rule: str
    message: str
