"""Looking up: from a question to a hit that is accepted, or to why there is none."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from inspect import isawaitable
from typing import Any

from ..models import CacheEntry
from .answers import CacheStatus, Lookup
from .entries import Entries
from .options import Accept
from .question import Question
from .state import State

__all__ = ["BYPASS", "Lookups"]

_log = logging.getLogger("langcache.aside")

_HIT = CacheStatus.HIT  # up to Python 3.11, each look-up of a member runs some Python code
_MISS = Lookup(status=CacheStatus.MISS)

BYPASS = {
    reason: Lookup(status=CacheStatus.BYPASS, reason=reason)
    for reason in ("asked", "disabled", "no question", "long prompt", "circuit open")
}
"""The outcomes of a cache that is not asked, by reason."""


class Lookups:
    """Looks up answers, as the circuit breaker allows and within the time of the question."""

    def __init__(self, state: State, entries: Entries, *, asks_for_key: bool) -> None:
        self._state = state
        self._entries = entries
        self.asks_for_key: bool = asks_for_key
        """Whether `key` has to be asked; a client with one key for all calls needs not."""

    async def key(self, question: Question[Any]) -> tuple[str | None, Lookup | None]:
        """The authorization that the client's callable for the key gives; or the outcome if it gives none.

        Two calls share an answer only if they have the same key, so it is asked for before.
        """
        state = self._state
        if not question.raising and state.breaker.blocks:
            return None, BYPASS["circuit open"]
        try:
            ask = self._entries.ask_for_key
            return await state.execution.run(question.call, ask, question.timeout), None
        except Exception as error:
            return None, self._failed(question, error)

    async def look_up(self, question: Question[Any], key: str | None) -> Lookup:
        """Ask the cache. Raises its errors only if the question says so.

        Args:
            question: with a request.
            key: the authorization, as `key` gave it.
        """
        state = self._state
        refresh = question.options.refresh  # then nothing is asked here, and no probe used up
        if not question.raising and (state.breaker.blocks if refresh else not state.breaker.allows()):
            return BYPASS["circuit open"]
        if refresh:
            return _MISS
        started = time.monotonic()
        try:
            found = await state.execution.run(
                question.call, self._entries.find, question.request, question.timeout, key
            )
        except Exception as error:
            return self._failed(question, error)
        except BaseException:
            state.breaker.abandoned()
            raise
        finally:
            elapsed = time.monotonic() - started
            state.stats.lookup_seconds += elapsed  # no call in between, so that no thread's share is lost
        state.breaker.succeeded()
        return await self._first_accepted(question, found.data) if found.data else _MISS

    def _failed(self, question: Question[Any], error: Exception) -> Lookup:
        self._state.failed(question, error)
        if question.raising:
            raise error
        return Lookup(status=CacheStatus.ERROR, error=error)

    async def _first_accepted(self, question: Question[Any], entries: Iterable[CacheEntry]) -> Lookup:
        """The hit that the first entry makes that is not turned down."""
        stats, accept = self._state.stats, question.options.accept
        for entry in entries:
            stats.found(entry.similarity)
            try:
                if question.may_be_answered_by(entry) and (
                    accept is None or await self._is_accepted(question, accept, entry)
                ):
                    return Lookup(status=_HIT, value=question.codec.decode(entry.response), entry=entry)
            except Exception as error:
                # Not what it says, which may quote the answer.
                name, kind = str(question), type(error).__name__
                self._state.log.warn(
                    ("turned down", name, kind),
                    "%s: entry %s was turned down: to check or read it raised %s",
                    name,
                    entry.id,
                    kind,
                )
                _log.debug("entry %s was turned down", entry.id, exc_info=True)
            stats.rejected += 1
        return _MISS

    async def _is_accepted(self, question: Question[Any], accept: Accept, entry: CacheEntry) -> bool:
        verdict = accept(question.text, entry)
        if isawaitable(verdict):
            verdict = await self._state.execution.resolve(question.call, verdict)
        return bool(verdict)
