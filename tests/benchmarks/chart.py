"""Draws what a call costs, client by client, as an SVG that reads well on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

PARTS = ("search", "search-far", "search32", "search32-far", "sync-search", "sync-search-far")
"""The parts of the benchmark whose figures are drawn."""

_GROUPS = (
    ("async, one at a time", ("search-far", "search")),
    ("async, 32 at once", ("search32-far", "search32")),
    ("sync, one thread", ("sync-search-far", "sync-search")),
)
_OURS = ("AsyncLangCache", "LangCache", "LangCache with uvloop")
_LEFT_OUT = ("LangCache, async methods",)  # the same as AsyncLangCache
_WIDTH, _BAR, _STEP = 460, 8, 34  # narrow, with a bar below its name: so it can be read on a phone
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #333 }
  .title { font-weight: 600 }
  .ours { fill: #c6302b } .other { fill: #9aa5b1 }
"""
_DARK = "text { fill: #ddd } .other { fill: #66717d }"
_EITHER = f"{_STYLE}  @media (prefers-color-scheme: dark) {{ {_DARK} }}\n"
LIGHT, DARK = _STYLE, f"{_STYLE}  {_DARK}\n"
"""Styles of a picture for pages of one kind."""

Bars = Sequence[tuple[str, float]]
"""Names with what is drawn for them."""


def draw(figures: dict[str, Any]) -> str:
    """The chart of a benchmark's figures."""
    rows = [
        (title, sorted(costs(figures, parts).items(), key=lambda bar: bar[1])) for title, parts in _GROUPS
    ]
    titled = [(f"CPU for a search: {title}", bars) for title, bars in rows]
    return bars_of(titled, _OURS, "µs", _EITHER)


def bars_of(
    rows: Sequence[tuple[str, Bars]],
    ours: Collection[str],
    unit: str,
    style: str,
    *,
    logarithmic: bool = False,
) -> str:
    """A picture of bars in groups with titles, where each tenfold has the same length if ``logarithmic``."""
    values = [value for _, bars in rows for _, value in bars]

    def width(value: float) -> float:
        if logarithmic:  # from half of the smallest on, so that it has a bar too
            value, largest = (math.log(each / min(values) * 2) for each in (value, max(values)))
        else:
            largest = max(values)
        return max(value / largest * _WIDTH, 1)

    lines: list[str] = []
    y = 16
    for title, bars in rows:
        lines.append(f'<text class="title" x="0" y="{y}">{title}</text>')
        y -= 10
        for name, value in bars:
            y += _STEP
            kind = "ours" if name in ours else "other"
            lines += [
                f'<text x="0" y="{y}">{name}</text>',
                f'<text x="{_WIDTH}" y="{y}" text-anchor="end">{value:,.0f} {unit}</text>',
                f'<rect class="{kind}" x="0" y="{y + 6}" width="{width(value):.1f}" height="{_BAR}"/>',
            ]
        y += _STEP + 20
    height = y - _STEP
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    return "\n".join([head, f"<style>{style}</style>", *lines, "</svg>", ""])


def costs(figures: dict[str, Any], parts: tuple[str, ...]) -> dict[str, float]:
    """Microseconds of CPU for each contender; of one in several parts, as in the last."""
    return dict(_bars(figures, parts))


def _bars(figures: dict[str, Any], parts: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    for part in parts:
        for lane, micros in figures[part]["figures"].items():
            name = lane.split(":")[0]
            if name not in _LEFT_OUT:
                yield name, micros
