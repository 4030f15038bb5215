"""The two steps of cache-aside one by one: `look_up`, and `store` on what it returns."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Generic, TypeVar

from .answers import AsyncVerdicts, BlockingVerdicts, Lookup, OfClient
from .codecs import Codec
from .computing import run_to_end
from .core import Aside
from .key import Key
from .options import CallOptions
from .question import Question
from .scope import AttributeValue, Scope
from .usage import Usage
from .verdicts import origin_of

__all__ = ["AsyncLookup", "BlockingLookup", "look_up_first"]

T = TypeVar("T")

_FUNCTION = "look_up"
"""The default of the option ``function``: all code between two steps counts as one function."""


class _Step(Lookup, OfClient, Generic[T], frozen=True, kw_only=True, dict=True):
    """The outcome of a lookup, after which an answer can be stored."""

    value: T | None = None
    """The answer of a hit, else None."""

    saved: Usage | None = None
    """What a hit saved, as `Answer.saved`; None if it is no hit."""

    def _store(self, value: T) -> Coroutine[Any, Any, Exception | None]:
        store: Callable[[T], Coroutine[Any, Any, Exception | None]] = self._known("second_step")
        return store(value)


class AsyncLookup(AsyncVerdicts, _Step[T], Generic[T], frozen=True, kw_only=True):
    """What `AsyncLangCache.look_up` returns: the outcome, and the second step."""

    async def store(self, value: T) -> Exception | None:
        """Store the answer that the program has computed, after a miss.

        Whatever the options of `look_up` say of storing holds: ``store_if``, ``ttl``, ``no_store``,
        ``refresh``, ``store``. After a bypass or an error nothing is stored, as `get_or_set` stores nothing
        then, and after a hit only if it is stale: the answer then takes the place of the stale one. With the
        option ``usage``, what the answer took is counted as spent, stored or not. Each call after a miss
        stores an entry. Without a call, nothing is left behind.

        Returns:
            Why the answer was not stored, as `Answer.error` says it; else None.

        Raises:
            LangCacheError, TypeError, ValueError: only with ``on_error="raise"``.
            RuntimeError: this is a copy or was unpickled.
        """
        return await self._store(value)


class BlockingLookup(BlockingVerdicts, _Step[T], Generic[T], frozen=True, kw_only=True):
    """What `LangCache.look_up` returns: the outcome, and the second step."""

    def store(self, value: T) -> Exception | None:
        """See `AsyncLookup.store`."""
        return run_to_end(self._store(value))


async def look_up_first(
    aside: Aside,
    scope: Scope | None,
    prompt: Any,
    key: Callable[[Any], str | Key | None] | None,
    codec: Codec[Any] | None,
    attributes: Mapping[str, AttributeValue] | None,
    options: CallOptions,
) -> Any:
    """The first step, for either client: an `AsyncLookup` or a `BlockingLookup`."""
    if options.get("function") is None:
        options = {**options, "function": _FUNCTION}
    question = aside.questions.of_call(
        "look_up", scope, prompt, _computed_by_the_program, key, codec, attributes, options
    )
    if aside.telemetry is None:
        lookup = await _looked_up(aside, question)
    else:
        with aside.telemetry.question(aside.cache_id) as span:
            lookup = await _looked_up(aside, question)
            seen = aside.given(lookup)
            span.answered(
                seen.status.value,
                False,
                seen.reason,
                seen.similarity,
                seen.error,
                stale=seen.stale,
                near=seen.near,
            )
    given = aside.given(lookup)
    aside.state.count_answer(given.status, shared=False)
    saved = None
    if given.hit and question.options.usage is not None:
        saved = aside.accounts.usage_of(question, given.value)
        aside.accounts.count("saved", question, saved)
    kind: type[Any] = BlockingLookup if aside.state.execution.is_blocking else AsyncLookup
    step = kind(
        status=given.status,
        entry=given.entry,
        reason=given.reason,
        error=given.error,
        stale=given.stale,
        near=given.near,
        value=given.value,
        saved=saved,
    )
    vars(step)["origin"] = origin_of(aside.verdicts, question, given)
    vars(step)["second_step"] = partial(_second_step, aside, question, lookup)
    return step


async def _looked_up(aside: Aside, question: Question[Any]) -> Lookup:
    """The outcome of a lookup without a flight."""
    if question.outcome is not None:
        return question.outcome
    authorization = None
    if aside.lookups.asks_for_key:
        authorization, failed = await aside.lookups.authorization(question)
        if failed is not None:
            return failed
    return await aside.lookups.look_up(question, authorization)


async def _second_step(aside: Aside, question: Question[T], lookup: Lookup, value: T) -> Exception | None:
    aside.accounts.spent(question, value)
    return await aside.store(question, lookup, value)


def _computed_by_the_program() -> None:
    """Stands for the function that computes the answer, where one is expected."""
