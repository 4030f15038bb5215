"""Computes the answers of hits anyway, and counts whether the cached ones were right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from inspect import isawaitable
from typing import Any

from .accounts import Accounts
from .answers import Lookup
from .background import with_copied_arguments
from .codecs import TEXT_CHUNKS
from .judge import check_verdict
from .question import Question
from .shadow import Shadow
from .state import State
from .verdicts import Verdicts

__all__ = ["Shadowing"]


class Shadowing:
    """Measures hits for one client and its scopes.

    Args:
        settings: those of the client.
        verdicts: records the outcomes.
        accounts: counts what computing takes.
    """

    def __init__(self, settings: Shadow, verdicts: Verdicts, accounts: Accounts) -> None:
        self._settings = settings
        self._verdicts = verdicts
        self._accounts = accounts
        self._state: State = verdicts.state

    async def after_hit(
        self, question: Question[Any], lookup: Lookup, compute: Callable[[], Awaitable[Any]]
    ) -> None:
        """Measure a hit, if it is one of the share. Waits for it only if the settings say so."""
        if self._settings.random() < self._settings.share:
            if self._settings.when == "after":
                compute = with_copied_arguments(compute)
            compute = self._accounts.background(question, compute)
            await self._run(partial(self._measure, question, lookup, compute))

    async def after_dry_run(self, question: Question[Any], lookup: Lookup, computed: Any) -> None:
        """Measure a hit that was not returned, by the answer that was computed instead."""
        self._state.stats.dry_run_hits += 1

        async def compute() -> Any:
            return computed

        await self._run(partial(self._measure, question, lookup, compute))

    async def _run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._settings.when == "before":
            await work()
        elif not self._state.measuring.begin(work):
            self._state.stats.shadow_dropped += 1

    async def _measure(
        self, question: Question[Any], lookup: Lookup, compute: Callable[[], Awaitable[Any]]
    ) -> None:
        try:
            cached, computed = lookup.value, await compute()
            if question.codec is TEXT_CHUNKS:
                cached, computed = "".join(cached), "".join(computed)
            verdict = self._settings.compared(cached, computed)
            if isawaitable(verdict):
                verdict = await self._state.execution.resolve(question.method, verdict)
            right = check_verdict(verdict)
        except Exception as error:
            # Without the error's message, which may quote the answer.
            self._state.stats.shadow_failures += 1
            name, kind = str(question), type(error).__name__
            self._state.log.warn(
                ("shadow", name, kind), "%s: computing or comparing in shadow raised %s", name, kind
            )
            return
        await self._verdicts.record(question.text, lookup.entry, "shadow", right=right)
