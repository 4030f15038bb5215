"""What each threshold keeps and lets through, and the lowest one that is certified."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

import msgspec

from .binomial import at_most, interval, upper_bound
from .picture import Picture, Point

__all__ = ["Report", "Row"]

_FINEST = 1000
"""Thresholds are chosen to three decimals: 0.000 to 1.000."""

_TESTS = math.ceil(math.log2(_FINEST + 2))
"""How many of them a binary search tests at most, each with an equal part of the error allowed."""

_MOST_LABELS = 10_000_000
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
_MOST_ROWS = 20
_FEWEST_DRAWN = 5
"""Of fewer hits, a picture can't show anything."""
_USUAL = 0.85
"""The default threshold of LangCache, which every table has."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The results for the pairs at one threshold."""

    threshold: float
    hits: int
    """Pairs whose similarity is the threshold or more."""

    kept: int
    """Hits whose answers are the same."""

    wrong: int
    """Hits whose answers are different."""

    kept_share: float
    """The share of pairs with the same answer that are hits, 0 to 1."""

    wrong_share: float
    """The share of wrong ones among hits, 0 to 1. 0 without hits."""

    wrong_low: float
    wrong_high: float
    """The bounds of the share of wrong hits in traffic like the pairs, with the report's confidence, for this
    threshold alone (Clopper-Pearson). 0 and 1 without hits."""


class Report:
    """The results of `tune`. ``str(report)`` is a table, ``report.svg()`` a picture."""

    rows: tuple[Row, ...]
    """Some thresholds over the range of similarities, lowest first, and the certified one."""

    certified: Row | None
    """The results at the certified threshold. None: none is, or ``max_wrong`` was not given."""

    bound: float | None
    """The share of wrong hits that the certified threshold does not exceed, with this confidence."""

    def __init__(
        self,
        scored: Iterable[tuple[float, bool]],
        *,
        max_wrong: float | None,
        confidence: float,
        thresholds: Sequence[float] | None,
        scored_by: str,
    ) -> None:
        scored = list(scored)
        self._same = sorted(similarity for similarity, same in scored if same)
        self._different = sorted(similarity for similarity, same in scored if not same)
        # Of thresholds with the same hits the highest, which is nearest to what was measured.
        numbers = range(_FINEST + 1)
        highest = {sum(self._counts(number / _FINEST)): number / _FINEST for number in numbers}
        self._candidates = sorted(threshold for hits, threshold in highest.items() if hits)
        self.pairs: int = len(scored)
        """How many pairs there are."""
        self.max_wrong = max_wrong
        """The share of hits that may be wrong, as given to `tune`."""
        self.confidence = confidence
        """The confidence, as given to `tune`."""
        self.scored_by = scored_by
        """Where the similarities are from."""
        self.certified = self.bound = None
        if max_wrong is not None:
            threshold = self._search(max_wrong)
            if threshold is not None:
                self.certified = self.at(threshold)
                self.bound = upper_bound(self.certified.wrong, self.certified.hits, self._error)
        chosen = set(self._thresholds() if thresholds is None else thresholds)
        if self.certified is not None:
            chosen.add(self.certified.threshold)
        self.rows = tuple(self.at(threshold) for threshold in sorted(chosen))

    @property
    def threshold(self) -> float | None:
        """The certified threshold, to three decimals. None: none is, or ``max_wrong`` was not given."""
        return None if self.certified is None else self.certified.threshold

    @property
    def more_labels(self) -> int | None:
        """About how many more labelled pairs it takes to certify a threshold, if they come out like these.

        0 if one is certified; None if no number is enough, or ``max_wrong`` was not given.
        """
        if self.max_wrong is None or self.certified is not None:
            return None if self.max_wrong is None else 0
        low, high = self.pairs, 2 * self.pairs
        while self._search(self.max_wrong, high / self.pairs) is None:
            if high > _MOST_LABELS:
                return None
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            enough = self._search(self.max_wrong, middle / self.pairs) is not None
            low, high = (low, middle) if enough else (middle, high)
        return high - self.pairs

    def at(self, threshold: float) -> Row:
        """The results at another threshold, 0 to 1."""
        kept, wrong = self._counts(threshold)
        hits = kept + wrong
        low, high = interval(wrong, hits, self.confidence) if hits else (0.0, 1.0)
        return Row(
            threshold=threshold,
            hits=hits,
            kept=kept,
            wrong=wrong,
            kept_share=kept / len(self._same),
            wrong_share=wrong / hits if hits else 0.0,
            wrong_low=low,
            wrong_high=high,
        )

    def svg(self) -> str:
        """A picture of the share of wrong hits against the share of questions kept, as an SVG document.

        It suits light and dark pages.
        """
        every = sorted({max(similarity, 0.0) for similarity in (*self._same, *self._different)})
        chosen = [every[at * (len(every) - 1) // 200] for at in range(201)]
        points = [
            self.at(threshold) for threshold in sorted({*chosen, *(row.threshold for row in self.rows)})
        ]
        return Picture(
            curve=[_point(row) for row in points if row.hits >= _FEWEST_DRAWN],
            labelled=[_point(row) for row in self.rows if row.hits >= _FEWEST_DRAWN],
            certified=None if self.certified is None else _point(self.certified),
            max_wrong=self.max_wrong,
            confidence=self.confidence,
            caption=f"{self.pairs:,} pairs, similarity {self.scored_by}",
        ).svg()

    def __str__(self) -> str:
        same, different = len(self._same), len(self._different)
        lines = [
            f"{self.pairs:,} pairs ({same:,} with the same answer, {different:,} with different ones),",
            f"similarity {self.scored_by}",
            "",
            f"  threshold   hits            kept  wrong   wrong/hits ({_percent(self.confidence)} interval)",
            *(self._line(row) for row in self.rows),
            "",
            *self._verdict(),
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Report of {self.pairs} pairs: threshold {self.threshold}, max_wrong {self.max_wrong}>"

    @property
    def _error(self) -> float:
        """The error allowed to each test: Bonferroni's share."""
        return (1 - self.confidence) / _TESTS

    def _line(self, row: Row) -> str:
        mark = "*" if row == self.certified else " "
        line = (
            f"{mark} {row.threshold:9.3f} {row.hits:6,} {row.kept:6,} ({row.kept_share:6.1%}) {row.wrong:6,}"
        )
        if not row.hits:
            return line
        return f"{line}   {row.wrong_share:6.1%}   {row.wrong_low:5.1%} to {row.wrong_high:.1%}"

    def _verdict(self) -> list[str]:
        if self.max_wrong is None:
            return ["An interval is for its row alone. With --max-wrong a threshold is certified."]
        sure, limit = _percent(self.confidence), _percent(self.max_wrong)
        if self.certified is not None and self.bound is not None:
            row = self.certified
            return [
                f"* {row.threshold:.3f} is certified: at most {limit} wrong hits, with {sure} confidence.",
                f"  It keeps {row.kept_share:.1%}; {row.wrong:,} of {row.hits:,} hits are wrong (bound "
                f"{self.bound:.2%}).",
                "  That holds for traffic like these pairs, with as many different questions among them.",
            ]
        said = f"No threshold is certified for at most {limit} wrong hits, with {sure} confidence."
        if self.more_labels is None:
            return [said, "More pairs like these would not help: at each threshold too many hits are wrong."]
        least = math.ceil(math.log(self._error) / math.log1p(-self.max_wrong))
        return [
            said,
            f"About {_rounded(self.more_labels):,} more labelled pairs do, if they come out like these.",
            f"Fewer than {least:,} hits can never show it, even with none of them wrong.",
        ]

    def _counts(self, threshold: float) -> tuple[int, int]:
        """How many pairs with the same answer are hits, and how many with different ones."""
        return (
            len(self._same) - bisect_left(self._same, threshold),
            len(self._different) - bisect_left(self._different, threshold),
        )

    def _search(self, max_wrong: float, scale: float = 1) -> float | None:
        """The lowest threshold that a binary search certifies (selective guaranteed risk).

        It goes over the sets of hits that thresholds make, whatever their labels. Where the share of wrong
        hits falls as the threshold rises, it comes upon no more than `_TESTS` thresholds at which there are
        too many before one of them passes. So if each test errs with that part of the error allowed, all
        together err with no more than that.

        With a ``scale``, as if there were that many times as many pairs, which come out alike.
        """
        low, high = 0, len(self._candidates) - 1
        found: float | None = None
        while low <= high:
            middle = (low + high) // 2
            threshold = self._candidates[middle]
            kept, wrong = self._counts(threshold)
            hits = int((kept + wrong) * scale)
            if at_most(math.ceil(wrong * scale), hits, max_wrong) <= self._error:
                found, high = threshold, middle - 1
            else:
                low = middle + 1
        return found

    def _thresholds(self) -> list[float]:
        """Up to 20 round numbers, from one that keeps four in five questions to the highest similarity."""
        low = max(self._same[len(self._same) // 5], 0.0)
        high = max(self._same[-1], self._different[-1], low)
        for step in _STEPS:
            first, last = math.floor(low / step), math.ceil(high / step)
            if last - first < _MOST_ROWS:
                break
        else:
            step, last = _STEPS[-1], round(1 / _STEPS[-1])
            first = last - _MOST_ROWS + 1
        numbers = range(first, min(last, round(1 / step)) + 1)
        return [_USUAL, *(round(number * step, 3) for number in numbers)]


def _rounded(number: int) -> int:
    """The number, rounded up to two digits."""
    unit = int(10 ** max(len(str(number)) - 2, 0))
    return math.ceil(number / unit) * unit


def _percent(share: float) -> str:
    return f"{share * 100:.4g}%"


def _point(row: Row) -> Point:
    return Point(row.threshold, row.kept_share, row.wrong_share, row.wrong_low, row.wrong_high)
