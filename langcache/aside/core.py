"""Cache-aside: look an answer up, or compute and store it. One implementation for both clients."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import unicodedata
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from .. import protocol
from ..errors import ClosedError, LangCacheError, NotFoundError, StatusError, TimeoutException
from ..limits import LimitError
from ..models import CacheEntry, SearchResponse
from .answers import Accept, Answer, AsideConfig, CacheStatus, Options
from .breaker import CircuitBreaker
from .codecs import Codec
from .flight import CallerLeft, SingleFlight
from .scope import AttributeValue, encode_attributes
from .stats import Stats

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    from async_timeout import timeout  # aiohttp needs it too, on these Pythons

if TYPE_CHECKING:
    from ..client import AsyncLangCache
    from ..telemetry import Telemetry

__all__ = ["Aside", "Lookup", "Question", "get_or_set"]

T = TypeVar("T")

_log = logging.getLogger("langcache.aside")

_UNAVAILABLE = frozenset({424, 429})
_REPLACED_AT_MOST = 10


class Aside:
    """What the cache-aside calls of a client and of its scopes share."""

    def __init__(self, config: AsideConfig) -> None:
        self.config = config
        self.stats: Stats = Stats()
        self.flights: SingleFlight = SingleFlight()
        self.broadcasts: dict[Hashable, Any] = {}
        """The streams under way (see `langcache.aside.streams`)."""
        self.breaker: CircuitBreaker = CircuitBreaker(config.breaker_failures, config.breaker_cooldown)
        self._stores: set[asyncio.Task[Exception | None]] = set()
        self._said: set[tuple[str, object]] = set()

    def begin_store(
        self, store: Coroutine[Any, Any, Exception | None]
    ) -> asyncio.Task[Exception | None] | None:
        """Store in a task of its own. None if too many are doing so already."""
        if len(self._stores) >= self.config.max_pending_stores:
            store.close()
            self.stats.stores_dropped += 1
            self.warn_once("answers are not stored: %d are on their way to the cache", len(self._stores))
            return None
        task = asyncio.get_running_loop().create_task(store)
        self._stores.add(task)
        task.add_done_callback(self._stores.discard)
        return task

    @property
    def storing(self) -> bool:
        """Whether answers are on their way to the cache."""
        return bool(self._stores)

    async def drain(self) -> None:
        """Wait for what is being stored, for as long as the configuration allows."""
        loop = asyncio.get_running_loop()
        pending = [task for task in self._stores if task.get_loop() is loop]
        if pending:
            _, late = await asyncio.wait(pending, timeout=self.config.close_timeout)
            for task in late:
                task.cancel()

    def answered(self) -> None:
        """The service did its work, or said that a request was wrong."""
        self.breaker.succeeded()

    def failed(self, error: Exception) -> None:
        """Take note of what went wrong with the cache: an outage, or something to be put right."""
        if not _is_outage(error):
            if isinstance(error, StatusError) and error.tries:  # a LimitError was never sent
                self.breaker.succeeded()
            self.warn_once("the cache is not used: %s: %s", type(error).__name__, error)
        elif self.breaker.failed():
            _log.warning(
                "the cache is left alone for %g s after failures in a row; the last: %s: %s",
                self.config.breaker_cooldown,
                type(error).__name__,
                error,
            )
        else:
            _log.debug("the cache failed: %s: %s", type(error).__name__, error)

    def warn_once(self, message: str, *args: object) -> None:
        """Log a warning unless one with the same message and first argument was logged before."""
        kind = (message, args[0])
        if kind not in self._said:
            self._said.add(kind)
            _log.warning(message, *args)

    def count(self, status: CacheStatus, *, shared: bool) -> None:
        """Count an answer."""
        stats = self.stats
        if status is CacheStatus.HIT:
            stats.hits += 1
        elif status is CacheStatus.MISS:
            stats.misses += 1
        elif status is CacheStatus.BYPASS:
            stats.bypasses += 1
        else:
            stats.errors += 1
        stats.shared += shared


class Lookup(msgspec.Struct, frozen=True, kw_only=True):
    """What a lookup came to. ``value`` is that of a hit."""

    status: CacheStatus
    value: Any = None
    entry: CacheEntry | None = None
    reason: str | None = None
    error: Exception | None = None


_MISS = Lookup(status=CacheStatus.MISS)


class Question(Generic[T]):
    """A question as it is put to one cache: its text, its scope, its codec and its options.

    Raises `TypeError` or `ValueError` for arguments that break a rule. A text that the service would not take
    is an argument like any other only if the options say that errors are to be raised.
    """

    def __init__(
        self,
        client: AsyncLangCache,
        text: str,
        attributes: Mapping[str, AttributeValue] | None,
        codec: Codec[T],
        options: Options,
        run_accept: Callable[[Accept], Callable[[str, CacheEntry], Any]] = lambda accept: accept,
    ) -> None:
        self.aside: Aside = client._aside
        self.text = text
        self.client = client
        self._codec = codec
        self._options = options
        self._run_accept = run_accept
        config = self.aside.config
        self.raising: bool = (options.on_error or config.on_error) == "raise"
        self._timeout = options.lookup_timeout or config.lookup_timeout
        self._attributes: dict[str, str] = {}
        if attributes or client._scope is not None:
            encoded = encode_attributes(attributes or {})
            self._attributes = client._limits.attribute_map(client._in_scope(encoded)) or {}
        self.given_up: Lookup | None = self._reason_to_give_up()
        """What is known without asking the cache; None if it has to be asked."""

    @property
    def key(self) -> Hashable:
        """Equal for questions that may share one answer."""
        text = self.text if self.text.isascii() else unicodedata.normalize("NFC", self.text)
        attributes = tuple(sorted(self._attributes.items()))
        options = None if self._options is Options.DEFAULT else _hashable(self._options)
        return " ".join(text.split()), attributes, _hashable(self._codec), options

    async def look_up(self) -> Lookup:
        """Ask the cache. Raises its errors only if the options say so."""
        if self.given_up is not None:
            return self.given_up
        if not self.raising and not self.aside.breaker.allows():
            return Lookup(status=CacheStatus.BYPASS, reason="circuit open")
        if self._options.refresh:
            return _MISS
        started = time.monotonic()
        try:
            if self.client._timeout_bounds_call:  # which saves a second timer
                found = await self._search()
            else:
                async with timeout(self._timeout):
                    found = await self._search()
        except Exception as error:
            return self._failed_lookup(error)
        finally:
            self.aside.stats.lookup_seconds += time.monotonic() - started
        self.aside.answered()
        for entry in found:
            hit = await self._accepted(entry)
            if hit is not None:
                return hit
        return _MISS

    def _search(self) -> Coroutine[Any, Any, SearchResponse]:
        seconds = self._timeout if self.client._timeout is None else min(self._timeout, self.client._timeout)
        return self.client.search(
            self.text,
            similarity_threshold=self._options.similarity_threshold,
            search_strategies=self._options.search_strategies,
            attributes=self._attributes or None,
            max_results=self._options.max_results,
            timeout_ms=1000 * seconds,
        )

    async def store(self, value: T) -> Exception | None:
        """Store an answer, and wait as long as the options say. Returns what went wrong, if known."""
        if self._options.no_store:
            return None
        try:
            text = self._codec.encode(value)
        except Exception as error:
            self.aside.stats.store_errors += 1
            self.aside.warn_once("answers are not stored: %s: %s", type(error).__name__, error)
            if self.raising:
                raise
            return error
        task = self.aside.begin_store(self._store(text))
        if task is None or self._options.store == "background":
            return None
        done, _ = await asyncio.wait([task], timeout=self._timeout)
        failure = task.result() if done else None
        if failure is not None and self.raising:
            raise failure
        return failure

    def _reason_to_give_up(self) -> Lookup | None:
        if self._options.bypass or not self.client._enabled:
            reason = "asked" if self._options.bypass else "disabled"
            return Lookup(status=CacheStatus.BYPASS, reason=reason)
        try:
            self.client._limits.prompt(self.text)
        except LimitError as error:
            if error.rule == "max" and self._options.on_long_prompt == "bypass":
                return Lookup(status=CacheStatus.BYPASS, reason="long prompt")
            if self.raising or error.rule == "max":
                raise
            self.aside.failed(error)
            return Lookup(status=CacheStatus.ERROR, error=error)
        return None

    def _failed_lookup(self, error: Exception) -> Lookup:
        if isinstance(error, asyncio.TimeoutError) and not isinstance(error, LangCacheError):
            late = TimeoutException(f"the lookup took more than {self._timeout:g} s")
            late.__cause__ = error
            error = late
        self.aside.failed(error)
        if self.raising:
            raise error
        return Lookup(status=CacheStatus.ERROR, error=error)

    async def _accepted(self, entry: CacheEntry) -> Lookup | None:
        """The hit that an entry makes, None if it is turned down."""
        self.aside.stats.found(entry.similarity)
        try:
            if self._attributes.items() <= entry.attributes.items() and await self._is_accepted(entry):
                return Lookup(status=CacheStatus.HIT, value=self._codec.decode(entry.response), entry=entry)
        except CallerLeft:
            raise
        except Exception:
            _log.warning("an entry was turned down because it could not be checked or read", exc_info=True)
        self.aside.stats.rejected += 1
        return None

    async def _is_accepted(self, entry: CacheEntry) -> bool:
        if self._options.accept is None:
            return True
        verdict = self._run_accept(self._options.accept)(self.text, entry)
        while isawaitable(verdict):  # twice if it is async and was run in another thread
            verdict = await verdict
        return bool(verdict)

    async def _store(self, text: str) -> Exception | None:
        started = time.monotonic()
        try:
            stored = await self.client.set(
                self.text, text, attributes=self._attributes or None, ttl_millis=self._options.ttl_millis
            )
            if self._options.refresh:
                await self._delete_older(stored.entry_id)
        except Exception as error:
            self.aside.stats.store_errors += 1
            self.aside.failed(error)
            return error
        finally:
            self.aside.stats.store_seconds += time.monotonic() - started
        self.aside.stats.stores += 1
        self.aside.answered()
        return None

    async def _delete_older(self, newest: str) -> None:
        """Delete the other entries of this very prompt and these very attributes: `set` only adds."""
        found = await self.client.search(
            self.text,
            search_strategies=["exact"],
            attributes=self._attributes or None,
            max_results=_REPLACED_AT_MOST,
        )
        for entry in found:
            if entry.id != newest and entry.attributes == self._attributes:
                try:
                    # Not the client's own method, which a scope refuses: this entry is known to be of ours.
                    await self.client._call(protocol.delete_by_id(entry.id))
                except NotFoundError:
                    continue


def get_or_set(question: Question[T], compute: Callable[[], Awaitable[T]]) -> Coroutine[Any, Any, Answer[T]]:
    """The answer to a question: from the cache, or computed and stored."""
    telemetry = question.client._telemetry
    if telemetry is None:
        return _get_or_set(question, compute)
    return _observed(telemetry, question, compute)


async def _observed(
    telemetry: Telemetry, question: Question[T], compute: Callable[[], Awaitable[T]]
) -> Answer[T]:
    with telemetry.question(question.client._cache_id) as span:
        answer = await _get_or_set(question, compute)
        span.answered(answer)
        return answer


async def _get_or_set(question: Question[T], compute: Callable[[], Awaitable[T]]) -> Answer[T]:
    aside = question.aside
    if question.given_up is not None:
        answer, shared = await _computed(question, question.given_up, compute), False
    else:
        looked_up = _LookedUp(question, compute)
        answer, shared = await aside.flights.run(question.key, looked_up.hit, looked_up.computed)
        if shared:
            answer = msgspec.structs.replace(answer, shared=True)
    aside.count(answer.status, shared=shared)
    return answer


class _LookedUp(Generic[T]):
    """The two parts of answering a question."""

    def __init__(self, question: Question[T], compute: Callable[[], Awaitable[T]]) -> None:
        self._question = question
        self._compute = compute
        self._found = _MISS

    async def hit(self) -> Answer[T] | None:
        """Look the answer up."""
        self._found = found = await self._question.look_up()
        if found.status is not CacheStatus.HIT:
            return None
        return Answer(value=found.value, status=found.status, entry=found.entry)

    async def computed(self) -> Answer[T]:
        """Compute what was not found."""
        return await _computed(self._question, self._found, self._compute)


async def _computed(question: Question[T], found: Lookup, compute: Callable[[], Awaitable[T]]) -> Answer[T]:
    started = time.monotonic()
    try:
        value = await compute()
    finally:
        question.aside.stats.make_seconds += time.monotonic() - started
    error = found.error
    if found.status is CacheStatus.MISS:
        error = await question.store(value)
    return Answer(value=value, status=found.status, reason=found.reason, error=error)


def _is_outage(error: Exception) -> bool:
    """Whether the service was out of reach, slow or broken, as against refusing what it was asked."""
    if isinstance(error, StatusError):
        return error.status_code in _UNAVAILABLE or error.status_code >= 500
    return not isinstance(error, ClosedError | ValueError | TypeError)


def _hashable(thing: object) -> Hashable:
    """A stand-in for ``thing`` in a key: itself if it can be, else its identity while it is in use."""
    try:
        hash(thing)
    except TypeError:
        return id(thing)
    return thing
