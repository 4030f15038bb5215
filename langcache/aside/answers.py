"""What comes back from cache-aside calls, and the options that they take."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterable
from typing import ClassVar, Generic, Literal, TypeAlias, TypedDict, TypeVar

import msgspec

from ..limits import check_int
from ..models import CacheEntry, SearchStrategy
from .scope import AttributeValue, restore_attributes

__all__ = ["Accept", "Answer", "AsideConfig", "CacheStatus", "CallOptions", "OnError", "Options"]

T = TypeVar("T")

Accept: TypeAlias = Callable[[str, CacheEntry], bool | Awaitable[bool]]
"""Called with the question and an entry that was found; False turns the entry down."""

OnError: TypeAlias = Literal["compute", "raise"]


class CacheStatus(str, enum.Enum):
    """How an answer was come by."""

    HIT = "hit"
    """From the cache."""

    MISS = "miss"
    """Computed: the cache had none, or was told to refresh."""

    BYPASS = "bypass"
    """Computed: the cache was not asked."""

    ERROR = "error"
    """Computed: the cache failed to say."""

    def __str__(self) -> str:
        return self.value


class Answer(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """An answer and how it was come by."""

    value: T
    """The answer itself."""

    status: CacheStatus

    entry: CacheEntry | None = None
    """The entry of a hit, as the service sent it."""

    reason: str | None = None
    """Why the cache was bypassed: ``"asked"``, ``"disabled"``, ``"long prompt"`` or ``"circuit open"``."""

    error: Exception | None = None
    """What kept the cache from being asked or the answer from being encoded or stored, as far as it was
    waited for."""

    shared: bool = False
    """Whether another call of the same moment got it for this one too. The value is then the same object."""

    @property
    def hit(self) -> bool:
        """Whether it came from the cache."""
        return self.status is CacheStatus.HIT

    @property
    def similarity(self) -> float | None:
        """How alike the prompts of a hit are, 0 to 1; None if it is none."""
        return None if self.entry is None else self.entry.similarity

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        """The attributes of the entry of a hit, as they were before they were encoded."""
        return {} if self.entry is None else restore_attributes(self.entry.attributes)


class CallOptions(TypedDict, total=False):
    """What every cache-aside call takes. `Options` says what each one does."""

    similarity_threshold: float | None
    search_strategies: Iterable[SearchStrategy | str] | None
    max_results: int | None
    ttl_millis: int | None
    accept: Accept | None
    on_error: OnError | None
    lookup_timeout: float | None
    on_long_prompt: Literal["bypass", "raise"]
    store: Literal["wait", "background"]
    bypass: bool
    refresh: bool
    no_store: bool


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one cache-aside call."""

    DEFAULT: ClassVar[Options]
    """Those of a call that names none."""

    similarity_threshold: float | None = None
    """As for `search`. Default: the cache's own."""

    search_strategies: tuple[SearchStrategy | str, ...] | None = None
    """As for `search`. Default: semantic."""

    max_results: int | None = None
    """How many entries to look at until one is accepted. Default: 1."""

    ttl_millis: int | None = None
    """How long an answer is kept, in milliseconds. Default: the cache's own."""

    accept: Accept | None = None
    """Has the last word on each entry found. What it raises is logged, and turns the entry down."""

    on_error: OnError | None = None
    """``"compute"``: a cache that fails never stops the answer. ``"raise"``: its errors are raised, and the
    circuit breaker is not asked. Default: the client's (`AsideConfig`), ``"compute"``."""

    lookup_timeout: float | None = None
    """Seconds that a lookup may take, and that a call waits for its answer to be stored. Default: the
    client's (`AsideConfig`), 1.0."""

    on_long_prompt: Literal["bypass", "raise"] = "bypass"
    """What to do with a prompt that is longer than the service takes. It is never cut."""

    store: Literal["wait", "background"] = "wait"
    """Whether to wait, up to ``lookup_timeout``, until the answer is stored. Storing goes on after that."""

    bypass: bool = False
    """Neither look up nor store."""

    refresh: bool = False
    """Don't look up; store, and replace what was stored under the same prompt and attributes."""

    no_store: bool = False
    """Look up, but don't store."""

    @classmethod
    def of(cls, options: CallOptions) -> Options:
        """Checked options. Raises `TypeError` or `ValueError`."""
        if not options:
            return cls.DEFAULT
        strategies = options.get("search_strategies")
        if strategies is not None:
            if not isinstance(strategies, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
                kind = type(strategies).__name__
                raise TypeError(f"search_strategies: must be an iterable of strategies, but is {kind}")
            strategies = (strategies,) if isinstance(strategies, str) else tuple(strategies)
            options = {**options, "search_strategies": strategies}
        return cls(**options)  # type: ignore[arg-type]  # mypy does not see that the line above made a tuple

    def __post_init__(self) -> None:
        if self.on_error is not None:
            _one_of("on_error", self.on_error, ("compute", "raise"))
        _one_of("on_long_prompt", self.on_long_prompt, ("bypass", "raise"))
        _one_of("store", self.store, ("wait", "background"))
        if self.lookup_timeout is not None:
            _seconds("lookup_timeout", self.lookup_timeout)
        if self.accept is not None and not callable(self.accept):
            kind = type(self.accept).__name__
            raise TypeError(f"accept: must be a function of the question and the entry, but is {kind}")


class AsideConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a client's cache-aside calls have in common. Raises `ValueError` or `TypeError`."""

    on_error: OnError = "compute"
    """For calls that don't say."""

    lookup_timeout: float = 1.0
    """Seconds, for calls that don't say."""

    breaker_failures: int = 5
    """How many lookups or stores in a row must fail for the cache to be left alone."""

    breaker_cooldown: float = 30.0
    """For how many seconds; then one call tries again."""

    max_pending_stores: int = 100
    """How many answers may be on their way to the cache. Beyond that, answers are not stored."""

    close_timeout: float = 5.0
    """Seconds that closing the client waits for answers that are on their way to the cache."""

    def __post_init__(self) -> None:
        _one_of("on_error", self.on_error, ("compute", "raise"))
        for name in ("lookup_timeout", "breaker_cooldown", "close_timeout"):
            _seconds(name, getattr(self, name))
        check_int("breaker_failures", self.breaker_failures, minimum=1)
        check_int("max_pending_stores", self.max_pending_stores, minimum=1)


def _one_of(name: str, value: object, allowed: tuple[str, str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: must be {allowed[0]!r} or {allowed[1]!r}, but is {value!r}")


def _seconds(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: must be a number of seconds, but is {type(value).__name__}")
    if not 0 < value < float("inf"):
        raise ValueError(f"{name}: must be more than 0 seconds and finite, but is {value!r}")


Options.DEFAULT = Options()
