"""Cache-aside: looks an answer up, or computes and stores it, for both clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from .._call.caller import Caller
from .._call.loops import running_loop
from ..limits import Limits
from ..telemetry import Telemetry
from .accounts import Accounts
from .answers import Answer, AsyncAnswer, BlockingAnswer, CacheStatus, Lookup, shared_answer, with_origin
from .codecs import TEXT, check_shared
from .entries import Entries
from .execution import Execution
from .flight import CannotFollow, LeaderLeft
from .freshness import Renewals
from .invalidation import Invalidation
from .key import MessagesKey
from .lookups import BYPASS, DRY_RUN, Lookups
from .options import AsideConfig, Options, added_attributes
from .question import Question
from .questions import Questions
from .shadowing import Shadowing
from .state import State
from .stores import Stores
from .usage import NOTHING
from .verdicts import Verdicts, origin_of

__all__ = ["Aside"]

T = TypeVar("T")

_HIT = CacheStatus.HIT  # looked up once: up to Python 3.11, getting a member of an enum is slow


async def _nothing() -> None:
    """Computes no answer, for a call that gets it in another way."""


class Aside:
    """Cache-aside for one client and its scopes.

    Args:
        caller: makes the client's HTTP calls.
        limits: what the service accepts.
        config: the client's settings; None for the defaults.
        telemetry: spans and metrics; None for none.
        execution: where the parts of a call run.
        messages_key: makes the key for functions of messages.
        enabled: False to never ask the cache.
    """

    def __init__(
        self,
        caller: Caller,
        limits: Limits,
        config: AsideConfig | None,
        telemetry: Telemetry | None,
        execution: Execution,
        messages_key: Callable[[], MessagesKey],
        *,
        enabled: bool,
    ) -> None:
        config = config or AsideConfig()
        if config.function_attribute is not None:
            limits.attribute_map({config.function_attribute: "name"})
        added = added_attributes(config)
        limits.attribute_map(dict.fromkeys(added, "value"))
        self.state: State = State(limits, config, execution)
        entries = Entries(caller, limits, added, self.state.record_change)
        self.questions: Questions = Questions(self.state, added, enabled=enabled)
        self.accounts: Accounts = Accounts(self.state, telemetry, caller.cache_id)
        self.lookups: Lookups = Lookups(self.state, entries, asks_for_key=caller.asks_for_key)
        self.invalidation: Invalidation = Invalidation(self.state, entries)
        self.stores: Stores = Stores(self.state, entries, self.invalidation)
        self.renewals: Renewals = Renewals(self.state, self.stores, self.accounts)
        self.verdicts: Verdicts = Verdicts(self.state, entries, telemetry, caller.cache_id)
        self.shadowing: Shadowing | None = (
            None if config.shadow is None else Shadowing(config.shadow, self.verdicts, self.accounts)
        )
        self.is_dry_run: bool = config.shadow is not None and config.shadow.dry_run
        """Whether hits are not given."""
        self._answer_type: type[Answer[Any]] = BlockingAnswer if execution.is_blocking else AsyncAnswer
        self.messages_key: Callable[[], MessagesKey] = messages_key
        """Makes the key for a function of messages that is given none."""
        self.cache_id: str = caller.cache_id
        self.telemetry: Telemetry | None = telemetry

    def answer(self, question: Question[T], compute: Callable[[], Awaitable[T]]) -> Coroutine[Any, Any, Any]:
        """The answer to a question: from the cache, or computed and stored.

        It is an `AsyncAnswer`, or a `BlockingAnswer` for the blocking client.
        """
        if self.telemetry is None:
            return self._answer(question, compute)
        return self._observed(self.telemetry, question, compute)

    async def _observed(
        self, telemetry: Telemetry, question: Question[T], compute: Callable[[], Awaitable[T]]
    ) -> Answer[T]:
        with telemetry.question(self.cache_id) as span:
            answer = await self._answer(question, compute)
            span.answered(
                answer.status.value,
                answer.shared,
                answer.reason,
                answer.similarity,
                answer.error,
                stale=answer.stale,
                near=answer.near,
            )
            return answer

    def bypassed(self, method: str, reason: str) -> Coroutine[Any, Any, Any]:
        """Count a call that is answered past the cache, for this reason. Its answer is None.

        Nothing is counted of its usage, which is not seen here.
        """
        question = Question[Any](method, "", None, TEXT, Options.DEFAULT, None, None, False, 0.0)
        question.outcome = BYPASS.get(reason) or Lookup(status=CacheStatus.BYPASS, reason=reason)
        return self.answer(question, _nothing)

    async def store(self, question: Question[T], lookup: Lookup, value: T) -> Exception | None:
        """Store a computed answer after a miss, or in place of a stale one.

        Returns the `Answer.error`.
        """
        if lookup.status is CacheStatus.MISS:
            return await self.stores.store(question, value)
        if lookup.status is _HIT and self.is_dry_run and self.shadowing is not None:
            await self.shadowing.after_dry_run(question, lookup, value)
        elif lookup.stale:
            return await self.renewals.store(question, lookup, value)
        return lookup.error

    def given(self, lookup: Lookup) -> Lookup:
        """The outcome to give: a dry run gives no hit."""
        return DRY_RUN if lookup.status is _HIT and self.is_dry_run else lookup

    async def _answer(self, question: Question[T], compute: Callable[[], Awaitable[T]]) -> Answer[T]:
        if question.outcome is not None:
            return self._counted(question, await self._computed(question, question.outcome, compute))
        execution = self.state.execution
        domain = execution.flight_domain()
        authorization = None
        if self.lookups.asks_for_key:
            authorization, failed = await self.lookups.authorization(question)
            if failed is not None:
                return self._counted(question, await self._computed(question, failed, compute))
        look_up = self.lookups.ask_service
        if self.state.near is not None and (kept := self.lookups.kept(question, authorization)):
            if self.lookups.asks_program(question):
                look_up = self.lookups.look_up  # calls of one moment share what the program's function says
            elif near := await self.lookups.near_hit(question, kept):
                hit = self._hit(question, near)
                assert hit is not None
                self._counted(question, hit)
                if near.stale or self.shadowing is not None:
                    await self.after_hit(question, near, compute, authorization)
                return hit
        flight_key = question.flight_key(domain, authorization)
        while True:
            flight, leader = execution.flights.join(flight_key)
            if flight is None:
                break
            try:
                shared: Answer[T] = await flight.follow(self.state.flight_timeout(question))
            except LeaderLeft:
                continue
            except CannotFollow as error:
                self.state.record_cannot_follow(question, error)
                lookup = await look_up(question, authorization)
                hit = self._hit(question, lookup)
                return self._counted(question, hit or await self._computed(question, lookup, compute))
            check_shared(question.codec, shared.value)
            return self._counted(question, shared_answer(shared))
        assert leader is not None
        with leader:
            lookup = await look_up(question, authorization)
            hit = self._hit(question, lookup)
            if hit is None:
                computed = await leader.lead(partial(self._computed, question, lookup, compute))
                return self._counted(question, computed)
            leader.finish(hit)
        self._counted(question, hit)
        if lookup.stale or self.shadowing is not None:
            await self.after_hit(question, lookup, compute, authorization)
        return hit

    async def after_hit(
        self,
        question: Question[Any],
        lookup: Lookup,
        compute: Callable[[], Awaitable[Any]],
        authorization: str | None,
    ) -> None:
        """Renew a stale answer in the background, or else measure the hit, if that is to be."""
        if lookup.stale:
            self.renewals.begin(question, lookup, compute, authorization)
        elif self.shadowing is not None:
            await self.shadowing.after_hit(question, lookup, compute)

    async def _computed(
        self, question: Question[T], lookup: Lookup, compute: Callable[[], Awaitable[T]]
    ) -> Answer[T]:
        started = time.monotonic()
        try:
            value = await compute()
        finally:
            elapsed = time.monotonic() - started
            self.state.stats.make_seconds += elapsed
        # Counted here, since the call that asked may be cancelled, or storing may raise.
        usage = self.accounts.spent(question, value)
        error = await self.store(question, lookup, value)
        lookup = self.given(lookup)
        saved = None if question.options.usage is None else NOTHING
        answer = self._answer_type(
            value=value, status=lookup.status, reason=lookup.reason, error=error, usage=usage, saved=saved
        )
        return with_origin(answer, origin_of(self.verdicts, question, lookup))

    def _hit(self, question: Question[Any], lookup: Lookup) -> Answer[Any] | None:
        """The answer, if the lookup found one that may be given."""
        if lookup.status is not _HIT or self.is_dry_run:
            return None
        usage = saved = None
        if question.options.usage is not None:
            usage, saved = NOTHING, self.accounts.usage_of(question, lookup.value)
        answer = self._answer_type(
            value=lookup.value,
            status=_HIT,
            entry=lookup.entry,
            stale=lookup.stale,
            near=lookup.near,
            usage=usage,
            saved=saved,
        )
        return with_origin(answer, origin_of(self.verdicts, question, lookup))

    def _counted(self, question: Question[T], answer: Answer[T]) -> Answer[T]:
        self.state.count_answer(answer.status, shared=answer.shared)
        if question.options.usage is not None and (answer.shared or answer.status is _HIT):
            self.accounts.count("saved", question, answer.saved)
        return answer

    @property
    def pending(self) -> bool:
        """Whether answers are being stored or renewed, or hits measured."""
        return bool(self.state.pending_stores or self.state.measuring or self.state.renewing)

    async def drain(self) -> None:
        """Wait for what goes on in the background of this event loop, each at most ``close_timeout``."""
        running_loop()  # says what to do where there is none
        timeout = self.state.config.close_timeout
        await asyncio.gather(self.state.renewing.drain(timeout), self.state.measuring.drain(timeout))
        await self.stores.drain()  # of renewed answers too

    def join(self) -> None:
        """Wait for what goes on in threads, at most ``close_timeout``."""
        deadline = time.monotonic() + self.state.config.close_timeout
        self.state.renewing.join(deadline)
        self.state.measuring.join(deadline)
