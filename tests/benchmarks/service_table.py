"""The table of docs/scale.md, and the bounds of the store in Redis, from the figures of `service_stores`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from measuring import HERE, Estimate, Interpreters
from targets import Result

__all__ = ["WITH_MODEL", "measure", "put_in_place", "table", "write"]

WITH_MODEL = "Redis, HNSW, 10,000, with WordLlama"

_COLUMNS = (
    *("entries", "store", "one at a time, p50 / p99", "64 at once, searches/s", "two services"),
    *("processor time", "stored/s, 64 at once", "p99 of a store", "bytes an entry", "recall"),
)


def measure(interpreters: Interpreters) -> tuple[dict[str, Any], list[Result]]:
    """The figures of all stores, and what is asked of the one in Redis."""
    command = [interpreters["service"], "service_stores.py"]
    done = subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE)
    figures: dict[str, Any] = json.loads(done.stdout)
    some, many = figures["Redis, HNSW, 10,000"], figures["Redis, HNSW, 100,000"]
    with_model = figures[WITH_MODEL]
    ratio = with_model["searches_per_second_2"] / with_model["searches_per_second_1"]

    def result(what: str, value: float, unit: str = "", **bound: float) -> Result:
        return Result(f"Service on Redis, {what}", Estimate(value, 0), unit=unit, **bound)

    flat = figures["Redis, FLAT, 10,000"]
    return figures, [
        result(
            "HNSW, 10,000 entries, WordLlama: searches/s of two services against one", ratio, at_least=1.6
        ),
        result("HNSW, 100,000 entries: search, median", many["p50_ms"], "ms", at_most=4),
        result("HNSW, 100,000 entries: recall@1", many["recall"], at_least=0.995),
        result("FLAT, 10,000 entries: 64 stores at once, p99", flat["store_p99_ms"], "ms", at_most=50),
        result("HNSW, 10,000 entries: 64 stores at once, p99", some["store_p99_ms"], "ms", at_most=50),
    ]


def table(figures: dict[str, Any]) -> str:
    """A line for each size and store."""
    lines: list[str] = []
    sizes: dict[str, list[str]] = {}
    for name in figures:
        if name == WITH_MODEL:
            continue
        kind, _, size = name.rpartition(", ")
        sizes.setdefault(size, []).append(kind)
    for size, kinds in sizes.items():
        lines += [_line(size if kind == kinds[0] else "", kind, figures[f"{kind}, {size}"]) for kind in kinds]
    head = f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}\n"
    one, two = (figures[WITH_MODEL][f"searches_per_second_{count}"] for count in (1, 2))
    with_model = (
        "With WordLlama in place of given vectors and with the comparison of texts, 64 at once, 10,000\n"
        f"entries with HNSW: {one:,} searches/s of one service, {two:,} of two.\n"
    )
    if each := figures[WITH_MODEL].get("search_cpu_us"):
        service, redis, asking = each
        most = 2_000_000 // sum(each)
        with_model += (
            f"Each takes {service:,} µs of a service, {redis:,} µs of Redis and {asking:,} µs of the\n"
            f"program that asks, so that two processors can do {most:,} in a second at most.\n"
        )
    return head + "".join(f"{line}\n" for line in lines) + "\n" + with_model


def _line(size: str, kind: str, figure: dict[str, Any]) -> str:
    service, redis = figure["search_cpu_us_1"]
    cpu = f"{service:,} µs" + (f" + {redis:,} µs of Redis" if redis else "")
    memory, disk = figure["bytes"]["memory"], figure["bytes"]["disk"]
    cells = [
        size,
        kind,
        f"{_short(figure['p50_ms'])} / {_short(figure['p99_ms'])} ms",
        f"{figure['searches_per_second_1']:,}",
        f"{figure['searches_per_second_2']:,}" if "searches_per_second_2" in figure else "",
        cpu,
        f"{figure['stores_per_second']:,}",
        f"{_short(figure['store_p99_ms'])} ms",
        f"{memory:,}" + (f", on disk {disk:,}" if disk else ""),
        f"{figure['recall']:.3f}",
    ]
    return f"| {' | '.join(cells)} |"


def _short(millis: float) -> str:
    return f"{millis:.0f}" if millis >= 10 else f"{millis:.1f}"


def write(figures: dict[str, Any], page: Path) -> None:
    """Put the table in its place on a page."""
    put_in_place(table(figures), page, "figures")


def put_in_place(text: str, page: Path, name: str) -> None:
    """Put a text between the marks of this name on a page."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, begun, rest = page.read_text("utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    assert begun
    assert ended
    page.write_text(f"{before}{begin}{text}{end}{after}", "utf-8")
