"""`Judge`: asks a function of the user's, such as an LLM, about the entries of which a score is not sure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from inspect import isawaitable
from typing import Any, Literal, TypeAlias, cast

import msgspec

from .._call.forks import importing
from .._checks import check_duration, check_number
from .._portal.tasks import ResultOrExit, result_or_exit
from ..models import CacheEntry
from .computing import is_async
from .workers import run_in_thread

__all__ = ["Ask", "Judge", "JudgeFailed", "Score", "check_verdict"]

_log = logging.getLogger("langcache.aside")

Ask: TypeAlias = Callable[[str, CacheEntry], "bool | Awaitable[bool]"]
"""Called with the question and an entry; returns whether the entry answers the question."""

Score: TypeAlias = Callable[[str, CacheEntry], "float | None"]
"""Called with the question and an entry; returns how likely the entry answers the question, 0 to 1, or None
if it can't tell."""


class JudgeFailed(Exception):
    """The judge gave no verdict. Its cause is the error, if there was one; the message quotes nothing."""


class Judge(msgspec.Struct, frozen=True):
    """A value for ``accept=`` that asks a slow judge, such as an LLM, about entries in doubt only.

    A score of at least ``sure`` is a hit, one below ``doubt`` is not; in between, and if there is no score,
    ``ask`` decides. Calls that share a lookup share its verdicts. The time that the judge takes is no part of
    ``lookup_timeout``: a lookup takes at most ``lookup_timeout`` and ``timeout`` together.
    """

    ask: Ask
    """Called with the question and an entry; returns True if the entry answers the question. It must be a
    bool: text such as ``"no"`` is a failure. An async function runs in the event loop of the call, or on that
    of a `LangCache`. Any other runs in a thread of its own, with the caller's context variables; it can't be
    interrupted, so after ``timeout`` it runs on and its verdict is dropped. At most 64 of those run at once
    in a process, further ones fail."""

    sure: float = 0.8
    """The score, 0 to 1, from which an entry is a hit without asking. Default: 0.8."""

    doubt: float = 0.3
    """The score, 0 to ``sure``, below which an entry is rejected without asking. Default: 0.3."""

    timeout: float = 2.0
    """Seconds that a call waits for the judge at most, for all entries of a lookup together. Default: 2.0."""

    on_failure: Literal["miss", "hit"] = "miss"
    """What an entry is if the judge raises, returns no bool or takes too long. Failures are counted in
    ``stats().judge_failures`` and logged, once a minute for each function. Default: ``"miss"``."""

    score: Score | None = None
    """Called with the question and an entry; returns 0 to 1, or None for doubt. If it raises, the entry is
    rejected. Default: the likelihood that `langcache.verifier` goes by; it is 1 for texts that are equal but
    for case and spacing, and None for long texts and other languages than English, in which nothing is seen
    to differ: 0 if a word is exchanged, added or denied."""

    def __post_init__(self) -> None:
        for name, function in (("ask", self.ask), ("score", self.score or self.ask)):
            if not callable(function):
                kind = type(function).__name__
                raise TypeError(f"{name}: must be a function of the question and the entry, but is {kind}")
        for name in ("sure", "doubt"):
            value = check_number(name, getattr(self, name), minimum=0, maximum=1)
            msgspec.structs.force_setattr(self, name, value)
        if self.doubt > self.sure:
            raise ValueError(f"doubt: must be at most sure, {self.sure:g}, but is {self.doubt:g}")
        msgspec.structs.force_setattr(self, "timeout", check_duration("timeout", self.timeout))
        if self.on_failure not in ("miss", "hit"):
            raise ValueError(f"on_failure: must be 'miss' or 'hit', but is {self.on_failure!r}")

    def __call__(self, question: str, entry: CacheEntry) -> bool | Awaitable[bool]:
        """The verdict on one entry, for use within an ``accept=`` function of your own.

        In doubt it is an awaitable. Failures are then logged at WARNING and not counted.
        """
        verdict = self.without_asking(question, entry)
        return self._asked_or_failed(question, entry) if verdict is None else verdict

    def without_asking(self, question: str, entry: CacheEntry) -> bool | None:
        """The verdict if the score is sure; None if the judge has to be asked."""
        if self.score is None:
            # Imported when there is something to compare: most programs never ask in other words.
            with importing:
                from ..matching.verifier import confidence

            score = confidence(question, entry)
        else:
            score = self.score(question, entry)
        if score is None:
            return None
        return True if score >= self.sure else False if score < self.doubt else None

    async def asked(self, question: str, entry: CacheEntry, timeout: float) -> bool:
        """The judge's verdict, within ``timeout`` seconds. Raises JudgeFailed."""
        task: asyncio.Task[ResultOrExit[object]] = asyncio.get_running_loop().create_task(
            result_or_exit(self._ask, question, entry)
        )
        task.add_done_callback(_retrieve)
        try:
            # Not a time limit around an await, which a function that suppresses cancellation would outlast.
            await asyncio.wait([task], timeout=timeout)
        finally:
            task.cancel()
        if not task.done():
            raise JudgeFailed(f"no verdict within {timeout:g} s")
        if task.cancelled():
            raise JudgeFailed("it was cancelled")
        error = task.exception()
        if error is not None:
            raise JudgeFailed(f"it raised {type(error).__name__}") from error
        try:
            return check_verdict(task.result().get())
        except TypeError as wrong:
            raise JudgeFailed(str(wrong)) from wrong

    async def _ask(self, question: str, entry: CacheEntry) -> object:
        if is_async(self.ask):
            verdict: Any = self.ask(question, entry)
        else:
            verdict = await run_in_thread(partial(self.ask, question, entry))
        return await verdict if isawaitable(verdict) else verdict

    def _asked_or_failed(self, question: str, entry: CacheEntry) -> Coroutine[Any, Any, bool]:
        async def decide() -> bool:
            try:
                return await self.asked(question, entry, self.timeout)
            except JudgeFailed as error:
                _log.warning("a judge failed, and its entry is a %s: %s", self.on_failure, error)
                return self.on_failure == "hit"

        return decide()


def check_verdict(value: object) -> bool:
    """A bool that one of the user's functions returned. Raises `TypeError` for anything else."""
    if type(value).__module__ == "numpy":
        value = cast("Any", value).item()
    if isinstance(value, bool):
        return value
    raise TypeError(f"it must return True or False, but returned {type(value).__name__}")


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # or the loop would log that nobody did, for one that ends after its time
