"""A question as it is put to a cache: looking its answer up, and storing it."""

from __future__ import annotations

import asyncio
import logging
import time
import unicodedata
from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from .._call import protocol
from .._call.deadlines import time_limit
from ..errors import ClosedError, LangCacheError, NotFoundError, TimeoutException
from ..limits import LimitError
from ..models import CacheEntry, SearchResponse
from .answers import Accept, CacheStatus, Options
from .codecs import Codec
from .flight import CallerLeft
from .scope import AttributeValue, encode_attributes

if TYPE_CHECKING:
    from ..client import AsyncLangCache
    from .core import Aside

__all__ = ["Lookup", "Question"]

T = TypeVar("T")

_log = logging.getLogger("langcache.aside")

_REPLACED_AT_MOST = 10


class Lookup(msgspec.Struct, frozen=True, kw_only=True):
    """What a lookup came to. ``value`` is that of a hit."""

    status: CacheStatus
    value: Any = None
    entry: CacheEntry | None = None
    reason: str | None = None
    error: Exception | None = None


_MISS = Lookup(status=CacheStatus.MISS)
_HIT = CacheStatus.HIT  # up to Python 3.11, each look-up of a member runs some Python code


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
        self.client = client
        self._text = text
        self._codec = codec
        self._options = options
        self._run_accept = run_accept
        config = self.aside.config
        self.raising: bool = (options.on_error or config.on_error) == "raise"
        self._timeout = options.lookup_timeout or config.lookup_timeout
        self._attributes: dict[str, str] | None = None
        if attributes or client._scope is not None:
            encoded = client._in_scope(encode_attributes(attributes or {}))
            self._attributes = client._limits.attribute_map(encoded)
        self.given_up: Lookup | None = self._reason_to_give_up()
        """What is known without asking the cache; None if it has to be asked."""

    def key(self, place: Hashable) -> Hashable:
        """Equal for questions that may share one answer if they are asked at one place."""
        text = self._text if self._text.isascii() else unicodedata.normalize("NFC", self._text)
        attributes = None if self._attributes is None else frozenset(self._attributes.items())
        options = None if self._options is Options.DEFAULT else _hashable(self._options)
        return place, " ".join(text.split()), attributes, _hashable(self._codec), options

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
                async with time_limit(self._timeout):
                    found = await self._search()
        except Exception as error:
            return self._failed_lookup(error)
        finally:
            self.aside.stats.lookup_seconds += time.monotonic() - started
        self.aside.breaker.succeeded()
        return await self._first_accepted(found.data) if found.data else _MISS

    def _search(self) -> Coroutine[Any, Any, SearchResponse]:
        ours, clients = self._timeout, self.client._timeout
        seconds = ours if clients is None or ours < clients else clients
        return self.client._call(self._request, timeout_ms=1000 * seconds)

    async def store(self, value: T) -> Exception | None:
        """Store an answer, and wait as long as the options say. Returns what went wrong, if known."""
        if self._options.no_store:
            return None
        try:
            text = self._codec.encode(value)
        except Exception as error:
            self._not_stored(error)
            if self.raising:
                raise
            return error
        task = self.aside.begin_store(partial(self._store, text))
        if task is None or self._options.store == "background":
            return None
        done, _ = await asyncio.wait([task], timeout=self._timeout)
        if task.cancelled():  # by `Aside.drain`
            failure: Exception | None = ClosedError("the client was closed while the answer was being stored")
        else:
            failure = task.result().get() if done else None
        if failure is not None and self.raising:
            raise failure
        return failure

    def _reason_to_give_up(self) -> Lookup | None:
        options = self._options
        if options.bypass or not self.client._enabled:
            reason = "asked" if options.bypass else "disabled"
            return Lookup(status=CacheStatus.BYPASS, reason=reason)
        try:
            self._request = protocol.search(
                self.client._limits,
                self._text,
                options.similarity_threshold,
                options.search_strategies,
                self._attributes,
                options.max_results,
            )
        except (TypeError, ValueError) as error:
            too_long = isinstance(error, LimitError) and (error.argument, error.rule) == ("prompt", "max")
            if too_long and options.on_long_prompt == "bypass":
                return Lookup(status=CacheStatus.BYPASS, reason="long prompt")
            if too_long or self.raising:
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

    async def _first_accepted(self, entries: Iterable[CacheEntry]) -> Lookup:
        """The hit that the first entry makes that is not turned down."""
        stats, accept = self.aside.stats, self._options.accept
        for entry in entries:
            stats.found(entry.similarity)
            try:
                if self._is_in_scope(entry) and (accept is None or await self._is_accepted(accept, entry)):
                    return Lookup(status=_HIT, value=self._codec.decode(entry.response), entry=entry)
            except CallerLeft:
                raise
            except Exception as error:
                # Not what it says, which may quote the answer.
                kind = type(error).__name__
                _log.warning("entry %s was turned down: to check or read it raised %s", entry.id, kind)
                _log.debug("entry %s was turned down", entry.id, exc_info=True)
            stats.rejected += 1
        return _MISS

    def _is_in_scope(self, entry: CacheEntry) -> bool:
        # Asked of every entry, though the service was told to filter: it may be one that does not.
        return self._attributes is None or self._attributes.items() <= entry.attributes.items()

    async def _is_accepted(self, accept: Accept, entry: CacheEntry) -> bool:
        verdict = self._run_accept(accept)(self._text, entry)
        while isawaitable(verdict):  # twice if it is async and was run in another thread
            verdict = await verdict
        return bool(verdict)

    async def _store(self, text: str) -> Exception | None:
        started = time.monotonic()
        try:
            stored = await self.client.set(
                self._text, text, attributes=self._attributes, ttl_millis=self._options.ttl_millis
            )
            if self._options.refresh:
                await self._delete_older(stored.entry_id)
        except Exception as error:
            self.aside.stats.store_errors += 1
            self.aside.failed(error)
            return error
        except (SystemExit, KeyboardInterrupt) as error:  # logged, since perhaps nobody waits for it
            self._not_stored(error)
            raise
        finally:
            self.aside.stats.store_seconds += time.monotonic() - started
        self.aside.stats.stores += 1
        self.aside.breaker.succeeded()
        return None

    def _not_stored(self, error: BaseException) -> None:
        self.aside.stats.store_errors += 1
        self.aside.warn_once("answers are not stored: %s: %s", type(error).__name__, error)

    async def _delete_older(self, newest: str) -> None:
        """Delete the other entries of this very prompt and these very attributes: `set` only adds."""
        found = await self.client.search(
            self._text,
            search_strategies=["exact"],
            attributes=self._attributes,
            max_results=_REPLACED_AT_MOST,
        )
        for entry in found:
            if entry.id != newest and entry.attributes == (self._attributes or {}):
                try:
                    # Not the client's own method, which a scope refuses: this entry is known to be of ours.
                    await self.client._call(protocol.delete_by_id(entry.id))
                except NotFoundError:
                    continue


def _hashable(thing: object) -> Hashable:
    """A stand-in for ``thing`` in a key: itself if it can be, else its identity while it is in use."""
    try:
        hash(thing)
    except TypeError:
        return id(thing)
    return thing
