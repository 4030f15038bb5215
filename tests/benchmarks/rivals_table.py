"""Semantic caches compared: who, in which environment, what has to come out, with tables and pictures.

Each is measured by `rival_run` in turn; figures are kept one by one. An environment that is not there is said
in the table, and so is why a cache could not be measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chart
from measuring import HERE, Estimate, Interpreters
from rival_questions import QUESTIONS
from service_table import put_in_place
from targets import Result

__all__ = ["CACHES", "SIZES", "Cache", "measure", "pictures", "readme", "results", "tables", "write"]

SIZES = (1_000, 10_000)
_AT_ONCE = (1, 32)
_IN_PROCESS, _SHARED = "in the program's process", "shared by processes"


_IMAGE = """```{{image}} {0}
:class: only-{1}
:alt: {2}
```"""
_PICTURE = """<picture>
<source media="(prefers-color-scheme: dark)" srcset="docs/benchmark-dark.svg">
<img src="docs/benchmark-light.svg" alt="{0}">
</picture>
"""


@dataclass(frozen=True)
class Cache:
    """One that is compared."""

    name: str
    module: str
    kind: str
    environment: str
    package: str
    server: str = ""
    """What `rival_run` starts: a service on one of its stores, ``Redis alone``, or nothing."""
    compared: bool = True
    """False if it does something else than the others, and is only shown."""

    @property
    def ours(self) -> bool:
        """Whether it is one of this package's."""
        return self.package == "langcache"

    @property
    def group(self) -> str:
        """What it is compared with."""
        return _SHARED if self.server else _IN_PROCESS


def _caches() -> Iterator[Cache]:
    for client, way in (("AsyncLangCache", "async"), ("LangCache", "sync")):
        for kept in ("memory", "SQLite"):
            name = f"{client}.embedded, {kept}"
            yield Cache(name, "ours_embedded", f"{way}, {kept}", "embedded", "langcache")
    yield Cache("GPTCache, faiss and SQLite", "gptcache_faiss", "sync", "gptcache", "gptcache")
    for kept in ("faiss", "SQLite"):
        yield Cache(f"sulci, {kept}", "sulci_cache", kept, "sulci", "sulci")
    for client, way in (("AsyncLangCache", "async"), ("LangCache", "sync")):
        for store in ("memory", "SQLite", "Redis, FLAT"):
            name = f"{client}, service, {store.removesuffix(', FLAT')}"
            yield Cache(name, "ours", way, "langcache", "langcache", store)
    for name, way in (("get_or_set, service, memory", "get_or_set"), ("near cache of get_or_set", "near")):
        yield Cache(name, "ours", way, "langcache", "langcache", "memory", compared=False)
    for name, module in (("redisvl", "redisvl_cache"), ("langchain-redis", "langchain_redis_cache")):
        for way in ("async", "sync"):
            yield Cache(f"{name}, {way}", module, way, name, name, "Redis alone")
    yield Cache("LiteLLM, redis-semantic, sync", "litellm_redis", "sync", "litellm", "litellm", "Redis alone")
    yield Cache("BetterDB", "betterdb", "async", "betterdb", "betterdb-semantic-cache", "Redis alone")
    yield Cache("sulci, Redis", "sulci_cache", "Redis", "sulci", "sulci", "Redis alone")


CACHES = tuple(_caches())


def measure(
    interpreters: Interpreters,
    figures: dict[str, Any],
    keep: Callable[[dict[str, Any]], None],
    *,
    only: Sequence[str] = (),
    resume: bool = False,
    sizes: Sequence[int] = SIZES,
    seconds: float = 0.7,
) -> None:
    """Measure those of which the name begins with one in ``only``, or all; keep the figures after each.

    With ``resume``, those that there are figures of are left out.
    """
    chosen = [each for each in CACHES if not only or each.name.lower().startswith(tuple(only))]
    if not chosen:
        raise SystemExit(f"--only: no such cache; there are: {'; '.join(each.name for each in CACHES)}")
    if min(sizes) < QUESTIONS:
        raise SystemExit(f"--sizes: {min(sizes)} is less than {QUESTIONS}, the number of questions")
    if not only and not resume:
        figures.clear()
    for cache in chosen:
        if resume and cache.name in figures:
            continue
        print(f"measuring: {cache.name} …", file=sys.stderr, flush=True)
        figures[cache.name] = _one(interpreters, cache, sizes, seconds)
        keep(figures)


def _one(interpreters: Interpreters, cache: Cache, sizes: Sequence[int], seconds: float) -> dict[str, Any]:
    python = interpreters.get(cache.environment)
    if python is None:
        return {"failed": "it could not be installed", "version": None}
    settings = {
        "python": python,
        "module": cache.module,
        "kind": cache.kind,
        "server": cache.server,
        "sizes": sizes,
        "seconds": seconds,
        "rounds": 3,
        "fill_at_once": 16 if cache.ours or cache.server else 1,  # of others not all allow for threads
    }
    command = [interpreters["service"], "rival_run.py", json.dumps(settings)]
    done = subprocess.run(command, cwd=HERE, stdout=subprocess.PIPE, text=True)
    figures = json.loads(done.stdout) if done.returncode == 0 else {"failed": "the measurement ended"}
    program = f"from importlib.metadata import version; print(version({cache.package!r}))"
    found = subprocess.run([python, "-I", "-c", program], stdout=subprocess.PIPE, text=True)
    return {"version": found.stdout.strip() or None, **figures}


def results(figures: dict[str, Any]) -> list[Result]:
    """Ours gives no wrong answer, and the best of ours is ahead of each rival in each cell of its group."""
    measured = [each for each in CACHES if each.name in figures]
    found = [
        Result(
            f"Rivals: {each.name}", Estimate(0, 0), "", at_least=1, failures=[figures[each.name]["failed"]]
        )
        for each in measured
        if each.ours and "failed" in figures[each.name]
    ]
    there = [each for each in measured if "failed" not in figures[each.name]]
    sizes = [size for size in SIZES if all(f"{size}" in figures[each.name] for each in there)]
    for each in there:
        for size in sizes:
            of_ours = figures[each.name][f"{size}"]
            if each.ours:
                share = of_ours["right"] / max(of_ours["asked"], 1)
                what = f"Rivals: {each.name}, {size:,} entries: right answers"
                found.append(Result(what, Estimate(share, 0), "", at_least=1))
    for group in (_IN_PROCESS, _SHARED):
        compared = [each for each in there if each.group == group and each.compared]
        ours, others = ([each.name for each in compared if each.ours == own] for own in (True, False))
        for what, value in _cells(sizes):
            found += _compared(f"Rivals, {group}: {what}", figures, ours, others, value)
    return found


_Value = Callable[[dict[str, Any]], "list[float] | None"]


def _cells(sizes: Sequence[int]) -> Iterator[tuple[str, _Value]]:
    """What is compared, with how to get its rounds of the figures of a cache."""
    for size in sizes:
        for at_once in _AT_ONCE:
            # In threads, how long a call waits says little of how many are done: some run, others wait long.
            time = ("median_ms", "median") if at_once == 1 else ("each_ms", "time for each")
            for kind, name in (time, ("cpu_us", "CPU")):

                def rounds(figures: Any, at: Any = (f"{size}", f"at_once_{at_once}", kind)) -> Any:
                    return figures[at[0]].get(at[1], {}).get(at[2])

                yield f"{size:,} entries, {at_once} at once, {name}", rounds
    yield "CPU of the start", lambda figures: [figures["start_cpu_ms"]]
    if sizes:
        yield "memory", lambda figures: [figures[f"{sizes[-1]}"]["memory_bytes"]]
    yield "installed", lambda figures: [figures["installed_bytes"]]


def _compared(
    what: str, figures: dict[str, Any], ours: Sequence[str], others: Sequence[str], value: _Value
) -> Iterator[Result]:
    mine = [rounds for name in ours if (rounds := value(figures[name]))]
    if not mine:
        return
    best = min(mine, key=lambda rounds: Estimate.of(rounds).value)
    for name in others:
        theirs = value(figures[name])
        if theirs:
            ratio = Estimate.of([own / other for own, other in zip(best, theirs, strict=True)])
            yield Result(f"{what}: x {name}", ratio, at_most=1)


def tables(figures: dict[str, Any]) -> str:
    """The pictures, a table for each size, and one of what does not depend on it."""
    shown = [
        _IMAGE.format(name, name[len("benchmark-") : -len(".svg")], finding(figures))
        for name in pictures(figures)
    ]
    parts = [
        _table_of_size(figures, size) for size in SIZES if any(f"{size}" in each for each in figures.values())
    ]
    rows = [
        "| cache | version | CPU of the start | memory of both sides | installed |",
        "|---|---|---:|---:|---:|",
    ]
    for cache in CACHES:
        each = figures.get(cache.name)
        if each is None:
            continue
        version = each.get("version") or ""
        if "failed" in each:
            rows.append(f"| {_named(cache)} | {version} | not measured: {_cell(each['failed'])} | | |")
            continue
        sizes = [size for size in SIZES if f"{size}" in each]
        memory = f"{each[f'{sizes[-1]}']['memory_bytes'] / 1e6:,.0f} MB" if sizes else ""
        rows.append(
            f"| {_named(cache)} | {version} | {each['start_cpu_ms']:,.0f} ms | {memory} "
            f"| {each['installed_bytes'] / 1e6:,.0f} MB |"
        )
    return "\n\n".join([*shown, *parts, "\n".join(rows)]) + "\n"


def _table_of_size(figures: dict[str, Any], size: int) -> str:
    rows = [
        f"| {size:,} entries | one at a time, median | CPU | 32 at once, lookups/s | CPU "
        "| a store | right answers |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for cache in CACHES:
        each = figures.get(cache.name, {})
        if "failed" in each or f"{size}" not in each:
            continue
        at_size = each[f"{size}"]
        cells = [_named(cache)]
        for at_once in _AT_ONCE:
            lane = at_size.get(f"at_once_{at_once}")
            if lane is None:
                cells += ["too slow", ""]
            else:
                median, each_ms = (Estimate.of(lane[kind]).value for kind in ("median_ms", "each_ms"))
                cells.append(f"{median:,.2f} ms" if at_once == 1 else f"{1e3 / each_ms:,.0f}")
                cells.append(f"{Estimate.of(lane['cpu_us']).value:,.0f} µs")
        cells += [f"{at_size['store_ms']:,.2f} ms", f"{at_size['right']} of {at_size['asked']}"]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _named(cache: Cache) -> str:
    return f"**{cache.name}**" if cache.ours else cache.name


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")


def _costs(figures: dict[str, Any], group: str) -> list[tuple[Cache, float]]:
    """Microseconds of CPU of a search among the most entries, for the caches of a group, least first."""
    size = f"{SIZES[-1]}"
    costs = [
        (cache, Estimate.of(each[size]["at_once_1"]["cpu_us"]).value)
        for cache in CACHES
        if cache.group == group and size in (each := figures.get(cache.name, {})) and "failed" not in each
    ]
    return sorted(costs, key=lambda cost: cost[1])


def pictures(figures: dict[str, Any]) -> dict[str, str]:
    """The costs of a search, by the name of the file: for light and for dark pages."""
    rows: list[tuple[str, chart.Bars]] = [
        (
            f"CPU of a search of 10,000, {group}, log scale",
            [(cache.name, cost) for cache, cost in _costs(figures, group)],
        )
        for group in (_IN_PROCESS, _SHARED)
        if _costs(figures, group)
    ]
    if not rows:
        return {}
    ours = [cache.name for cache in CACHES if cache.ours]
    styles = (("benchmark-light.svg", chart.LIGHT), ("benchmark-dark.svg", chart.DARK))
    return {name: chart.bars_of(rows, ours, "µs", style, logarithmic=True) for name, style in styles}


def finding(figures: dict[str, Any]) -> str:
    """What the pictures show, in words, for those who don't see them."""
    said = ["CPU time of a search among 10,000 entries."]
    for group in (_IN_PROCESS, _SHARED):
        costs: dict[str, list[float]] = {}
        for cache, cost in _costs(figures, group):
            if cache.compared:
                name = "langcache" if cache.ours else cache.name.partition(",")[0]
                costs.setdefault(name, []).append(cost / 1000)
        parts = [f"{name} {_range(each)} ms" for name, each in costs.items()]
        said.append(f"{group[0].upper()}{group[1:]}: {', '.join(parts)}.")
    return " ".join(said)


def _range(costs: Sequence[float]) -> str:
    low, high = (f"{cost:,.1f}" if cost < 10 else f"{cost:,.0f}" for cost in (min(costs), max(costs)))
    return low if low == high else f"{low} to {high}"


def readme(figures: dict[str, Any]) -> str:
    """The picture as the README shows it."""
    return _PICTURE.format(finding(figures))


def write(figures: dict[str, Any], docs: Path) -> None:
    """Put tables and pictures into the docs."""
    put_in_place(tables(figures), docs / "performance.md", "rivals")
    for name, picture in pictures(figures).items():
        (docs / name).write_text(picture, "utf-8")
    put_in_place(readme(figures), docs.parent / "README.md", "picture")
