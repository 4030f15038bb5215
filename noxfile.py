"""What is run on every change: ``nox``; and what is run now and then: ``nox -s NAME`` (see ``nox -l``)."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import nox

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)

ESTABLISHED = ("0.11.1", "0.14.0")  # releases of the established client, one of each generation

SIDE_BY_SIDE = ("-n3", "--dist=worksteal")
"""Three tests at once: many wait for a network or a process. More, on two processors, are hardly quicker."""

RIVALS = {
    "redisvl": ("redisvl",),
    "langchain-redis": ("langchain-redis",),
    # The last release before two that stole credentials; look at a later one before it is run.
    "litellm": ("litellm==1.82.6", "redisvl"),
    "gptcache": ("gptcache", "faiss-cpu", "sqlalchemy"),
    "betterdb": ("betterdb-semantic-cache",),
    "sulci": ("sulci", "faiss-cpu", "redis"),
}
"""Semantic caches that ours are compared with, and what each needs for that; vectors are given."""

WAITING = ("tests/faults", "tests/life")
"""Tests of what networks and processes do: slow to trace, and covering nothing that the others don't."""

ADAPTERS = {
    "sdks": ("openai", "anthropic", "google-genai"),
    "frameworks": ("langchain", "openai-agents", "pydantic-ai"),
}
"""The extras for adapters."""

ON_REDIS = (
    "tests/unit/test_redis_url.py",
    *(f"{path}" for path in sorted(Path("tests/service").glob("test_redis_*.py"))),
    *(
        f"tests/service/test_{what}.py"
        for what in ("admin", "admin_redis", "app", "engine", "eviction", "page", "workers")
    ),
)
"""Tests that use servers of the dependency group ``redis``. Elsewhere those that need one are skipped."""

OTHER_PYTHONS = [python for python in PYTHONS if python != f"{sys.version_info[0]}.{sys.version_info[1]}"]
"""All but the one that runs nox, which `coverage` runs the tests on."""

nox.needs_version = ">=2025.10.14"
nox.options.sessions = [
    *("lint", "types", "contract", "coverage", "docs"),
    *(f"tests-{python}" for python in OTHER_PYTHONS),
    f"redis-{PYTHONS[-2]}",
]
nox.options.error_on_missing_interpreters = False  # a contributor needs one Python, not all of them
nox.options.default_venv_backend = "uv|virtualenv"  # uv, where it is, makes an environment in seconds
nox.options.download_python = "never"  # so that uv, too, skips a Python that this machine lacks


def lowest_of(*allowed: Iterable[str]) -> tuple[str, ...]:
    """Requirements with the lowest version that is allowed."""
    return tuple(each.replace(">=", "==") for each in chain.from_iterable(allowed))


def group(name: str) -> tuple[str, ...]:
    """The requirements in a dependency group of pyproject.toml."""
    return nox.project.dependency_groups(PYPROJECT, name)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting with ruff."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy, pyright and pylint, and that users see a type for all that is public."""
    frameworks = "langchain,openai-agents,pydantic-ai"  # whose classes the adapters derive from
    session.install(
        f".[local,wordllama,otel,redis,speed,metrics,{frameworks}]", *group("types"), *group("test")
    )
    session.run("mypy")
    session.run("mypy", "--strict", "tests/typing")  # uses that must check, and misuses that must not
    session.run("pyright")
    session.run("pyright", "tests/typing")
    programs = session.create_tmp()
    session.run("python", "tests/docs/programs.py", programs)
    session.run("pyright", programs)  # whole programs from the docs
    session.run("pylint", "--errors-only", "tests/typing")  # which looks at signatures in a way of its own
    session.run("pyright", "--verifytypes", "langcache", "--ignoreexternal")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests against the built wheel: on Pythons between the lowest and the newest, the client's."""
    session.install(".[local,wordllama]", *group("test"))
    some = () if session.python in (PYTHONS[0], PYTHONS[-1]) else ("tests/unit", "tests/client")
    session.run("pytest", *(session.posargs or [*SIDE_BY_SIDE, *some]))


@nox.session
def contract(session: nox.Session) -> None:
    """Try the local service with requests made from the description of what it does."""
    session.install(".[local]", *group("test"), *group("contract"))
    session.run("pytest", "tests/contract", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the tests with uvloop under the sync client, and check that they cover enough."""
    session.install(".[local,wordllama,speed]", *group("test"))
    quick = [f"--ignore={folder}" for folder in WAITING]
    session.run("pytest", *(session.posargs or [*SIDE_BY_SIDE, *quick]), "--cov")
    if not session.posargs:
        session.run("pytest", *SIDE_BY_SIDE, *WAITING)


@nox.session
def soak(session: nox.Session) -> None:
    """Keep both clients busy on a bad network; with `-- --redis`, two services on a Redis that is killed."""
    on_redis = "--redis" in session.posargs
    session.install(".[local,redis]", *group("test"), *(group("redis") if on_redis else ()))
    session.chdir("tests")
    session.run("python", "-m", "soak.on_redis" if on_redis else "soak", *session.posargs)


@nox.session(python=PYTHONS)
def compat(session: nox.Session) -> None:
    """Run programs for the established client, redisvl, langchain-redis; `-- --store=redis` on a Redis."""
    on_redis = "--store=redis" in session.posargs
    session.install(
        ".[local,redis]" if on_redis else ".[local]",
        *(*group("test"), *group("compat"), *(group("redis") if on_redis else ())),
    )
    established = {
        version: install_apart(session, f"established-{version}", f"langcache=={version}")
        for version in ESTABLISHED
    }
    session.run(
        f"{session.bin}/pytest",
        "tests/compat",
        *session.posargs,
        env={"LANGCACHE_ESTABLISHED_PYTHONS": json.dumps(established)},
    )


@nox.session(python=[PYTHONS[0], PYTHONS[-2]])  # the newest has no wheels of the servers
def redis(session: nox.Session) -> None:
    """Run the tests of the store in Redis, of the engine and of the application against real servers."""
    session.install(".[local,redis]", *group("test"), *group("redis"))
    session.run("pytest", *(session.posargs or [*SIDE_BY_SIDE, *ON_REDIS]))


@nox.session
def page(session: nox.Session) -> None:
    """Look at the service's page and the docs in headless Chromium; `-- screenshots` makes pictures anew."""
    session.install(".[local]", *group("test"), *group("page"), *group("docs"))
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    chromium = {} if found is None else {"LANGCACHE_CHROMIUM": found}
    if session.posargs == ["screenshots"]:
        session.run("python", "tests/page/screenshots.py", env=chromium)
    else:
        session.run("pytest", "tests/page", *session.posargs, env=chromium)


@nox.session
def quality(session: nox.Session) -> None:
    """Fit the weights of the score, write how good they are into the docs; `-- measure` asks the models."""
    session.install("-e", ".[local,wordllama]", *group("test"))
    if "measure" in session.posargs:  # after a change of a model or of the pairs
        session.run("python", "tests/quality/measure.py")
    session.run("python", "tests/quality/fit.py")
    session.run("python", "tests/quality/table.py", "--write")
    session.run("python", "tests/quality/service.py", "--write")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.install(".[local]", *group("docs"))
    session.run("sphinx-build", "-E", "-W", "--keep-going", "docs", "docs/_build")


@nox.session
def build(session: nox.Session) -> None:
    """Build sdist and wheel, check what they hold, and use each in an environment of its own."""
    session.install(*group("build"))
    home = Path(session.create_tmp())
    dist = home / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", f"{dist}")
    archives = sorted(dist.iterdir())
    session.run("twine", "check", "--strict", *map(str, archives))
    session.run("python", "tests/packaging/archives.py", *map(str, archives))
    for archive in archives:
        session.run("python", "-m", "venv", "--clear", f"{home}/alone")
        session.run(f"{home}/alone/bin/python", "-m", "pip", "install", "-q", f"{archive}", external=True)
        session.run(f"{home}/alone/bin/python", "-I", "tests/packaging/alone.py", external=True)


@nox.session(python=("3.10", "3.12", "3.13"))
@nox.parametrize("releases", ["newest", "lowest-sdks", "lowest-frameworks"])
def adapters(session: nox.Session, releases: str) -> None:
    """Run the adapters on the clients and frameworks that they are for, with a fake provider behind."""
    extras = PYPROJECT["project"]["optional-dependencies"]
    if releases == "newest":
        session.install(f".[local,{','.join(chain(*ADAPTERS.values()))}]", *group("test"), *group("adapters"))
    else:  # each by itself: frameworks need newer SDKs than we do
        names = ADAPTERS[releases.removeprefix("lowest-")]
        lowest = lowest_of(*(extras[name] for name in names))
        beside = ("langchain-openai", "pydantic-ai-slim[openai]") if "langchain" in names else ()
        session.install(".[local]", *group("test"), *lowest, *beside)
    session.run("pytest", "tests/adapters", *(session.posargs or SIDE_BY_SIDE))


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest version of each dependency that pyproject.toml allows."""
    extras = PYPROJECT["project"]["optional-dependencies"]
    others = chain.from_iterable(
        allowed for name, allowed in extras.items() if name not in chain(*ADAPTERS.values())
    )
    session.install(
        ".[local,wordllama,speed]", *group("test"), *lowest_of(PYPROJECT["project"]["dependencies"], others)
    )
    # Without anyio's plugin: that of then is not for the pytest of now.
    session.run("pytest", "-p", "no:anyio", *(session.posargs or SIDE_BY_SIDE))


@nox.session
def bench(session: nox.Session) -> None:
    """Measure clients and fail if a target is missed; `-- service` measures stores, `-- rivals` caches."""
    session.install(".")
    pythons = {"langcache": f"{session.bin}/python"}
    if session.posargs == ["service"]:
        pythons["service"] = install_apart(
            session, "service", ".[local,redis,speed,wordllama]", *group("redis")
        )
    elif session.posargs[:1] == ["rivals"]:
        pythons["service"] = install_apart(session, "service", ".[local,redis]", *group("redis"))
        pythons["embedded"] = install_apart(session, "embedded", ".[local]")
        for name, requirements in RIVALS.items():
            try:
                pythons[name] = install_apart(session, name, *requirements)
            except nox.command.CommandFailed:
                session.warn(f"{name} can't be installed, which the table will say")
    else:
        pythons |= {
            "local": install_apart(session, "local", ".[local]"),
            "uvloop": install_apart(session, "uvloop", ".[speed]"),
            "established": install_apart(session, "established", f"langcache=={ESTABLISHED[-1]}"),
            "aiohttp": install_apart(session, "aiohttp", "aiohttp", "msgspec"),
            "httpx": install_apart(session, "httpx", "httpx", "msgspec"),
        }
    environments = [f"--python={name}={python}" for name, python in pythons.items()]
    kept = ("--json=docs/data/benchmark.json", "--chart=docs/benchmark.svg", "--page=docs/scale.md")
    session.run("python", "tests/benchmarks", *environments, *kept, "--docs=docs", *session.posargs)


def install_apart(session: nox.Session, name: str, *requirements: str) -> str:
    """The Python of an environment of its own, for what can't be where this package is."""
    home = Path(session.create_tmp()).resolve() / name
    session.run("python", "-m", "venv", "--clear", str(home))
    python = str(home / "bin" / "python")
    session.run(python, "-m", "pip", "install", "--quiet", *requirements, external=True)
    return python
