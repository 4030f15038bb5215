"""What it costs to import and make a client: each time in a fresh process, CPU from the first import on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from statistics import median

from measuring import HERE, Estimate, Interpreters
from targets import Result

_CLIENT = "('http://127.0.0.1:1', 'key', 'cache')"
NEEDED = "import aiohttp, msgspec"
PROGRAMS = {
    NEEDED: ("langcache", NEEDED),
    "AsyncLangCache": ("langcache", f"from langcache import AsyncLangCache; AsyncLangCache{_CLIENT}"),
    "LangCache": ("langcache", f"from langcache import LangCache; LangCache{_CLIENT}"),
    "with cache-aside": (
        "langcache",
        "from langcache import AsyncLangCache; from langcache.aside import AsideConfig; "
        f"AsyncLangCache({_CLIENT[1:-1]}, aside=AsideConfig())",
    ),
    "established langcache": (
        "established",
        "from langcache import LangCache; "
        "LangCache(server_url='http://127.0.0.1:1', api_key='key', cache_id='cache')",
    ),
}
_TIMED = "import time; start = time.process_time()\n{}\nprint(time.process_time() - start)"


def measure(
    interpreters: Interpreters, *, rounds: int = 5, laps: int = 6
) -> tuple[dict[str, float], list[Result]]:
    """The seconds of each program, and the results."""
    for environment, program in PROGRAMS.values():
        _run(interpreters[environment], program)  # compiles what its installer left uncompiled
    seconds: dict[str, list[list[float]]] = {name: [] for name in PROGRAMS}
    for _ in range(rounds):
        for name in PROGRAMS:
            seconds[name].append([])
        for _ in range(laps):
            for name, (environment, program) in PROGRAMS.items():
                seconds[name][-1].append(_run(interpreters[environment], program))

    def ratio(program: str, against: str) -> Estimate:
        rounds = zip(seconds[program], seconds[against], strict=True)
        return Estimate.of([median(a / b for a, b in zip(*laps, strict=True)) for laps in rounds])

    def results() -> Iterator[Result]:
        for name in ("AsyncLangCache", "LangCache"):
            what = f"{name}: import and construction: CPU, x "
            yield Result(what + NEEDED, ratio(name, NEEDED), at_most=1.08)
            yield Result(what + "established", ratio(name, "established langcache"), at_most=0.85)
        what = "AsyncLangCache with cache-aside: import and construction: CPU, x that without"
        yield Result(what, ratio("with cache-aside", "AsyncLangCache"))

    medians = {name: median(lap for laps in rounds for lap in laps) for name, rounds in seconds.items()}
    return medians, list(results())


def _run(python: str, program: str) -> float:
    command = [python, "-c", _TIMED.format(program)]
    run = subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE)
    return float(run.stdout)
