"""`Shadow`: settings for measuring hits by answers that are computed anyway, and how the two are compared."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

import msgspec

from .._checks import check_int, check_number
from .texts import folded

__all__ = ["Compare", "Shadow"]

Compare: TypeAlias = Callable[[Any, Any], "bool | Awaitable[bool]"]
"""Called with the cached and the computed answer; returns whether the cached one is right."""


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """Measures how often hits are right: ``AsideConfig(shadow=Shadow(share=0.05))``.

    For a share of the hits, the answer is computed too, and compared with the cached one. The outcome is
    counted as right or wrong in ``stats()`` and telemetry, and written to the file ``AsideConfig(labels=)``.
    Nothing else comes of it: the call returns the cached answer, and the computed one is neither returned nor
    stored. If computing or comparing fails, that is counted and logged, and no concern of the call. Calls
    that share a lookup count as one.
    """

    share: float = 0.05
    """The share of the hits that are measured, 0 to 1. Default: 0.05."""

    when: Literal["after", "before"] = "after"
    """``"after"``: the call returns at once. In `AsyncLangCache` a task computes the answer, in `LangCache` a
    thread, which ends with the program at the latest. Lists, dicts and sets in the arguments are copied.
    ``"before"``: the call computes and compares first, in its own task or thread, and then returns. Default:
    ``"after"``."""

    compare: Compare | float | None = None
    """A function, async or not, of the cached and the computed answer, that returns True if they say the
    same. Of a stream it gets the list of its chunks, or the whole text if the chunks are text. Or a number, 0
    to 1: how alike the words of two texts must be (the F1 score: twice the words in common, divided by all of
    both). Default: equality, of texts but for case and spacing; the texts of a language model are hardly ever
    equal."""

    dry_run: bool = False
    """Whether the cache never answers. It is asked and filled as usual, but instead of a hit the answer is
    computed and returned, as a miss with the ``reason`` "dry run", which ``stats().dry_run_hits`` counts. All
    of those are measured, whatever the ``share``. Default: False."""

    max_pending: int = 10
    """How many answers may be computed or compared at once, with ``when="after"``. Beyond that, hits are not
    measured. Default: 10."""

    random: Callable[[], float] = random.random
    """Called for each hit; it is measured if this gives less than ``share``. Default: ``random.random``."""

    def __post_init__(self) -> None:
        set_field = msgspec.structs.force_setattr
        set_field(self, "share", check_number("share", self.share, minimum=0, maximum=1))
        if self.when not in ("after", "before"):
            raise ValueError(f"when: must be 'after' or 'before', but is {self.when!r}")
        if self.compare is not None and not callable(self.compare):
            set_field(self, "compare", check_number("compare", self.compare, minimum=0, maximum=1))
        if not isinstance(self.dry_run, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"dry_run: must be bool, but is {type(self.dry_run).__name__}")
        set_field(self, "max_pending", check_int("max_pending", self.max_pending, minimum=1))
        if not callable(self.random):
            raise TypeError(
                f"random: must be a function without arguments, but is {type(self.random).__name__}"
            )

    def compared(self, cached: Any, computed: Any) -> Any:
        """Whether two answers say the same, or what the user's function returns."""
        if callable(self.compare):
            return self.compare(cached, computed)
        if not isinstance(cached, str) or not isinstance(computed, str):
            return bool(cached == computed)
        cached, computed = folded(cached), folded(computed)
        return cached == computed or (
            self.compare is not None and _likeness(cached, computed) >= self.compare
        )


def _likeness(one: str, other: str) -> float:
    words, others = Counter(one.split()), Counter(other.split())
    total = words.total() + others.total()
    return 2 * (words & others).total() / total if total else 1.0
