"""The options of cache-aside calls, and what a client's calls have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any, ClassVar, Literal, TypeAlias, TypedDict

import msgspec

from .._established.mistakes import unexpected_arguments
from ..limits import Limits, check_duration, check_int, check_text
from ..models import CacheEntry, SearchStrategy

__all__ = ["Accept", "AsideConfig", "CallOptions", "OnError", "Options", "StoreIf"]

Accept: TypeAlias = Callable[[str, CacheEntry], "bool | Awaitable[bool]"]
"""Called with the question and an entry that was found; False turns the entry down."""

StoreIf: TypeAlias = Callable[[Any], "bool | float | timedelta | Awaitable[bool | float | timedelta]"]
"""Called with an answer that was computed, for a stream with the list of its chunks. False: it is not stored.
True: it is. A number of seconds, or a `timedelta`: it is stored and lives for that long."""

OnError: TypeAlias = Literal["compute", "raise"]


class CallOptions(TypedDict, total=False):
    """What every cache-aside call takes. `Options` says what each one does."""

    similarity_threshold: float | None
    search_strategies: Iterable[SearchStrategy | str] | None
    max_results: int | None
    ttl_millis: int | None
    ttl: float | timedelta | None
    accept: Accept | None
    store_if: StoreIf | None
    function: str | None
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
    """As for `search`, 0 to 1. Default: the cache's own."""

    search_strategies: tuple[SearchStrategy, ...] | None = None
    """As for `search`. Default: semantic."""

    max_results: int | None = None
    """How many entries to look at until one is accepted. Default: 1."""

    ttl_millis: int | None = None
    """How long an answer is kept, in milliseconds; as ``ttl=``, in seconds or as a `timedelta`. Default: the
    cache's own."""

    accept: Accept | None = None
    """Has the last word on each entry found. What it raises is logged, and turns the entry down."""

    store_if: StoreIf | None = None
    """Whether, and for how long, an answer that was computed may be stored. Default: every answer may. If it
    raises, the answer is returned and not stored."""

    function: str | None = None
    """A name for what computes the answer, which is part of what is asked. Functions that are given the same
    name share their answers. Default: the function's own name (see `AsideConfig.function_attribute`)."""

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
    def of(cls, call: str, options: CallOptions, limits: Limits) -> Options:
        """Checked options of a call.

        Args:
            call: the name of the method, for the message of an error.
            limits: what the service accepts.

        Raises:
            TypeError, LimitError: an option that does not exist or breaks a rule. The error says what to
                write instead.
        """
        if not options:
            return cls.DEFAULT
        wrong = [name for name in options if name not in CallOptions.__annotations__]
        if wrong:
            raise unexpected_arguments(call, wrong, CallOptions.__annotations__)
        given: dict[str, Any] = dict(options)
        strategies = limits.search_strategies(given.get("search_strategies"))
        given["search_strategies"] = None if strategies is None else tuple(strategies)
        given["similarity_threshold"] = limits.similarity_threshold(given.get("similarity_threshold"))
        given["max_results"] = limits.max_results(given.get("max_results"))
        given["ttl_millis"] = limits.ttl(given.get("ttl_millis"), given.pop("ttl", None))
        return cls(**given)

    def __post_init__(self) -> None:
        if self.on_error is not None:
            _check_choice("on_error", self.on_error, ("compute", "raise"))
        _check_choice("on_long_prompt", self.on_long_prompt, ("bypass", "raise"))
        _check_choice("store", self.store, ("wait", "background"))
        if self.lookup_timeout is not None:
            _set_seconds(self, "lookup_timeout")
        _check_callable("accept", self.accept, "the question and the entry")
        _check_callable("store_if", self.store_if, "the answer")
        if self.function is not None and not check_text("function", self.function):
            raise ValueError("function: must name what computes the answer, but is empty")
        for name in ("bypass", "refresh", "no_store"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name}: must be bool, but is {type(getattr(self, name)).__name__}")


class AsideConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a client's cache-aside calls have in common. Raises `ValueError` or `TypeError`."""

    on_error: OnError = "compute"
    """For calls that don't say."""

    lookup_timeout: float = 1.0
    """Seconds, for calls that don't say."""

    function_attribute: str | None = None
    """An attribute, declared with the cache, for the name of the function that computes an answer: its
    module and qualified name, or what ``function=`` says. Answers of different functions are then kept apart.
    Default: none. Then a client answers, within one scope, for one function only: `cached` refuses a second,
    and `get_or_set` does not ask the cache for it."""

    flight_timeout: float = 30.0
    """Seconds that a call waits for another call that is computing the same answer, and for the next chunk
    of a stream that it shares. After that it computes alone."""

    breaker_failures: int = 5
    """How many lookups or stores in a row must fail for the cache to be left alone."""

    breaker_cooldown: float = 30.0
    """For how many seconds; then one call tries again."""

    max_pending_stores: int = 100
    """How many answers may be on their way to the cache. Beyond that, answers are not stored."""

    close_timeout: float = 5.0
    """Seconds that closing the client waits for answers that are on their way to the cache."""

    def __post_init__(self) -> None:
        _check_choice("on_error", self.on_error, ("compute", "raise"))
        for name in ("lookup_timeout", "flight_timeout", "breaker_cooldown", "close_timeout"):
            _set_seconds(self, name)
        for name in ("breaker_failures", "max_pending_stores"):
            count = check_int(name, getattr(self, name), minimum=1)
            msgspec.structs.force_setattr(self, name, count)
        if self.function_attribute is not None:
            Limits().attribute_map({self.function_attribute: "name"})


def _check_choice(name: str, value: object, allowed: tuple[str, str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: must be {allowed[0]!r} or {allowed[1]!r}, but is {value!r}")


def _check_callable(name: str, value: object, takes: str) -> None:
    if value is not None and not callable(value):
        raise TypeError(f"{name}: must be a function of {takes}, but is {type(value).__name__}")


def _set_seconds(struct: msgspec.Struct, name: str) -> None:
    msgspec.structs.force_setattr(struct, name, check_duration(name, getattr(struct, name)))


Options.DEFAULT = Options()
