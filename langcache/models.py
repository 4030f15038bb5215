"""What goes over the wire, as msgspec Structs: snake_case in Python, camelCase in JSON."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any, Literal, overload

import msgspec

__all__ = [
    "CacheEntry",
    "ConversationalSearchRequest",
    "ConversationalSearchResponseContent",
    "DeleteQueryRequest",
    "DeleteQueryResponse",
    "FieldError",
    "HealthResponse",
    "Model",
    "ProblemDetails",
    "SearchRequest",
    "SearchResponse",
    "SearchStrategy",
    "SetRequest",
    "SetResponse",
]


class SearchStrategy(str, enum.Enum):
    """How the service looks for an entry."""

    EXACT = "exact"
    """The prompts are the same but for case."""

    SEMANTIC = "semantic"
    """The prompts mean the same: their embeddings are similar enough."""

    @classmethod
    def _missing_(cls, value: object) -> SearchStrategy | None:
        # A newer service may know a strategy that this client does not: its replies must stay readable.
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = value.upper()
        member._value_ = value
        return member


class Model(msgspec.Struct, rename="camel"):
    """What every request and reply has in common."""

    def model_dump(
        self,
        *,
        mode: Literal["python", "json"] | str = "python",
        by_alias: bool = False,
        exclude_none: bool = False,
    ) -> dict[str, Any]:
        """The fields as a dict, nested models included.

        ``by_alias=True`` gives the names on the wire, ``exclude_none=True`` leaves out what is None, and
        ``mode="json"`` turns enum members into their values.
        """
        return {
            (wire if by_alias else name): _dump(value, mode, by_alias, exclude_none)
            for name, wire in zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True)
            if not ((value := getattr(self, name)) is None and exclude_none)
        }

    def model_dump_json(self, *, by_alias: bool = False, exclude_none: bool = False) -> str:
        """The same as JSON text."""
        dumped = self.model_dump(mode="json", by_alias=by_alias, exclude_none=exclude_none)
        return msgspec.json.encode(dumped).decode()


def _dump(value: Any, mode: str, by_alias: bool, exclude_none: bool) -> Any:
    if isinstance(value, Model):
        return value.model_dump(mode=mode, by_alias=by_alias, exclude_none=exclude_none)
    if isinstance(value, list):
        return [_dump(item, mode, by_alias, exclude_none) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, enum.Enum) and mode == "json":
        return value.value
    return value


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
    """What every reply has in common: how it was come by."""

    # Kept beside the fields: it is not of the wire, nor of what makes two replies equal.
    @property
    def tries(self) -> int:
        """How many times the request was sent: 1 unless it was retried."""
        tries: int = vars(self).get("tries", 1)
        return tries

    @tries.setter
    def tries(self, value: int) -> None:
        vars(self)["tries"] = value


class CacheEntry(Model, kw_only=True):
    """A stored prompt and response, and how well it matched."""

    id: str
    prompt: str
    response: str
    attributes: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    similarity: float
    """Normalised cosine similarity, (1 + cos) / 2: 0 to 1."""

    search_strategy: SearchStrategy
    """The strategy that found it."""


class _Results(ReplyModel, kw_only=True):
    """A list of entries that is false when the search missed."""

    data: list[CacheEntry]
    """The entries found, best first; empty on a miss."""

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

    def __bool__(self) -> bool:
        return bool(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[CacheEntry]:
        return iter(self.data)

    @overload
    def __getitem__(self, index: int) -> CacheEntry: ...
    @overload
    def __getitem__(self, index: slice) -> list[CacheEntry]: ...
    def __getitem__(self, index: int | slice) -> CacheEntry | list[CacheEntry]:
        return self.data[index]


class SearchResponse(_Results, kw_only=True):
    """What ``search`` found. False when it missed, iterable, and indexable: ``result[0].response``."""


class ConversationalSearchResponseContent(_Results, kw_only=True):
    """What ``conversational_search`` found, and the question that the service made of the conversation."""

    actual_prompt: str
    """The prompt that was searched for after the service took the context into account."""


class SetResponse(ReplyModel, kw_only=True):
    """What ``set`` stored."""

    entry_id: str


class DeleteQueryResponse(ReplyModel, kw_only=True):
    """What ``delete_query`` deleted."""

    deleted_entries_count: int


class HealthResponse(ReplyModel, kw_only=True):
    """A healthy service; an unhealthy one raises instead."""

    status: str = "ok"


class FieldError(Model, kw_only=True, omit_defaults=True):
    """What is wrong with one field of a request, in the service's words."""

    field: str = ""
    rule: str = ""
    message: str = ""


class ProblemDetails(Model, kw_only=True, omit_defaults=True):
    """An error body in the manner of RFC 9457. What the body lacks is None."""

    title: str | None = None
    status: int | None = None
    detail: str | None = None
    instance: str | None = None
    type: str | None = None
    fields: list[FieldError] | None = None
