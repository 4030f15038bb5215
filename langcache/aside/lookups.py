"""Lookups: from a question to the first entry that is accepted, or to the reason why there is none."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from inspect import isawaitable
from typing import Any

from ..models import CacheEntry
from .age import is_stale
from .answers import CacheStatus, Lookup
from .entries import Entries
from .judge import Judge, JudgeFailed
from .options import Accept
from .question import Question
from .sources import is_index_entry
from .state import State

__all__ = ["BYPASS", "DRY_RUN", "Lookups"]

_log = logging.getLogger("langcache.aside")

_HIT = CacheStatus.HIT  # looked up once: up to Python 3.11, getting a member of an enum is slow
_MISS = Lookup(status=CacheStatus.MISS)

BYPASS = {
    reason: Lookup(status=CacheStatus.BYPASS, reason=reason)
    for reason in ("asked", "disabled", "no question", "long prompt", "circuit open")
}
"""The outcome for each reason not to ask the cache."""

DRY_RUN = Lookup(status=CacheStatus.MISS, reason="dry run")
"""The outcome in place of a hit, in a dry run."""


class Lookups:
    """Looks up answers, if the circuit breaker allows it, within the question's timeout."""

    def __init__(self, state: State, entries: Entries, *, asks_for_key: bool) -> None:
        self._state = state
        self._entries = entries
        self.asks_for_key: bool = asks_for_key
        """Whether the client's key comes from a callable, so that `authorization` must be called first."""

    async def authorization(self, question: Question[Any]) -> tuple[str | None, Lookup | None]:
        """Call the client's callable for the key. Returns the authorization, or the outcome if it fails.

        It comes before joining a flight, since calls share an answer only if they have the same key.
        """
        state = self._state
        if not question.raises_errors and state.breaker.blocks:
            return None, BYPASS["circuit open"]
        try:
            ask = self._entries.ask_for_key
            return await state.execution.run(question.method, ask, question.timeout), None
        except Exception as error:
            return None, self._failed(question, error)

    async def look_up(self, question: Question[Any], authorization: str | None) -> Lookup:
        """Ask the cache. Raises its errors only if ``question.raises_errors``.

        Args:
            question: a question whose ``request`` is set.
            authorization: what `authorization` returned.
        """
        state = self._state
        started = question.started = time.monotonic()
        refresh = question.options.refresh  # the cache is then not asked, so no probe starts here
        if not question.raises_errors and (state.breaker.blocks if refresh else not state.breaker.allows()):
            return BYPASS["circuit open"]
        if refresh:
            return _MISS
        try:
            found = await state.execution.request(
                question.method, self._entries.find, question.request, question.timeout, authorization
            )
        except Exception as error:
            return self._failed(question, error)
        except BaseException:
            state.breaker.abandoned()
            raise
        finally:
            elapsed = time.monotonic() - started
            state.stats.lookup_seconds += elapsed  # no call on this line, or threads could lose updates
        state.breaker.succeeded()
        return await self._first_accepted(question, found.data) if found.data else _MISS

    def _failed(self, question: Question[Any], error: Exception) -> Lookup:
        self._state.record_failure(question, error)
        if question.raises_errors:
            raise error
        return Lookup(status=CacheStatus.ERROR, error=error)

    async def _first_accepted(self, question: Question[Any], entries: Iterable[CacheEntry]) -> Lookup:
        """The hit for the first entry that is accepted, or a miss."""
        stats, claims = self._state.stats, self._state.claims
        accept = self._state.config.accept if question.options.accept is None else question.options.accept
        accepts_any = isinstance(accept, str)
        blocked, source_attribute = self._state.blocked, self._state.config.source_attribute
        judging = None
        if accept is not None and isinstance(accept, Judge):
            judging = _Judging(self._state, question, accept)
        for entry in entries:
            stats.found(entry.similarity)
            try:
                if (
                    question.attributes_match(entry)
                    and not (source_attribute and is_index_entry(entry.attributes, source_attribute))
                    and not (blocked and blocked.has(question.text, question.attributes, entry))
                    and (
                        accepts_any
                        or (accept is None and question.text == entry.prompt)
                        or await (
                            self._is_accepted(question, accept, entry)
                            if judging is None
                            else judging.accepts(entry)
                        )
                    )
                ):
                    value = question.codec.decode(entry.response)
                    if question.claimed or not claims.claim(
                        question.make, question.options.function, question.codec, question.attributes
                    ):
                        stale = question.options.stale_after is not None and self._is_stale(question, entry)
                        return Lookup(status=_HIT, value=value, entry=entry, stale=stale)
            except Exception as error:
                # Without the error's message, which may quote the answer.
                name, kind = str(question), type(error).__name__
                self._state.log.warn(
                    ("turned down", name, kind),
                    "%s: entry %s was turned down: %s raised %s",
                    name,
                    entry.id,
                    "to decode it" if accepts_any or accept is None else "accept=, or to decode it,",
                    kind,
                )
                _log.debug("entry %s was turned down", entry.id, exc_info=True)
            stats.rejected += 1
        return _MISS

    def _is_stale(self, question: Question[Any], entry: CacheEntry) -> bool:
        stale_after, time_attribute = question.options.stale_after, self._state.config.time_attribute
        assert stale_after is not None
        assert time_attribute is not None
        return is_stale(entry.attributes, time_attribute, stale_after)

    async def _is_accepted(self, question: Question[Any], accept: Accept | None, entry: CacheEntry) -> bool:
        if accept is None:
            # Imported when there is something to compare: most programs never ask in other words.
            from ..matching.verifier import verifier

            accept = verifier
        assert not isinstance(accept, str)
        verdict = accept(question.text, entry)
        if isawaitable(verdict):
            verdict = await self._state.execution.resolve(question.method, verdict)
        return bool(verdict)


class _Judging:
    """A `Judge` during one lookup: the entries share its time limit, and each pair is asked about once."""

    def __init__(self, state: State, question: Question[Any], judge: Judge) -> None:
        self._state = state
        self._question = question
        self._judge = judge
        self._time_left = judge.timeout
        self._verdicts: dict[tuple[str, str], bool] = {}

    async def accepts(self, entry: CacheEntry) -> bool:
        """Whether the judge accepts an entry, or its failure is to count as a hit."""
        verdict = self._judge.without_asking(self._question.text, entry)
        if verdict is not None:
            return verdict
        pair = entry.prompt, entry.response  # which several entries may have
        if pair not in self._verdicts:
            self._verdicts[pair] = await self._ask(entry)
        return self._verdicts[pair]

    async def _ask(self, entry: CacheEntry) -> bool:
        state, question, judge = self._state, self._question, self._judge
        started = time.monotonic()
        state.stats.judged += 1
        try:
            if self._time_left <= 0:
                raise JudgeFailed("the entries before took all of its time")
            return await state.execution.run(
                question.method, judge.asked, question.text, entry, self._time_left
            )
        except JudgeFailed as error:
            state.stats.judge_failures += 1
            name = str(question)
            state.log.warn(
                ("judge", name),
                "%s: the judge of its entries failed (a %s): %s",
                name,
                judge.on_failure,
                error,
            )
            _log.debug("the judge failed about entry %s", entry.id, exc_info=True)
            return judge.on_failure == "hit"
        finally:
            self._time_left -= time.monotonic() - started
