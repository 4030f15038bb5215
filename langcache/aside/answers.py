"""The results of cache-aside calls."""

from __future__ import annotations

import enum
from collections.abc import Coroutine
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from ..models import CacheEntry
from .computing import run_to_end
from .scope import AttributeValue, restore_attributes
from .usage import NOTHING, Usage

__all__ = [
    "Answer",
    "AsyncAnswer",
    "AsyncVerdicts",
    "BlockingAnswer",
    "BlockingVerdicts",
    "CacheStatus",
    "Lookup",
    "OfClient",
    "TakesVerdict",
    "shared_answer",
    "with_origin",
]

T = TypeVar("T")
AnswerT = TypeVar("AnswerT", bound="Answer[Any]")


class CacheStatus(str, enum.Enum):
    """How an answer was obtained."""

    HIT = "hit"
    """The answer comes from the cache."""

    MISS = "miss"
    """It was computed: the cache had no answer, or ``refresh`` was given."""

    BYPASS = "bypass"
    """It was computed: the cache was not asked."""

    ERROR = "error"
    """It was computed: the lookup failed."""

    def __str__(self) -> str:
        return self.value


class TakesVerdict(Protocol):
    """Where an answer came from, which takes the verdict on it."""

    def give(self, *, right: bool, delete: bool = False) -> Coroutine[Any, Any, None]:
        """Record a verdict, and delete or block what was wrong."""
        ...


class _Obtained(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer was obtained."""

    status: CacheStatus

    entry: CacheEntry | None = None
    """The entry of a hit, as the service sent it."""

    reason: str | None = None
    """Why the cache was not asked: ``"asked"`` (by ``bypass``), ``"disabled"``, ``"no question"`` (``key``
    returned None), ``"long prompt"``, ``"circuit open"``, ``"another function"`` (whose answers are stored
    with the same attributes), or what the `Key` gives as its reason. For a miss, ``"dry run"`` if the cache
    had an answer and was not to give it (`Shadow.dry_run`). Else None."""

    error: Exception | None = None
    """Why the lookup failed or the answer was not stored; None if the call did not wait for the error."""

    stale: bool = False
    """Whether a hit is older than ``stale_after``, and is being computed anew in the background, unless too
    much is being computed there already (`AsideConfig.max_renewals`)."""

    near: bool = False
    """Whether a hit comes from the near cache (`NearCache`), and the service was not asked."""

    @property
    def hit(self) -> bool:
        """Whether the answer comes from the cache."""
        return self.status is CacheStatus.HIT

    @property
    def similarity(self) -> float | None:
        """How similar the prompts of a hit are, 0 to 1; None if it is no hit."""
        return None if self.entry is None else self.entry.similarity

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        """The attributes of the entry of a hit, decoded; empty if it is no hit."""
        return {} if self.entry is None else restore_attributes(self.entry.attributes)


class Lookup(_Obtained, frozen=True, kw_only=True):
    """The outcome of a lookup."""

    value: Any = None
    """The answer of a hit, else None."""


class OfClient:
    """Knows where an answer came from. No field says it, so ==, hash, repr and pickle have no part of it."""

    __slots__ = ()

    def _known(self, name: str) -> Any:
        known = vars(self)
        if name not in known:
            raise RuntimeError(
                "this is a copy or was unpickled, and has no client; use what the client returned"
            )
        return known[name]

    @property
    def _origin(self) -> TakesVerdict:
        origin: TakesVerdict = self._known("origin")
        return origin


class AsyncVerdicts(OfClient):
    """The verdict on an answer of an `AsyncLangCache`.

    Verdicts are counted in ``stats()``, and written to the file ``AsideConfig(labels=)`` if there is one. The
    same verdict given twice on one answer, by calls that share it too, counts once; another one counts anew.
    """

    __slots__ = ()

    async def wrong(self, *, delete: bool = False) -> None:
        """Say that this answer is wrong for this question.

        An entry whose prompt equals the question, but for case and spacing, is deleted, with others that have
        the same prompt, attributes and response. An entry with another prompt answers that one well: it is
        kept, and blocked for this question with these attributes, in this client and until it is closed; the
        latest 4,096 pairs are. Of an answer that was computed and stored, all that is stored under this
        prompt and these attributes is deleted.

        Args:
            delete: whether to delete the entry of another prompt too. Default: False.

        Raises:
            ClosedError: the client is closed, and nothing is recorded.
            LangCacheError: the entry could not be deleted, whatever ``on_error`` is. The verdict is recorded
                all the same, and a second call tries the deletion again.
            RuntimeError: the answer is a copy or was unpickled.
        """
        await self._origin.give(right=False, delete=delete)

    async def right(self) -> None:
        """Say that this answer is right for this question. A pair that `wrong` has blocked is unblocked.

        Raises `langcache.errors.ClosedError` if the client is closed, and `RuntimeError` for a copy.
        """
        await self._origin.give(right=True)


class BlockingVerdicts(OfClient):
    """The verdict on an answer of a `LangCache`, as on one of an `AsyncLangCache`."""

    __slots__ = ()

    def wrong(self, *, delete: bool = False) -> None:
        """See `AsyncAnswer.wrong`."""
        run_to_end(self._origin.give(right=False, delete=delete))

    def right(self) -> None:
        """See `AsyncAnswer.right`."""
        run_to_end(self._origin.give(right=True))


class Answer(_Obtained, OfClient, Generic[T], frozen=True, kw_only=True, dict=True):
    """An answer and how it was obtained: an `AsyncAnswer`, or a `BlockingAnswer` of a `LangCache`."""

    value: T
    """The answer itself."""

    shared: bool = False
    """Whether a concurrent call obtained it, and both share it. Their values are then the same object."""

    usage: Usage | None = None
    """What this call took: the usage of an answer that it computed; zero for a hit, and for an answer that
    another call computed. None if it is unknown, or without the option ``usage``."""

    saved: Usage | None = None
    """What this call saved: for a hit what its answer took when it was computed, for an answer that another
    call computed what that took; zero if this call computed it. None as for ``usage``."""


class AsyncAnswer(AsyncVerdicts, Answer[T], Generic[T], frozen=True, kw_only=True):
    """An answer of an `AsyncLangCache`, on which a verdict can be given."""


class BlockingAnswer(BlockingVerdicts, Answer[T], Generic[T], frozen=True, kw_only=True):
    """An answer of a `LangCache`, on which a verdict can be given as on an `AsyncAnswer`."""


def with_origin(answer: AnswerT, origin: TakesVerdict) -> AnswerT:
    """The answer itself, which now knows where it came from."""
    vars(answer)["origin"] = origin
    return answer


def shared_answer(answer: Answer[T]) -> Answer[T]:
    """The same answer for another call, which shares it and what verdicts are given on it."""
    if answer.saved is NOTHING:  # the other call computed it
        shared = msgspec.structs.replace(answer, shared=True, usage=NOTHING, saved=answer.usage)
    else:
        shared = msgspec.structs.replace(answer, shared=True)
    return with_origin(shared, answer._origin)
