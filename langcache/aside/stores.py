"""Stores answers: decides whether an answer is stored, and stores it in a separate task."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from inspect import isawaitable
from typing import Any, TypeVar

from .._portal.tasks import ResultOrExit, result_or_exit
from ..errors import ClosedError
from .age import now_attribute
from .entries import Entries
from .invalidation import Invalidation
from .options import StoreIf
from .question import Question
from .round_trip import encode_exactly
from .sources import check_source_set
from .state import State

__all__ = ["Stores"]

T = TypeVar("T")


class Stores:
    """Stores answers. An answer that would not come back equal and of the same type is not stored."""

    def __init__(self, state: State, entries: Entries, invalidation: Invalidation) -> None:
        self._state = state
        self._entries = entries
        self._invalidation = invalidation

    async def store(self, question: Question[T], value: T) -> Exception | None:
        """Store an answer, and wait as long as the options say. Returns the error if it failed by then."""
        options, state = question.options, self._state
        if options.no_store:
            return None
        text: str | None = None
        sources: tuple[str, ...] = ()
        ttl_millis = options.ttl_millis
        problem: Exception | None = None
        try:
            verdict = (
                True if options.store_if is None else await self._verdict(question, options.store_if, value)
            )
            if verdict is False:
                state.stats.declined += 1
            else:
                if verdict is not True:
                    ttl_millis = state.limits.ttl(None, verdict)
                if options.sources is not None:
                    sources = await self._sources(question, options.sources, value)
                text = encode_exactly(question.codec, value)
                conflict = state.claims.claim(
                    question.make, options.function, question.codec, question.attributes
                )
                if conflict is not None:
                    raise conflict
        except Exception as error:
            state.record_not_stored(question, error)
            if question.raises_errors:
                raise
            text, problem = None, error
        if text is None and (not options.refresh or question.stale is not None):
            return problem  # a refresh that was asked for deletes what is stored all the same
        # The breaker is asked last: its one probe must then be made.
        if state.is_outdated(question) or (
            options.refresh and not question.raises_errors and not state.breaker.allows()
        ):
            state.stats.stores_dropped += 1
            return problem
        try:
            failure = await state.execution.run(
                question.method, self._begin, question, text, ttl_millis, sources
            )
        except Exception as error:  # the blocking client is closed, or has no event loop
            state.stats.store_errors += 1
            state.record_failure(question, error)
            failure = error
        if failure is not None and question.raises_errors:
            raise failure
        return problem or failure

    async def drain(self) -> None:
        """Wait for the stores of this event loop; cancel those that are not done after ``close_timeout``."""
        for late in await self._state.wait_for_stores(self._state.config.close_timeout):
            late.cancel()

    async def _verdict(self, question: Question[T], store_if: StoreIf, value: T) -> bool | float | timedelta:
        verdict: Any = store_if(value)
        if isawaitable(verdict):
            verdict = await self._state.execution.resolve(question.method, verdict)
        if type(verdict).__module__ == "numpy":
            verdict = verdict.item()
        if isinstance(verdict, bool | int | float | timedelta):
            return verdict
        raise TypeError(
            "store_if: must return bool, or how long to keep the answer, in seconds or as a timedelta, but "
            f"returned {type(verdict).__name__}"
        )

    async def _sources(self, question: Question[T], given: Any, value: T) -> tuple[str, ...]:
        if callable(given):
            given = given(value)
            if isawaitable(given):
                given = await self._state.execution.resolve(question.method, given)
        return check_source_set("sources", () if given is None else given)

    async def _begin(
        self,
        question: Question[Any],
        text: str | None,
        ttl_millis: int | None,
        sources: tuple[str, ...],
    ) -> Exception | None:
        """Store in a separate task, and wait for it if the options say so. Returns as `store` does."""
        state = self._state
        if len(state.pending_stores) >= state.config.max_pending_stores:
            # Tasks of an event loop that was closed never end.
            for left in [task for task in state.pending_stores if task.get_loop().is_closed()]:
                state.pending_stores.discard(left)
        if (pending := len(state.pending_stores)) >= state.config.max_pending_stores:
            state.stats.stores_dropped += 1
            state.breaker.abandoned()
            state.log.warn(
                ("dropped",),
                "%s: answers are not stored: %d are on their way to the cache",
                question,
                pending,
            )
            return None
        task: asyncio.Task[ResultOrExit[Exception | None]] = asyncio.get_running_loop().create_task(
            result_or_exit(self._store, question, text, ttl_millis, sources)
        )
        question.stores = text is not None
        state.pending_stores.add(task)
        task.add_done_callback(state.pending_stores.discard)
        if question.options.store == "background":
            return None
        done, _ = await asyncio.wait([task], timeout=question.timeout)
        if task.cancelled():  # by `drain`
            return ClosedError("the client was closed while the answer was being stored")
        return task.result().get() if done else None

    async def _store(
        self,
        question: Question[Any],
        text: str | None,
        ttl_millis: int | None,
        sources: tuple[str, ...],
    ) -> Exception | None:
        state, started = self._state, time.monotonic()
        refresh, config = question.options.refresh, state.config
        attributes = None if question.attributes is None else dict(question.attributes)
        added: dict[str, str] = {}
        if text is not None and sources and state.is_invalidated(question, sources):
            state.stats.stores_dropped += 1
            if not refresh or question.stale is not None:
                question.stores = False
                state.breaker.abandoned()
                return None
            text = None
        try:
            if text is not None and sources:
                assert config.source_attribute is not None
                # By all attributes that the answer has, so that a narrower scope finds it too.
                added[config.source_attribute] = await self._invalidation.index(sources, attributes or {})
            if config.time_attribute is not None:
                added[config.time_attribute] = now_attribute()
            await self._entries.store(
                question.text, text, attributes, added, ttl_millis, replace=refresh, stale=question.stale
            )
        except Exception as error:
            state.stats.store_errors += 1
            state.record_failure(question, error)
            return error
        except (SystemExit, KeyboardInterrupt) as error:  # logged, since the call may have stopped waiting
            state.record_not_stored(question, error)
            raise
        finally:
            elapsed = time.monotonic() - started
            state.stats.store_seconds += elapsed
        state.stats.stores += text is not None
        state.breaker.succeeded()
        if refresh:
            state.record_refresh(question.text, question.attributes)
        return None
