"""Figures on pages are those that the benchmark kept in docs/data/benchmark.json."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
KEPT = json.loads((DOCS / "data" / "benchmark.json").read_text("utf-8"))
RESULTS = {
    result["what"]: result
    for part, kept in KEPT.items()
    if part not in ("machine", "rivals")
    for result in kept["results"]
}


@pytest.fixture
def benchmarks(monkeypatch):
    """The modules of the benchmark, which import each other by their names."""
    folder = str(DOCS.parent / "tests" / "benchmarks")
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(folder):
            del sys.modules[name]


def between(page, name):
    """What a page has between the marks of this name."""
    text = (DOCS / page).read_text("utf-8")
    return text.partition(f"<!-- {name}: begin -->\n")[2].partition(f"<!-- {name}: end -->\n")[0]


def test_every_figure_of_a_target_is_the_one_that_was_kept():
    rows = re.findall(
        r"^\| ([^|]+) \| ([\d.,]+) ± ([\d.,]+)[^|]* \|[^|]*\| ([\w ]+) \|$",
        (DOCS / "performance.md").read_text("utf-8"),
        re.M,
    )
    assert len(rows) > 30
    for what, value, noise, verdict in rows:
        kept = RESULTS[what]
        for written, figure in ((value, kept["figure"]), (noise, kept["noise"])):
            digits = len(written.partition(".")[2])
            assert abs(float(written.replace(",", "")) - figure) <= 0.501 * 10**-digits, (what, kept)
        assert verdict == kept["verdict"]


def test_the_table_of_stores_is_made_of_what_was_kept(benchmarks):
    from service_table import table

    assert between("scale.md", "figures") == table(KEPT["service"]["figures"])


def test_the_picture_of_a_call_is_made_of_what_was_kept(benchmarks):
    import chart

    assert (DOCS / "benchmark.svg").read_text("utf-8") == chart.draw(KEPT)


def test_the_table_of_the_local_service_is_made_of_what_was_kept(benchmarks):
    from local_service import table

    assert between("local-service.md", "figures") == table(KEPT["local"]["figures"])


def test_the_tables_and_pictures_of_semantic_caches_are_made_of_what_was_kept(benchmarks):
    from rivals_table import pictures, readme, tables

    figures = KEPT["rivals"]["figures"]
    assert between("performance.md", "rivals") == tables(figures)
    assert between("../README.md", "picture") == readme(figures)
    for name, picture in pictures(figures).items():
        assert (DOCS / name).read_text("utf-8") == picture


def figures_of(cache, **changed):
    """Figures of a cache at 1,000 and 10,000 entries; ours are half of the others'."""
    cost = 1.0 if cache.ours else 2.0
    lane = {name: [cost] * 3 for name in ("median_ms", "each_ms", "cpu_us")}
    size = {
        "store_ms": cost,
        "asked": 500,
        "right": 500,
        "memory_bytes": cost,
        "at_once_1": lane,
        "at_once_32": lane,
        **changed,
    }
    return {"version": "1", "start_cpu_ms": cost, "installed_bytes": cost, "1000": size, "10000": size}


def test_a_cell_in_which_ours_is_behind_and_a_wrong_answer_are_missed_targets(benchmarks):
    from rivals_table import CACHES, pictures, results, tables

    figures = {cache.name: figures_of(cache) for cache in CACHES}
    assert not [result.what for result in results(figures) if result.missed]
    assert all(cache.name in tables(figures) for cache in CACHES)
    assert set(pictures(figures)) == {"benchmark-light.svg", "benchmark-dark.svg"}

    figures["redisvl, sync"]["10000"] = {
        **figures["redisvl, sync"]["10000"],
        "at_once_1": {name: [0.5] * 3 for name in ("median_ms", "each_ms", "cpu_us")},
    }
    ours = "LangCache, service, Redis"
    figures[ours]["1000"] = {**figures[ours]["1000"], "right": 499}
    figures["sulci, Redis"] = {"version": "1", "failed": "no such | module"}
    assert [result.what for result in results(figures) if result.missed] == [
        "Rivals: LangCache, service, Redis, 1,000 entries: right answers",
        "Rivals, shared by processes: 10,000 entries, 1 at once, median: x redisvl, sync",
        "Rivals, shared by processes: 10,000 entries, 1 at once, CPU: x redisvl, sync",
    ]
    assert "| sulci, Redis | 1 | not measured: no such / module | | |" in tables(figures)
