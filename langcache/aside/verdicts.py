"""Verdicts on answers: counts them, deletes or blocks what was wrong, and writes labelled pairs to a file."""

from __future__ import annotations

from typing import Any

from ..models import CacheEntry
from ..telemetry import Telemetry
from .answers import CacheStatus, Lookup
from .entries import Entries
from .labels import LabelFile, LabelSource
from .question import Question
from .state import State
from .texts import folded

__all__ = ["Origin", "Verdicts"]


class Verdicts:
    """Records verdicts, of users and of shadow computations, for one client and its scopes.

    Args:
        state: the client's state.
        entries: makes the requests.
        telemetry: counts the verdicts too; None for none.
        cache_id: the client's, for telemetry.
    """

    def __init__(self, state: State, entries: Entries, telemetry: Telemetry | None, cache_id: str) -> None:
        self.state: State = state
        self._entries = entries
        self._telemetry = telemetry
        self._cache_id = cache_id
        self._labels = None if state.config.labels is None else LabelFile(str(state.config.labels))

    async def record(
        self, question: Question[Any], entry: CacheEntry | None, source: LabelSource, *, right: bool
    ) -> None:
        """Count a verdict, and write the pair to the file of labelled pairs. Raises no `Exception`.

        Texts that are equal but for case and spacing are no pair: of which questions have one answer, they
        say nothing.
        """
        stats = self.state.stats
        if source == "verdict":
            stats.verdicts_right += right
            stats.verdicts_wrong += not right
        else:
            stats.shadow_right += right
            stats.shadow_wrong += not right
        if self._telemetry is not None:
            self._telemetry.verdict(self._cache_id, source, right=right)
        if self._labels is None or entry is None or folded(question.text) == folded(entry.prompt):
            return
        try:
            await self.state.execution.run_file_access(
                self._labels.append, question.text, entry.prompt, right, entry.similarity, source
            )
        except Exception as error:
            kind = type(error).__name__
            reason = error.strerror if isinstance(error, OSError) and error.strerror else kind
            self.state.log.warn(("labels", kind), "labels: a line could not be written: %s", reason)

    async def check_open(self, question: Question[Any]) -> None:
        """Raise `ClosedError` if the client is closed."""
        await self.state.execution.run(question.method, self._entries.check_open)

    async def delete(self, question: Question[Any], entry: CacheEntry | None) -> None:
        """Delete an entry and its duplicates; None for all that is stored under the text of the question."""
        await self.state.execution.run(question.method, self._delete, question, entry)

    async def _delete(self, question: Question[Any], entry: CacheEntry | None) -> None:
        if entry is not None:
            await self._entries.delete(entry.id)
            await self._entries.delete_all(entry.prompt, entry.attributes, entry.response)
            return
        # An answer whose store has not begun is not stored after this, and one that is on its way is awaited.
        self.state.record_refresh(question)
        await self.state.wait_for_stores(None)
        await self._entries.delete_all(question.text, dict(question.attributes or {}), None)


class Origin:
    """What an answer came from, and the verdict on it. Calls that share an answer share it.

    Args:
        verdicts: those of the client.
        question: what was asked.
        lookup: the outcome of the lookup; a hit only if the answer is its value.
    """

    __slots__ = ("_deleted", "_entry", "_is_stored", "_question", "_verdict", "_verdicts")

    def __init__(self, verdicts: Verdicts, question: Question[Any], lookup: Lookup) -> None:
        self._verdicts = verdicts
        self._question = question
        self._entry = lookup.entry if lookup.hit else None
        self._is_stored = lookup.status is CacheStatus.MISS and lookup.reason is None
        self._verdict: bool | None = None
        self._deleted = False

    async def give(self, *, right: bool, delete: bool = False) -> None:
        """Record a verdict, and delete or block what was wrong. Raises as `AsyncAnswer.wrong` says."""
        if not isinstance(delete, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"delete: must be bool, but is {type(delete).__name__}")
        question, entry, verdicts = self._question, self._entry, self._verdicts
        await verdicts.check_open(question)
        is_pair = entry is not None and folded(entry.prompt) != folded(question.text)
        is_new, self._verdict = self._verdict is not right, right
        if is_new:
            if is_pair:
                assert entry is not None
                verdicts.state.blocked.set(question, entry, blocked=not right)
            await verdicts.record(question, entry, "verdict", right=right)
        if right or self._deleted or (is_pair and not delete):
            return
        if entry is not None or (self._is_stored and not question.options.no_store):
            await verdicts.delete(question, entry)
        self._deleted = True
