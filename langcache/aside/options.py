"""The options of cache-aside calls, and the settings of a client for all of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Literal, TypeAlias, TypedDict, cast

import msgspec

from .._checks import check_duration, check_instance, check_int, check_seconds, check_text
from .._established.mistakes import unexpected_arguments
from ..limits import LimitError, Limits
from ..models import CacheEntry, SearchStrategy
from .near import NearCache
from .shadow import Shadow
from .sources import Sources, check_sources
from .usage import Price, UsageOf

__all__ = [
    "Accept",
    "AsideConfig",
    "CallOptions",
    "OnError",
    "Options",
    "StoreIf",
    "added_attributes",
    "check_room",
]

Accept: TypeAlias = Callable[[str, CacheEntry], "bool | Awaitable[bool]"] | Literal["any"]
"""Called with the question and an entry that was found; if it returns False, the entry is rejected.
``"any"``: every entry is accepted."""

StoreIf: TypeAlias = Callable[[Any], "bool | float | timedelta | Awaitable[bool | float | timedelta]"]
"""Called with a computed answer; for a stream, with the list of its chunks. It returns False not to store it,
True to store it, or a number of seconds or a `timedelta` to store it for that long."""

OnError: TypeAlias = Literal["compute", "raise"]

_LONGEST_SECONDS = threading.TIMEOUT_MAX / 2
"""What stands for any longer time: no thread can wait for that. It is more than a century, or 24 days on
Windows."""

_ATTRIBUTES = ("function_attribute", "source_attribute", "time_attribute")


class CallOptions(TypedDict, total=False):
    """The options that every cache-aside call takes. `Options` documents them."""

    similarity_threshold: float | None
    search_strategies: Iterable[SearchStrategy | str] | None
    max_results: int | None
    ttl_millis: int | None
    ttl: float | timedelta | None
    accept: Accept | None
    store_if: StoreIf | None
    sources: Sources | None
    stale_after: float | timedelta | None
    usage: UsageOf | None
    function: str | None
    on_error: OnError | None
    lookup_timeout: float | None
    flight_timeout: float | None
    on_long_prompt: Literal["bypass", "raise"]
    store: Literal["wait", "background"]
    bypass: bool
    refresh: bool
    no_store: bool


_NAMES = CallOptions.__annotations__


class Options(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """The options of one cache-aside call."""

    DEFAULT: ClassVar[Options]
    """The options of a call that is given none."""

    similarity_threshold: float | None = None
    """As for `search`, 0 to 1. Default: the cache's own."""

    search_strategies: tuple[SearchStrategy, ...] | None = None
    """As for `search`. Default: semantic."""

    max_results: int | None = None
    """How many entries to search for at most, of which the first accepted one is used. Default: 1."""

    ttl_millis: int | None = None
    """How long an answer is kept, in milliseconds. Or pass ``ttl=``, in seconds or as a `timedelta`. Default:
    the cache's own."""

    accept: Accept | None = None
    """Called with the question and each entry found; if it returns False, the entry is rejected. If it
    raises, the error is logged and the entry is rejected. ``"any"``: every entry is accepted. A `Judge` asks
    a slower function about entries in doubt. Default: the client's (`AsideConfig`), `langcache.verifier`."""

    store_if: StoreIf | None = None
    """Called with a computed answer; returns whether to store it, or for how long, in seconds or as a
    `timedelta`. If it raises, the answer is returned and not stored, unless errors are raised (``on_error``).
    Default: every answer is stored."""

    sources: Sources | None = None
    """What the answer was made from, so that `invalidate` can delete it: texts such as ``"doc:42"`` or, with
    a version, ``"doc:42@v7"``, at most 64 of 1 to 500 characters; or a function of the computed answer, async
    or not, that returns them. Needs `AsideConfig.source_attribute`. Default: none."""

    stale_after: float | None = None
    """Seconds, or a `timedelta`, after which a stored answer is stale. A stale answer is returned at once,
    and computed anew in the background, once for all calls that ask meanwhile; the new one takes its place.
    If that fails, it is logged and counted, and the old one stays. Needs `AsideConfig.time_attribute`.
    Default: no answer is stale."""

    usage: UsageOf | None = None
    """Called with the answer, computed or cached, or the list of a stream's chunks; returns a `Usage`, the
    tokens that it took to compute, or None if it does not tell. So a hit tells what it saved. It is called
    once for calls that share an answer. If it raises, that is logged, and the usage is unknown. Default:
    usage is not counted."""

    function: str | None = None
    """A name for the function that computes the answer. Functions that are given the same name share their
    answers. Default: the function's own name (see `AsideConfig.function_attribute`)."""

    on_error: OnError | None = None
    """``"compute"``: if the cache fails, the answer is computed. ``"raise"``: the error is raised, and the
    circuit breaker is ignored. Default: the client's (`AsideConfig`), ``"compute"``."""

    lookup_timeout: float | None = None
    """Seconds that a lookup may take at most, and that a call waits at most for its answer to be stored.
    Default: the client's (`AsideConfig`), 1.0."""

    flight_timeout: float | None = None
    """Seconds that the call waits at most for a concurrent call that computes the same answer; see
    `AsideConfig`. Calls that differ in this alone share an answer. Default: the client's (`AsideConfig`),
    30.0."""

    on_long_prompt: Literal["bypass", "raise"] = "bypass"
    """What to do with a prompt that is longer than the service accepts: compute the answer without the cache,
    or raise `langcache.LimitError`. It is never shortened. Default: ``"bypass"``."""

    store: Literal["wait", "background"] = "wait"
    """Whether to wait until the answer is stored, for at most ``lookup_timeout``; storing goes on after that.
    Default: ``"wait"``."""

    bypass: bool = False
    """Neither look up nor store. Default: False."""

    refresh: bool = False
    """Don't look up; store, and replace entries with the same prompt and attributes. Default: False."""

    no_store: bool = False
    """Look up, but don't store. Default: False."""

    @classmethod
    def of(cls, method: str, options: CallOptions, limits: Limits, config: AsideConfig) -> Options:
        """Check the options of a call.

        Args:
            method: the name of the method, for error messages.
            limits: what the service accepts.
            config: the client's settings, some of which an option may need.

        Raises:
            TypeError, LimitError: an option does not exist or breaks a rule. The error says what to write
                instead.
        """
        if not options:
            return cls.DEFAULT
        if not options.keys() <= _NAMES.keys():
            wrong = [name for name in options if name not in _NAMES]
            raise unexpected_arguments(method, wrong, _NAMES)
        given: dict[str, Any] = dict(options)
        # Only what is given is checked: most calls have one option, or two.
        if given.get("search_strategies") is not None:
            given["search_strategies"] = tuple(limits.search_strategies(given["search_strategies"]) or ())
        if "similarity_threshold" in given:
            given["similarity_threshold"] = limits.similarity_threshold(given["similarity_threshold"])
        if "max_results" in given:
            given["max_results"] = limits.max_results(given["max_results"])
        if "ttl_millis" in given or "ttl" in given:
            given["ttl_millis"] = limits.ttl(given.get("ttl_millis"), given.pop("ttl", None))
        if given.get("sources") is not None:
            given["sources"] = check_sources("sources", given["sources"])
            _check_named(config, "sources", "source_attribute", "sources")
        if given.get("stale_after") is not None:
            given["stale_after"] = check_seconds("stale_after", given["stale_after"])
            _check_named(config, "stale_after", "time_attribute", "stored_at")
        return cls(**given)

    def __post_init__(self) -> None:
        # What has its default is only looked at: options with functions are made anew in each call.
        if self.on_error is not None:
            _check_choice("on_error", self.on_error, ("compute", "raise"))
        if self.on_long_prompt != "bypass":
            _check_choice("on_long_prompt", self.on_long_prompt, ("bypass", "raise"))
        if self.store != "wait":
            _check_choice("store", self.store, ("wait", "background"))
        if self.lookup_timeout is not None:
            _set_seconds(self, "lookup_timeout")
        if self.flight_timeout is not None:
            _set_seconds(self, "flight_timeout")
        if self.stale_after is not None:
            _set_seconds(self, "stale_after")
        if self.accept is not None:
            _check_accept(self.accept)
        if self.store_if is not None:
            _check_callable("store_if", self.store_if, "the answer")
        if self.usage is not None:
            _check_callable("usage", self.usage, "the answer")
        if self.function is not None and not check_text("function", self.function):
            raise ValueError("function: must name what computes the answer, but is empty")
        if self.bypass is False and self.refresh is False and self.no_store is False:
            return
        if self.refresh and self.no_store:
            raise ValueError(
                "refresh, no_store: give one of the two; bypass=True neither looks up nor stores"
            )
        for name in ("bypass", "refresh", "no_store"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name}: must be bool, but is {type(getattr(self, name)).__name__}")


class AsideConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a client for all its cache-aside calls. Raises `ValueError` or `TypeError`."""

    on_error: OnError = "compute"
    """The default of the option ``on_error`` (see `Options`)."""

    lookup_timeout: float = 1.0
    """The default of the option ``lookup_timeout`` (see `Options`), in seconds."""

    accept: Accept | None = None
    """The default of the option ``accept`` (see `Options`). None: `langcache.verifier`."""

    function_attribute: str | None = None
    """The name of an attribute, declared with the cache, that holds the name of the function that computes an
    answer: its module and qualified name, or the option ``function``. It separates the answers of different
    functions. Default: None. Then only one function may use the cache in each scope: for a second one,
    `cached` raises `TypeError`, and `get_or_set` does not ask the cache."""

    source_attribute: str | None = None
    """The name of an attribute, declared with the cache, that holds the ``sources`` of an answer, so that
    `invalidate` finds it. It is stored and not searched by. For each source the cache also gets a small entry
    of its own, which is never given as an answer. Default: None."""

    time_attribute: str | None = None
    """The name of an attribute, declared with the cache, that holds the time at which an answer was stored,
    in whole seconds since 1970 (UTC), so that ``stale_after`` can tell its age. It is stored with every
    answer, and not searched by. An answer without it is stale; one from the future, by a clock that is ahead,
    is not. Default: None."""

    price: Price | None = None
    """A function of a `Usage` that returns the money that it cost, in a currency of your choice; called if
    both its numbers are known. If it raises, that is logged, and the money stays unknown. Default: none."""

    max_renewals: int = 10
    """How many stale answers may be computed anew in the background at once. Beyond that, they stay as they
    are until they are asked for again."""

    flight_timeout: float = 30.0
    """Seconds that a call waits at most for a concurrent call that computes the same answer, or for the next
    chunk of a stream that it shares. After that it computes the answer itself, or, if it has received chunks
    of the stream, raises `langcache.errors.TimeoutException`."""

    breaker_failures: int = 5
    """How many lookups or stores in a row must fail to open the circuit breaker. While it is open, the cache
    is not asked."""

    breaker_cooldown: float = 30.0
    """Seconds for which the circuit breaker stays open. After that, one call asks the cache again."""

    max_pending_stores: int = 100
    """How many answers may be being stored at once. Beyond that, answers are not stored."""

    close_timeout: float = 5.0
    """Seconds that closing the client waits at most for answers that are being stored, and as long again for
    those that are being computed in the background, by ``shadow`` or ``stale_after``. Tasks that are not done
    then are cancelled."""

    labels: str | os.PathLike[str] | None = None
    """The path of a file to which pairs of a question and an entry's prompt are appended, as JSON lines, when
    `AsyncAnswer.wrong`, `AsyncAnswer.right` or ``shadow`` have judged them. Its directory must exist. It
    holds prompts, so it is made for its owner alone. If it can't be written, that is logged. Default:
    none."""

    shadow: Shadow | None = None
    """Measures a share of the hits by answers that are computed anyway, or never gives a hit. Default:
    None."""

    near: NearCache | None = None
    """Keeps hits in the process for a while, so that the same question needs no request. None: every question
    is looked up in the service. With `Shadow.dry_run`, which gives no hit, nothing is kept."""

    def __post_init__(self) -> None:
        _check_choice("on_error", self.on_error, ("compute", "raise"))
        _check_accept(self.accept)
        for name in ("lookup_timeout", "flight_timeout", "breaker_cooldown", "close_timeout"):
            _set_seconds(self, name)
        for name in ("breaker_failures", "max_pending_stores", "max_renewals"):
            count = check_int(name, getattr(self, name), minimum=1)
            msgspec.structs.force_setattr(self, name, count)
        check_instance("shadow", self.shadow, Shadow, "langcache.aside.Shadow")
        check_instance("near", self.near, NearCache, "langcache.aside.NearCache")
        if self.labels is not None:
            msgspec.structs.force_setattr(self, "labels", _file_path("labels", self.labels))
        _check_callable("price", self.price, "a Usage")
        names = [name for name in _ATTRIBUTES if getattr(self, name) is not None]
        for name in names:
            if not check_text(name, getattr(self, name)):
                raise ValueError(f"{name}: must be the name of an attribute, but is empty")
        if len({getattr(self, name) for name in names}) < len(names):
            raise ValueError(f"{', '.join(names)}: must be different attributes")


def _check_named(config: AsideConfig, option: str, setting: str, example: str) -> None:
    if getattr(config, setting) is None:
        raise ValueError(
            f"{option}: needs an attribute of its own; declare one with the cache, and name it, say "
            f"AsideConfig({setting}={example!r})"
        )


def added_attributes(config: AsideConfig) -> frozenset[str]:
    """The names of attributes that are stored with answers, and are no part of what is asked."""
    names = (config.source_attribute, config.time_attribute)
    return frozenset(name for name in names if name is not None)


def check_room(limits: Limits, attributes: Mapping[str, str], config: AsideConfig, options: Options) -> None:
    """Raise `ValueError` unless there is room beside a call's attributes for those that are added."""
    added = added_attributes(config)
    for name in added & attributes.keys():
        instead = "; give sources=" if name == config.source_attribute else ""
        raise ValueError(f"attributes: {name!r} is written by the client itself{instead}")
    used = [name for name in added if name != config.source_attribute or options.sources is not None]
    if limits.attributes is not None and len(attributes) + len(used) > limits.attributes:
        raise LimitError(
            "attributes",
            "max",
            f"must leave room for {' and '.join(sorted(map(repr, used)))}, which the client adds, among the "
            f"{limits.attributes} that an entry may have, but has {len(attributes)}",
        )


def _file_path(name: str, given: Any) -> str:
    value = cast("object", os.fspath(given) if isinstance(given, str | os.PathLike) else given)
    if not isinstance(value, str):
        raise TypeError(f"{name}: must be the path of a file, but is {type(value).__name__}")
    path = os.path.abspath(value)  # which stays the same when the program changes its directory
    if not value or os.path.isdir(path):
        raise ValueError(f"{name}: must be the path of a file, but is {value!r}")
    if not os.path.isdir(os.path.dirname(path)):
        raise ValueError(f"{name}: the directory {os.path.dirname(path)!r} does not exist; make it first")
    return path


def _check_choice(name: str, value: object, allowed: tuple[str, str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: must be {allowed[0]!r} or {allowed[1]!r}, but is {value!r}")


def _check_accept(value: object) -> None:
    if isinstance(value, str) and value != "any":
        raise ValueError(
            f"accept: must be a function of the question and the entry, or 'any', but is {value!r}"
        )
    if not isinstance(value, str):
        _check_callable("accept", value, "the question and the entry")


def _check_callable(name: str, value: object, takes: str) -> None:
    if value is not None and not callable(value):
        raise TypeError(f"{name}: must be a function of {takes}, but is {type(value).__name__}")


def _set_seconds(struct: msgspec.Struct, name: str) -> None:
    seconds = min(check_duration(name, getattr(struct, name)), _LONGEST_SECONDS)
    msgspec.structs.force_setattr(struct, name, seconds)


Options.DEFAULT = Options()
