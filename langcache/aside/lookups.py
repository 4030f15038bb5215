"""Lookups: from a question to the first entry that is accepted, or to the reason why there is none."""

from __future__ import annotations

import logging
import time
from collections.abc import Coroutine, Hashable, Iterable
from inspect import isawaitable
from typing import Any

from .._call.forks import importing
from ..models import CacheEntry
from .age import age, is_stale
from .answers import CacheStatus, Lookup
from .entries import Entries
from .judge import Judge, JudgeFailed
from .near import Kept, copied
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
        if not question.raises_errors and state.breaker.blocks and state.near is None:
            return None, BYPASS["circuit open"]
        try:
            ask = self._entries.ask_for_key
            return await state.execution.run(question.method, ask, question.timeout), None
        except Exception as error:
            return None, self._failed(question, error)

    def look_up(self, question: Question[Any], authorization: str | None) -> Coroutine[Any, Any, Lookup]:
        """Look in the near cache, if there is one, and then ask the service.

        Args:
            question: a question whose ``request`` is set.
            authorization: what `authorization` returned.
        """
        kept = self.kept(question, authorization)
        if kept is None:
            return self.ask_service(question, authorization)
        return self._near_hit_or_asked(question, authorization, kept)

    async def _near_hit_or_asked(
        self, question: Question[Any], authorization: str | None, kept: Kept
    ) -> Lookup:
        return await self.near_hit(question, kept) or await self.ask_service(question, authorization)

    async def ask_service(self, question: Question[Any], authorization: str | None) -> Lookup:
        """Ask the service, as `look_up` does. Raises its errors only if ``question.raises_errors``."""
        state, near = self._state, self._state.near
        epoch = None if near is None else near.epoch
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
        if not found.data:
            return _MISS
        if near is None:
            return await self._first_accepted(question, found.data)
        entries = list(map(copied, found.data))
        lookup = await self._first_accepted(question, found.data)
        if lookup.entry is not None:
            verified = lookup.entry.id if self._accept(question) is None else None
            seconds = near.ttl
            if question.options.ttl_millis is not None:
                seconds = min(seconds, self._seconds_left(lookup.entry, question.options.ttl_millis))
            near.put(_near_key(question, authorization), entries, verified, epoch, seconds)
        return lookup

    def kept(self, question: Question[Any], authorization: str | None) -> Kept | None:
        """The reply that the near cache has; None if it has none, or must not be used."""
        near = self._state.near
        if near is None or question.options.refresh:
            return None
        return near.get(_near_key(question, authorization))

    async def near_hit(self, question: Question[Any], kept: Kept) -> Lookup | None:
        """The hit of a reply that was kept, by the rules for one that has just come; None if it is none."""
        state = self._state
        question.started = time.monotonic()
        lookup = await self._first_accepted(question, map(copied, kept.entries), kept)
        if lookup.entry is None or state.near is None or kept.epoch is not state.near.epoch:
            return None  # not accepted this time, or dropped while ``accept`` was asked
        state.stats.near_hits += 1
        return lookup

    def asks_program(self, question: Question[Any]) -> bool:
        """Whether the program has a function of its own, say a `Judge`, that is asked about entries."""
        accept = self._accept(question)
        return accept is not None and not isinstance(accept, str)

    def _seconds_left(self, entry: CacheEntry, ttl_millis: int) -> float:
        """How long an entry that was stored with this time to live exists at most, as far as it tells."""
        time_attribute = self._state.config.time_attribute
        seconds = None if time_attribute is None else age(entry.attributes, time_attribute)
        return ttl_millis / 1000 - max(seconds or 0.0, 0.0)

    def _accept(self, question: Question[Any]) -> Accept | None:
        """The ``accept`` of a call; None for the verifier of this package."""
        accept = question.options.accept
        return self._state.config.accept if accept is None else accept

    def _failed(self, question: Question[Any], error: Exception) -> Lookup:
        self._state.record_failure(question, error)
        if question.raises_errors:
            raise error
        return Lookup(status=CacheStatus.ERROR, error=error)

    async def _first_accepted(
        self, question: Question[Any], entries: Iterable[CacheEntry], kept: Kept | None = None
    ) -> Lookup:
        """The hit for the first entry that is accepted, or a miss.

        Args:
            question: the question.
            entries: the entries of the reply.
            kept: the reply, if the near cache has kept it.
        """
        stats, claims = self._state.stats, self._state.claims
        accept = self._accept(question)
        verified = None if kept is None else kept.verified
        accepts_any = isinstance(accept, str)
        blocked, source_attribute = self._state.blocked, self._state.config.source_attribute
        judging = _Judging(self._state, question, accept) if isinstance(accept, Judge) else None
        turned_down: list[str] = []
        for entry in entries:
            if entry.id in question.turned_down:
                continue
            stats.found(entry.similarity)
            try:
                if (
                    (question.attributes is None or question.attributes_match(entry))
                    and not (source_attribute and is_index_entry(entry.attributes, source_attribute))
                    and not (blocked.pairs and blocked.has(question.text, question.attributes, entry))
                    and (
                        accepts_any
                        or (accept is None and (question.text == entry.prompt or entry.id == verified))
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
                        return Lookup(
                            status=_HIT, value=value, entry=entry, stale=stale, near=kept is not None
                        )
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
            turned_down.append(entry.id)
        if kept is not None:
            question.turned_down = frozenset(turned_down)
        return _MISS

    def _is_stale(self, question: Question[Any], entry: CacheEntry) -> bool:
        stale_after, time_attribute = question.options.stale_after, self._state.config.time_attribute
        assert stale_after is not None
        assert time_attribute is not None
        return is_stale(entry.attributes, time_attribute, stale_after)

    async def _is_accepted(self, question: Question[Any], accept: Accept | None, entry: CacheEntry) -> bool:
        if accept is None:
            # Imported when there is something to compare: most programs never ask in other words.
            with importing:
                from ..matching.verifier import verifier

            accept = verifier
        assert not isinstance(accept, str)
        verdict = accept(question.text, entry)
        if isawaitable(verdict):
            verdict = await self._state.execution.resolve(question.method, verdict)
        return bool(verdict)


def _near_key(question: Question[Any], authorization: str | None) -> Hashable:
    """All that the service's reply depends on: what it is asked, and with which key if there are several."""
    assert question.request is not None
    body = question.request.body
    return body if authorization is None else (body, authorization)


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
