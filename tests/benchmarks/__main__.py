"""``python tests/benchmarks --python ENVIRONMENT=PATH …``: measure, print the table, keep the figures.

Exits with 1 if a target is missed by more than the noise that was measured. ``nox -s bench`` makes the
environments and calls this.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chart
import local_service
import measuring
import memory
import rivals_table
import service_table
import startup
from targets import HEATS, Heat, Result

_PARTS = (*HEATS, "startup", "memory", "local")
_ON_REQUEST = ("service", "rivals")  # each takes as long as all the others
_PACKAGES = ("aiohttp", "anyio", "httpx", "langcache", "msgspec", "uvloop", "yarl")


def main() -> int:
    """Measure what is asked for; 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--python", action="append", default=[], metavar="ENVIRONMENT=PATH", required=True)
    parser.add_argument("--json", type=Path, help="keep the figures here, beside those of parts not measured")
    parser.add_argument("--chart", type=Path, help="draw them here, as SVG")
    parser.add_argument("--page", type=Path, help="the page with the table of the part service")
    parser.add_argument("--docs", type=Path, help="the folder of the pages and pictures of local and rivals")
    rivals = parser.add_argument_group("of the part rivals")
    rivals.add_argument("--only", action="append", default=[], type=str.lower, metavar="NAME")
    rivals.add_argument("--resume", action="store_true", help="leave out caches with figures")
    rivals.add_argument("--sizes", type=int, nargs="+", default=rivals_table.SIZES)
    rivals.add_argument("--seconds", type=float, default=0.7, help="how long each block is measured")
    named = ", ".join((*_PARTS, *_ON_REQUEST))
    parser.add_argument("parts", nargs="*", help=f"only these, of {named}; by default all but the last two")
    arguments = parser.parse_args()
    interpreters = dict(pair.split("=", 1) for pair in arguments.python)
    measuring.keep_compiled()

    kept: dict[str, Any] = {}
    if arguments.json and arguments.json.exists():
        kept = json.loads(arguments.json.read_text())
    results: list[Result] = []
    with measuring.canned_server(interpreters) as url:
        for part in arguments.parts or _PARTS:
            print(f"measuring: {part} …", file=sys.stderr, flush=True)
            if part == "rivals":
                figures, found = measure_rivals(interpreters, kept, arguments)
            else:
                figures, found = measure(part, interpreters, url)
            results += found
            print_table(found)
            kept["machine"] = machine(interpreters)
            kept[part] = {"figures": figures, "results": [as_json(result) for result in found]}
            if part == "service" and arguments.page:
                service_table.write(figures, arguments.page)
            if part == "local" and arguments.docs:
                local_service.write(figures, arguments.docs)
            keep(kept, arguments.json)
    if arguments.chart and all(part in kept for part in chart.PARTS):
        arguments.chart.write_text(chart.draw(kept))
    missed = [result.what for result in results if result.missed]
    targets = [result for result in results if result.bound]
    met = sum(not result.missed for result in targets)
    print(f"{met} of {len(targets)} targets met", *missed, sep="\n  missed: ")
    return 1 if missed else 0


def measure(part: str, interpreters: measuring.Interpreters, url: str) -> tuple[dict[str, Any], list[Result]]:
    """The figures of one part, and what they come to."""
    if part == "startup":
        return startup.measure(interpreters)
    if part == "memory":
        return memory.measure(interpreters, url)
    if part == "service":
        return service_table.measure(interpreters)
    if part == "local":
        return local_service.measure(interpreters)
    return run_heat(interpreters, url, HEATS[part])


def measure_rivals(
    interpreters: measuring.Interpreters, kept: dict[str, Any], arguments: argparse.Namespace
) -> tuple[dict[str, Any], list[Result]]:
    """The figures of all semantic caches, which are kept as they come, and the results."""
    before = kept.setdefault("rivals", {}).get("figures", {})

    def keep_figures(figures: dict[str, Any]) -> None:
        kept["rivals"] = {"figures": figures, "results": []}
        keep(kept, arguments.json)

    rivals_table.measure(
        interpreters,
        before,
        keep_figures,
        only=arguments.only,
        resume=arguments.resume,
        sizes=arguments.sizes,
        seconds=arguments.seconds,
    )
    if arguments.docs:
        rivals_table.write(before, arguments.docs)
    return before, rivals_table.results(before)


def keep(kept: dict[str, Any], file: Path | None) -> None:
    """Write all figures into their file."""
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


def run_heat(
    interpreters: measuring.Interpreters, url: str, heat: Heat
) -> tuple[dict[str, float], list[Result]]:
    """Run a heat; the microseconds per call of each lane, of CPU unless it says of wall, and the results."""
    race = measuring.race(
        interpreters,
        url,
        heat.lanes,
        rounds=heat.rounds,
        laps=heat.laps,
        block_seconds=heat.block_seconds,
    )
    results: list[Result] = []
    for target in heat.targets:
        if target.at_most is None:
            figure = race.ratio(target.theirs, target.ours, target.clock)
        else:
            figure = race.ratio(target.ours, target.theirs, target.clock)
        failures = [
            f"{lane}: {failure}"
            for lane in (target.ours, target.theirs)
            for failure in race.failures.get(lane, [])
        ]
        results.append(
            Result(
                target.what,
                figure,
                at_most=target.at_most,
                at_least=target.at_least,
                failures=failures,
            )
        )
    in_targets = {lane for target in heat.targets for lane in (target.ours, target.theirs)}
    for lane in race.failures.keys() - in_targets:
        figure = measuring.Estimate(race.micros(lane), 0)
        results.append(Result(str(lane), figure, unit="µs", failures=race.failures[lane]))
    figures = {str(lane): round(race.micros(lane), 1) for lane in heat.lanes}
    if any(target.clock == "wall" for target in heat.targets):
        figures |= {f"{lane}, wall": round(race.micros(lane, "wall"), 1) for lane in heat.lanes}
    return figures, results


def print_table(results: list[Result]) -> None:
    """A line for each result."""
    for result in results:
        value = f"{result.figure.value:.3f}" if result.figure.value < 10 else f"{result.figure.value:.1f}"
        print(
            f"{result.what:<82} {value:>7} ± {result.figure.noise:<6.3f} {result.unit:<3} "
            f"{result.bound:<7} {result.verdict}",
            flush=True,
        )
        for failure in result.failures[:3]:
            print(f"    {failure}")


def as_json(result: Result) -> dict[str, Any]:
    """A result as it is kept."""
    return {
        "what": result.what,
        "figure": round(result.figure.value, 4),
        "noise": round(result.figure.noise, 4),
        "unit": result.unit,
        "at_most": result.at_most,
        "at_least": result.at_least,
        "verdict": result.verdict,
    }


def machine(interpreters: measuring.Interpreters) -> dict[str, Any]:
    """What it was measured on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "environments": {name: dict(_versions(python)) for name, python in interpreters.items()},
    }


def _versions(python: str) -> Iterator[tuple[str, str]]:
    program = """if True:
        from importlib.metadata import distributions
        for each in distributions():
            print(each.name, each.version)
        """
    listed = subprocess.run(
        [python, "-I", "-c", program], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    for line in listed.splitlines():
        name, version = line.split(" ", 1)
        if name in _PACKAGES:
            yield name, version


if __name__ == "__main__":
    sys.exit(main())
