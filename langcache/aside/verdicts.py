"""Verdicts on answers: counts them, deletes or blocks what was wrong, and writes labelled pairs to a file."""

from __future__ import annotations

from typing import Any

import msgspec

from ..models import CacheEntry
from ..telemetry import Telemetry
from .answers import CacheStatus, Lookup
from .blocked import Attributes
from .entries import Entries
from .labels import LabelFile, LabelSource
from .options import Options
from .question import Question
from .state import State
from .texts import folded

__all__ = ["Origin", "Verdicts", "origin_of"]


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
        self, question: str, entry: CacheEntry | None, source: LabelSource, *, right: bool
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
        if self._labels is None or entry is None or folded(question) == folded(entry.prompt):
            return
        try:
            await self.state.execution.run_file_access(
                self._labels.append, question, entry.prompt, right, entry.similarity, source
            )
        except Exception as error:
            kind = type(error).__name__
            reason = error.strerror if isinstance(error, OSError) and error.strerror else kind
            self.state.log.warn(("labels", kind), "labels: a line could not be written: %s", reason)

    async def check_open(self, method: str) -> None:
        """Raise `ClosedError` if the client is closed."""
        await self.state.execution.run(method, self._entries.check_open)

    async def delete_entry(self, method: str, entry: CacheEntry) -> None:
        """Delete an entry and its duplicates."""
        await self.state.execution.run(method, self._delete_entry, entry)

    async def delete_stored(self, method: str, text: str, attributes: Attributes) -> None:
        """Delete all that is stored under a text with these attributes, and what is on its way to be."""
        await self.state.execution.run(method, self._delete_stored, text, attributes)

    async def _delete_entry(self, entry: CacheEntry) -> None:
        await self._entries.delete(entry.id)
        await self._entries.delete_all(entry.prompt, entry.attributes, entry.response)

    async def _delete_stored(self, text: str, attributes: Attributes) -> None:
        # An answer whose store has not begun is not stored after this, and one that is on its way is awaited.
        self.state.record_refresh(text, attributes)
        await self.state.wait_for_stores(None)
        await self._entries.delete_all(text, dict(attributes or {}), None)


class Origin(msgspec.Struct, eq=False):
    """What an answer came from, and the verdict on it. Calls that share an answer share it.

    The question is not kept, nor is the function that it holds.
    """

    # A Struct, since one is made for each answer: it takes a fraction of the time of a class with __init__.

    verdicts: Verdicts
    method: str
    text: str
    attributes: Attributes
    options: Options

    lookup: Lookup
    """The outcome of the lookup; a hit only if the answer is its value."""

    verdict: bool | None = None
    """The latest verdict: right or wrong."""

    deleted: bool = False
    """Whether what was wrong has been deleted."""

    async def give(self, *, right: bool, delete: bool = False) -> None:
        """Record a verdict, and delete or block what was wrong. Raises as `AsyncAnswer.wrong` says."""
        if not isinstance(delete, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"delete: must be bool, but is {type(delete).__name__}")
        text, entry, verdicts = self.text, self.lookup.entry, self.verdicts
        await verdicts.check_open(self.method)
        is_pair = entry is not None and folded(entry.prompt) != folded(text)
        is_new, self.verdict = self.verdict is not right, right
        if is_new:
            if entry is not None and is_pair:
                verdicts.state.blocked.set(text, self.attributes, entry, blocked=not right)
            await verdicts.record(text, entry, "verdict", right=right)
        if right or self.deleted or (is_pair and not delete):
            return
        if entry is not None:
            await verdicts.delete_entry(self.method, entry)
        elif (
            self.lookup.status is CacheStatus.MISS
            and self.lookup.reason is None
            and not self.options.no_store
        ):
            await verdicts.delete_stored(self.method, text, self.attributes)
        self.deleted = True


def origin_of(verdicts: Verdicts, question: Question[Any], lookup: Lookup) -> Origin:
    """Where the answer to a question comes from."""
    return Origin(verdicts, question.method, question.text, question.attributes, question.options, lookup)
