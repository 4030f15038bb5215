"""The picture of a report: wrong hits against questions kept, as an SVG for light and dark pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

__all__ = ["Picture", "Point"]

_WIDTH, _HEIGHT = 640, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 56, 52
_NEAREST = 34
"""The least distance between two labels of the curve."""

_STYLE = """
  svg { background: #fff }
  text { font: 12px system-ui, sans-serif; fill: #333; stroke: #fff; stroke-width: 3px; paint-order: stroke }
  .title { font-size: 14px; font-weight: 600 }
  .grid { stroke: #ddd } .axis { stroke: #888 }
  .band { fill: #9aa5b1; opacity: .3 }
  .curve { fill: none; stroke: #52606d; stroke-width: 2; stroke-linejoin: round }
  .dot { fill: #52606d }
  .limit { stroke: #c6302b; stroke-dasharray: 6 4 }
  .certified { fill: #1f7a3d } text.certified { font-weight: 600 } text.wrong { fill: #c6302b }
  @media (prefers-color-scheme: dark) {
    svg { background: #16181d } text { fill: #ddd; stroke: #16181d }
    .grid { stroke: #33373f } .axis { stroke: #777 }
    .curve { stroke: #b8c2cc } .dot { fill: #b8c2cc }
    .limit { stroke: #ff7b72 } text.wrong { fill: #ff7b72 } .certified { fill: #56d364 }
  }
"""


class Point(NamedTuple):
    """A threshold: the share of questions kept, the share of wrong hits, and the interval of the latter."""

    threshold: float
    kept: float
    wrong: float
    low: float
    high: float


class Picture(NamedTuple):
    """What is drawn; points are in the order of their thresholds."""

    curve: Sequence[Point]
    labelled: Sequence[Point]
    certified: Point | None
    max_wrong: float | None
    confidence: float
    caption: str

    def svg(self) -> str:
        """The SVG document."""
        size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        label = f'role="img" aria-label="{escape(self._title())}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label}>',
                f"<style>{_STYLE}</style>",
                f'<text class="title" x="{_LEFT}" y="22">{escape(self._title())}</text>',
                f'<text x="{_LEFT}" y="41">{escape(self.caption)}</text>',
                *self._grid(),
                *self._lines(),
                *self._limit(),
                *self._labels(),
                "</svg>",
                "",
            ]
        )

    def _title(self) -> str:
        return (
            f"Wrong hits against questions kept, by threshold, with the {self.confidence * 100:.4g}% interval"
        )

    @property
    def _most(self) -> float:
        """The share at the top, with some room above the points that are labelled."""
        shown = [point.wrong for point in self.labelled]
        most = max([*shown, 2 * (self.max_wrong or 0), 0.04]) * 1.15
        return next(top for top in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0) if top >= min(most, 1.0))

    def _x(self, kept: float) -> float:
        return _LEFT + kept * (_WIDTH - _LEFT - _RIGHT)

    def _y(self, wrong: float) -> float:
        return _HEIGHT - _BOTTOM - min(wrong / self._most, 1.0) * (_HEIGHT - _TOP - _BOTTOM)

    def _grid(self) -> Iterable[str]:
        for fifth in range(6):
            x, y = self._x(fifth / 5), self._y(self._most * fifth / 5)
            kind = "axis" if fifth == 0 else "grid"
            yield f'<path class="{kind}" d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
            yield f'<path class="{kind}" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
            kept, wrong = f"{fifth * 20}%", f"{self._most * fifth * 20:.3g}%"
            yield f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{kept}</text>'
            yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{wrong}</text>'
        middle = (_TOP + _HEIGHT - _BOTTOM) / 2
        yield (
            f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 12}" text-anchor="middle">'
            "kept: questions with an answer in the cache that get it</text>"
        )
        yield (
            f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">'
            "wrong: share of hits</text>"
        )

    def _lines(self) -> Iterable[str]:
        shown = [point for point in self.curve if point.wrong <= self._most]
        upper = [f"{self._x(point.kept):.1f} {self._y(point.high):.1f}" for point in shown]
        lower = [f"{self._x(point.kept):.1f} {self._y(point.low):.1f}" for point in reversed(shown)]
        line = [f"{self._x(point.kept):.1f} {self._y(point.wrong):.1f}" for point in shown]
        if not shown:
            return
        yield f'<path class="band" d="M{"L".join([*upper, *lower])}Z"/>'
        yield f'<path class="curve" d="M{"L".join(line)}"/>'

    def _limit(self) -> Iterable[str]:
        if self.max_wrong is not None:
            y = self._y(self.max_wrong)
            yield f'<path class="limit" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
            said = f"at most {self.max_wrong * 100:.4g}% wrong"
            yield f'<text class="wrong" x="{_LEFT + 6}" y="{y - 5:.1f}">{said}</text>'

    def _labels(self) -> Iterable[str]:
        taken: list[tuple[float, float]] = []
        if self.certified is not None:
            x, y = self._x(self.certified.kept), self._y(self.certified.wrong)
            taken += [(x, y), (x, y - 16)]
            yield f'<circle class="certified" cx="{x:.1f}" cy="{y:.1f}" r="6"/>'
            anchor, aside = ("end", -8) if x > _WIDTH / 2 else ("start", 8)
            yield (
                f'<text class="certified" x="{x + aside:.1f}" y="{y - 14:.1f}" text-anchor="{anchor}">'
                f"certified: {self.certified.threshold:.3f}</text>"
            )
        for point in self.labelled:
            x, y = self._x(point.kept), self._y(point.wrong)
            if all(abs(x - other) > _NEAREST or abs(y - above) > _NEAREST for other, above in taken):
                taken.append((x, y))
                yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
                yield f'<text x="{x - 7:.1f}" y="{y - 6:.1f}" text-anchor="end">{point.threshold:.3g}</text>'
