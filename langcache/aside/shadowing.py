"""Computes the answers of hits anyway, and counts whether the cached ones were right."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from functools import partial
from inspect import isawaitable
from typing import Any, cast

from .._portal.tasks import result_or_exit
from .answers import Lookup
from .computing import run_to_end
from .flight import Flight
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
    """

    def __init__(self, settings: Shadow, verdicts: Verdicts) -> None:
        self._settings = settings
        self._verdicts = verdicts
        self._state: State = verdicts.state

    async def after_hit(
        self, question: Question[Any], lookup: Lookup, compute: Callable[[], Awaitable[Any]]
    ) -> None:
        """Measure a hit, if it is one of the share. Waits for it only if the settings say so."""
        if self._settings.random() < self._settings.share:
            if self._settings.when == "after":
                compute = _with_copied_arguments(compute)
            await self._run(partial(self._measure, question, lookup, compute))

    async def after_dry_run(self, question: Question[Any], lookup: Lookup, computed: Any) -> None:
        """Measure a hit that was not returned, by the answer that was computed instead."""
        self._state.stats.dry_run_hits += 1

        async def compute() -> Any:
            return computed

        await self._run(partial(self._measure, question, lookup, compute))

    async def drain(self) -> None:
        """Wait for the tasks of this event loop; cancel those that are not done after ``close_timeout``."""
        loop = asyncio.get_running_loop()
        tasks = [task for task in self._state.shadow_tasks if task.get_loop() is loop]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._state.config.close_timeout)
            for task in late:
                task.cancel()

    def join(self) -> None:
        """Wait for the threads, at most ``close_timeout`` seconds. Those that are not done then go on."""
        deadline = time.monotonic() + self._state.config.close_timeout
        for thread in list(self._state.shadow_threads):
            if thread is not threading.current_thread():
                thread.join(max(deadline - time.monotonic(), 0))

    async def _run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._settings.when == "before":
            await work()
            return
        tasks, threads = self._state.shadow_tasks, self._state.shadow_threads
        if len(tasks) + len(threads) >= self._settings.max_pending:
            # Tasks of an event loop that was closed never end.
            tasks.difference_update([task for task in tasks if task.get_loop().is_closed()])
        if len(tasks) + len(threads) >= self._settings.max_pending:
            self._state.stats.shadow_dropped += 1
            return
        context = copy_context()
        context.run(Flight.exit_to, None)  # it is no part of the flight of the call, which ends before it
        if not self._state.execution.is_blocking:
            task = context.run(asyncio.get_running_loop().create_task, result_or_exit(work))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            return

        def run() -> None:
            try:
                context.run(run_to_end, work())
            finally:
                threads.discard(thread)

        thread = threading.Thread(target=run, name="langcache-shadow", daemon=True)
        threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is exiting, or there are too many threads
            threads.discard(thread)
            self._state.stats.shadow_dropped += 1

    async def _measure(
        self, question: Question[Any], lookup: Lookup, compute: Callable[[], Awaitable[Any]]
    ) -> None:
        try:
            cached, computed = lookup.value, await compute()
            text: Any = getattr(question.codec, "text", None)
            if text is not None:
                cached, computed = text(cached), text(computed)
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


def _with_copied_arguments(compute: Any) -> Any:
    """A partial with copies of the lists, dicts and sets in its arguments, which may change later."""
    if type(compute) is partial:
        function: Any = compute.func
        arguments = [_copied(argument) for argument in compute.args]
        keywords = {name: _copied(argument) for name, argument in compute.keywords.items()}
        return partial(_with_copied_arguments(function), *arguments, **keywords)
    return compute


def _copied(value: Any) -> Any:
    kind: Any = cast("Any", type(value))
    if kind is partial:
        return _with_copied_arguments(value)
    if kind is dict:
        return {name: _copied(item) for name, item in value.items()}
    if kind in (list, tuple, set):
        return type(value)(map(_copied, value))
    return value
